/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on files by flock(2) and on bytes of a table by F_OFD_SETLK (fcntl(2), "open file description locks"); a table is never
 * removed, so that its locks need no second look, and its bytes need not exist.
 */
#include "sys/lock.h"

#include "base/mem.h"
#include "sys/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether an open file is still the one of that name. */
static bool is_current(int at, const char *name, int fd)
{
        struct stat held, named;

        return fstat(fd, &held) == 0 && fstatat(at, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
               held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/* A handled signal is somebody's wish to stop waiting. */
static int explain(const char *name, struct cowherd_error *err)
{
        if (errno == EINTR)
                return fail(err, COWHERD_BUSY, "interrupted while waiting for the lock '%s'", name);
        return fail_errno(err, "cannot lock '%s'", name);
}

int lock_take(int at, const char *name, bool wait, int *ret_fd, struct cowherd_error *err)
{
        for (;;) {
                owned_fd int fd = openat(at, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (fd < 0)
                        return fail_errno(err, "cannot open the lock file '%s'", name);
                if (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0)
                        return errno == EWOULDBLOCK ? 1 : explain(name, err);
                if (is_current(at, name, fd)) {
                        *ret_fd = take_fd(fd);
                        return 0;
                }
        }
}

int lock_is_held(int at, const char *name, bool *ret, struct cowherd_error *err)
{
        owned_fd int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        bool is_held = false;

        if (fd < 0 && errno != ENOENT)
                return fail_errno(err, "cannot open the lock file '%s'", name);
        if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return fail_errno(err, "cannot look at the lock '%s'", name);
                is_held = true;
        }
        *ret = is_held;
        return 0;
}

void lock_remove(int at, const char *name, int *fd)
{
        if (*fd < 0)
                return;
        (void)unlinkat(at, name, 0);
        close_at(fd);
        *fd = -1;
}

int lock_open_table(int at, const char *name, int *ret_fd, struct cowherd_error *err)
{
        int fd = openat(at, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fail_errno(err, "cannot open the lock file '%s'", name);
        *ret_fd = fd;
        return 0;
}

int lock_take_number(int table, uint64_t number, bool wait, struct cowherd_error *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
        char name[24];

        if (fcntl(table, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0)
                return 0;
        if (!wait && (errno == EAGAIN || errno == EACCES))
                return 1;
        (void)snprintf(name, sizeof name, "%llu", (unsigned long long)number);
        return explain(name, err);
}
