/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PTRACE_SECCOMP_GET_FILTER (ptrace(2)) stops PID 1 for some microseconds. A child does it: only the thread that traces
 * can wait for the stop, and should the child be killed the kernel lets PID 1 go on.
 */
#include "engine/nspawn/seccomp.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/nspawn/nspawn.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILTERS_BYTES (8u << 20)

void seccomp_filters_free(struct seccomp_filters *filters)
{
        free(filters->bytes);
        *filters = (struct seccomp_filters){0};
}

/* In the child: writes each filter as its length and its instructions. 0, or errno. */
static int write_filters(pid_t leader, int to)
{
        static struct sock_filter program[BPF_MAXINSNS];
        int status;

        if (ptrace(PTRACE_SEIZE, leader, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, leader, NULL, NULL) < 0 ||
            waitpid(leader, &status, __WALL) < 0)
                return errno;
        for (uintptr_t index = 0;; index++) {
                errno = 0;
                long count = ptrace(PTRACE_SECCOMP_GET_FILTER, leader, (void *)index, program);
                if (count <= 0)
                        break;
                uint32_t length = (uint32_t)count;
                size_t bytes = length * sizeof program[0];
                if (write(to, &length, sizeof length) != (ssize_t)sizeof length ||
                    write(to, program, bytes) != (ssize_t)bytes)
                        break;
        }
        int os_errno = errno == ENOENT ? 0 : errno != 0 ? errno : EIO; /* ENOENT: there are no more */
        (void)ptrace(PTRACE_DETACH, leader, NULL, NULL);
        return os_errno;
}

/* Whether a process has a filter at all. */
static bool is_filtered(pid_t pid)
{
        owned_str char *text = NULL, *path = x_asprintf("/proc/%d/status", pid);
        struct cowherd_error ignored;

        return file_read(AT_FDCWD, path, 65536, &text, NULL, &ignored) == 0 && strstr(text, "\nSeccomp:\t2") != NULL;
}

static int capture_in_child(pid_t leader, int to, struct cowherd_error *err)
{
        int status = -1;

        pid_t child = fork();
        if (child == 0)
                _exit(write_filters(leader, to));
        if (child < 0)
                return fail_errno(err, "cannot fork");
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                continue;
        if (status == 0)
                return 0;
        errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
        if (errno != EACCES)
                return fail_errno(err, "cannot learn which system calls the container may make");
        (void)fail(err, COWHERD_UNAVAILABLE,
                   "cannot learn which system calls the container may make: the kernel tells "
                   "nobody who is under a seccomp filter himself");
        return fail_hint(err, "run cowherd outside of the container that it is in, or that one without seccomp");
}

static int capture(pid_t leader, const char *path, struct cowherd_error *err)
{
        owned_str char *beside = x_asprintf("%s.%d", path, gettid());

        owned_fd int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", beside);
        if (is_filtered(leader) && capture_in_child(leader, fd, err) < 0) {
                (void)unlink(beside);
                return -1;
        }
        return rename(beside, path) < 0 ? fail_errno(err, "cannot keep '%s'", path) : 0;
}

static int parse(char *bytes, size_t length, struct seccomp_filters *ret, struct cowherd_error *err)
{
        struct seccomp_filters filters = {.bytes = bytes};

        for (size_t at = 0; at < length;) {
                uint32_t count;
                if (filters.count == SECCOMP_FILTERS_MAX || length - at < sizeof count)
                        return fail(err, COWHERD_DATA, "what is kept of a container's filters is damaged");
                memcpy(&count, bytes + at, sizeof count);
                at += sizeof count;
                if (count == 0 || count > BPF_MAXINSNS || count * sizeof(struct sock_filter) > length - at)
                        return fail(err, COWHERD_DATA, "what is kept of a container's filters is damaged");
                filters.programs[filters.count++] =
                        (struct sock_fprog){(unsigned short)count, (struct sock_filter *)(void *)(bytes + at)};
                at += count * sizeof(struct sock_filter);
        }
        *ret = filters;
        return 0;
}

int seccomp_filters_load(const struct engine_instance *instance, pid_t leader, struct seccomp_filters *ret,
                         struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(instance, "seccomp"), *bytes = NULL;
        size_t length = 0;

        if (access(path, F_OK) < 0 && capture(leader, path, err) < 0)
                return -1;
        if (file_read(AT_FDCWD, path, FILTERS_BYTES, &bytes, &length, err) < 0 || parse(bytes, length, ret, err) < 0)
                return -1;
        (void)take(bytes);
        return 0;
}

int seccomp_filters_install(const struct seccomp_filters *filters)
{
        for (size_t i = 0; i < filters->count; i++)
                if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filters->programs[i]) < 0)
                        return -1;
        return 0;
}
