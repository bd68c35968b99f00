/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity=keep. `aside` holds what tree_neutralise took out, each under its own path in the tree. It lies in the
 * herd's own folders, so it is trusted; the tree is not, and is only opened as its own root would find things. What is
 * in the way, a file emptied by tree_neutralise apart, was made since and stays.
 */
#include "image/tree_personalise.h"

#include "base/mem.h"
#include "sys/act_as.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16 /* of the folders in which identities lie: five */

/* Whether something of this name is in the way: anything but an empty regular file. */
static bool is_taken(int folder, const char *name)
{
        struct stat found;

        return fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
               !(S_ISREG(found.st_mode) && found.st_size == 0);
}

static int put_entry(int aside, int tree, const char *path, const char *name, struct cowherd_error *err)
{
        static const struct file_plain how = {.keep_setuid = false};
        owned_fd int folder = -1;
        struct stat owner;
        struct cowherd_error why = {0};

        if (file_open_in_root(tree, path, O_RDONLY | O_DIRECTORY, 0, &folder, &why) < 0) {
                if (why.os_errno == ENOENT || why.os_errno == ENOTDIR || why.os_errno == ELOOP)
                        return 0; /* its folder is gone since: nobody misses it */
                *err = why;
                return -1;
        }
        if (is_taken(folder, name))
                return 0;
        if (fstat(folder, &owner) < 0)
                return fail_errno(err, "cannot look at '/%s' in the tree", path);
        if (geteuid() != 0)
                return file_copy_plain(aside, name, folder, name, &how, err);
        int result = act_as(owner.st_uid, owner.st_gid, err);
        if (result == 0)
                result = file_copy_plain(aside, name, folder, name, &how, err);
        struct cowherd_error second;
        if (act_as(0, 0, &second) < 0 && result == 0) {
                *err = second;
                return -1;
        }
        return result;
}

/* Whether a folder of `aside` is one that the tree has too, and not itself what was taken out. */
static bool is_in_tree(int tree, const char *path)
{
        struct cowherd_error ignored;
        owned_fd int fd = -1;

        return file_open_in_root(tree, path, O_PATH | O_DIRECTORY, 0, &fd, &ignored) == 0;
}

static int put_back(int aside, int tree, const char *path, unsigned depth, struct cowherd_error *err)
{
        int copy = fcntl(aside, F_DUPFD_CLOEXEC, 3);
        DIR *stream = copy < 0 ? NULL : fdopendir(copy);
        int result = 0;

        if (stream == NULL)
                return fail_errno(err, "cannot read what was kept of a base's identity");
        for (const struct dirent *entry = readdir(stream); entry != NULL && result == 0; entry = readdir(stream)) {
                if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
                        continue;
                owned_str char *below = x_asprintf("%s%s%s", path, path[0] == '\0' ? "" : "/", entry->d_name);
                owned_fd int folder = openat(aside, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (folder >= 0 && is_in_tree(tree, below) && depth < DEPTH_MAX)
                        result = put_back(folder, tree, below, depth + 1, err);
                else
                        result = put_entry(aside, tree, path[0] == '\0' ? "." : path, entry->d_name, err);
        }
        (void)closedir(stream);
        return result;
}

int tree_keep_identity(int tree, int aside_at, const char *aside, struct cowherd_error *err)
{
        owned_fd int folder = openat(aside_at, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (folder < 0 && errno == ENOENT)
                return 0;
        if (folder < 0)
                return fail_errno(err, "cannot open what was kept of a base's identity");
        if (put_back(folder, tree, "", 0, err) < 0)
                return fail_while(err, "giving a tree its base's identity back");
        return 0;
}
