/* SPDX-License-Identifier: Apache-2.0 */
/* The module cowherd-btrfs: libbtrfsutil's walk through nested subvolumes, which few clones ever have. */
#include "store/btrfs_module.h"

#include <btrfsutil.h>

extern btrfs_remove_nested_fn cowherd_btrfs_remove_nested;
__attribute__((visibility("default"))) int cowherd_btrfs_remove_nested(int folder, const char *name,
                                                                       struct cowherd_error *err)
{
        enum btrfs_util_error failed =
                btrfs_util_delete_subvolume_fd(folder, name, BTRFS_UTIL_DELETE_SUBVOLUME_RECURSIVE);

        if (failed != BTRFS_UTIL_OK)
                return fail_errno(err, "cannot remove the subvolumes in '%s' (%s)", name, btrfs_util_strerror(failed));
        return 0;
}
