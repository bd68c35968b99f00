/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time on btrfs: a snapshot of the clone's subvolume, read-only at once, or (a base to be) when it is sealed. It is of
 * one moment and costs nothing, so the clone can go on meanwhile.
 *
 * A snapshot leaves out the subvolumes inside its source, and a booted system makes some (systemd-tmpfiles does, where its root
 * is one: /var/lib/machines). Here they become plain folders with the same blocks, so that what was made is one subvolume, which
 * can be sealed, checked and cloned in one call. Only what lies in such subvolumes is of a moment later.
 *
 * Restoring makes the new subvolume beside and exchanges the two; the old one is removed after it.
 */
#include "store/btrfs.h"
#include "store/btrfs_module.h"
#include "sys/module.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAKING "making"
#define RESTORED "restored"

/* Puts a folder with all that is in the subvolume at `path` of `from` there in `to`, where a snapshot left an empty one. */
static int bring_over(int from, int to, const char *path, struct cowherd_error *err)
{
        owned_str char *above = x_strdup(path);
        char *slash = strrchr(above, '/');
        const char *name = slash == NULL ? path : path + (slash - above) + 1;
        owned_fd int inside = -1, parent = -1, made = -1;
        struct stat was;

        if (slash != NULL)
                *slash = '\0';
        if (file_open_in_root(to, slash == NULL ? "." : above, O_RDONLY | O_DIRECTORY, 0, &parent, err) < 0 ||
            file_open_in_root(from, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &inside, err) < 0)
                return -1;
        if (fstat(parent, &was) < 0)
                return fail_errno(err, "cannot look at '%s'", above);
        if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot replace '%s'", path);
        if (mkdirat(parent, name, 0700) < 0)
                return fail_errno(err, "cannot make the folder '%s'", path);
        if (file_open_folder(parent, name, &made, err) < 0 || file_copy_tree(inside, made, FILE_TREE_SHARE, NULL, err) < 0 ||
            folder_match_root(inside, made, err) < 0)
                return -1;
        const struct timespec times[2] = {was.st_atim, was.st_mtim};
        if (futimens(parent, times) < 0)
                return fail_errno(err, "cannot set the times of '%s'", above);
        return 0;
}

/* Whether the last path brought over is above this one: then it came along. */
static bool is_below(const char *above, const char *path)
{
        size_t length = above == NULL ? 0 : strlen(above);

        return length > 0 && strncmp(above, path, length) == 0 && path[length] == '/';
}

struct bringing {
        int from, to;
        char *last; /* the subvolume brought over last */
};

static int bring_one(void *context, const char *path, struct cowherd_error *err)
{
        struct bringing *bringing = context;

        if (is_below(bringing->last, path))
                return 0;
        if (bring_over(bringing->from, bringing->to, path, err) < 0)
                return -1;
        x_replace(&bringing->last, path);
        return 0;
}

/* Brings over the subvolumes in `from`, those higher up first. */
static int bring_nested(int from, int to, struct cowherd_error *err)
{
        struct bringing bringing = {.from = from, .to = to};
        btrfs_list_nested_fn *list = NULL;
        void *symbol = NULL;

        if (module_symbol("btrfs", "cowherd_btrfs_list_nested", &symbol, err) < 0)
                return -1;
        memcpy(&list, &symbol, sizeof list);
        int brought = list(from, bring_one, &bringing, err);
        free(bringing.last);
        return brought;
}

/* A snapshot with folders in the place of subvolumes, which gets its name when all of them are there. */
static int make_of_nested(const struct store_place *place, int from, int folder, struct cowherd_error *err)
{
        owned_fd int to = -1;

        if (btrfs_make_snapshot(from, folder, MAKING, false) < 0)
                return fail_errno(err, "cannot make a snapshot in '%s'", place->folder);
        if (file_open_folder(folder, MAKING, &to, err) < 0 || bring_nested(from, to, err) < 0)
                return fail_while(err, "bringing over the subvolumes that are in the clone");
        if (renameat(folder, MAKING, folder, "tree") < 0)
                return fail_errno(err, "cannot rename a subvolume in '%s'", place->folder);
        return 0;
}

static int make(const struct store_place *place, int from, int folder, bool read_only, struct cowherd_error *err)
{
        bool nested = false;

        if (btrfs_remove(place, folder, MAKING, err) < 0 || btrfs_has_nested(from, &nested, err) < 0)
                return -1;
        if (nested)
                return make_of_nested(place, from, folder, err);
        if (btrfs_make_snapshot(from, folder, "tree", read_only) < 0)
                return fail_errno(err, "cannot make a snapshot in '%s'", place->folder);
        return 0;
}

int btrfs_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        owned_fd int from = -1, folder = -1;
        struct cowherd_error second;

        if (folder_open_leaf(place, clone, "tree", &from, err) < 0 || folder_ensure(place, made, &folder, err) < 0)
                return -1;
        /* Where it is there, this came as far before it was killed. */
        if (!btrfs_is_subvolume(folder, "tree") && make(place, from, folder, made->role == STORE_SNAPSHOT, err) < 0) {
                (void)!btrfs_remove(place, folder, MAKING, &second);
                return folder_undo(place, made, err);
        }
        return place->durable ? file_sync(folder, "a snapshot's folder", err) : 0;
}

int btrfs_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err)
{
        owned_fd int from = -1, folder = -1;

        if (folder_open_leaf(place, snapshot, "tree", &from, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (btrfs_remove(place, folder, RESTORED, err) < 0)
                return -1;
        if (btrfs_make_snapshot(from, folder, RESTORED, false) < 0)
                return fail_errno(err, "cannot make a snapshot in '%s'", place->folder);
        if (renameat2(folder, RESTORED, folder, "tree", RENAME_EXCHANGE) < 0 &&
            (errno != ENOENT || renameat(folder, RESTORED, folder, "tree") < 0))
                return fail_errno(err, "cannot put the restored subvolume in its place in '%s'", place->folder);
        if (place->durable && file_sync(folder, "a clone's folder", err) < 0)
                return 1;
        return btrfs_remove(place, folder, RESTORED, err) < 0 ? 1 : 0;
}

/* The transaction in which a snapshot of the subvolume `uuid` was made that lies in an object's folder; 0 for any other. */
static uint64_t shared_by(const struct store_place *place, enum store_role role, const char *id, const uint8_t *uuid)
{
        owned_str char *path = x_asprintf("%s/%s/tree", store_role_folder(role), id);
        struct btrfs_ioctl_get_subvol_info_args info = {0};

        owned_fd int tree = openat(place->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (tree < 0 || ioctl(tree, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
                return 0; /* it is being made, or taken away */
        return memcmp(info.parent_uuid, uuid, BTRFS_UUID_SIZE) == 0 ? info.otransid : 0;
}

int btrfs_transactions(const struct store_place *place, int subvolume, uint64_t *ret_made, uint64_t *ret_shared,
                       struct cowherd_error *err)
{
        static const enum store_role roles[] = {STORE_SNAPSHOT, STORE_BASE};
        struct btrfs_ioctl_get_subvol_info_args info = {0};

        if (ioctl(subvolume, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
                return fail_errno(err, "cannot look at a btrfs subvolume");
        uint64_t shared = info.otransid;
        for (size_t i = 0; i < array_length(roles); i++) {
                owned_strv struct strv ids = {0};
                if (folder_list_ids(place, roles[i], &ids, err) < 0)
                        return -1;
                for (size_t j = 0; j < ids.count; j++) {
                        uint64_t when = shared_by(place, roles[i], ids.items[j], info.uuid);
                        shared = when > shared ? when : shared;
                }
        }
        *ret_made = info.otransid;
        *ret_shared = shared;
        return 0;
}
