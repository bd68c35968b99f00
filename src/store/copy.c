/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: a clone with everything of its own, on any filesystem, only where it was asked for by name. Holes stay holes.
 * As with cp(1), a filesystem that can share blocks shares them: the clone is no less its own for it.
 */
#include "store/drivers.h"
#include "store/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int copy_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                      struct cowherd_error *err)
{
        struct cowherd_error why = {0};

        (void)err;
        if ((kind & (STORE_DISK | STORE_TREE)) == 0)
                return folder_unusable(ret, "copy keeps disks and trees");
        if (faccessat(place->fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
                (void)fail_errno(&why, "cannot write in '%s'", place->folder);
                return folder_unusable(ret, why.text);
        }
        *ret = (struct store_probe){.usable = true};
        (void)snprintf(ret->detail, sizeof ret->detail, "full copies on %s", file_system_name(place->fd));
        return 0;
}

static int copy_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        return folder_clone(place, clone, FILE_TREE_COPY, err);
}

static int copy_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        return folder_snapshot(place, clone, made, FILE_TREE_COPY, err);
}

static int copy_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err)
{
        return folder_restore(place, clone, snapshot, FILE_TREE_COPY, err);
}

const struct store_driver store_copy = {
        .name = "copy",
        .summary = "full copies, on any filesystem; only on request",
        .kinds = STORE_DISK | STORE_TREE,
        .on_request = true,
        .parallel = 2,
        .probe = copy_probe,
        .prepare_base = folder_prepare_base,
        .seal_base = folder_seal_base,
        .check_base = folder_check_base,
        .deep_check_base = folder_deep_check_base,
        .clone = copy_clone,
        .destroy = folder_destroy,
        .snapshot_stacks = folder_stacks_never,
        .snapshot = copy_snapshot,
        .restore = copy_restore,
        .usage = folder_usage,
        .list_ids = folder_list_ids,
};
