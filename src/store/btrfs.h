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
