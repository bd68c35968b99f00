/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zfs: a base is the dataset SOURCE/bases/ID with one snapshot, taken when it is sealed, so that a clone is one `zfs
 * clone` and nothing else. Neither has a mount point until it is first used: zfs-fuse would mount at once what has one,
 * whatever its canmount says. No property is set with the clone either, as each costs another transaction: whose it is,
 * its name says (SOURCE/clones/ID) and the herd's mark, which it inherits from SOURCE.
 *
 * The snapshot's name has a random part, and is the fingerprint. A snapshot can't change; if it was destroyed and
 * another taken, the name is another, and the `zfs clone` itself fails for want of it: the check costs no command of
 * its own.
 *
 * A base that others were cloned from can't be destroyed before they are: that is 75. It is never `zfs promote`d,
 * which would turn the order round and let a base vanish with one of its clones. A clone whose snapshots are still
 * somebody's waits for them under another name (zfs_removed.c).
 */
#include "store/zfs.h"

#include "store/drivers.h"
#include "sys/clock.h"
#include "sys/mount.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* OpenZFS, as against zfs-fuse. */
static bool in_kernel(void)
{
        return access("/sys/module/zfs", F_OK) == 0;
}

char *zfs_dataset(const struct store_place *place, const struct store_object *object)
{
        char folder[STORE_PATH_BYTES];

        return x_asprintf("%s/%s", place->source, store_object_folder(object, folder));
}

char *zfs_id_mark(const struct store_object *object)
{
        return x_asprintf("cowherd:id=%" PRIu64, object->id);
}

static int zfs_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                     struct cowherd_error *err)
{
        struct cowherd_error why = {0};

        (void)err;
        if (kind != STORE_TREE)
                return folder_unusable(ret, "zfs keeps trees only");
        if (!process_exists("zfs"))
                return folder_unusable(ret, "there is no 'zfs' program on this machine");
        if (place->source == NULL)
                return folder_unusable(ret, "no zfs pool was set up ('setup store=zfs pool=NAME')");
        if (geteuid() != 0)
                return folder_unusable(ret, "mounting zfs datasets needs root");
        int exists = zfs_exists(place, place->source, &why);
        if (exists == 1)
                (void)fail(&why, COWHERD_UNAVAILABLE, "the dataset '%s' does not exist, or its pool is not imported",
                           place->source);
        if (exists != 0)
                return folder_unusable(ret, why.text);
        *ret = (struct store_probe){.usable = true};
        (void)snprintf(ret->detail, sizeof ret->detail, "%s, dataset %.90s", in_kernel() ? "OpenZFS" : "zfs-fuse",
                       place->source);
        return 0;
}

/*
 * Gives the dataset its mount point, and keeps `zfs mount -a` away from it at boot. zfs-fuse sets one property a
 * command.
 */
static int set_mount_point(const struct store_place *place, const char *dataset, const char *tree,
                           struct cowherd_error *err)
{
        owned_str char *mount_point = x_asprintf("mountpoint=%s", tree);

        if (in_kernel())
                return zfs_run(place, NULL, err, "set", "canmount=noauto", mount_point, dataset, NULL);
        if (zfs_run(place, NULL, err, "set", "canmount=noauto", dataset, NULL) < 0)
                return -1;
        return zfs_run(place, NULL, err, "set", mount_point, dataset, NULL);
}

int zfs_mount_at(const struct store_place *place, const char *dataset, const char *path, struct cowherd_error *err)
{
        if (set_mount_point(place, dataset, path, err) < 0)
                return -1;
        /* zfs-fuse mounts what has got a mount point by itself, a little later; its own `mount` then finds it busy. */
        struct cowherd_error why;
        unsigned tries = 0;
        do {
                if (mount_is_mounted(path) || zfs_run(place, NULL, &why, "mount", dataset, NULL) == 0 || mount_is_mounted(path))
                        return 0;
        } while (zfs_is_to_be_retried(&why, &tries));
        *err = why;
        return -1;
}

int zfs_mount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, object), *tree = folder_absolute(place, object, "tree");
        char folder[STORE_PATH_BYTES];

        int mounted = folder_find_mount(place, object, err);
        if (mounted != 0)
                return mounted > 0 ? 0 : -1;
        if (file_make_folders(place->fd, store_object_folder(object, folder), 0700, err) < 0)
                return -1;
        return zfs_mount_at(place, dataset, tree, err);
}

int zfs_unmount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, object);

        if (!folder_is_mounted(place, object))
                return 0;
        return zfs_run(place, NULL, err, "unmount", dataset, NULL);
}

/* Removes a base's dataset with its own snapshots, but never (-R) what was cloned from them. */
static int remove_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, base);
        struct cowherd_error why;

        if (zfs_run_patiently(place, &why, "destroy", "-r", dataset, NULL) >= 0)
                return 0;
        *err = why;
        if (zfs_has_dependents(&why))
                return folder_fail(base, COWHERD_BUSY, "still has clones, whose bytes are in its dataset", err);
        return -1;
}

/* A snapshot that others were cloned from goes with the last of them (deferred destruction): its name is given up at once. */
static int remove_snapshot(const struct store_place *place, const struct store_object *snapshot, struct cowherd_error *err)
{
        owned_str char *name = NULL;
        int found = zfs_find_snapshot(place, snapshot, &name, err);

        if (found != 0)
                return found < 0 ? -1 : 0;
        return zfs_run_patiently(place, err, "destroy", "-d", name, NULL) < 0 ? -1 : 0;
}

static int remove_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        return zfs_drop_next(place, clone, err) < 0 ? -1 : zfs_put_aside(place, clone, err);
}

static int zfs_destroy(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        if (zfs_unmount(place, object, err) < 0)
                return -1;
        int removed = object->role == STORE_BASE    ? remove_base(place, object, err)
                      : object->role == STORE_CLONE ? remove_clone(place, object, err)
                                                    : remove_snapshot(place, object, err);
        if (removed < 0 || zfs_reap(place, err) < 0)
                return -1;
        return folder_destroy(place, object, err);
}

/* As folder_undo, with the dataset. */
static int undo(const struct store_place *place, const struct store_object *object)
{
        struct cowherd_error second;

        (void)!zfs_destroy(place, object, &second);
        return -1;
}

static int zfs_prepare_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, base), *mark = zfs_id_mark(base);

        if (zfs_run(place, NULL, err, "create", "-o", mark, dataset, NULL) < 0)
                return -1;
        if (zfs_mount(place, base, err) < 0)
                return undo(place, base);
        return 0;
}

static int zfs_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                         struct cowherd_error *err)
{
        char hex[9];
        owned_str char *dataset = zfs_dataset(place, base);
        owned_str char *snapshot = x_asprintf("%s@base-%s", dataset, random_hex(4, hex));

        if (base->role == STORE_SNAPSHOT) { /* it can't be changed from the beginning */
                *ret_fingerprint = x_asprintf("@s%" PRIu64, base->id);
                return 0;
        }
        if (zfs_unmount(place, base, err) < 0)
                return -1;
        /*
         * Clones come from the snapshot, which can't change; the base itself is made read-only too, but not on
         * zfs-fuse: on a read-only mount it answers ENOSYS for the attributes of a file that has none, and the kernel
         * never asks for anybody's attributes again.
         */
        if (in_kernel() && zfs_run(place, NULL, err, "set", "readonly=on", dataset, NULL) < 0)
                return -1;
        if (zfs_run(place, NULL, err, "snapshot", snapshot, NULL) < 0)
                return -1;
        *ret_fingerprint = x_strdup(strchr(snapshot, '@'));
        return 0;
}

static int zfs_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        (void)place;
        if (base->fingerprint != NULL && str_starts(base->fingerprint, base->role == STORE_SNAPSHOT ? "@s" : "@base-"))
                return 0;
        return folder_fail(base, COWHERD_DATA, "was never sealed: it has no snapshot to clone from", err);
}

/* Where the clone will be mounted when it is used: there from the beginning, so that it is seen to be there. */
static int make_mount_point(const struct store_place *place, const struct store_object *clone,
                            struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (folder_make(place, clone, &folder, err) < 0)
                return -1;
        if (mkdirat(folder, "tree", 0700) == 0)
                return 0;
        (void)fail_errno(err, "cannot make the mount point of a clone");
        return folder_undo(place, clone, err);
}

/* What a clone is made from: a base's snapshot, or one that may have moved with its dataset. *ret is the caller's. */
static int find_origin(const struct store_place *place, const struct store_object *base, char **ret, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, base);

        if (zfs_check_base(place, base, err) < 0)
                return -1;
        if (base->role == STORE_SNAPSHOT)
                return zfs_find_snapshot(place, base, ret, err);
        *ret = x_asprintf("%s%s", dataset, base->fingerprint);
        return 0;
}

static int zfs_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_str char *snapshot = NULL, *dataset = zfs_dataset(place, clone);
        struct cowherd_error why = {0};

        int found = find_origin(place, clone->base, &snapshot, err);
        if (found < 0)
                return -1;
        if (found == 0 && make_mount_point(place, clone, err) < 0)
                return -1;
        if (found == 0 && zfs_run(place, NULL, &why, "clone", snapshot, dataset, NULL) == 0)
                return 0;
        *err = why;
        if (found == 0)
                (void)folder_undo(place, clone, err);
        if (found == 0 && why.code != COWHERD_NOT_FOUND)
                return -1;
        return folder_fail_changed(clone->base, ": its snapshot is gone", false, err);
}

static int zfs_activate(const struct store_place *place, const struct store_object *object, char **ret_path,
                        struct cowherd_error *err)
{
        if (object->role == STORE_SNAPSHOT)
                return folder_fail(object, COWHERD_UNAVAILABLE, "is a snapshot of zfs, which only a clone of it can show", err);
        if (zfs_mount(place, object, err) < 0)
                return -1;
        *ret_path = folder_absolute(place, object, "tree");
        return 0;
}

const struct store_driver store_zfs = {
        .name = "zfs",
        .summary = "clones of a dataset's snapshot, with the zfs program (OpenZFS, zfs-fuse); needs root and a pool",
        .kinds = STORE_TREE,
        .parallel = 4,
        .setup = zfs_pool_setup,
        .teardown = zfs_pool_teardown,
        .probe = zfs_probe,
        .prepare_base = zfs_prepare_base,
        .seal_base = zfs_seal_base,
        .check_base = zfs_check_base,
        .clone = zfs_clone,
        .destroy = zfs_destroy,
        .activate = zfs_activate,
        .deactivate = zfs_unmount,
        .snapshot_stacks = folder_stacks_never,
        .snapshot = zfs_snapshot,
        .restore = zfs_restore,
        .flatten = zfs_flatten,
        .usage = zfs_usage,
        .health = zfs_health,
        .list_ids = zfs_list_ids,
};
