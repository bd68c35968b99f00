/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in and out, through the container's root as its own processes see it (running), or its tree (stopped). Every
 * path in there is resolved as its own root would (openat2(2), RESOLVE_IN_ROOT, no magic links); the last part of it is
 * never followed. New files belong to who owns that root: root inside, whatever number it has here.
 */
#include "engine/nspawn/nspawn.h"

#include "sys/act_as.h"
#include "sys/file.h"
#include "sys/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TRIES 128 /* openat2 answers EAGAIN where a rename anywhere made ".." uncertain */

static int open_inside(int root, const char *path, int flags)
{
        int fd = -1;

        for (int i = 0; i < TRIES; i++) {
                fd = openat2_call(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
                if (fd >= 0 || errno != EAGAIN)
                        return fd;
        }
        return fd;
}

/* What the kernel shows of itself is not a guest's to lead us to: with our rights there is more to see and to do there.
 */
static int expect_files(int fd, const char *path, struct cowherd_error *err)
{
        static const unsigned long refused[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,      CGROUP_SUPER_MAGIC,
                                                CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC, DEBUGFS_MAGIC,
                                                TRACEFS_MAGIC,       BPF_FS_MAGIC,     DEVPTS_SUPER_MAGIC};
        struct statfs found;

        if (fstatfs(fd, &found) < 0)
                return fail_errno(err, "cannot look at '%s' in the guest", path);
        for (size_t i = 0; i < array_length(refused); i++)
                if ((unsigned long)found.f_type == refused[i])
                        return fail(err, COWHERD_DENIED,
                                    "'%s' leads into a filesystem of the guest's kernel, where nothing is copied",
                                    path);
        return 0;
}

/* A folder of the guest, for openat and the like; read-only and no O_PATH, so that it can be synced and listed. */
static int open_folder_inside(int root, const char *path, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = open_inside(root, path, O_RDONLY | O_DIRECTORY);

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return fail(err, COWHERD_NOT_FOUND, "folder '%s' not found in the guest", path);
        if (fd < 0)
                return fail_errno(err, "cannot open the folder '%s' in the guest", path);
        if (expect_files(fd, path, err) < 0)
                return -1;
        *ret_fd = take_fd(fd);
        return 0;
}

/* A path's last part and the folder it lies in. 64 where it has none ("/", "a/.."). */
static int split(const char *path, char **ret_above, char **ret_name, struct cowherd_error *err)
{
        size_t length = strlen(path);

        while (length > 1 && path[length - 1] == '/')
                length--;
        size_t start = length;
        while (start > 0 && path[start - 1] != '/')
                start--;
        owned_str char *name = x_strndup(path + start, length - start);
        if (name[0] == '\0' || str_equal(name, ".") || str_equal(name, ".."))
                return fail(err, COWHERD_USAGE, "'%s' names no file in the guest", path);
        *ret_above = start == 0 ? x_strdup(".") : x_strndup(path, start);
        *ret_name = take(name);
        return 0;
}

/* Where a copy goes: into the folder that `remote` is, or beside it under that name. */
static int open_target(int root, const struct engine_copy *copy, int *ret_fd, char **ret_name,
                       struct cowherd_error *err)
{
        owned_str char *above = NULL;
        owned_fd int folder = open_inside(root, copy->remote, O_RDONLY | O_DIRECTORY);

        if (folder >= 0) {
                if (expect_files(folder, copy->remote, err) < 0)
                        return -1;
                *ret_fd = take_fd(folder);
                *ret_name = x_strdup(copy->name);
                return 0;
        }
        if (errno == ENOENT && str_ends(copy->remote, "/"))
                return fail(err, COWHERD_NOT_FOUND, "folder '%s' not found in the guest", copy->remote);
        if (split(copy->remote, &above, ret_name, err) < 0)
                return -1;
        return open_folder_inside(root, above, ret_fd, err);
}

static struct file_plain plain_of(const struct engine_copy *copy, struct file_progress *progress, bool keep_setuid)
{
        *progress = (struct file_progress){copy->report, copy->context};
        return (struct file_plain){.keep_setuid = keep_setuid,
                                   .left_out = copy->left_out,
                                   .context = copy->context,
                                   .progress = copy->report == NULL ? NULL : progress};
}

int nspawn_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_fd int root = -1, folder = -1;
        owned_str char *name = NULL;
        struct file_progress progress;
        struct file_plain how = plain_of(copy, &progress, true);
        struct cowherd_error second;
        struct stat owner;

        if (nspawn_open_root(instance, &root, err) < 0 || open_target(root, copy, &folder, &name, err) < 0)
                return -1;
        if (fstat(root, &owner) < 0)
                return fail_errno(err, "cannot look at the root of '%s'", instance->name);
        int result = act_as(owner.st_uid, owner.st_gid, err);
        if (result == 0)
                result = file_copy_plain(copy->folder, copy->name, folder, name, &how, err);
        if (act_as(geteuid(), getegid(), &second) < 0 && result == 0) {
                *err = second;
                return -1;
        }
        return result < 0 ? fail_while(err, "copying '%s' to '%s'", copy->name, instance->name) : 0;
}

int nspawn_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_fd int root = -1, folder = -1;
        owned_str char *above = NULL, *name = NULL;
        struct file_progress progress;
        struct file_plain how = plain_of(copy, &progress, false);
        struct stat found;

        if (nspawn_open_root(instance, &root, err) < 0 || split(copy->remote, &above, &name, err) < 0 ||
            open_folder_inside(root, above, &folder, err) < 0)
                return -1;
        if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found in '%s'", copy->remote, instance->name);
        if (file_copy_plain(folder, name, copy->folder, copy->name, &how, err) < 0)
                return fail_while(err, "copying '%s' from '%s'", copy->remote, instance->name);
        return 0;
}
