/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the qcow2 store. */
#pragma once

#include "store/folder.h"
#include "store/qcow2_overlay.h"

#define QCOW2_CHAIN_MAX 64 /* bases and snapshots under a clone: as many as the herd follows */

/* How many objects there are from this one down; NULL has none. */
unsigned qcow2_chain_length(const struct store_object *object);
/* 69 where nothing can stand on this object any more, as its chain is too long. */
int qcow2_check_chain(const struct store_object *base, struct cowherd_error *err) must_check;

/* The name by which a file in an object's folder has `below` as its backing file: "../../bases/12/disk.qcow2". Returns buffer. */
#define QCOW2_BACKING_PATH_BYTES (STORE_PATH_BYTES + sizeof "../../")
const char *qcow2_backing_name(const struct store_object *below, char *buffer);
/*
 * Makes the file `path` of the place, an empty overlay upon `below` that an object's folder has; what was there is removed.
 * `like` (may be NULL) has the owner and mode to give it.
 */
int qcow2_make_overlay(const struct store_place *place, const char *path, const struct store_object *below, uint64_t virtual_bytes,
                       const struct stat *like, struct cowherd_error *err) must_check;
/* The same as `leaf` in an object's folder, whole or not at all: made beside and renamed. */
int qcow2_write_overlay(const struct store_place *place, const struct store_object *object, const char *leaf,
                        const struct store_object *below, uint64_t virtual_bytes, const struct stat *like,
                        struct cowherd_error *err) must_check;
/* Opens an object's disk for reading. 75 where `idle` and a virtual machine has it open for writing. *ret_fd is the caller's. */
int qcow2_open_disk(const struct store_place *place, const struct store_object *object, bool idle, int *ret_fd,
                    struct cowherd_error *err) must_check;
/* Whether a virtual machine has an open image open for writing. */
bool qcow2_is_written(int fd);

/* Callbacks of the driver: qcow2_snapshot.c, qcow2_flatten.c. */
bool qcow2_snapshot_stacks(enum store_role role);
int qcow2_snapshot_prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                           char **ret_next, struct cowherd_error *err) must_check;
int qcow2_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err) must_check;
int qcow2_snapshot_cancel(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                          struct cowherd_error *err) must_check;
int qcow2_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err) must_check;
int qcow2_flatten(const struct store_place *place, const struct store_object *clone,
                  void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                  struct cowherd_error *err) must_check;
