/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening what is layered: the merged tree, as a mount of it shows it, is copied beside, and then takes the place of the mount point.
 * The upper goes last: as long as it is there and the mount point is empty, nothing has happened. What can't be unmounted, or taken
 * away afterwards, is left for the next try.
 */
#include "store/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FLAT "flat"

static int copy_merged(int folder, const char *path, const struct file_progress *progress, struct cowherd_error *err)
{
        owned_fd int tree = -1, flat = -1;

        if (file_remove_tree(folder, FLAT, err) < 0 || folder_add(folder, FLAT, 0700, err) < 0)
                return -1;
        if (file_open_folder(AT_FDCWD, path, &tree, err) < 0 || file_open_folder(folder, FLAT, &flat, err) < 0)
                return -1;
        if (file_copy_tree(tree, flat, FILE_TREE_COPY, progress, err) < 0)
                return -1;
        return folder_match_root(tree, flat, err);
}

static int make_flat(const struct store_place *place, const struct store_object *clone, int folder, layers_activate_fn *activate,
                     const struct file_progress *progress, struct cowherd_error *err)
{
        struct store_object unshifted = *clone;
        owned_str char *path = NULL;

        unshifted.id_shift = 0; /* what is copied keeps the owners that the disk has */
        if (activate(place, &unshifted, &path, err) < 0)
                return -1;
        int copied = copy_merged(folder, path, progress, err);
        struct cowherd_error second;
        if (layers_unmount(place, clone, &second) < 0) {
                *err = second;
                return 1;
        }
        if (copied == 0 && place->durable && syncfs(folder) < 0)
                copied = fail_errno(err, "cannot sync '%s'", place->folder);
        if (copied < 0)
                (void)!file_remove_tree(folder, FLAT, &second);
        return copied;
}

int layers_flatten(const struct store_place *place, const struct store_object *clone, layers_activate_fn *activate,
                   const struct file_progress *progress, struct cowherd_error *err)
{
        static const char *const parts[] = {"upper", "work", "farm", FLAT};
        owned_fd int folder = -1;
        bool is_layered = false;

        if (layers_unmount(place, clone, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (folder_has(folder, "upper") && layers_is_empty(folder, "tree", &is_layered, err) < 0)
                return -1;
        if (is_layered && clone->base == NULL)
                return folder_fail(clone, COWHERD_INTERNAL, "has layers and stands on nothing", err);
        int made = is_layered ? make_flat(place, clone, folder, activate, progress, err) : 0;
        if (made != 0)
                return made;
        if (is_layered && folder_put(folder, FLAT, "tree", err) < 0)
                return 1;
        for (size_t i = 0; i < array_length(parts); i++)
                if (file_remove_tree(folder, parts[i], err) < 0)
                        return 1;
        return folder_settle(place, clone, err) < 0 ? 1 : 0;
}
