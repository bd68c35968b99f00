/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: starting a program, apart from waiting for it. */
#pragma once

#include "sys/process.h"

#include <sys/types.h>

struct child {
        pid_t pid;
        int pidfd;  /* readable when it has ended */
        int output; /* our ends of its stdout and stderr, non-blocking */
        int errors;
};

/* Starts the program; in a process group of its own where `grouped`. *ret's descriptors are the caller's. */
int process_spawn(const struct process *process, bool grouped, struct child *ret, struct cowherd_error *err) must_check;
