/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time on zfs. A snapshot is one of zfs's own, of the clone's dataset; a promoted base is a clone of such a snapshot.
 * Restoring is a rollback where the snapshot is the dataset's newest. Where it is not, a rollback would destroy those after it:
 * a clone of it takes the dataset's place, which is put aside for as long as a snapshot in it is somebody's (zfs_removed.c).
 * Flattening goes the same way with a new dataset that all was copied to.
 *
 * What is to take the place is clones/ID-next; a folder of that name says that there may be one. It is whole when the old
 * dataset is moved, so where it is alone after a kill, it only has to be renamed.
 */
#include "store/zfs.h"

#include "sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEXT "next"

char *zfs_next_dataset(const struct store_place *place, const struct store_object *clone)
{
        owned_str char *dataset = zfs_dataset(place, clone);

        return x_asprintf("%s-next", dataset);
}

/* What was written a moment ago is to be in the snapshot: zfs-fuse has its own cache. */
static int sync_tree(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int tree = -1;

        if (!folder_is_mounted(place, clone))
                return 0;
        if (folder_open_leaf(place, clone, "tree", &tree, err) < 0)
                return -1;
        return syncfs(tree) < 0 ? fail_errno(err, "cannot sync a clone's tree") : 0;
}

/* Runs a command of which "it is there already" is success. */
static int make_once(const struct store_place *place, const char *verb, const char *first, const char *second, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (zfs_run(place, NULL, &why, verb, first, second, NULL) == 0 || why.code == COWHERD_EXISTS)
                return 0;
        *err = why;
        return -1;
}

/* The snapshot that a promoted base is cloned from goes with that base. */
static int promote(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        owned_str char *from = zfs_dataset(place, clone), *dataset = zfs_dataset(place, made);
        owned_str char *snapshot = x_asprintf("%s@p%" PRIu64, from, made->id);

        int exists = zfs_exists(place, dataset, err);
        if (exists < 0)
                return -1;
        if (exists == 1 && (make_once(place, "snapshot", snapshot, NULL, err) < 0 ||
                            make_once(place, "clone", snapshot, dataset, err) < 0))
                return -1;
        if (zfs_run_patiently(place, err, "destroy", "-d", snapshot, NULL) < 0)
                return -1;
        return zfs_mount(place, made, err);
}

int zfs_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                 struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, clone);
        owned_str char *snapshot = x_asprintf("%s@s%" PRIu64, dataset, made->id);

        if (sync_tree(place, clone, err) < 0)
                return -1;
        return made->role == STORE_BASE ? promote(place, clone, made, err) : make_once(place, "snapshot", snapshot, NULL, err);
}

/* ---- Another dataset in the clone's place ---- */

static int unmount_next(const struct store_place *place, const struct store_object *clone, const char *next, struct cowherd_error *err)
{
        owned_str char *path = folder_absolute(place, clone, NEXT);

        return mount_is_mounted(path) ? zfs_run(place, NULL, err, "unmount", next, NULL) : 0;
}

int zfs_drop_next(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_str char *next = zfs_next_dataset(place, clone);
        owned_fd int folder = -1;

        if (!folder_exists(place, clone))
                return 0;
        if (folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (!folder_has(folder, NEXT))
                return 0;
        if (unmount_next(place, clone, next, err) < 0 || zfs_run_patiently(place, err, "destroy", "-r", next, NULL) < 0)
                return -1;
        return file_remove_tree(folder, NEXT, err);
}

/* Drops a next dataset that was given up, and leaves the folder that says that there may be one. */
static int begin_next(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (zfs_drop_next(place, clone, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        return folder_add(folder, NEXT, 0700, err);
}

/* Lets the whole next dataset be the clone's. */
static int take_place(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_str char *next = zfs_next_dataset(place, clone), *dataset = zfs_dataset(place, clone);
        owned_fd int folder = -1;

        if (zfs_put_aside(place, clone, err) < 0)
                return -1;
        int renamed = zfs_run_patiently(place, err, "rename", next, dataset, NULL);
        if (renamed != 0)
                return -1;
        if (folder_open(place, clone, &folder, err) < 0)
                return -1;
        return file_remove_tree(folder, NEXT, err);
}

/* After a kill: 0 where the clone's own dataset is there, 1 where it was gone and the next one has taken its place. */
static int go_on(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, clone);
        owned_fd int folder = -1;

        if (zfs_unmount(place, clone, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (!folder_has(folder, NEXT))
                return 0;
        int exists = zfs_exists(place, dataset, err);
        if (exists <= 0)
                return exists;
        return take_place(place, clone, err) < 0 ? -1 : 1;
}

/* 0 rolled back, 1 where the snapshot is not the newest of the clone's own dataset. */
static int roll_back(const struct store_place *place, const struct store_object *clone, const char *snapshot, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, clone);
        size_t length = strlen(dataset);
        struct cowherd_error why;

        if (strncmp(snapshot, dataset, length) != 0 || snapshot[length] != '@')
                return 1;
        if (zfs_run_patiently(place, &why, "rollback", snapshot, NULL) == 0)
                return 0;
        if (strstr(why.text, "more recent") != NULL)
                return 1;
        *err = why;
        return -1;
}

int zfs_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                struct cowherd_error *err)
{
        owned_str char *name = NULL, *next = zfs_next_dataset(place, clone);
        int went_on = go_on(place, clone, err);

        if (went_on != 0)
                return went_on < 0 ? 1 : 0;
        int found = zfs_find_snapshot(place, snapshot, &name, err);
        if (found != 0)
                return found < 0 ? -1 : folder_fail(snapshot, COWHERD_DATA, "is gone: another tool has destroyed it", err);
        int rolled = roll_back(place, clone, name, err);
        if (rolled <= 0)
                return rolled;
        if (begin_next(place, clone, err) < 0 || zfs_run(place, NULL, err, "clone", name, next, NULL) < 0)
                return -1;
        return take_place(place, clone, err) < 0 ? 1 : 0;
}

/* ---- Flattening ---- */

static int copy_all(const struct store_place *place, const struct store_object *clone, const char *path,
                    const struct file_progress *progress, struct cowherd_error *err)
{
        owned_fd int from = -1, to = -1;

        if (folder_open_leaf(place, clone, "tree", &from, err) < 0 || file_open_folder(AT_FDCWD, path, &to, err) < 0)
                return -1;
        if (file_copy_tree(from, to, FILE_TREE_COPY, progress, err) < 0 || folder_match_root(from, to, err) < 0)
                return -1;
        return syncfs(to) < 0 ? fail_errno(err, "cannot sync '%s'", path) : 0;
}

static int fill_next(const struct store_place *place, const struct store_object *clone, const char *next,
                     const struct file_progress *progress, struct cowherd_error *err)
{
        owned_str char *path = folder_absolute(place, clone, NEXT);

        if (begin_next(place, clone, err) < 0 || zfs_run(place, NULL, err, "create", next, NULL) < 0)
                return -1;
        if (zfs_mount_at(place, next, path, err) < 0 || zfs_mount(place, clone, err) < 0)
                return -1;
        if (copy_all(place, clone, path, progress, err) < 0)
                return -1;
        return unmount_next(place, clone, next, err) < 0 ? -1 : zfs_unmount(place, clone, err);
}

int zfs_flatten(const struct store_place *place, const struct store_object *clone,
                void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context, struct cowherd_error *err)
{
        const struct file_progress progress = {.report = report, .context = context};
        owned_str char *dataset = zfs_dataset(place, clone), *next = zfs_next_dataset(place, clone);
        owned_strv struct strv origin = {0};
        int went_on = go_on(place, clone, err);

        if (went_on != 0)
                return went_on < 0 ? -1 : 0;
        if (zfs_get(place, dataset, "origin", &origin, err) < 0)
                return -1;
        if (origin.count > 0 && str_equal(origin.items[0], "-"))
                return zfs_drop_next(place, clone, err); /* it came as far before it was killed */
        if (fill_next(place, clone, next, &progress, err) < 0) {
                struct cowherd_error second;
                (void)!zfs_unmount(place, clone, &second);
                (void)!zfs_drop_next(place, clone, &second);
                return -1;
        }
        return take_place(place, clone, err);
}
