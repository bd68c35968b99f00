/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child in its groups, without waiting. Whoever moves a process into a group has the kernel wait until nobody forks anywhere, a grace
 * period of 5 to 20 ms, under a lock that a mkdir there needs too. In the unified hierarchy a child can be born in its
 * group instead, by clone3(2); in those of v1 a thread that moves itself (a "0" in their file `tasks`) waits for nobody, and a child of ours is one
 * thread. The libc has no word for such a birth, so this is the bare call: the child may only call the kernel, and
 * must not use what the libc does for a process of several threads, such as setresuid(3).
 */
#include "engine/nspawn/cgroup.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t cgroup_fork(const struct cgroup_entry *entry, bool *ret_inside)
{
        struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)entry->unified};

        *ret_inside = entry->unified > 0;
        pid_t pid = *ret_inside ? (pid_t)syscall(SYS_clone3, &args, sizeof args) : -1;
        if (pid >= 0)
                return pid;
        *ret_inside = false; /* a kernel or a seccomp filter that knows no such call; where more is wrong, cgroup_enter tells */
        return fork();
}

int cgroup_enter(const struct cgroup_entry *entry, bool inside)
{
        for (size_t i = inside ? 1 : 0; i < entry->count; i++)
                if (write(entry->fds[i], "0", 1) != 1)
                        return -1;
        return 0;
}
