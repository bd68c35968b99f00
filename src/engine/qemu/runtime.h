/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a running machine, in instance->runtime (0700): the sockets that its QEMU serves (made and listened on by us,
 * so that it needs no access to the folder), which process it is, and what it said.
 */
#pragma once

#include "engine/engine.h"
#include "engine/qemu/qmp.h"

#define QEMU_CONTROL "qmp.sock"      /* commands */
#define QEMU_STATUS "status.sock"    /* short questions, so that they never wait for a long command */
#define QEMU_JOBS "jobs.sock"        /* who waits for the end of a long job */
#define QEMU_CONSOLE "console.sock"  /* the serial console */
#define QEMU_AGENT "agent.sock"      /* the guest agent's channel */
#define QEMU_GUEST "guest%zu.sock"   /* a port of cowherd-guest, by its number */
#define QEMU_GUEST_LOCK "guest.lock" /* who uses which of them, see guest_channel.c */
#define QEMU_PROCESS "process"       /* which process, see process.c */
#define QEMU_RESUMED "resumed"       /* made anew each time it goes on */
#define QEMU_SEED "seed.iso"         /* of a machine that stood by: what its seed is read from */
#define QEMU_MESSAGES "qemu.log"     /* its stdout and stderr */
#define QEMU_CONSOLE_LOG "console.log"     /* in the instance's own folder: it outlives the machine's running */
#define QEMU_VARIABLES "uefi-variables.fd" /* likewise */

/* Makes the runtime folder and opens it. */
int qemu_runtime_make(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err) must_check;
/* Opens it; 75 where the machine does not run, having none. */
int qemu_runtime_open(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err) must_check;
/* "clones/5" of "clones/5/disk.qcow2", opened. */
int qemu_folder_open(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err) must_check;
/* Makes a socket of that name there, listening. */
int qemu_socket_listen(int runtime, const char *name, int *ret_fd, struct cowherd_error *err) must_check;
/* Connects to it; 75 where nobody listens. Writing then blocks for a short time at most. */
int qemu_socket_connect(int runtime, const char *name, int *ret_fd, struct cowherd_error *err) must_check;
/* Speaks QMP with the running machine, on the socket of that name; 75 where it does not run. */
int qemu_speak(const struct engine_instance *instance, const char *name, struct qmp *ret, struct cowherd_error *err) must_check;
/* The same on the socket for commands, which nobody keeps for long. */
int qemu_control(const struct engine_instance *instance, struct qmp *ret, struct cowherd_error *err) must_check;

/* Whether its disk is locked by a machine: 1 or 0; -1 and errno. */
int qemu_is_running(const struct engine_instance *instance) __attribute__((warn_unused_result));
