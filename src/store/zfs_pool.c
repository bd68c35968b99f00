/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the zfs store works: POOL/cowherd-UUID8, with `bases` and `clones` in it, all without a mount point; each base
 * and clone gets its own when it is first mounted, under ROOT/pools/zfs. The herd's UUID is a property (cowherd:herd)
 * of the top dataset, which those below inherit.
 */
#include "store/zfs.h"

#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZFS_FOLDER "pools/zfs"

/* While the place is being made there is none to name; the tools inherit the lock of setup. */
static struct store_place place_of_setup(const struct store_setup *setup)
{
        return (struct store_place){.fd = -1, .lock = setup->lock};
}

/* The only pool there is, where none was named. *ret is the caller's. */
static int only_pool(char **ret, struct cowherd_error *err)
{
        owned_process struct process zpool = {.timeout_ms = ZFS_TIMEOUT_MS};
        owned_str char *output = NULL;

        process_add(&zpool, "zpool", "list", "-H", "-o", "name", NULL);
        if (process_check(&zpool, &output, err) < 0)
                return fail_hint(err, "'zpool list' must work first: load the kernel's module (modprobe zfs), or start zfs-fuse");
        size_t length = strcspn(output, "\n");
        if (length == 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "there is no zfs pool on this machine");
                return fail_hint(err, "make one with 'zpool create'");
        }
        if (output[length] == '\n' && output[length + 1] != '\0') {
                (void)fail(err, COWHERD_USAGE, "there are several zfs pools on this machine");
                return fail_hint(err, "say which one, or which dataset in it, with pool=");
        }
        *ret = x_strndup(output, length);
        return 0;
}

/* Our dataset is there already: ours it is only with our herd's mark on it. */
static int check_mark(const struct store_place *place, const char *dataset, const char *herd_uuid,
                      struct cowherd_error *err)
{
        owned_strv struct strv values = {0};

        if (zfs_get(place, dataset, "cowherd:herd", &values, err) < 0)
                return -1;
        if (values.count != 1 || !str_equal(values.items[0], herd_uuid))
                return fail(err, COWHERD_EXISTS, "the dataset '%s' already exists and is not of this herd", dataset);
        return 0;
}

/* *nothing stays as long as the tools make nothing: where they don't even work here, nor would they to undo it. */
static int make_dataset(const struct store_place *place, const char *dataset, const char *herd_uuid, bool *nothing,
                        struct cowherd_error *err)
{
        owned_str char *mark = x_asprintf("cowherd:herd=%s", herd_uuid);

        int exists = zfs_exists(place, dataset, err);
        if (exists < 0)
                return -1;
        if (exists == 0) {
                if (check_mark(place, dataset, herd_uuid, err) < 0)
                        return -1;
                *nothing = false;
                return 0;
        }
        *nothing = false;
        return zfs_run(place, NULL, err, "create", "-o", "mountpoint=none", "-o", "canmount=off", "-o", mark,
                       dataset, NULL);
}

static int make_below(const struct store_place *place, const char *dataset, const char *name,
                      struct cowherd_error *err)
{
        owned_str char *below = x_asprintf("%s/%s", dataset, name);

        int exists = zfs_exists(place, below, err);
        if (exists <= 0)
                return exists;
        return zfs_run(place, NULL, err, "create", "-o", "canmount=off", below, NULL);
}

/* The pool, or the dataset in it, that was asked for is not there. Always -1. */
static int fail_no_pool(const char *pool, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_NOT_FOUND, "zfs pool or dataset '%s' not found", pool);
        return fail_hint(err, "'zfs list' shows those there are");
}

int zfs_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err)
{
        const struct store_place place = place_of_setup(setup);
        owned_str char *pool = x_strdup(setup->pool);
        owned_fd int root = -1;

        *ret = (struct store_made){.nothing = true};
        if (!process_exists("zfs"))
                return fail(err, COWHERD_UNAVAILABLE,
                            "there is no 'zfs' program on this machine (package zfsutils-linux or zfs-fuse)");
        if (geteuid() != 0)
                return fail(err, COWHERD_DENIED, "making and mounting zfs datasets needs root");
        if (pool == NULL && only_pool(&pool, err) < 0)
                return -1;
        owned_str char *dataset = x_asprintf("%s/cowherd-%.8s", pool, setup->herd_uuid);
        if (make_dataset(&place, dataset, setup->herd_uuid, &ret->nothing, err) < 0)
                return err->code == COWHERD_NOT_FOUND ? fail_no_pool(pool, err) : -1;
        if (make_below(&place, dataset, "bases", err) < 0 || make_below(&place, dataset, "clones", err) < 0)
                return -1;
        if (file_open_folder(AT_FDCWD, setup->root, &root, err) < 0 ||
            file_make_folders(root, ZFS_FOLDER, 0711, err) < 0)
                return -1;
        *ret = (struct store_made){.folder = x_strdup(ZFS_FOLDER), .source = take(dataset), .ours = true};
        return 0;
}

/* Removes a dataset that must be empty: no -r, so that what is still in it is an error and not lost. */
static int remove_empty(const struct store_place *place, const char *dataset, const char *name,
                        struct cowherd_error *err)
{
        owned_str char *below = name == NULL ? x_strdup(dataset) : x_asprintf("%s/%s", dataset, name);
        struct cowherd_error why;

        if (zfs_run(place, NULL, &why, "destroy", below, NULL) == 0 || why.code == COWHERD_NOT_FOUND)
                return 0;
        *err = why;
        return -1;
}

/*
 * The dataset of a setup or teardown that was killed: in the pool that was asked for, or the only one; or what it names
 * already. 1 where there is none, or it is not this herd's. *ret is the caller's.
 */
static int find_unfinished(const struct store_place *place, const struct store_setup *setup, char **ret,
                           struct cowherd_error *err)
{
        owned_str char *pool = x_strdup(setup->pool), *end = x_asprintf("/cowherd-%.8s", setup->herd_uuid);
        owned_str char *dataset = NULL;

        if (pool == NULL && only_pool(&pool, err) < 0)
                return err->code == COWHERD_UNAVAILABLE || err->code == COWHERD_USAGE ? 1 : -1;
        dataset = str_ends(pool, end) ? x_strdup(pool) : x_asprintf("%s%s", pool, end);
        int exists = zfs_exists(place, dataset, err);
        if (exists != 0)
                return exists;
        if (check_mark(place, dataset, setup->herd_uuid, err) < 0)
                return err->code == COWHERD_EXISTS ? 1 : -1;
        *ret = take(dataset);
        return 0;
}

static int find_whole(const struct store_place *place, const struct store_setup *setup, const struct store_made *made,
                      char **ret, struct cowherd_error *err)
{
        int exists = zfs_exists(place, made->source, err);

        if (exists != 0)
                return exists;
        if (check_mark(place, made->source, setup->herd_uuid, err) < 0)
                return -1;
        *ret = x_strdup(made->source);
        return 0;
}

int zfs_pool_teardown(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err)
{
        const struct store_place place = place_of_setup(setup);
        owned_str char *dataset = NULL;
        owned_fd int root = -1;

        if (!made->ours)
                return 0;
        int got = made->source == NULL ? find_unfinished(&place, setup, &dataset, err)
                                       : find_whole(&place, setup, made, &dataset, err);
        if (got < 0)
                return -1;
        if (got == 0 && (remove_empty(&place, dataset, "removed", err) < 0 || remove_empty(&place, dataset, "clones", err) < 0 || remove_empty(&place, dataset, "bases", err) < 0 ||
                         remove_empty(&place, dataset, NULL, err) < 0))
                return -1;
        if (file_open_folder(AT_FDCWD, setup->root, &root, err) < 0 || file_remove_tree(root, ZFS_FOLDER, err) < 0)
                return -1;
        (void)unlinkat(root, "pools", AT_REMOVEDIR); /* if no other pool is in it */
        return 0;
}
