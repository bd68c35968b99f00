/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this room: what needs libmount, which brings libblkid, libselinux and libpcre2 along: 0.4 ms at start, for what
 * only setups ask. So it is a module (cowherd-mount.so, sys/module.h), and mount.c and mount_loop.c open it.
 */
#pragma once

#include "base/error.h"

/* mount_query of sys/mount.h: the symbol cowherd_mount_query. */
typedef int mount_query_fn(const char *target, char **ret_type, char **ret_source, struct cowherd_error *err);
/*
 * Parts "noatime,compress=zstd" into mount(2)'s flags and the filesystem's own options (to be freed, NULL for none):
 * the symbol cowherd_mount_split.
 */
typedef int mount_split_fn(const char *options, unsigned long *ret_flags, char **ret_data, struct cowherd_error *err);
