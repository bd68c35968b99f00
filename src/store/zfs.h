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
/* The values of the comma-separated `properties` of a dataset, in that order. */
int zfs_get(const struct store_place *place, const char *dataset, const char *properties, struct strv *ret,
            struct cowherd_error *err) must_check;
/* 0 where the dataset is there, 1 where it is not. */
int zfs_exists(const struct store_place *place, const char *dataset, struct cowherd_error *err) must_check;

/* "tank/cowherd-1a2b3c4d/bases/12", and "cowherd:id=12". To be freed. */
char *zfs_dataset(const struct store_place *place, const struct store_object *object);
char *zfs_id_mark(const struct store_object *object);

/* Callbacks of the driver (zfs_usage.c). */
int zfs_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
              struct cowherd_error *err) must_check;
int zfs_list_ids(const struct store_place *place, enum store_role role, struct strv *ret,
                 struct cowherd_error *err) must_check;
