/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told about the bytes of bases, clones and snapshots. A clone's own are what it has written since its blocks were last
 * shared with a snapshot; what it wrote before that is shared. When the snapshot goes, it is the clone's own again.
 */
#include "store/btrfs.h"

#include <fcntl.h>
#include <unistd.h>

static int usage_of_clone(const struct store_place *place, const struct store_object *clone, int tree,
                          struct store_usage *ret, struct cowherd_error *err)
{
        struct file_usage written, own, below = {0};
        uint64_t made, shared;

        if (btrfs_transactions(place, tree, &made, &shared, err) < 0 || btrfs_written_since(tree, made, &written, err) < 0)
                return -1;
        own = written;
        if (shared > made && btrfs_written_since(tree, shared, &own, err) < 0)
                return -1;
        if (clone->base != NULL && folder_read_size(place, clone->base, &below, err) < 0)
                return -1;
        *ret = (struct store_usage){
                .unique_bytes = own.allocated_bytes,
                .shared_bytes = below.allocated_bytes + (written.allocated_bytes - own.allocated_bytes),
                .apparent_bytes = written.apparent_bytes,
        };
        return 0;
}

/* What its clone has written over or removed since is the snapshot's alone: the extents are asked, file by file. */
static int usage_of_snapshot(const struct store_place *place, const struct store_object *snapshot, int tree, struct store_usage *ret,
                             struct cowherd_error *err)
{
        struct file_usage size, own;
        uint64_t made, shared, alone;

        if (btrfs_transactions(place, tree, &made, &shared, err) < 0 || btrfs_written_since(tree, made, &own, err) < 0 ||
            folder_read_size(place, snapshot, &size, err) < 0 || file_unshared_bytes(tree, ".", &alone, err) < 0)
                return -1;
        uint64_t unique = alone > own.allocated_bytes ? alone : own.allocated_bytes;
        *ret = (struct store_usage){
                .unique_bytes = unique,
                .shared_bytes = size.allocated_bytes > unique ? size.allocated_bytes - unique : 0,
                .apparent_bytes = size.apparent_bytes,
        };
        return 0;
}

static int usage_of_base(const struct store_place *place, const struct store_object *base, int tree,
                         struct store_usage *ret, struct cowherd_error *err)
{
        struct file_usage size;

        if (folder_read_size(place, base, &size, err) < 0)
                return -1;
        if (size.allocated_bytes == 0 && btrfs_written_bytes(tree, true, &size, err) < 0) /* not sealed yet */
                return -1;
        *ret = (struct store_usage){.unique_bytes = size.allocated_bytes, .apparent_bytes = size.apparent_bytes};
        return 0;
}

int btrfs_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                struct cowherd_error *err)
{
        owned_fd int folder = -1;

        *ret = (struct store_usage){.missing = true};
        if (!folder_exists(place, object))
                return 0;
        if (folder_open(place, object, &folder, err) < 0)
                return -1;
        if (!btrfs_is_subvolume(folder, "tree"))
                return 0;
        owned_fd int tree = openat(folder, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (tree < 0)
                return fail_errno(err, "cannot open a subvolume in '%s'", place->folder);
        if (object->role == STORE_BASE)
                return usage_of_base(place, object, tree, ret, err);
        /* What is not written back yet has no extents to count. */
        if (syncfs(tree) < 0)
                return fail_errno(err, "cannot sync '%s'", place->folder);
        return object->role == STORE_SNAPSHOT ? usage_of_snapshot(place, object, tree, ret, err)
                                              : usage_of_clone(place, object, tree, ret, err);
}
