/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw tools beside stores of trees. An overlay has none: by hand it is three folders and mount(2), made in this process, so that
 * nobody's starting is in it.
 */
#include "compare/pair.h"

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/mount.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const struct pair *pair, const char *name)
{
        return x_asprintf("%s/%s", pair->session->site->raw, name);
}

static int destroy_folder(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return file_remove_tree(AT_FDCWD, path, err);
}

static int measure_folder(struct pair *pair, const char *name, double *ret_allocated, double *ret_apparent, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);
        struct file_usage usage = {0};

        if (file_measure(AT_FDCWD, path, &usage, err) < 0)
                return -1;
        *ret_allocated = (double)usage.allocated_bytes;
        *ret_apparent = (double)usage.apparent_bytes;
        return 0;
}

static char *tree_of_folder(struct pair *pair, const char *name)
{
        return path_of(pair, name);
}

/* ---- cp ---- */

static int copy_by(struct pair *pair, const char *how, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return how == NULL ? tool(ret_ms, NULL, err, "cp", "-a", pair->base_path, path, NULL) : tool(ret_ms, NULL, err, "cp", "-a", how, pair->base_path, path, NULL);
}

static int clone_copy(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        return copy_by(pair, NULL, name, ret_ms, err);
}

static int clone_reflink(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        return copy_by(pair, "--reflink=always", name, ret_ms, err);
}

static int clone_hardlink(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        return copy_by(pair, "-l", name, ret_ms, err);
}

/* ---- overlay ---- */

static int clone_overlay(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name), *upper = x_asprintf("%s/upper", path), *work = x_asprintf("%s/work", path),
                       *merged = x_asprintf("%s/merged", path);

        if (mkdir(path, 0711) < 0)
                return fail_errno(err, "cannot make '%s'", path);
        double began = clock_ms();
        if (mkdir(upper, 0755) < 0 || mkdir(work, 0755) < 0 || mkdir(merged, 0755) < 0)
                return fail_errno(err, "cannot make folders in '%s'", path);
        if (mount_overlay(pair->base_path, upper, work, merged, err) < 0)
                return -1;
        *ret_ms = clock_ms() - began;
        return 0;
}

static int destroy_overlay(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name), *merged = x_asprintf("%s/merged", path);

        return mount_unmount(merged, err) < 0 ? -1 : file_remove_tree(AT_FDCWD, path, err);
}

/* The two folders: what is merged is shown and not kept. */
static int measure_overlay(struct pair *pair, const char *name, double *ret_allocated, double *ret_apparent, struct cowherd_error *err)
{
        static const char *const parts[] = {"upper", "work"};
        struct file_usage usage = {0};
        double apparent = 0;

        for (size_t i = 0; i < array_length(parts); i++) {
                owned_str char *path = x_asprintf("%s/%s/%s", pair->session->site->raw, name, parts[i]);
                if (file_measure(AT_FDCWD, path, &usage, err) < 0)
                        return -1;
                *ret_allocated += (double)usage.allocated_bytes;
                apparent += (double)usage.apparent_bytes;
        }
        *ret_apparent = apparent;
        return 0;
}

static char *tree_of_overlay(struct pair *pair, const char *name)
{
        return x_asprintf("%s/%s/merged", pair->session->site->raw, name);
}

/* ---- btrfs: in the same filesystem as the base, which may be the herd's pool. Its bytes can't be told: `btrfs filesystem du` counts no metadata ---- */

static char *subvolume_of(const struct pair *pair, const char *name)
{
        const struct site *site = pair->session->site;
        owned_str char *pool = x_asprintf("%s/pools/btrfs/", site->herd);

        return str_starts(pair->base_path, pool) ? x_asprintf("%s%s/%s", pool, site->mark, name) : path_of(pair, name);
}

static int clone_btrfs(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = subvolume_of(pair, name), *folder = x_strndup(path, (size_t)(strrchr(path, '/') - path));

        if (file_make_folders(AT_FDCWD, folder, 0711, err) < 0)
                return -1;
        return tool(ret_ms, NULL, err, "btrfs", "-q", "subvolume", "snapshot", pair->base_path, path, NULL);
}

static int destroy_btrfs(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *path = subvolume_of(pair, name);

        return tool(NULL, NULL, err, "btrfs", "-q", "subvolume", "delete", path, NULL);
}

static char *tree_of_btrfs(struct pair *pair, const char *name)
{
        return subvolume_of(pair, name);
}

/* ---- ZFS: below a dataset of the comparison's own ---- */

static int clone_zfs(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        const struct site *site = pair->session->site;
        owned_str char *parent = x_asprintf("%s/%s", pair->pool, site->mark), *clone = x_asprintf("%s/%s", parent, name);
        struct cowherd_error ignored;

        if (tool(NULL, NULL, &ignored, "zfs", "list", "-H", "-o", "name", parent, NULL) < 0 &&
            (site_note(site, "zfs", parent, err) < 0 || tool(NULL, NULL, err, "zfs", "create", "-o", "canmount=noauto", "-o", "mountpoint=none", parent, NULL) < 0))
                return -1;
        return tool(ret_ms, NULL, err, "zfs", "clone", "-o", "canmount=noauto", pair->source, clone, NULL);
}

static int destroy_zfs(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *clone = x_asprintf("%s/%s/%s", pair->pool, pair->session->site->mark, name);

        return tool(NULL, NULL, err, "zfs", "destroy", clone, NULL);
}

static int measure_zfs(struct pair *pair, const char *name, double *ret_allocated, double *ret_apparent, struct cowherd_error *err)
{
        owned_str char *clone = x_asprintf("%s/%s/%s", pair->pool, pair->session->site->mark, name), *output = NULL;

        (void)ret_apparent;
        if (tool(NULL, &output, err, "zfs", "get", "-Hp", "-o", "value", "used", clone, NULL) < 0)
                return -1;
        *ret_allocated = strtod(output, NULL);
        return 0;
}

const struct raw raw_btrfs = {.target = COWHERD_NSPAWN, .store = "btrfs", .name = "btrfs subvolume snapshot", .side = "btrfs subvolume snapshot, a process",
                              .clone = clone_btrfs, .destroy = destroy_btrfs, .tree = tree_of_btrfs};
const struct raw raw_zfs = {.target = COWHERD_NSPAWN, .store = "zfs", .name = "zfs clone", .side = "zfs clone, a process", .clone = clone_zfs,
                            .destroy = destroy_zfs, .measure = measure_zfs};
const struct raw raw_overlay = {.target = COWHERD_NSPAWN, .store = "overlay", .name = "3 mkdir and mount(2)", .side = "3 mkdir and mount(2), in this process, nothing remembered",
                                .clone = clone_overlay, .destroy = destroy_overlay, .measure = measure_overlay, .tree = tree_of_overlay};
const struct raw raw_tree_reflink = {.target = COWHERD_NSPAWN, .store = "reflink", .name = "cp -a --reflink", .side = "cp -a --reflink=always, a process",
                                     .clone = clone_reflink, .destroy = destroy_folder, .tree = tree_of_folder};
const struct raw raw_tree_hardlink = {.target = COWHERD_NSPAWN, .store = "hardlink", .name = "cp -al", .side = "cp -al, a process, whose links a write goes through",
                                      .clone = clone_hardlink, .destroy = destroy_folder};
const struct raw raw_tree_copy = {.target = COWHERD_NSPAWN, .store = "copy", .name = "cp -a", .side = "cp -a, a process", .clone = clone_copy,
                                  .destroy = destroy_folder, .measure = measure_folder, .tree = tree_of_folder, .is_slow = true};
