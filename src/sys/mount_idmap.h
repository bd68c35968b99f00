/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that show all owners shifted (mount_setattr(2), MOUNT_ATTR_IDMAP): what a container in a user namespace of its
 * own needs, with nothing changed on the disk. There root is 0; in the container root is 0; on this host, through such
 * a mount, it is `shift`.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define MOUNT_IDMAP_COUNT 65536u /* users and groups of a container */

/*
 * A user namespace in which ids 0 … 65535 are shift … shift + 65535 of this host. *ret_fd is the caller's; nothing runs
 * in it. 69 where the kernel lets us have none.
 */
int mount_user_namespace(uint32_t shift, int *ret_fd, struct cowherd_error *err) must_check;

/*
 * A copy of the mount that the open folder is in, with that folder as its root (mounts below it are not in it), its
 * owners shifted; mounted nowhere yet. *ret_fd is the caller's. 1 where this filesystem can't do it (FUSE, overlay).
 */
int mount_shifted(int folder, uint32_t shift, int *ret_fd, struct cowherd_error *err) must_check;

/*
 * An overlay of folders that lie in one open folder, all of it shown with owners shifted, while the files of the upper
 * get the owners on the disk that they have inside: whoever reads the upper finds 0 for root. `lowers` and `upper` and
 * `work` are paths below `folder` ("bases/3/tree"), lowers topmost first. Mounted at `target`. 1 where the filesystem
 * can't do it, nothing done.
 */
struct mount_layers {
        int folder;
        const char *const *lowers;
        size_t lower_count;
        const char *upper, *work;
};
int mount_overlay_shifted(const struct mount_layers *layers, uint32_t shift, const char *target,
                          struct cowherd_error *err) must_check;
