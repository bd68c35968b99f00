/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and making our own folders, and the small facts about a file: its flags, its fingerprint, its filesystem.
 * What lies in a tree that a guest wrote is opened by file_root.c instead.
 */
#include "sys/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

int file_open_folder(int at, const char *path, int *ret_fd, struct cowherd_error *err)
{
        int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return fail_errno(err, "cannot open the folder '%s'", path);
        *ret_fd = fd;
        return 0;
}

/* 0 where the folder is there now, 1 where the one above it is missing. */
static int make_one(int at, const char *path, mode_t mode, struct cowherd_error *err)
{
        struct stat found;

        if (mkdirat(at, path, mode) == 0)
                return 0;
        if (errno == ENOENT)
                return 1;
        int os_errno = errno; /* EROFS and EACCES may come before EEXIST: what counts is whether it is there */
        if (fstatat(at, path, &found, 0) == 0) {
                if (S_ISDIR(found.st_mode))
                        return 0;
                return fail(err, COWHERD_EXISTS, "cannot make the folder '%s': something else has that name", path);
        }
        errno = os_errno;
        return fail_errno(err, "cannot make the folder '%s'", path);
}

int file_make_folders(int at, const char *path, mode_t mode, struct cowherd_error *err)
{
        int missing = make_one(at, path, mode, err); /* the usual case: one system call */

        if (missing <= 0)
                return missing;
        owned_str char *part = x_strdup(path);
        for (char *slash = strchr(part + strspn(part, "/"), '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (make_one(at, part, mode, err) < 0)
                        return -1;
                *slash = '/';
        }
        missing = make_one(at, path, mode, err);
        if (missing <= 0)
                return missing;
        return fail(err, COWHERD_NOT_FOUND, "cannot make the folder '%s': the folder it begins in is gone", path);
}

static bool has_no_flags(int os_errno)
{
        return os_errno == ENOTTY || os_errno == EOPNOTSUPP || os_errno == EPERM || os_errno == EACCES ||
               os_errno == EINVAL || os_errno == ENOSYS;
}

int file_set_immutable(int fd, bool immutable, struct cowherd_error *err)
{
        int flags;

        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
                return has_no_flags(errno) ? 0 : fail_errno(err, "cannot read the file's flags");
        int wanted = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
        if (wanted == flags || ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0 || has_no_flags(errno))
                return 0;
        return fail_errno(err, "cannot change the file's immutable flag");
}

int file_fingerprint(int at, const char *path, char **ret_text, struct cowherd_error *err)
{
        struct stat found;

        if (fstatat(at, path, &found, 0) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        *ret_text = x_asprintf("%" PRIx64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64, (uint64_t)found.st_dev,
                               (uint64_t)found.st_ino, (uint64_t)found.st_size,
                               (uint64_t)found.st_ctim.tv_sec * UINT64_C(1000000000) + (uint64_t)found.st_ctim.tv_nsec);
        return 0;
}

#define ZFS_MAGIC 0x2fc12fc1

const char *file_system_name(int fd)
{
        static const struct {
                uint32_t magic;
                const char *name;
        } known[] = {
                {EXT4_SUPER_MAGIC, "ext4"}, {XFS_SUPER_MAGIC, "xfs"}, {BTRFS_SUPER_MAGIC, "btrfs"},
                {ZFS_MAGIC, "zfs"},         {TMPFS_MAGIC, "tmpfs"},   {OVERLAYFS_SUPER_MAGIC, "overlay"},
        };
        struct statfs found;

        if (fstatfs(fd, &found) < 0)
                return "other";
        for (size_t i = 0; i < array_length(known); i++)
                if ((uint32_t)found.f_type == known[i].magic)
                        return known[i].name;
        return "other";
}
