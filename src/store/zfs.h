/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the zfs store. */
#pragma once

#include "store/folder.h"

#define ZFS_TIMEOUT_MS 120000

/* Our dataset in a pool, and its folder of mount points (zfs_pool.c). */
int zfs_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err) must_check;
int zfs_pool_teardown(const struct store_setup *setup, const struct store_made *made,
                      struct cowherd_error *err) must_check;

/*
 * Runs `zfs` (zfs_command.c) with a NULL-terminated list of words. 66 where a dataset is not there, 73 where it is
 * there already, 75 where it is busy or has dependents, 74 without space, 77 without permission, else 71, each with the
 * tool's first line. It inherits the place's lock. *ret_output (may be NULL) is its stdout, the caller's.
 */
int zfs_run(const struct store_place *place, char **ret_output, struct cowherd_error *err, ...)
        __attribute__((sentinel)) must_check;
/*
 * The same without an output, and where what it works on is busy, tried again for two seconds: after an unmount a dataset stays
 * busy for some milliseconds more, while zfs-fuse lets go of it. 1 where it is not there.
 */
int zfs_run_patiently(const struct store_place *place, struct cowherd_error *err, ...) __attribute__((sentinel)) must_check;
/* Whether a command failed because something was busy that it works on; then it has waited a little, for two seconds in all. */
bool zfs_is_to_be_retried(const struct cowherd_error *why, unsigned *tries);
/* Whether a command failed because of snapshots, or of what was cloned from them. */
bool zfs_has_dependents(const struct cowherd_error *why);
/* The values of the comma-separated `properties` of a dataset, in that order. */
int zfs_get(const struct store_place *place, const char *dataset, const char *properties, struct strv *ret,
            struct cowherd_error *err) must_check;
/* 0 where the dataset is there, 1 where it is not. */
int zfs_exists(const struct store_place *place, const char *dataset, struct cowherd_error *err) must_check;

/* "tank/cowherd-1a2b3c4d/bases/12", and "cowherd:id=12". To be freed. */
char *zfs_dataset(const struct store_place *place, const struct store_object *object);
char *zfs_id_mark(const struct store_object *object);

/* Gives a dataset its mount point and mounts it; unmounts an object's. What is so already is success. */
int zfs_mount_at(const struct store_place *place, const char *dataset, const char *path, struct cowherd_error *err) must_check;
int zfs_mount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err) must_check;
int zfs_unmount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err) must_check;

/*
 * "tank/cowherd-1a2b3c4d/clones/5@s9": where a snapshot is now, which follows the dataset that it is in (zfs_removed.c). 1 where it
 * is nowhere. *ret is the caller's.
 */
int zfs_find_snapshot(const struct store_place *place, const struct store_object *snapshot, char **ret,
                      struct cowherd_error *err) must_check;
/* The ids of all our snapshots, wherever they are. */
int zfs_list_snapshot_ids(const struct store_place *place, struct strv *ret, struct cowherd_error *err) must_check;
/*
 * Removes a clone's dataset; where snapshots of it are still somebody's, it goes to SOURCE/removed and waits there for them. What is
 * not there is success.
 */
int zfs_put_aside(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err) must_check;
/* Removes what waits in SOURCE/removed for nobody any more. Costs nothing where nothing waits. */
int zfs_reap(const struct store_place *place, struct cowherd_error *err) must_check;
/* The dataset that is to take a clone's place (zfs_points.c): its name, to be freed; and the removal of one that was given up. */
char *zfs_next_dataset(const struct store_place *place, const struct store_object *clone);
int zfs_drop_next(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err) must_check;

/* Callbacks of the driver: zfs_points.c, zfs_usage.c. */
int zfs_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                 struct cowherd_error *err) must_check;
int zfs_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                struct cowherd_error *err) must_check;
int zfs_flatten(const struct store_place *place, const struct store_object *clone,
                void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                struct cowherd_error *err) must_check;
int zfs_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
              struct cowherd_error *err) must_check;
int zfs_list_ids(const struct store_place *place, enum store_role role, struct strv *ret,
                 struct cowherd_error *err) must_check;

/* zfs_health.c */
int zfs_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err) must_check;
