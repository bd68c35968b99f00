/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of a container: one in every hierarchy that is mounted (the unified one, and those of v1 beside it).
 * The unified one is the truth about what lives: it knows every process of the container, whichever of them was killed,
 * and tells changes by poll(2). Limits go to whichever hierarchy has the controller.
 *
 * A group is named by its path below the roots of the hierarchies: "cowherd/4f1c2a9e/12".
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_BYTES 128
#define CGROUP_HIERARCHIES 24

/* 0 leaves it unlimited. */
struct cgroup_limits {
        uint64_t memory_bytes, cpus, processes;
        uint64_t first_cpu; /* where the `cpus` processors begin among those that there are, counted round */
};

/*
 * "0,1": the processors that a container of these limits may use, so that what runs in it counts as many; false where
 * that is all there are (or it is not limited).
 */
#define CGROUP_CPUS_BYTES 4096
bool cgroup_choose_cpus(const struct cgroup_limits *limits, char buffer[CGROUP_CPUS_BYTES]);

/* What a process of one thread writes "0" to, to be in the group: a file of each hierarchy, opened. */
struct cgroup_entry {
        int fds[CGROUP_HIERARCHIES];
        size_t count;
        int unified; /* the group's folder in the unified hierarchy, whose file is fds[0] then; 0: none */
};
void cgroup_entry_close(struct cgroup_entry *entry);
/*
 * As fork(2); the child may only call the kernel, with no word of the libc that cares for threads. *ret_inside: it is born in the unified group,
 * which the child then tells cgroup_enter: that has the calling process enter all the others. -1 and errno.
 */
pid_t cgroup_fork(const struct cgroup_entry *entry, bool *ret_inside);
int cgroup_enter(const struct cgroup_entry *entry, bool inside);

/* Whether there is a unified hierarchy; 69 with what to do where not. */
int cgroup_check(struct cowherd_error *err) must_check;
/* Makes the group in all hierarchies, sets its limits, opens the entry. 69 where a limit was asked that no controller
 * can keep. */
int cgroup_make(const char *path, const struct cgroup_limits *limits, struct cgroup_entry *ret,
                struct cowherd_error *err) must_check;
/*
 * Opens an entry for one more process of a group that is there: in the hierarchies of v1 its group PATH/BELOW (where
 * there is one, else PATH), in the unified one a new group PATH/BELOW/NAME. A hierarchy without the group is left out.
 */
int cgroup_make_below(const char *path, const char *below, const char *name, struct cgroup_entry *ret,
                      struct cowherd_error *err) must_check;
/* Removes one unified group, unless something lives in it. */
void cgroup_remove_one(const char *path);

/* Whether anything lives in it (below it, too): false too where there is no such group. */
bool cgroup_is_populated(const char *path);
/* Of a group that is populated: whether all that lives in it was killed, or is at its end. */
bool cgroup_is_ending(const char *path);
bool cgroup_is_frozen(const char *path);
/* Something to poll for POLLPRI: it is told whenever one of the two changes. -1: no such group. The caller's. */
int cgroup_watch(const char *path);
/* Waits until the group is empty; 1 where it is not within timeout_ms. Event-driven. */
int cgroup_wait_empty(const char *path, uint64_t timeout_ms, struct cowherd_error *err) must_check;

/* Stops all of it, and waits until it is; or lets it go on. */
int cgroup_freeze(const char *path, bool frozen, struct cowherd_error *err) must_check;
/* Kills all that is in it, and waits until nothing is; 75 where something does not die. No such group is success. */
int cgroup_kill(const char *path, struct cowherd_error *err) must_check;
/* Removes it from all hierarchies, deepest groups first. What is not there is success; what is in use is 75. */
int cgroup_remove(const char *path, struct cowherd_error *err) must_check;

/* Calls `see` with each process of the group and those below, as this pid namespace numbers them (0 where it doesn't),
 * until it says true. */
bool cgroup_find_process(const char *path, bool (*see)(void *context, pid_t pid), void *context);
/* Whether a process is in the group or below. */
bool cgroup_has(const char *path, pid_t pid);
