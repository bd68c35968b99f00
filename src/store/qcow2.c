/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 overlays: a clone is an empty overlay of its base's disk, on any filesystem and without root. The base may be
 * qcow2 or raw. What is written is in qcow2_overlay.c; making, sealing and removing folders is common ground
 * (folder.h).
 *
 * Who may read what: the herd's root folder is the gate. Behind it a base's disk is 0444 in a folder that can be passed
 * but not listed, so that a QEMU under a user id of its own reads it and nobody opens it for writing by mistake (root
 * would, hence the immutable flag too where there is one). A clone's disk is 0600.
 *
 * The backing name is relative (../../bases/ID/…), so a root folder that is moved as a whole stays whole.
 */
#include "store/store.h"

#include "store/drivers.h"
#include "store/qcow2.h"
#include "sys/qcow2_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int qcow2_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                       struct cowherd_error *err)
{
        struct store_probe probe = {0};

        (void)err;
        if (kind != STORE_DISK)
                (void)snprintf(probe.reason, sizeof probe.reason, "qcow2 holds disk images only");
        else if (faccessat(place->fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
                (void)snprintf(probe.reason, sizeof probe.reason, "cannot write in '%s': %s", place->folder,
                               strerror(errno));
        else
                probe.usable = true;
        if (probe.usable)
                (void)snprintf(probe.detail, sizeof probe.detail, "overlays on %s", file_system_name(place->fd));
        *ret = probe;
        return 0;
}

unsigned qcow2_chain_length(const struct store_object *object)
{
        unsigned length = 0;

        for (; object != NULL; object = object->base)
                length++;
        return length;
}

int qcow2_check_chain(const struct store_object *base, struct cowherd_error *err)
{
        unsigned length = qcow2_chain_length(base);

        if (length <= QCOW2_CHAIN_MAX)
                return 0;
        owned_str char *what = x_asprintf("would be the %uth of a chain of disks, and no more than %d are read through one another",
                                          length, QCOW2_CHAIN_MAX);
        (void)folder_fail(base, COWHERD_UNAVAILABLE, what, err);
        return fail_hint(err, "flatten the clone first: it then stands on nothing");
}

static int qcow2_can_clone(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        (void)place;
        if (base->kind != STORE_DISK)
                return folder_fail(base, COWHERD_UNAVAILABLE, "is no disk image: store 'qcow2' clones nothing else",
                                   err);
        if (!str_equal(base->format, "qcow2") && !str_equal(base->format, "raw"))
                return folder_fail(base, COWHERD_UNAVAILABLE,
                                   "is neither qcow2 nor raw: store 'qcow2' clones nothing else", err);
        if (base->virtual_bytes == 0 || base->virtual_bytes > QCOW2_OVERLAY_VIRTUAL_BYTES_MAX)
                return folder_fail(base, COWHERD_UNAVAILABLE,
                                   "has a virtual size that no overlay can show (1 byte to 2 PiB)", err);
        return qcow2_check_chain(base, err);
}

/* The clone sees as many bytes as its base, or more where that was asked for: the rest reads as zeros. */
static int qcow2_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        uint64_t virtual_bytes = clone->virtual_bytes == 0 ? clone->base->virtual_bytes : clone->virtual_bytes;

        if (qcow2_can_clone(place, clone->base, err) < 0)
                return -1;
        if (!str_equal(clone->format, "qcow2"))
                return folder_fail(clone, COWHERD_INTERNAL, "is to be an overlay, and its format is not 'qcow2'", err);
        if (clone->virtual_bytes != 0 && clone->virtual_bytes < clone->base->virtual_bytes)
                return folder_fail(clone, COWHERD_USAGE, "would be smaller than its base", err);
        if (folder_make(place, clone, NULL, err) < 0)
                return -1;
        if (qcow2_make_overlay(place, store_object_path(clone, path), clone->base, virtual_bytes, NULL, err) < 0 ||
            folder_settle(place, clone, err) < 0)
                return folder_undo(place, clone, err);
        return 0;
}

/* A clone reads through it what its base has allocated, and the base of that base where it was promoted from a clone.
 */
static int qcow2_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                       struct cowherd_error *err)
{
        struct store_usage usage;

        if (folder_usage(place, object, &usage, err) < 0)
                return -1;
        for (const struct store_object *base = object->base; base != NULL && !usage.missing; base = base->base) {
                char path[STORE_PATH_BYTES];
                struct stat found;
                if (fstatat(place->fd, store_object_path(base, path), &found, AT_SYMLINK_NOFOLLOW) == 0)
                        usage.shared_bytes += (uint64_t)found.st_blocks * 512;
                else if (errno != ENOENT)
                        return fail_errno(err, "cannot look at '%s/%s'", place->folder, path);
        }
        *ret = usage;
        return 0;
}

const struct store_driver store_qcow2 = {
        .name = "qcow2",
        .summary = "qcow2 overlays on a read-only base, on any filesystem, without root",
        .kinds = STORE_DISK,
        .parallel = 2, /* a clone takes a tenth of a millisecond: more threads cost more than they bring */
        .probe = qcow2_probe,
        .can_clone = qcow2_can_clone,
        .prepare_base = folder_prepare_base,
        .seal_base = folder_seal_base,
        .check_base = folder_check_base,
        .clone = qcow2_clone,
        .destroy = folder_destroy,
        .snapshot_stacks = qcow2_snapshot_stacks,
        .snapshot_prepare = qcow2_snapshot_prepare,
        .snapshot = qcow2_snapshot,
        .snapshot_cancel = qcow2_snapshot_cancel,
        .restore = qcow2_restore,
        .flatten = qcow2_flatten,
        .usage = qcow2_usage,
        .list_ids = folder_list_ids,
};
