/* SPDX-License-Identifier: Apache-2.0 */
/* What the module cowherd-btrfs offers: see btrfs_module.c. */
#pragma once

#include "base/error.h"

/* Removes a subvolume and all that lie in it, from the folder that is open as `folder`. */
typedef int btrfs_remove_nested_fn(int folder, const char *name, struct cowherd_error *err);
/* Waits until the space of removed subvolumes of the filesystem is free again, for timeout_ms of pauses at most. */
typedef int btrfs_await_removed_fn(int folder, unsigned timeout_ms, struct cowherd_error *err);
/* Calls `each` with the path of every subvolume in the tree that is open as `tree`, those higher up first, until one fails. */
typedef int btrfs_list_nested_fn(int tree, int (*each)(void *context, const char *path, struct cowherd_error *err),
                                 void *context, struct cowherd_error *err);
