/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the btrfs store. */
#pragma once

#include "store/folder.h"

/* The embedded pool, a loop-mounted file under the root folder (btrfs_pool.c). */
int btrfs_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err) must_check;
int btrfs_pool_attach(const struct store_setup *setup, const struct store_made *made,
                      struct cowherd_error *err) must_check;
int btrfs_pool_teardown(const struct store_setup *setup, const struct store_made *made,
                        struct cowherd_error *err) must_check;

/*
 * What was written to a subvolume since it was made (btrfs_usage.c): its metadata, and the data extents of its own that
 * are younger than it, whether or not a file still shows all of them. With `all` everything in it counts.
 */
int btrfs_written_bytes(int subvolume, bool all, struct file_usage *ret, struct cowherd_error *err) must_check;
/* The same since a transaction; 0: everything. */
int btrfs_written_since(int subvolume, uint64_t since, struct file_usage *ret, struct cowherd_error *err) must_check;
/*
 * The transaction in which a subvolume was made, and the last in which its blocks were shared with another one: a snapshot, or a
 * base that was made of it, as far as they lie in the place yet.
 */
int btrfs_transactions(const struct store_place *place, int subvolume, uint64_t *ret_made, uint64_t *ret_shared,
                       struct cowherd_error *err) must_check;

/* Whether there are subvolumes in this one: one call. */
int btrfs_has_nested(int tree, bool *ret, struct cowherd_error *err) must_check;
/* The ioctls of subvolumes (btrfs.c): 0, or -1 and errno. A name is one of the open `folder`. */
int btrfs_make_snapshot(int from, int folder, const char *name, bool read_only);
/* Whether a name is the root of a subvolume; what is not there, or only a folder, is not. */
bool btrfs_is_subvolume(int folder, const char *name);
/* Removes a subvolume and those in it; what is not there is success. */
int btrfs_remove(const struct store_place *place, int folder, const char *name, struct cowherd_error *err) must_check;

/* Callbacks of the driver: btrfs_bytes.c, btrfs_points.c. */
int btrfs_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                struct cowherd_error *err) must_check;
int btrfs_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err) must_check;
int btrfs_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err) must_check;

/* btrfs_health.c */
int btrfs_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err) must_check;
