/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the hardlink store. */
#pragma once

#include "store/layers.h"

/* Whether an object is a farm with an upper, not a plain tree. */
bool hardlink_is_layered(const struct store_place *place, const struct store_object *object);
/* Makes `leaf` in a folder, a farm of links to the files of an object's `from_leaf`. */
int hardlink_make_farm(const struct store_place *place, const struct store_object *from, const char *from_leaf, int folder,
                       const char *leaf, struct cowherd_error *err) must_check;
/* Fills an object's folder with the farm and a copy of the upper of another; whole when `upper` is there. */
int hardlink_copy_layers(const struct store_place *place, const struct store_object *from, int folder,
                         struct cowherd_error *err) must_check;

/* Callbacks of the driver: hardlink.c, hardlink_points.c. */
int hardlink_activate(const struct store_place *place, const struct store_object *object, char **ret_path,
                      struct cowherd_error *err) must_check;
int hardlink_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                       struct cowherd_error *err) must_check;
int hardlink_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;
int hardlink_deep_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;
int hardlink_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                      struct cowherd_error *err) must_check;
int hardlink_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                     struct cowherd_error *err) must_check;
int hardlink_flatten(const struct store_place *place, const struct store_object *clone,
                     void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                     struct cowherd_error *err) must_check;
