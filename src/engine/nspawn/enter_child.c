/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes go in. The first enters control groups and namespaces and forks the second, which is in the container's
 * pid namespace (setns(2) moves only children there) and, by CLONE_PARENT, still a child of ours. Nothing here but
 * system calls: we may have had threads.
 *
 * While they are inside with our memory and are not yet the command, the container must not look into them: they are
 * not dumpable (prctl(2)), and hold none of our descriptors but what the command gets and two ends of pipes.
 */
#include "engine/nspawn/enter_child.h"

#include "engine/nspawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define FIRST_FREE 20 /* descriptors below are set by hand */
#define CAPABILITIES 64

static _Noreturn void give_up(int to, enum way_step step)
{
        struct way_failure failure = {(int)step, errno};

        (void)!write(to, &failure, sizeof failure);
        _exit(127);
}

static void limit_capabilities(uint64_t left, int to)
{
        for (int capability = 0; capability < CAPABILITIES; capability++) {
                if ((left >> capability & 1) != 0)
                        continue;
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 &&
                    errno != EINVAL) /* EINVAL: this kernel has no such one */
                        give_up(to, WAY_LIMITS);
        }
}

#ifndef SYS_setresuid32 /* those that have 32 bits from the start */
#define SYS_setresuid32 SYS_setresuid
#define SYS_setresgid32 SYS_setresgid
#define SYS_setgroups32 SYS_setgroups
#endif

/* The libc's setresuid(3) and the like tell all threads, of which it believes that we have our parent's (cgroup_fork). */
static int set_ids(uid_t uid, gid_t gid)
{
        return syscall(SYS_setresgid32, gid, gid, gid) < 0 || syscall(SYS_setresuid32, uid, uid, uid) < 0 ? -1 : 0;
}

static void become_user(const struct way_in *way, int to)
{
        const struct guest_user *user = way->user;

        if (syscall(SYS_setgroups32, user->group_count, user->groups) < 0 || set_ids(user->uid, user->gid) < 0)
                give_up(to, WAY_USER);
}

/* The second: in the pid namespace. */
static _Noreturn void become(const struct way_in *way, int to)
{
        spawn_reset_signals();
        (void)setsid();
        if (way->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
                give_up(to, WAY_TERMINAL);
        limit_capabilities(way->capabilities, to);
        if (seccomp_filters_install(way->filters) < 0)
                give_up(to, WAY_LIMITS);
        become_user(way, to);
        if (chdir(way->working_dir) < 0 && (!way->folder_is_home || chdir("/") < 0))
                give_up(to, WAY_FOLDER);
        (void)umask(022);
        int os_errno = ENOENT;
        for (size_t i = 0; way->programs[i] != NULL; i++) {
                (void)execve(way->programs[i], way->argv, way->environment);
                if (errno != ENOENT && errno != ENOTDIR)
                        os_errno = errno;
        }
        errno = os_errno;
        give_up(to, WAY_PROGRAM);
}

/* Only the descriptors that are still needed are left, under numbers above the command's own three. */
static int keep(int fd, int number)
{
        return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE + number);
}

_Noreturn void way_in_go(const struct way_in *way, bool inside)
{
        int to = way->error[1];

        if (cgroup_enter(way->entry, inside) < 0)
                give_up(to, WAY_GROUPS);
        int streams[3], leader = keep(way->leader, 0), pid_to = keep(way->pid[1], 1);
        to = keep(way->error[1], 2);
        for (int i = 0; i < 3; i++)
                streams[i] = keep(way->streams[i], 3 + i);
        for (int i = 0; i < 3; i++)
                if (streams[i] < 0 || dup2(streams[i], i) < 0)
                        give_up(way->error[1], WAY_NAMESPACES);
        /* F_DUPFD takes the lowest number that is free from there on, so they follow one another unless some were
         * taken. */
        for (int fd = 3; fd < FIRST_FREE; fd++)
                (void)close(fd);
        int highest = leader > pid_to ? leader : pid_to;
        highest = to > highest ? to : highest;
        for (int fd = FIRST_FREE; fd <= highest; fd++)
                if (fd != leader && fd != pid_to && fd != to)
                        (void)close(fd);
        (void)close_range((unsigned)highest + 1, ~0u, 0);
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); /* ours stays outside */
        if (setns(leader, way->namespaces) < 0)
                give_up(to, WAY_NAMESPACES);
        /* Root of this host is nobody in there; its root is to be in charge of what follows. */
        if (way->own_users && set_ids(0, 0) < 0)
                give_up(to, WAY_USER);
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
                (void)close(leader);
                (void)close(pid_to);
                become(way, to);
        }
        if (pid < 0)
                give_up(to, WAY_FORK);
        _exit(write(pid_to, &pid, sizeof pid) != (ssize_t)sizeof pid);
}
