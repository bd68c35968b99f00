/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reflink: the clone's files have extents of their own that point at the base's blocks (FICLONE,
 * ioctl_ficlonerange(2)), on XFS, btrfs and bcachefs. One file takes 0.1 ms whatever its size, so it is a good store
 * for disks; a tree costs a system call for each of its files, so the snapshot stores come before it. Needs no
 * privilege.
 */
#include "store/drivers.h"
#include "store/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Two nameless files, so that nothing can be left behind. */
static int try_sharing(const struct store_place *place, struct cowherd_error *err)
{
        static const char text[4096] = "shared";

        owned_fd int from = openat(place->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        owned_fd int to = openat(place->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (from < 0 || to < 0)
                return fail_errno(err, "cannot make a file in '%s'", place->folder);
        if (write(from, text, sizeof text) != (ssize_t)sizeof text)
                return fail_errno(err, "cannot write to a file in '%s'", place->folder);
        return file_share(from, to, err);
}

static int reflink_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                         struct cowherd_error *err)
{
        struct cowherd_error why = {0};

        (void)err;
        if ((kind & (STORE_DISK | STORE_TREE)) == 0)
                return folder_unusable(ret, "reflink keeps disks and trees");
        if (try_sharing(place, &why) < 0)
                return folder_unusable(ret, why.text);
        *ret = (struct store_probe){.usable = true};
        (void)snprintf(ret->detail, sizeof ret->detail, "%s with reflink", file_system_name(place->fd));
        return 0;
}

static int reflink_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        return folder_clone(place, clone, FILE_TREE_SHARE, err);
}

static int reflink_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        return folder_snapshot(place, clone, made, FILE_TREE_SHARE, err);
}

static int reflink_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err)
{
        return folder_restore(place, clone, snapshot, FILE_TREE_SHARE, err);
}

const struct store_driver store_reflink = {
        .name = "reflink",
        .summary = "files that share their blocks with the base's (XFS, btrfs)",
        .kinds = STORE_DISK | STORE_TREE,
        .parallel = 4,
        .probe = reflink_probe,
        .prepare_base = folder_prepare_base,
        .seal_base = folder_seal_base,
        .check_base = folder_check_base,
        .deep_check_base = folder_deep_check_base,
        .clone = reflink_clone,
        .destroy = folder_destroy,
        .snapshot_stacks = folder_stacks_never,
        .snapshot = reflink_snapshot,
        .restore = reflink_restore,
        .usage = folder_usage,
        .list_ids = folder_list_ids,
};
