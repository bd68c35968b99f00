/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hardlink, only on request: the clone has a farm of hard links to the base's files, and the farm is the lower of an
 * overlay. So no write goes through a link to the base and its other clones, as it does where the farm itself is handed
 * out, and the clone does not depend on the base's folder: each file lives as long as any link to it.
 *
 * A snapshot, or a base that is made of a clone, has a farm of its own and a copy of the upper. What has a farm is layered,
 * what has none is a plain tree.
 */
#include "store/hardlink.h"

#include "store/drivers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool hardlink_is_layered(const struct store_place *place, const struct store_object *object)
{
        char folder[STORE_PATH_BYTES], path[STORE_PATH_BYTES + 8];

        (void)snprintf(path, sizeof path, "%s/farm", store_object_folder(object, folder));
        return faccessat(place->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int hardlink_make_farm(const struct store_place *place, const struct store_object *from, const char *from_leaf, int folder,
                       const char *leaf, struct cowherd_error *err)
{
        owned_fd int tree = -1, farm = -1;

        if (folder_open_leaf(place, from, from_leaf, &tree, err) < 0)
                return -1;
        if (mkdirat(folder, leaf, 0700) < 0)
                return fail_errno(err, "cannot make the folder '%s'", leaf);
        if (file_open_folder(folder, leaf, &farm, err) < 0)
                return -1;
        if (file_copy_tree(tree, farm, FILE_TREE_LINK, NULL, err) < 0)
                return fail_while(err, "linking the files of the base");
        return folder_match_root(tree, farm, err);
}

static int make_upper(int folder, struct cowherd_error *err)
{
        owned_fd int farm = -1;

        if (file_open_folder(folder, "farm", &farm, err) < 0)
                return -1;
        return layers_make(folder, farm, err);
}

static int hardlink_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (folder_make(place, clone, &folder, err) < 0)
                return -1;
        int made = hardlink_is_layered(place, clone->base) ? hardlink_copy_layers(place, clone->base, folder, err)
                                                           : hardlink_make_farm(place, clone->base, "tree", folder, "farm", err);
        if (made == 0 && !folder_has(folder, "upper"))
                made = make_upper(folder, err);
        if (made < 0 || folder_settle(place, clone, err) < 0)
                return folder_undo(place, clone, err);
        return 0;
}

int hardlink_activate(const struct store_place *place, const struct store_object *object, char **ret_path, struct cowherd_error *err)
{
        owned_string struct str lowers = {0};
        bool sealed = object->role != STORE_CLONE && object->fingerprint != NULL;

        if (!hardlink_is_layered(place, object)) {
                *ret_path = folder_absolute(place, object, "tree");
                return 0;
        }
        if (sealed)
                layers_add_lower(&lowers, place, object, "upper");
        layers_add_lower(&lowers, place, object, "farm");
        return layers_mount(place, object, str_text(&lowers), !sealed, ret_path, err);
}

static int add_own(int folder, const char *name, uint64_t *bytes, struct cowherd_error *err);

/* Adds what a folder of the farm holds that is linked from nowhere else: folders, and what can't be linked. */
static int add_folder(int folder, const char *name, uint64_t *bytes, struct cowherd_error *err)
{
        int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), added = 0;
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);

        if (entries == NULL) {
                added = fail_errno(err, "cannot list '%s'", name);
                close_at(&fd);
                return added;
        }
        errno = 0;
        for (const struct dirent *entry; added == 0 && (entry = readdir(entries)) != NULL; errno = 0)
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
                        added = add_own(fd, entry->d_name, bytes, err);
        if (added == 0 && errno != 0)
                added = fail_errno(err, "cannot list '%s'", name);
        (void)closedir(entries);
        return added;
}

static int add_own(int folder, const char *name, uint64_t *bytes, struct cowherd_error *err)
{
        struct stat found;

        if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", name);
        if (S_ISDIR(found.st_mode) || found.st_nlink == 1)
                *bytes += (uint64_t)found.st_blocks * 512;
        return S_ISDIR(found.st_mode) ? add_folder(folder, name, bytes, err) : 0;
}

static int hardlink_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                          struct cowherd_error *err)
{
        struct file_usage written, all;
        uint64_t own_bytes = 0;
        owned_fd int folder = -1;

        if (!folder_exists(place, object)) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        if (!hardlink_is_layered(place, object))
                return folder_usage(place, object, ret, err);
        if (layers_measure(place, object, &written, err) < 0 || folder_open(place, object, &folder, err) < 0)
                return -1;
        if (file_measure(folder, "farm", &all, err) < 0 || add_own(folder, "farm", &own_bytes, err) < 0)
                return -1;
        *ret = (struct store_usage){
                .unique_bytes = written.allocated_bytes + own_bytes,
                .shared_bytes = all.allocated_bytes > own_bytes ? all.allocated_bytes - own_bytes : 0,
                .apparent_bytes = written.apparent_bytes,
        };
        return 0;
}

const struct store_driver store_hardlink = {
        .name = "hardlink",
        .summary = "hard links to the base's files under an overlay; only on request, needs root",
        .kinds = STORE_TREE,
        .on_request = true,
        .parallel = 2,
        .probe = layers_probe,
        .prepare_base = folder_prepare_base,
        .seal_base = hardlink_seal_base,
        .check_base = hardlink_check_base,
        .deep_check_base = hardlink_deep_check_base,
        .clone = hardlink_clone,
        .destroy = layers_destroy,
        .snapshot_stacks = folder_stacks_never,
        .snapshot = hardlink_snapshot,
        .restore = hardlink_restore,
        .flatten = hardlink_flatten,
        .activate = hardlink_activate,
        .deactivate = layers_unmount,
        .usage = hardlink_usage,
        .list_ids = folder_list_ids,
};
