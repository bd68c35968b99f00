/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: btrfs subvolumes that are met in a tree (ioctl_btrfs; no library is needed for three calls). */
#pragma once

#include <stdbool.h>

/* Whether an open folder is the root of a btrfs subvolume. */
bool subvolume_is(int fd);
/* Destroys a subvolume that holds no other. 0, or -1 and errno. */
int subvolume_remove(int folder, const char *name);
/* Takes the read-only property off. Failure shows in what is tried next. */
void subvolume_make_writable(int fd);
