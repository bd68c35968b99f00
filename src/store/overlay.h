/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the overlay store. */
#pragma once

#include "store/layers.h"

/* "upper" where it stands on something, else "tree": where an object's own files are. Static. */
const char *overlay_own_files(const struct store_object *object);

/* Callbacks of the driver: overlay.c, overlay_points.c. */
int overlay_can_clone(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;
int overlay_activate(const struct store_place *place, const struct store_object *object, char **ret_path,
                     struct cowherd_error *err) must_check;
bool overlay_snapshot_stacks(enum store_role role);
int overlay_snapshot_prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                             char **ret_next, struct cowherd_error *err) must_check;
int overlay_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                     struct cowherd_error *err) must_check;
int overlay_snapshot_cancel(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                            struct cowherd_error *err) must_check;
int overlay_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                    struct cowherd_error *err) must_check;
int overlay_flatten(const struct store_place *place, const struct store_object *clone,
                    void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                    struct cowherd_error *err) must_check;
