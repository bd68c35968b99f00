/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: a clone is an upper folder over the base's tree. It works on any filesystem that an upper may lie on, costs
 * four mkdirs and no bytes, and is therefore the default for trees where the filesystem itself can't share.
 *
 * A base that was made of a clone, or a snapshot, is a layer too: its own files are in bases/ID/upper, and what it stands on is its
 * object's `base`, and so on down to a plain tree. The lowers of a mount are that whole chain, flat: an overlay on an
 * overlay stops at the third. So a layer is an object that has a base, whatever its role.
 */
#include "store/overlay.h"

#include "store/drivers.h"

#include <stdio.h>

#define OVERLAY_LAYERS 40 /* of the 4096 bytes that the mount's options have */

const char *overlay_own_files(const struct store_object *object)
{
        return object->base != NULL ? "upper" : "tree";
}

static unsigned chain_length(const struct store_object *base)
{
        unsigned length = 0;

        for (; base != NULL; base = base->base)
                length++;
        return length;
}

int overlay_can_clone(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        unsigned length = chain_length(base);

        (void)place;
        if (length <= OVERLAY_LAYERS)
                return 0;
        owned_str char *what = x_asprintf("stands on a chain of %u layers, more than the %d that one overlay can hold",
                                          length, OVERLAY_LAYERS);
        (void)folder_fail(base, COWHERD_UNAVAILABLE, what, err);
        return fail_hint(err, "flatten the clone first: it then stands on nothing");
}

/* The plain or topmost own files of the first object of a chain, opened. */
static int open_files(const struct store_place *place, const struct store_object *object, int *ret_fd,
                      struct cowherd_error *err)
{
        return folder_open_leaf(place, object, overlay_own_files(object), ret_fd, err);
}

/* Makes an object that stands on its base: a clone, or a base of a clone. */
static int make_layer(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_fd int folder = -1, lower = -1;

        if (overlay_can_clone(place, object->base, err) < 0)
                return -1;
        if (open_files(place, object->base, &lower, err) < 0)
                return -1;
        if (folder_make(place, object, &folder, err) < 0)
                return -1;
        if (layers_make(folder, lower, err) < 0 || folder_settle(place, object, err) < 0)
                return folder_undo(place, object, err);
        return 0;
}

static int overlay_prepare_base(const struct store_place *place, const struct store_object *base,
                                struct cowherd_error *err)
{
        return base->base != NULL ? make_layer(place, base, err) : folder_prepare_base(place, base, err);
}

static int overlay_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                             struct cowherd_error *err)
{
        if (layers_unmount(place, base, err) < 0)
                return -1;
        return folder_tree_seal(place, base, overlay_own_files(base), ret_fingerprint, err);
}

static int overlay_check_base(const struct store_place *place, const struct store_object *base,
                              struct cowherd_error *err)
{
        for (; base != NULL; base = base->base)
                if (folder_tree_check(place, base, overlay_own_files(base), err) < 0)
                        return -1;
        return 0;
}

static int overlay_deep_check_base(const struct store_place *place, const struct store_object *base,
                                   struct cowherd_error *err)
{
        for (; base != NULL; base = base->base)
                if (folder_tree_deep_check(place, base, overlay_own_files(base), err) < 0)
                        return -1;
        return 0;
}

int overlay_activate(const struct store_place *place, const struct store_object *object, char **ret_path,
                     struct cowherd_error *err)
{
        owned_string struct str lowers = {0};

        if (object->base == NULL) {
                *ret_path = folder_absolute(place, object, "tree");
                return 0;
        }
        /* A sealed layer's own files are a lower like the rest: nothing may write to them any more. */
        bool sealed = object->role != STORE_CLONE && object->fingerprint != NULL;
        for (const struct store_object *lower = sealed ? object : object->base; lower != NULL; lower = lower->base)
                layers_add_lower(&lowers, place, lower, overlay_own_files(lower));
        return layers_mount(place, object, str_text(&lowers), !sealed, ret_path, err);
}

static int overlay_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                         struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        struct file_usage own, below;
        uint64_t unique_bytes, shared_bytes = 0;

        if (!folder_exists(place, object)) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        if (object->base == NULL)
                return folder_usage(place, object, ret, err);
        if (layers_measure(place, object, &own, err) < 0)
                return -1;
        /* A snapshot's upper is a copy, and shares what the filesystem can share. */
        if (file_shared_bytes(place->fd, store_object_folder(object, path), &shared_bytes, err) < 0)
                return -1;
        unique_bytes = own.allocated_bytes > shared_bytes ? own.allocated_bytes - shared_bytes : 0;
        for (const struct store_object *lower = object->base; lower != NULL; lower = lower->base) {
                if (folder_read_size(place, lower, &below, err) < 0)
                        return -1;
                shared_bytes += below.allocated_bytes;
        }
        *ret = (struct store_usage){
                .unique_bytes = unique_bytes,
                .shared_bytes = shared_bytes,
                .apparent_bytes = own.apparent_bytes,
        };
        return 0;
}

const struct store_driver store_overlay = {
        .name = "overlay",
        .summary = "an upper folder over the base's tree, on any filesystem; needs root",
        .kinds = STORE_TREE,
        .parallel = 4,
        .probe = layers_probe,
        .can_clone = overlay_can_clone,
        .prepare_base = overlay_prepare_base,
        .seal_base = overlay_seal_base,
        .check_base = overlay_check_base,
        .deep_check_base = overlay_deep_check_base,
        .clone = make_layer,
        .destroy = layers_destroy,
        .snapshot_stacks = overlay_snapshot_stacks,
        .snapshot_prepare = overlay_snapshot_prepare,
        .snapshot = overlay_snapshot,
        .snapshot_cancel = overlay_snapshot_cancel,
        .restore = overlay_restore,
        .flatten = overlay_flatten,
        .activate = overlay_activate,
        .deactivate = layers_unmount,
        .usage = overlay_usage,
        .list_ids = folder_list_ids,
};
