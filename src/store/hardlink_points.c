/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time of hardlink: the farm is linked once more and the upper is copied, so a snapshot needs nobody's bytes but those
 * that its own links hold. Its seal covers both. Links move the change time of files and never of folders, which are what
 * the quick check looks at.
 */
#include "store/hardlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAKING "making"
#define RESTORED "restored"

int hardlink_copy_layers(const struct store_place *place, const struct store_object *from, int folder, struct cowherd_error *err)
{
        if (file_remove_tree(folder, "farm", err) < 0 || file_remove_tree(folder, MAKING, err) < 0)
                return -1;
        if (hardlink_make_farm(place, from, "farm", folder, "farm", err) < 0 || layers_add_rest(folder, err) < 0 ||
            folder_copy_tree(place, from, "upper", folder, MAKING, FILE_TREE_COPY, err) < 0)
                return -1;
        if (renameat(folder, MAKING, folder, "upper") < 0)
                return fail_errno(err, "cannot rename '" MAKING "' to 'upper'");
        return 0;
}

int hardlink_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                      struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (!hardlink_is_layered(place, clone))
                return folder_snapshot(place, clone, made, FILE_TREE_COPY, err);
        if (folder_ensure(place, made, &folder, err) < 0)
                return -1;
        if ((!folder_has(folder, "upper") && hardlink_copy_layers(place, clone, folder, err) < 0) || folder_settle(place, made, err) < 0)
                return folder_undo(place, made, err);
        return 0;
}

/* The farm that a clone lacks which was flattened: with it and an upper it is layered. */
static int add_farm(const struct store_place *place, const struct store_object *snapshot, int folder, struct cowherd_error *err)
{
        if (folder_has(folder, "farm"))
                return 0;
        if (file_remove_tree(folder, MAKING, err) < 0 || hardlink_make_farm(place, snapshot, "farm", folder, MAKING, err) < 0)
                return -1;
        return renameat(folder, MAKING, folder, "farm") < 0 ? fail_errno(err, "cannot rename '" MAKING "' to 'farm'") : 0;
}

/* What is left to do once the snapshot's files are in their place. */
static int take_shape(const struct store_place *place, const struct store_object *snapshot, bool layered, int folder, struct cowherd_error *err)
{
        static const char *const layers[] = {"farm", "upper", "work"};

        if (layered)
                return add_farm(place, snapshot, folder, err) < 0 || layers_empty_tree(folder, err) < 0 ? -1 : layers_add_rest(folder, err);
        for (size_t i = 0; i < array_length(layers); i++)
                if (file_remove_tree(folder, layers[i], err) < 0)
                        return -1;
        return 0;
}

int hardlink_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                     struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (layers_unmount(place, clone, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (file_remove_tree(folder, RESTORED, err) < 0)
                return -1;
        bool layered = hardlink_is_layered(place, snapshot);
        const char *own = layered ? "upper" : "tree";
        if (folder_copy_tree(place, snapshot, own, folder, RESTORED, FILE_TREE_COPY, err) < 0)
                return -1;
        int put = folder_put(folder, RESTORED, own, err);
        if (put != 0)
                return put;
        return take_shape(place, snapshot, layered, folder, err) < 0 || folder_settle(place, clone, err) < 0 ? 1 : 0;
}

int hardlink_flatten(const struct store_place *place, const struct store_object *clone,
                     void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context, struct cowherd_error *err)
{
        const struct file_progress progress = {.report = report, .context = context};

        return layers_flatten(place, clone, hardlink_activate, &progress, err);
}

/* ---- The seal of two folders ---- */

static int fingerprint_of(const struct store_place *place, const struct store_object *base, char **ret, struct cowherd_error *err)
{
        owned_fd int farm = -1, upper = -1;
        owned_str char *of_farm = NULL, *of_upper = NULL;

        if (folder_open_leaf(place, base, "farm", &farm, err) < 0 || folder_open_leaf(place, base, "upper", &upper, err) < 0)
                return err->os_errno == ENOENT ? folder_base_is_gone(base, err) : -1;
        if (folder_tree_fingerprint(farm, &of_farm, err) < 0 || folder_tree_fingerprint(upper, &of_upper, err) < 0)
                return -1;
        *ret = x_asprintf("%s %s", of_upper, of_farm);
        return 0;
}

static int measure(const struct store_place *place, const struct store_object *base, struct file_usage *ret, struct cowherd_error *err)
{
        struct file_usage farm, upper;
        owned_fd int folder = -1;

        if (folder_open(place, base, &folder, err) < 0 || file_measure(folder, "farm", &farm, err) < 0 ||
            file_measure(folder, "upper", &upper, err) < 0)
                return -1;
        *ret = (struct file_usage){.allocated_bytes = farm.allocated_bytes + upper.allocated_bytes,
                                   .apparent_bytes = farm.apparent_bytes + upper.apparent_bytes,
                                   .files = farm.files + upper.files,
                                   .digest = farm.digest + upper.digest};
        return 0;
}

int hardlink_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                       struct cowherd_error *err)
{
        struct file_usage usage;

        if (layers_unmount(place, base, err) < 0)
                return -1;
        if (!hardlink_is_layered(place, base))
                return folder_seal_base(place, base, ret_fingerprint, err);
        if (measure(place, base, &usage, err) < 0 || folder_write_size(place, base, &usage, err) < 0 ||
            folder_settle(place, base, err) < 0)
                return -1;
        return fingerprint_of(place, base, ret_fingerprint, err);
}

int hardlink_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        owned_str char *now = NULL;

        if (!hardlink_is_layered(place, base))
                return folder_check_base(place, base, err);
        return fingerprint_of(place, base, &now, err) < 0 ? -1 : folder_compare(base, now, err);
}

int hardlink_deep_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        struct file_usage sealed, now;

        if (!hardlink_is_layered(place, base))
                return folder_deep_check_base(place, base, err);
        if (folder_read_size(place, base, &sealed, err) < 0 || measure(place, base, &now, err) < 0)
                return -1;
        if (sealed.digest == now.digest)
                return 0;
        return folder_fail_changed(base, ", deep in its tree", true, err);
}
