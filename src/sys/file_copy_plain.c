/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying between a guest's tree and ours. Each name is opened once, as itself (openat2_entry), and what was opened is
 * what is copied: a file that becomes a symlink between a look and the open is an error, and never leads elsewhere.
 * What is new is made without a name (O_TMPFILE) where the filesystem can, filled, and then put in its place by
 * rename(2), which follows nothing.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"
#include "sys/openat2.h"
#include "sys/walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define BESIDE_BYTES 32
#define BESIDE_DIGITS 6

struct plain {
        const struct file_plain *how;
        struct walk from;
        struct folder_stack to;
};

static void plain_free(struct plain *plain)
{
        walk_free(&plain->from);
        folder_stack_free(&plain->to);
}
define_owned(struct plain, plain_free)

static mode_t mode_of(const struct file_plain *how, const struct stat *found)
{
        return found->st_mode & (how->keep_setuid ? 07777u : 01777u);
}

static void make_beside(char beside[BESIDE_BYTES])
{
        char digits[2 * BESIDE_DIGITS + 1];

        (void)snprintf(beside, BESIDE_BYTES, ".cowherd-%s", random_hex(BESIDE_DIGITS, digits));
}

/* Puts what lies at `beside` in the place of `name`, or removes it. */
static int put_in_place(int folder, const char *beside, const char *name, struct cowherd_error *err)
{
        if (renameat(folder, beside, folder, name) == 0)
                return 0;
        int os_errno = errno;
        (void)unlinkat(folder, beside, 0);
        errno = os_errno;
        if (errno == EISDIR)
                return fail(err, COWHERD_EXISTS, "there is a folder '%s' already, where a file is to be", name);
        return fail_errno(err, "cannot make '%s'", name);
}

/* A new file, without a name where that can be: then beside[0] is NUL. */
static int open_new(int folder, char beside[BESIDE_BYTES], int *ret_fd, struct cowherd_error *err)
{
        int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        beside[0] = '\0';
        if (fd < 0) {
                make_beside(beside);
                fd = openat(folder, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        }
        if (fd < 0)
                return fail_errno(err, "cannot make a file");
        *ret_fd = fd;
        return 0;
}

static int give_name(int folder, int fd, char beside[BESIDE_BYTES], struct cowherd_error *err)
{
        char path[32];

        if (beside[0] != '\0')
                return 0;
        make_beside(beside);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return linkat(AT_FDCWD, path, folder, beside, AT_SYMLINK_FOLLOW) < 0
                       ? fail_errno(err, "cannot give a file its name")
                       : 0;
}

static int fill(int from, int to, const struct file_plain *how, const struct stat *found, struct cowherd_error *err)
{
        const struct timespec times[2] = {found->st_atim, found->st_mtim};

        if (file_copy(from, to, NULL, how->progress, err) < 0)
                return -1;
        if (fchmod(to, mode_of(how, found)) < 0 || futimens(to, times) < 0)
                return fail_errno(err, "cannot set the mode of a file");
        return 0;
}

static int copy_file(int from, const char *from_name, int to, const char *to_name, const struct file_plain *how,
                     struct cowherd_error *err)
{
        char beside[BESIDE_BYTES];
        owned_fd int source = openat2_entry(from, from_name, O_RDONLY), target = -1;
        struct stat found;

        if (source < 0)
                return fail_errno(err, "cannot open '%s'", from_name);
        if (fstat(source, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", from_name);
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_BUSY, "'%s' was replaced while it was copied", from_name);
        if (open_new(to, beside, &target, err) < 0)
                return -1;
        if (fill(source, target, how, &found, err) < 0 || give_name(to, target, beside, err) < 0) {
                if (beside[0] != '\0')
                        (void)unlinkat(to, beside, 0);
                return -1;
        }
        return put_in_place(to, beside, to_name, err);
}

static int copy_symlink(int from, const char *from_name, int to, const char *to_name, struct cowherd_error *err)
{
        char text[PATH_MAX + 1], beside[BESIDE_BYTES];
        ssize_t length = readlinkat(from, from_name, text, sizeof text - 1);

        if (length < 0)
                return fail_errno(err, "cannot read the symlink '%s'", from_name);
        text[length] = '\0';
        make_beside(beside);
        if (symlinkat(text, to, beside) < 0)
                return fail_errno(err, "cannot make a symlink");
        return put_in_place(to, beside, to_name, err);
}

/* Opens the folder that is to take another's entries, made where it is missing. */
static int open_folder(int to, const char *name, int *ret_fd, struct cowherd_error *err)
{
        if (mkdirat(to, name, 0700) < 0 && errno != EEXIST)
                return fail_errno(err, "cannot make the folder '%s'", name);
        int fd = openat2_entry(to, name, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
                return fail(err, COWHERD_EXISTS, "there is something else called '%s' already, where a folder is to be",
                            name);
        if (fd < 0)
                return fail_errno(err, "cannot open the folder '%s'", name);
        *ret_fd = fd;
        return 0;
}

static int enter_folder(struct plain *plain, int source, int to, const char *to_name, struct cowherd_error *err)
{
        int target = -1;

        if (open_folder(to, to_name, &target, err) < 0) {
                (void)close(source);
                return -1;
        }
        if (folder_push(&plain->to, target, err) < 0) {
                (void)close(source);
                return -1;
        }
        return walk_enter(&plain->from, source, err);
}

/* A folder gets its mode when all in it is there: a read-only one could not be filled. */
static int leave_folder(struct plain *plain, struct walk_entry *entry, struct cowherd_error *err)
{
        struct stat found;

        if (fstat(entry->folder, &found) < 0)
                return fail_errno(err, "cannot look at a folder");
        const struct timespec times[2] = {found.st_atim, found.st_mtim};
        int to = folder_top(&plain->to);
        if (fchmod(to, mode_of(plain->how, &found)) < 0 || futimens(to, times) < 0)
                return fail_errno(err, "cannot set the mode of a folder");
        return walk_leave(&plain->from, entry, err) < 0 ? -1 : folder_pop(&plain->to, err);
}

static int leave_out(const struct file_plain *how, const char *path, const char *what, struct cowherd_error *err)
{
        if (how->left_out == NULL)
                return fail(err, COWHERD_DATA, "'%s' is %s, which can't be copied", path, what);
        how->left_out(how->context, path);
        return 0;
}

static const char *special_name(mode_t mode)
{
        return S_ISFIFO(mode) ? "a fifo" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static int copy_entry(struct plain *plain, const struct walk_entry *entry, struct cowherd_error *err)
{
        int to = folder_top(&plain->to);
        owned_str char *path = walk_path(&plain->from);
        struct stat found;

        if (fstatat(entry->folder, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        if (S_ISREG(found.st_mode))
                return copy_file(entry->folder, entry->name, to, entry->name, plain->how, err);
        if (S_ISLNK(found.st_mode))
                return copy_symlink(entry->folder, entry->name, to, entry->name, err);
        if (!S_ISDIR(found.st_mode))
                return leave_out(plain->how, path, special_name(found.st_mode), err);
        int source = openat2_entry(entry->folder, entry->name, O_RDONLY | O_DIRECTORY);
        if (source < 0 && errno == EXDEV)
                return leave_out(plain->how, path, "a mount", err);
        if (source < 0)
                return fail_errno(err, "cannot open the folder '%s'", path);
        return enter_folder(plain, source, to, entry->name, err);
}

static int copy_folder(int from, const char *from_name, int to, const char *to_name, const struct file_plain *how,
                       struct cowherd_error *err)
{
        owned_by(plain_free) struct plain plain = {.how = how};
        struct walk_entry entry;
        int source = openat2_entry(from, from_name, O_RDONLY | O_DIRECTORY);

        if (source < 0)
                return fail_errno(err, "cannot open the folder '%s'", from_name);
        if (enter_folder(&plain, source, to, to_name, err) < 0)
                return -1;
        while (walk_next(&plain.from, &entry))
                if ((entry.leaving ? leave_folder(&plain, &entry, err) : copy_entry(&plain, &entry, err)) < 0)
                        return -1;
        return 0;
}

/* The same; half a folder that was not there before is taken away again. */
static int copy_whole_folder(int from, const char *from_name, int to, const char *to_name, const struct file_plain *how,
                             struct cowherd_error *err)
{
        struct cowherd_error ignored;
        struct stat before;
        bool existed = fstatat(to, to_name, &before, AT_SYMLINK_NOFOLLOW) == 0;

        if (copy_folder(from, from_name, to, to_name, how, err) == 0)
                return 0;
        if (!existed)
                ignore_result(file_remove_tree(to, to_name, &ignored));
        return -1;
}

int file_copy_plain(int from, const char *from_name, int to, const char *to_name, const struct file_plain *how,
                    struct cowherd_error *err)
{
        struct stat found;

        if (fstatat(from, from_name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", from_name);
        if (S_ISREG(found.st_mode))
                return copy_file(from, from_name, to, to_name, how, err);
        if (S_ISLNK(found.st_mode))
                return copy_symlink(from, from_name, to, to_name, err);
        if (S_ISDIR(found.st_mode))
                return copy_whole_folder(from, from_name, to, to_name, how, err);
        return fail(err, COWHERD_DATA, "'%s' is %s, which can't be copied", from_name, special_name(found.st_mode));
}
