/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the parts that copying one file and copying a tree share. */
#pragma once

#include "sys/file.h"

/* Whether this errno of FICLONE says that these two files can't share, as opposed to a failure. */
bool file_cannot_share(int os_errno);
/*
 * Copies all of `from` (as `found` tells its length and blocks) into the empty file `to`, holes kept. `progress` may be
 * NULL; `done_before` bytes were reported by the caller already, `total` is what is reported as such.
 */
int file_copy_data(int from, int to, const struct stat *found, const struct file_progress *progress,
                   uint64_t done_before, uint64_t total, struct cowherd_error *err) must_check;

/* Gives the open file or folder `to` the owner, extended attributes, mode and times of `from`. */
int attributes_copy(int from, int to, const struct stat *found, struct cowherd_error *err) must_check;
/* As attributes_copy, of a name that is not opened: a symlink, a fifo, a device node. */
int attributes_copy_name(int from, int to, const char *name, const struct stat *found,
                         struct cowherd_error *err) must_check;
