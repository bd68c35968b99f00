/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever moves a process into a group waits for the kernel until nobody forks anywhere, a grace period of 5 to 20 ms; for some
 * milliseconds afterwards others wait no more (percpu_down_write and rcu_sync of cgroup_threadgroup_rwsem). So who will move one soon
 * has a thread wait for it, by moving this process to where it is, and gets the rest ready meanwhile. What a start added fell by a third
 * with that, in two pairs of runs. Somebody who moves this process elsewhere in those very milliseconds has it moved back. Where there is the unified
 * hierarchy alone, a command's process is born in its group (cgroup_fork.c), and only nspawn itself moves some.
 */
#include "engine/nspawn/cgroup_tree.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define MEMBERSHIP_BYTES 65536u

/* A descriptor of the list of processes of our own group, or -1. */
static int open_own(void)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        const char *root = cgroup_unified_root();

        if (root == NULL || file_read(AT_FDCWD, "/proc/self/cgroup", MEMBERSHIP_BYTES, &text, NULL, &ignored) < 0)
                return -1;
        char *line = str_starts(text, "0::/") ? text : strstr(text, "\n0::/");
        if (line == NULL)
                return -1;
        line = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        return cgroup_open_file(root, line + 1, "cgroup.procs", O_WRONLY);
}

static void *stay(void *own)
{
        owned_fd int fd = (int)(intptr_t)own;

        return write(fd, "0", 1) < 0 ? own : NULL; /* it has waited, whatever came of it */
}

void cgroup_hasten(void)
{
        pthread_attr_t detached;
        pthread_t thread;
        sigset_t all, before;
        int fd = open_own();

        if (fd < 0)
                return;
        (void)pthread_attr_init(&detached);
        (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_create(&thread, &detached, stay, (void *)(intptr_t)fd) != 0)
                (void)close(fd);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&detached);
}
