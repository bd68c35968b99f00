/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: starting a program that outlives us. */
#pragma once

#include "base/error.h"
#include "engine/nspawn/cgroup.h"

#include <sys/types.h>

#define SPAWN_KEPT 3

struct spawn {
        char *const *argv; /* argv[0] absolute */
        char *const *environment;
        int output, errors;               /* its stdout and stderr; its stdin is /dev/null */
        const struct cgroup_entry *entry; /* the control groups it is put into before it begins; may be empty */
        int kept;                         /* one more descriptor, which it gets as SPAWN_KEPT; 0: none */
        int pids_of;                      /* a pidfd: it becomes a process of that one's pid namespace, and ends with it; 0: of ours */
};
/*
 * Starts it in a session of its own, nobody's child: default signals, none of our descriptors but the two. Returns once
 * it has begun. *ret_pidfd is the caller's.
 */
int spawn_detached(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct cowherd_error *err) must_check;
/* Signals back to their defaults, as a program expects them that begins. For a forked child: calls the kernel only. */
void spawn_reset_signals(void);
