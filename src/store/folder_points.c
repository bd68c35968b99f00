/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time of the stores that copy. A copy grows under another name and gets its own when it is whole, so that an object
 * is what it is called or not there. What is restored is made beside as well, and exchanged with what it replaces
 * (renameat2(2), RENAME_EXCHANGE): at every moment there is one of both.
 */
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAKING "making"
#define RESTORED "restored"

bool folder_has(int folder, const char *name)
{
        return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int folder_add(int folder, const char *name, mode_t mode, struct cowherd_error *err)
{
        if (mkdirat(folder, name, mode) < 0 && errno != EEXIST)
                return fail_errno(err, "cannot make the folder '%s'", name);
        return 0;
}

int folder_put(int folder, const char *beside, const char *name, struct cowherd_error *err)
{
        if (renameat2(folder, beside, folder, name, RENAME_EXCHANGE) == 0)
                return file_remove_tree(folder, beside, err) < 0 ? 1 : 0;
        if (errno != ENOENT || renameat(folder, beside, folder, name) < 0)
                return fail_errno(err, "cannot put '%s' in the place of '%s'", beside, name);
        return 0;
}

bool folder_stacks_never(enum store_role role)
{
        (void)role;
        return false;
}

/* "disk.raw", "disk.qcow2" or "tree". Into buffer. */
static const char *leaf_of(const struct store_object *object, char buffer[STORE_PATH_BYTES])
{
        return strrchr(store_object_path(object, buffer), '/') + 1;
}

/* Copies what an object is to `beside` in a folder, where half a copy may be lying. */
static int copy_beside(const struct store_place *place, const struct store_object *from, int folder, const char *beside,
                       enum file_tree_mode mode, int *ret_disk, struct cowherd_error *err)
{
        if (file_remove_tree(folder, beside, err) < 0)
                return -1;
        return from->kind == STORE_TREE ? folder_copy_tree(place, from, "tree", folder, beside, mode, err)
                                        : folder_copy_disk(place, from, folder, beside, mode, ret_disk, err);
}

int folder_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                    enum file_tree_mode mode, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        owned_fd int folder = -1;

        if (folder_ensure(place, made, &folder, err) < 0)
                return -1;
        if (folder_has(folder, leaf_of(made, path)))
                return folder_settle(place, made, err);
        int done = copy_beside(place, clone, folder, MAKING, mode, NULL, err);
        if (done == 0 && renameat(folder, MAKING, folder, leaf_of(made, path)) < 0)
                done = fail_errno(err, "cannot rename '" MAKING "' to '%s/%s'", place->folder, path);
        if (done < 0 || folder_settle(place, made, err) < 0)
                return folder_undo(place, made, err);
        return 0;
}

/* A disk that is restored belongs to whom the one before it did. */
static int match_disk(int folder, const char *leaf, int disk, struct cowherd_error *err)
{
        struct stat was;

        if (fstatat(folder, leaf, &was, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot look at '%s'", leaf);
        if (geteuid() == 0 && fchown(disk, was.st_uid, was.st_gid) < 0)
                return fail_errno(err, "cannot set the owner of the restored '%s'", leaf);
        if (fchmod(disk, was.st_mode & 0777) < 0)
                return fail_errno(err, "cannot set the mode of the restored '%s'", leaf);
        return 0;
}

int folder_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                   enum file_tree_mode mode, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        const char *leaf = leaf_of(clone, path);
        owned_fd int folder = -1, disk = -1;

        if (folder_open(place, clone, &folder, err) < 0)
                return -1;
        int done = copy_beside(place, snapshot, folder, RESTORED, mode, &disk, err);
        if (done == 0 && disk >= 0)
                done = match_disk(folder, leaf, disk, err);
        if (done == 0 && disk >= 0 && place->durable)
                done = file_sync(disk, RESTORED, err);
        if (done < 0) {
                struct cowherd_error second;
                (void)!file_remove_tree(folder, RESTORED, &second);
                return -1;
        }
        int put = folder_put(folder, RESTORED, leaf, err);
        if (put != 0)
                return put;
        return folder_settle(place, clone, err) < 0 ? 1 : 0;
}
