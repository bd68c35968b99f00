/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "PID START BOOT NAMESPACE" in the runtime folder: the number, the clock ticks since boot at which it was started, the
 * boot, and the pid namespace in which the number means something. START is read again once a pidfd is open: equal
 * then, the pidfd is that process's, for its number can't have been given away while it lived. Written before the
 * process is let go, so that none lives on that is not written down.
 */
#include "engine/qemu/process.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/qemu/runtime.h"

#define TEXT_BYTES 256u
#define STAT_BYTES 4096u
#define FIELDS_BEFORE_START 20 /* of /proc/PID/stat, after the name in brackets (proc(5): starttime is field 22) */

static bool start_of(pid_t pid, char *start, size_t bytes)
{
        char path[32];
        owned_str char *text = NULL;
        struct cowherd_error err;

        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        if (file_read(AT_FDCWD, path, STAT_BYTES, &text, NULL, &err) < 0)
                return false;
        const char *at = strrchr(text, ')'); /* a name may hold anything, brackets too */
        for (int i = 0; at != NULL && i < FIELDS_BEFORE_START; i++)
                at = strchr(at + 1, ' ');
        if (at == NULL)
                return false;
        (void)snprintf(start, bytes, "%.*s", (int)strcspn(at + 1, " "), at + 1);
        return true;
}

static int describe(pid_t pid, char *text, size_t bytes, struct cowherd_error *err)
{
        owned_str char *boot = NULL;
        struct stat here;
        char start[32];

        if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", TEXT_BYTES, &boot, NULL, err) < 0)
                return -1;
        if (stat("/proc/self/ns/pid", &here) < 0)
                return fail_errno(err, "cannot look at the pid namespace");
        if (!start_of(pid, start, sizeof start))
                return fail(err, COWHERD_SYSTEM, "process %d has ended", (int)pid);
        (void)snprintf(text, bytes, "%d %s %.*s %llu\n", (int)pid, start, (int)strcspn(boot, "\n"), boot,
                       (unsigned long long)here.st_ino);
        return 0;
}

int qemu_process_write(int runtime, pid_t pid, struct cowherd_error *err)
{
        char text[TEXT_BYTES];

        if (describe(pid, text, sizeof text, err) < 0)
                return -1;
        return file_replace(runtime, QEMU_PROCESS, text, 0600, false, err);
}

int qemu_process_open(int runtime, int *ret_pidfd, pid_t *ret_pid, struct cowherd_error *err)
{
        owned_str char *written = NULL;
        struct cowherd_error missing;
        char now[TEXT_BYTES];
        int pid = 0;

        if (faccessat(runtime, QEMU_PROCESS, F_OK, 0) < 0 && errno == ENOENT)
                return 0;
        if (file_read(runtime, QEMU_PROCESS, TEXT_BYTES, &written, NULL, err) < 0)
                return -1;
        if (sscanf(written, "%d", &pid) != 1 || pid <= 0)
                return fail(err, COWHERD_SYSTEM, "'%s' in the runtime folder names no process", QEMU_PROCESS);
        owned_fd int pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return errno == ESRCH ? 0 : fail_errno(err, "cannot open process %d", pid);
        if (describe(pid, now, sizeof now, &missing) < 0 || !str_equal(now, written) || qemu_process_wait(pidfd, 0))
                return 0; /* it ended, even if nobody has reaped it yet */
        *ret_pidfd = take_fd(pidfd);
        if (ret_pid != NULL)
                *ret_pid = pid;
        return 1;
}

int qemu_process_wait(int pidfd, int timeout_ms)
{
        struct pollfd ready = {.fd = pidfd, .events = POLLIN};
        int found;

        while ((found = poll(&ready, 1, timeout_ms)) < 0 && errno == EINTR)
                continue;
        return found > 0;
}
