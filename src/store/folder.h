/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stores that live in folders have in common: bases/ID, clones/ID and snapshots/ID, their making and removing, sealing and
 * checking of a base, and what is told about bytes. The first group are parts for a driver to call; the second are
 * whole callbacks that a driver can name in its table as they are.
 */
#pragma once

#include "store/store.h"
#include "sys/file.h"

#include <sys/types.h>

/* ---- Parts ---- */

/*
 * Makes bases/ID or clones/ID (bases/ or clones/ too): 0700 for a tree, whose setuid programs nobody else may reach,
 * 0711 for a disk. 73 where it is there already: ids are never used again, so it is somebody's. *ret_fd (may be NULL)
 * is that folder, the caller's.
 */
int folder_make(const struct store_place *place, const struct store_object *object, int *ret_fd,
                struct cowherd_error *err) must_check;
/* The same where it may be there already: of a snapshot that is gone on with after a kill. */
int folder_ensure(const struct store_place *place, const struct store_object *object, int *ret_fd,
                  struct cowherd_error *err) must_check;
/* Opens bases/ID or clones/ID, or the folder `leaf` ("tree") in it. *ret_fd is the caller's. */
int folder_open(const struct store_place *place, const struct store_object *object, int *ret_fd,
                struct cowherd_error *err) must_check;
int folder_open_leaf(const struct store_place *place, const struct store_object *object, const char *leaf, int *ret_fd,
                     struct cowherd_error *err) must_check;
/* The absolute path of `leaf` ("tree", "upper", "disk.raw") in the object's folder. To be freed. */
char *folder_absolute(const struct store_place *place, const struct store_object *object, const char *leaf);

/* Whether bases/ID or clones/ID is there. */
bool folder_exists(const struct store_place *place, const struct store_object *object);
/* Whether a name is an id, written as the number is: "07" is nobody's. */
bool folder_is_id(const char *name);
/*
 * Whether something is mounted on the object's tree: one statx(2), a microsecond however many mounts there are. 1 or 0; -1 where it
 * can't be looked at. Who would use what is mounted has to know: the folder beneath is empty.
 */
int folder_find_mount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err) must_check;
/* Whether something may be: for who would unmount it. */
bool folder_is_mounted(const struct store_place *place, const struct store_object *object);

/* Gives the folder `to` the owner, mode, extended attributes and times of `from`: a tree's root is part of the tree. */
int folder_match_root(int from, int to, struct cowherd_error *err) must_check;
/* The names in a folder of the place that `wanted` takes, appended; a folder that isn't there has none. */
int folder_list_names(const struct store_place *place, const char *path, bool (*wanted)(const char *name),
                      struct strv *ret, struct cowherd_error *err) must_check;

#define FOLDER_PROBE_BYTES 32
/*
 * Makes something short-lived in the place by `make` (as mkdirat(2) answers), under a name of its own that is put into
 * `name`, and opens it. No sweep takes it away while *ret_fd, the caller's, is open; the caller removes it.
 */
int folder_probe_begin(const struct store_place *place, int (*make)(int folder, const char *name), char *name,
                       int *ret_fd, struct cowherd_error *err) must_check;
/* Removes what killed probes left, mounted overlays too. *ret_count: how many. */
int folder_sweep_probes(const struct store_place *place, size_t *ret_count, struct cowherd_error *err) must_check;
/* Sets *ret to unusable with the sentence of an error. Always 0, as a probe that can tell why has not failed. */
int folder_unusable(struct store_probe *ret, const char *reason);

/* After a failure: removes what was made of the object, leaves *err as it is. Always -1. */
int folder_undo(const struct store_place *place, const struct store_object *object, const struct cowherd_error *err);
/* Where the place is durable: syncs what was made (a disk and its folders; a tree's whole filesystem). Else nothing. */
int folder_settle(const struct store_place *place, const struct store_object *object,
                  struct cowherd_error *err) must_check;

/* Fails with `code` and "base 'NAME' …" (or "base 12 …" where it has no name). Always -1. */
int folder_fail(const struct store_object *object, enum cowherd_code code, const char *what, struct cowherd_error *err);

/* Fails with 65: "base 'NAME' was changed since it was registered", and `how`; with what to do as hint. Always -1. */
int folder_fail_changed(const struct store_object *base, const char *how, bool clones_go_on, struct cowherd_error *err);
/* Fails with 65: the files of a sealed base are not there. Always -1. */
int folder_base_is_gone(const struct store_object *base, struct cowherd_error *err);

/*
 * The fingerprint of a tree in O(1): inode and change time of its root and of the folders at its top, told apart so
 * that a check can say which one changed. The device number is left out: it changes with a reboot. To be freed.
 */
int folder_tree_fingerprint(int tree, char **ret_text, struct cowherd_error *err) must_check;
/* 0 where the tree in `leaf` ("tree", a layer's "upper") still has the base's fingerprint, else 65 naming what changed.
 */
int folder_tree_check(const struct store_place *place, const struct store_object *base, const char *leaf,
                      struct cowherd_error *err) must_check;
/* 0 where a fingerprint that was just made is the one that sealing gave, else 65 naming what changed. */
int folder_compare(const struct store_object *base, const char *now, struct cowherd_error *err) must_check;
/* The same by walking all of it (35 ms for a Debian) and comparing the digest that sealing kept. */
int folder_tree_deep_check(const struct store_place *place, const struct store_object *base, const char *leaf,
                           struct cowherd_error *err) must_check;
/* Keeps the size of the tree in `leaf`, syncs where durable, gives the fingerprint. */
int folder_tree_seal(const struct store_place *place, const struct store_object *base, const char *leaf,
                     char **ret_fingerprint, struct cowherd_error *err) must_check;
/* As file_fingerprint's text, the device left aside. */
bool folder_same_file_fingerprint(const char *a, const char *b);

/* What a sealed tree takes and its digest, kept in bases/ID/size: its clones' usage need not walk it again. */
int folder_write_size(const struct store_place *place, const struct store_object *base, const struct file_usage *usage,
                      struct cowherd_error *err) must_check;
/* 0 bytes where it was never written. */
int folder_read_size(const struct store_place *place, const struct store_object *base, struct file_usage *ret,
                     struct cowherd_error *err) must_check;

/*
 * Makes clones/ID by bringing the base's disk or tree over as `mode` says (FILE_TREE_SHARE or FILE_TREE_COPY); a disk
 * grows to clone->virtual_bytes where that is more.
 */
int folder_clone(const struct store_place *place, const struct store_object *clone, enum file_tree_mode mode,
                 struct cowherd_error *err) must_check;

/*
 * Brings the disk of an object, or the tree in its `from_leaf` ("upper" with what an overlay keeps in its attributes), into a
 * folder as `leaf`, which is not there yet. A disk is 0600; *ret_fd (may be NULL), open for writing, is the caller's.
 */
int folder_copy_disk(const struct store_place *place, const struct store_object *from, int folder, const char *leaf,
                     enum file_tree_mode mode, int *ret_fd, struct cowherd_error *err) must_check;
int folder_copy_tree(const struct store_place *place, const struct store_object *from, const char *from_leaf, int folder,
                     const char *leaf, enum file_tree_mode mode, struct cowherd_error *err) must_check;

/* Points in time of a store that copies (folder_points.c): store.h's snapshot and restore, as `mode` says. */
int folder_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                    enum file_tree_mode mode, struct cowherd_error *err) must_check;
int folder_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                   enum file_tree_mode mode, struct cowherd_error *err) must_check;
/* Whether `name` is in a folder. */
bool folder_has(int folder, const char *name);
/* Makes a folder where there is none; then its mode is left alone. */
int folder_add(int folder, const char *name, mode_t mode, struct cowherd_error *err) must_check;
/*
 * Puts `beside` in the place of `name`, so that there is never neither, and removes what was there: 1 where it is in its place, and what
 * was there, now `beside`, could not be removed.
 */
int folder_put(int folder, const char *beside, const char *name, struct cowherd_error *err) must_check;

/* ---- Whole callbacks ---- */

/* Never: snapshots of such a store are copies. */
bool folder_stacks_never(enum store_role role);


/* Makes bases/ID and, for a tree, an empty bases/ID/tree (0755). */
int folder_prepare_base(const struct store_place *place, const struct store_object *base,
                        struct cowherd_error *err) must_check;
/*
 * A disk: read-only mode, the immutable flag where there is one, fingerprint of the file. A tree: its size kept, the
 * O(1) fingerprint.
 */
int folder_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                     struct cowherd_error *err) must_check;
int folder_check_base(const struct store_place *place, const struct store_object *base,
                      struct cowherd_error *err) must_check;
/* 65 where anything in a tree was changed. */
int folder_deep_check_base(const struct store_place *place, const struct store_object *base,
                           struct cowherd_error *err) must_check;
/* Removes the object's folder with all in it; what is not there is success. */
int folder_destroy(const struct store_place *place, const struct store_object *object,
                   struct cowherd_error *err) must_check;
/*
 * A base holds its bytes alone (they are freed with it, not with its clones). Of a clone: shared are the bytes whose
 * extents others have too, unique is the rest.
 */
int folder_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                 struct cowherd_error *err) must_check;
int folder_list_ids(const struct store_place *place, enum store_role role, struct strv *ret,
                    struct cowherd_error *err) must_check;
