/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btrfs: a base is a read-only subvolume bases/ID/tree, a clone a writable snapshot of it, clones/ID/tree. The ioctls
 * are made here (linux/btrfs.h), as one snapshot is one call; libbtrfsutil serves where subvolumes are nested, from a
 * module.
 *
 * A snapshot waits for its transaction, and the folder it is made in stays locked meanwhile. Each clone has a folder of
 * its own, so many threads share one transaction: 256 clones at 128 threads take 0.3 ms each instead of 4.
 *
 * The fingerprint is the subvolume's UUID and the transaction that last changed anything in it (ctransid), so the check
 * at each clone covers the whole tree in one call.
 */
#include "store/btrfs.h"
#include "store/btrfs_module.h"
#include "store/drivers.h"
#include "sys/module.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SCARCE_PART 2         /* less than a half is free, */
#define SCARCE_BYTES (UINT64_C(4) << 30) /* and less than a base may well need */
#define AWAIT_ROOM_MS 10000u
#define SUBVOLUME_INODE 256 /* BTRFS_FIRST_FREE_OBJECTID: the root of each subvolume, and of nothing else */

static int make_subvolume(int folder, const char *name)
{
        struct btrfs_ioctl_vol_args args = {0};

        (void)snprintf(args.name, sizeof args.name, "%s", name);
        return ioctl(folder, BTRFS_IOC_SUBVOL_CREATE, &args);
}

int btrfs_make_snapshot(int from, int folder, const char *name, bool read_only)
{
        struct btrfs_ioctl_vol_args_v2 args = {.fd = from, .flags = read_only ? BTRFS_SUBVOL_RDONLY : 0};

        (void)snprintf(args.name, sizeof args.name, "%s", name);
        return ioctl(folder, BTRFS_IOC_SNAP_CREATE_V2, &args);
}

static int remove_subvolume(int folder, const char *name)
{
        struct btrfs_ioctl_vol_args args = {0};

        (void)snprintf(args.name, sizeof args.name, "%s", name);
        return ioctl(folder, BTRFS_IOC_SNAP_DESTROY, &args);
}

static int try_subvolume(const struct store_place *place, struct cowherd_error *err)
{
        char name[FOLDER_PROBE_BYTES];
        owned_fd int made = -1;

        if (folder_probe_begin(place, make_subvolume, name, &made, err) < 0)
                return fail_while(err, "making a subvolume");
        if (remove_subvolume(place->fd, name) < 0)
                return fail_errno(err, "cannot remove the subvolume '%s/%s'", place->folder, name);
        return 0;
}

static int btrfs_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                       struct cowherd_error *err)
{
        struct cowherd_error why = {0};

        (void)err;
        if (kind != STORE_TREE)
                return folder_unusable(ret, "btrfs keeps trees only; disks on btrfs are shared by reflink");
        const char *type = file_system_name(place->fd);
        if (!str_equal(type, "btrfs")) {
                (void)fail(&why, COWHERD_UNAVAILABLE, "'%s' is on %s ('setup store=btrfs' makes a pool)", place->folder,
                           type);
                return folder_unusable(ret, why.text);
        }
        if (geteuid() != 0)
                return folder_unusable(ret, "removing a subvolume needs root");
        if (try_subvolume(place, &why) < 0)
                return folder_unusable(ret, why.text);
        *ret = (struct store_probe){.usable = true, .detail = "btrfs subvolumes"};
        return 0;
}

/*
 * What was removed keeps its space until the kernel has been there: in a small pool, where much is made and thrown away, a base would find
 * no room though nothing is left of the last one. Where it is scarce that is waited for; what fails here is told by who finds no room.
 */
static void await_room(const struct store_place *place)
{
        struct cowherd_error ignored;
        struct statfs room;
        void *await = NULL;

        if (fstatfs(place->fd, &room) < 0 || room.f_bavail > room.f_blocks / SCARCE_PART ||
            room.f_bavail * (uint64_t)room.f_bsize > SCARCE_BYTES)
                return;
        if (module_symbol("btrfs", "cowherd_btrfs_await_removed", &await, &ignored) == 0)
                ignore_result(((btrfs_await_removed_fn *)await)(place->fd, AWAIT_ROOM_MS, &ignored));
}

static int btrfs_prepare_base(const struct store_place *place, const struct store_object *base,
                              struct cowherd_error *err)
{
        owned_fd int folder = -1;

        await_room(place);
        if (folder_make(place, base, &folder, err) < 0)
                return -1;
        if (make_subvolume(folder, "tree") < 0) {
                (void)fail_errno(err, "cannot make a subvolume in '%s'", place->folder);
                return folder_undo(place, base, err);
        }
        return 0;
}

/* "btrfs:UUID:CTRANSID", 65 where the subvolume can be written. To be freed. */
static int read_fingerprint(int tree, char **ret_text, struct cowherd_error *err)
{
        struct btrfs_ioctl_get_subvol_info_args info = {0};
        uint64_t flags = 0, uuid[2];

        if (ioctl(tree, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0 || ioctl(tree, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0)
                return fail_errno(err, "cannot look at the subvolume of the base");
        static_assert(sizeof uuid == sizeof info.uuid, "a UUID has 16 bytes");
        memcpy(uuid, info.uuid, sizeof uuid);
        *ret_text = x_asprintf("btrfs:%016" PRIx64 "%016" PRIx64 ":%" PRIu64 "%s", be64toh(uuid[0]), be64toh(uuid[1]),
                               (uint64_t)info.ctransid, (flags & BTRFS_SUBVOL_RDONLY) != 0 ? "" : ":rw");
        return 0;
}

int btrfs_has_nested(int tree, bool *ret, struct cowherd_error *err)
{
        struct btrfs_ioctl_get_subvol_rootref_args children = {0};

        if (ioctl(tree, BTRFS_IOC_GET_SUBVOL_ROOTREF, &children) < 0 && errno != EOVERFLOW)
                return fail_errno(err, "cannot look for subvolumes in a tree");
        *ret = children.num_items != 0;
        return 0;
}

/* A snapshot leaves the subvolumes inside its source out, and shows empty folders in their place. */
static int refuse_nested(int tree, const struct store_object *base, struct cowherd_error *err)
{
        bool nested = false;

        if (btrfs_has_nested(tree, &nested, err) < 0)
                return -1;
        if (!nested)
                return 0;
        (void)folder_fail(base, COWHERD_DATA, "has subvolumes inside, which a snapshot would leave out", err);
        return fail_hint(err, "make folders of them (cp -a --reflink), then register it again");
}

static int btrfs_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                           struct cowherd_error *err)
{
        owned_fd int tree = -1;
        struct file_usage usage;
        uint64_t flags = 0;

        if (folder_open_leaf(place, base, "tree", &tree, err) < 0)
                return -1;
        if (refuse_nested(tree, base, err) < 0)
                return -1;
        if (ioctl(tree, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0)
                return fail_errno(err, "cannot look at the subvolume of the base");
        bool is_sealed = (flags & BTRFS_SUBVOL_RDONLY) != 0; /* a snapshot is, from the beginning */
        flags |= BTRFS_SUBVOL_RDONLY;
        if (!is_sealed && ioctl(tree, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) < 0)
                return fail_errno(err, "cannot make the subvolume of the base read-only");
        /* Durable or not: data that reaches the disk later would still move ctransid. */
        if (syncfs(tree) < 0)
                return fail_errno(err, "cannot sync '%s'", place->folder);
        if (btrfs_written_bytes(tree, true, &usage, err) < 0 || folder_write_size(place, base, &usage, err) < 0)
                return -1;
        return read_fingerprint(tree, ret_fingerprint, err);
}

/* Opens a base's tree, or a snapshot's, which has to be what it was when it was sealed. */
static int open_unchanged(const struct store_place *place, const struct store_object *base, int *ret_tree,
                          struct cowherd_error *err)
{
        owned_fd int tree = -1;
        owned_str char *now = NULL;
        int opened = folder_open_leaf(place, base, "tree", &tree, err);

        if (opened < 0 && err->os_errno != ENOENT)
                return -1;
        if (opened < 0)
                return folder_base_is_gone(base, err);
        if (read_fingerprint(tree, &now, err) < 0)
                return -1;
        if (!str_equal(now, base->fingerprint))
                return folder_fail_changed(base, str_ends(now, ":rw") ? ": it can be written" : "", true, err);
        *ret_tree = take_fd(tree);
        return 0;
}

static int btrfs_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        owned_fd int tree = -1;

        return open_unchanged(place, base, &tree, err);
}

static int btrfs_prepare_clone(const struct store_place *place, const struct store_object *clone,
                               struct cowherd_error *err)
{
        return folder_make(place, clone, NULL, err);
}

static int clone_from(int from, const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if ((clone->prepared ? folder_open(place, clone, &folder, err) : folder_make(place, clone, &folder, err)) < 0)
                return -1;
        if (btrfs_make_snapshot(from, folder, "tree", false) < 0) {
                (void)fail_errno(err, "cannot make a snapshot in '%s'", place->folder);
                return folder_undo(place, clone, err);
        }
        return 0; /* on the disk, durable or not: the snapshot waited for its transaction */
}

static int btrfs_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int from = -1;

        return folder_open_leaf(place, clone->base, "tree", &from, err) < 0 ? -1 : clone_from(from, place, clone, err);
}

/* The same descriptor is looked at and cloned: nobody can put another tree in between. */
static int btrfs_clone_checked(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int from = -1;

        return open_unchanged(place, clone->base, &from, err) < 0 ? -1 : clone_from(from, place, clone, err);
}

bool btrfs_is_subvolume(int folder, const char *name)
{
        struct stat found;

        return fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found.st_mode) &&
               found.st_ino == SUBVOLUME_INODE;
}

/* A subvolume that holds others: they go first, for which those above them must be writable. */
static int remove_nested(int folder, const char *name, struct cowherd_error *err)
{
        void *remove = NULL;
        uint64_t flags = 0;

        owned_fd int tree = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (tree < 0)
                return fail_errno(err, "cannot open the subvolume '%s'", name);
        if (ioctl(tree, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) < 0)
                return fail_errno(err, "cannot make the subvolume '%s' writable", name);
        if (module_symbol("btrfs", "cowherd_btrfs_remove_nested", &remove, err) < 0)
                return -1;
        return ((btrfs_remove_nested_fn *)remove)(folder, name, err);
}

int btrfs_remove(const struct store_place *place, int folder, const char *name, struct cowherd_error *err)
{
        if (!btrfs_is_subvolume(folder, name))
                return file_remove_tree(folder, name, err);
        if (remove_subvolume(folder, name) == 0)
                return 0;
        if (errno != ENOTEMPTY)
                return fail_errno(err, "cannot remove a subvolume in '%s'", place->folder);
        return remove_nested(folder, name, err);
}

static int btrfs_destroy(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (!folder_exists(place, object))
                return 0;
        if (folder_open(place, object, &folder, err) < 0)
                return -1;
        if (btrfs_remove(place, folder, "tree", err) < 0)
                return -1;
        return folder_destroy(place, object, err);
}

const struct store_driver store_btrfs = {
        .name = "btrfs",
        .summary =
                "snapshots of subvolumes; 'setup store=btrfs' makes a pool where the filesystem is another; needs root",
        .kinds = STORE_TREE,
        .parallel = 128,
        .setup = btrfs_pool_setup,
        .attach = btrfs_pool_attach,
        .teardown = btrfs_pool_teardown,
        .probe = btrfs_probe,
        .prepare_base = btrfs_prepare_base,
        .seal_base = btrfs_seal_base,
        .check_base = btrfs_check_base,
        .prepare_clone = btrfs_prepare_clone,
        .clone = btrfs_clone,
        .clone_checked = btrfs_clone_checked,
        .destroy = btrfs_destroy,
        .snapshot_stacks = folder_stacks_never,
        .snapshot = btrfs_snapshot,
        .restore = btrfs_restore,
        .usage = btrfs_usage,
        .health = btrfs_health,
        .list_ids = folder_list_ids,
};
