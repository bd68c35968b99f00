/* SPDX-License-Identifier: Apache-2.0 */
/* The module cowherd-btrfs: libbtrfsutil's walk through nested subvolumes, which few clones ever have, and through removed ones. */
#include "store/btrfs_module.h"

#include <btrfsutil.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_MOST_MS 64

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

/* The kernel's cleaner takes them away behind everybody's back, and has no event; a sync wakes it. */
extern btrfs_await_removed_fn cowherd_btrfs_await_removed;
__attribute__((visibility("default"))) int cowherd_btrfs_await_removed(int folder, unsigned timeout_ms, struct cowherd_error *err)
{
        unsigned pause_ms = 2, paused_ms = 0;
        size_t count = 1;

        for (; count > 0 && paused_ms < timeout_ms; paused_ms += pause_ms) {
                const struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000};
                uint64_t *ids = NULL;
                enum btrfs_util_error failed = btrfs_util_sync_fd(folder);
                if (failed == BTRFS_UTIL_OK)
                        failed = btrfs_util_deleted_subvolumes_fd(folder, &ids, &count);
                if (failed != BTRFS_UTIL_OK)
                        return fail_errno(err, "cannot wait for removed subvolumes (%s)", btrfs_util_strerror(failed));
                free(ids);
                if (count > 0)
                        (void)nanosleep(&pause, NULL);
                pause_ms = pause_ms < PAUSE_MOST_MS ? 2 * pause_ms : PAUSE_MOST_MS;
        }
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
