/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command inside a running container: a process of ours that enters all of its namespaces and control groups, takes
 * on the limits of its payload (seccomp filter, capability bounding set), becomes the user, and then the command. 3 ms.
 */
#pragma once

#include "engine/nspawn/nspawn.h"

struct enter {
        const struct engine_instance *instance;
        const struct engine_command *command;
        int streams[3];   /* its stdin, stdout and stderr */
        bool terminal;    /* they are a terminal, which is to be its own */
        const char *term; /* TERM, or NULL */
};

struct entered {
        pid_t pid; /* a child of ours */
        int pidfd;
        char cgroup[CGROUP_PATH_BYTES]; /* of its own, with all that it starts: for cgroup_kill */
};

/* Starts it; returns once it has begun. 66 where the guest has no such program, user or folder. */
int enter_start(const struct enter *enter, struct entered *ret, struct cowherd_error *err) must_check;
/* Waits for its end (it is there when the pidfd is readable), removes its control group. Its status, or 128 + the
 * signal. */
int enter_finish(struct entered *entered, int *ret_exit_code, struct cowherd_error *err) must_check;
/* Kills it with all that it has started inside. */
int enter_kill(const struct entered *entered, struct cowherd_error *err) must_check;

/* Of one that nobody waits for any more, because something failed: ends it. Nothing where it has not begun, or was finished. */
void enter_drop(struct entered *entered);

/* A new terminal of the container's own devpts, for that user: our end and the command's. Both the caller's. */
int enter_terminal(const struct engine_instance *instance, const char *user, int *ret_master, int *ret_slave,
                   struct cowherd_error *err) must_check;
