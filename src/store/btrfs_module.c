/* SPDX-License-Identifier: Apache-2.0 */
/* The module cowherd-btrfs: libbtrfsutil's walk through nested subvolumes, which few clones ever have. */
#include "store/btrfs_module.h"

#include <btrfsutil.h>
#include <stdint.h>
#include <stdlib.h>

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

static int fail_listing(enum btrfs_util_error failed, struct cowherd_error *err)
{
        return fail_errno(err, "cannot list the subvolumes in a clone (%s)", btrfs_util_strerror(failed));
}

extern btrfs_list_nested_fn cowherd_btrfs_list_nested;
__attribute__((visibility("default"))) int
cowherd_btrfs_list_nested(int tree, int (*each)(void *context, const char *path, struct cowherd_error *err),
                          void *context, struct cowherd_error *err)
{
        struct btrfs_util_subvolume_iterator *subvolumes = NULL;
        int result = 0;

        enum btrfs_util_error failed = btrfs_util_create_subvolume_iterator_fd(tree, 0, 0, &subvolumes);
        if (failed != BTRFS_UTIL_OK)
                return fail_listing(failed, err);
        while (result == 0) {
                char *path = NULL;
                uint64_t id;
                failed = btrfs_util_subvolume_iterator_next(subvolumes, &path, &id);
                if (failed == BTRFS_UTIL_ERROR_STOP_ITERATION)
                        break;
                result = failed == BTRFS_UTIL_OK ? each(context, path, err) : fail_listing(failed, err);
                free(path);
        }
        btrfs_util_destroy_subvolume_iterator(subvolumes);
        return result;
}
