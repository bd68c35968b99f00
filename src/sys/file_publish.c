/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file into a folder that is not ours, where no cleanup ever looks. To be put over another it needs a name of its own first (linkat(2)
 * replaces nothing, so O_TMPFILE does not help), and a kill between the two leaves that name. So it is always the same one, hidden, and
 * whoever publishes into this folder next takes what lies there, empties it and goes on with it: at most one is ever left, and the next file
 * takes it along. While it is written it is locked, so that two at once take turns, and readable for its owner alone, so that nobody else
 * can hold that lock; once renamed it has lost the name, and who waited for it makes another (lock.h).
 *
 * The folder may be anybody's: what lies there and is no plain file of our user, without another name, is not written to but taken away.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file_write.h"
#include "sys/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HIDDEN ".cowherd-publish"

static bool is_ours(int fd)
{
        struct stat found;

        return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1 && found.st_uid == geteuid();
}

/* The file, locked; what it had in it is still there. */
static int take_hidden(int folder, const char *above, int *ret_fd, struct cowherd_error *err)
{
        for (;;) {
                owned_fd int fd = -1;
                if (lock_take(folder, HIDDEN, true, &fd, err) < 0)
                        return fail_while(err, "making a file in '%s'", above);
                if (is_ours(fd)) {
                        *ret_fd = take_fd(fd);
                        return 0;
                }
                if (unlinkat(folder, HIDDEN, 0) < 0)
                        return fail_errno(err, "cannot remove '" HIDDEN "' from '%s', which is not ours", above);
        }
}

static int put_in_place(int folder, int fd, const char *text, mode_t mode, const char *name, struct cowherd_error *err)
{
        if (ftruncate(fd, 0) < 0)
                return fail_errno(err, "cannot empty a file");
        if (file_write_all(fd, text, err) < 0)
                return -1;
        if (fchmod(fd, mode) < 0)
                return fail_errno(err, "cannot set a file's mode");
        if (renameat(folder, HIDDEN, folder, name) < 0)
                return fail_errno(err, "cannot replace '%s'", name);
        return 0;
}

int file_publish(const char *path, const char *text, mode_t mode, struct cowherd_error *err)
{
        const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
        owned_str char *above = slash == NULL ? x_strdup(".") : x_strndup(path, (size_t)(slash - path) + 1);
        owned_fd int folder = -1;
        int fd = -1;

        if (file_open_folder(AT_FDCWD, above, &folder, err) < 0 || take_hidden(folder, above, &fd, err) < 0)
                return -1;
        if (put_in_place(folder, fd, text, mode, name, err) < 0) {
                lock_remove(folder, HIDDEN, &fd);
                return fail_while(err, "writing '%s'", path);
        }
        close_at(&fd);
        return 0;
}
