/* SPDX-License-Identifier: Apache-2.0 */
/* What overlay and hardlink have in common: an upper, a work folder, and the mount of both over read-only lowers. */
#pragma once

#include "store/folder.h"

/* Fills an object's folder: `upper` with the attributes of the lower tree's root, `work`, and `tree` to mount on. */
int layers_make(int folder, int lower, struct cowherd_error *err) must_check;

/*
 * Adds "/proc/self/fd/N/FOLDER/LEAF" of an object to a list of lowers joined by ':'. That form is short however deep
 * the root folder lies (the mount option has 4096 bytes), needs no change of the working folder (which threads share),
 * and no quoting of ':' and ',' in the root's own name.
 */
void layers_add_lower(struct str *lowers, const struct store_place *place, const struct store_object *object,
                      const char *leaf);

/*
 * Mounts the object's upper over `lowers` on its tree, or the lowers alone, read-only, where not `writable`; nothing
 * where it is mounted already. Owners are shown as object->id_shift says. *ret_path is the caller's.
 */
int layers_mount(const struct store_place *place, const struct store_object *object, const char *lowers, bool writable,
                 char **ret_path, struct cowherd_error *err) must_check;
/* Unmounts the object's tree; what is not mounted is success, in use is 75. */
int layers_unmount(const struct store_place *place, const struct store_object *object,
                   struct cowherd_error *err) must_check;
/* Unmounts, then removes the object's folder. */
int layers_destroy(const struct store_place *place, const struct store_object *object,
                   struct cowherd_error *err) must_check;

/* Mounts a tiny overlay in a folder of its own in the place, writes through it, and takes it away again. */
int layers_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                 struct cowherd_error *err) must_check;

/* What lies in the object's `upper` and `work`: all that its clone wrote. */
int layers_measure(const struct store_place *place, const struct store_object *object, struct file_usage *ret,
                   struct cowherd_error *err) must_check;

/* What a layered object has besides its own files: `work`, and `tree` to mount on. */
int layers_add_rest(int folder, struct cowherd_error *err) must_check;
/* Whether a folder has nothing in it. */
int layers_is_empty(int folder, const char *name, bool *ret, struct cowherd_error *err) must_check;
/* Puts an empty folder in the place of the mount point, in which the files of a plain tree may lie. */
int layers_empty_tree(int folder, struct cowherd_error *err) must_check;

typedef int layers_activate_fn(const struct store_place *place, const struct store_object *object, char **ret_path,
                               struct cowherd_error *err);
/* store.h's flatten, of a clone that `activate` mounts: its merged tree becomes a plain one (layers_flatten.c). */
int layers_flatten(const struct store_place *place, const struct store_object *clone, layers_activate_fn *activate,
                   const struct file_progress *progress, struct cowherd_error *err) must_check;
