/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: what the two processes on the way into a container need, all of it made before they are forked.
 */
#pragma once

#include "engine/nspawn/cgroup.h"
#include "engine/nspawn/seccomp.h"
#include "engine/nspawn/user.h"

struct way_in {
        int leader;            /* a pidfd */
        int namespaces;        /* CLONE_NEW… that differ from ours */
        bool own_users;        /* the user namespace is one of them */
        uint64_t capabilities; /* the bounding set that is left */
        const struct seccomp_filters *filters;
        const struct guest_user *user;
        const struct cgroup_entry *entry;
        char *const *argv, *const *environment;
        char *const *programs; /* what to try to execute, in turn, NULL-terminated */
        const char *working_dir;
        bool folder_is_home; /* where it can't be entered, "/" will do */
        int streams[3];
        bool terminal;
        int pid[2], error[2]; /* pipes: the command's pid, and which step failed, to us */
};

enum way_step { WAY_GROUPS, WAY_NAMESPACES, WAY_FORK, WAY_TERMINAL, WAY_LIMITS, WAY_USER, WAY_FOLDER, WAY_PROGRAM };
struct way_failure {
        int step, os_errno;
};

/* For a child of cgroup_fork: never returns. */
_Noreturn void way_in_go(const struct way_in *way, bool inside);
