/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling a base. Disks are shared or copied from the descriptor that was inspected. Trees are filled in the store's own
 * empty tree, so that no byte is copied twice. LXD gets an image: where the source is a tree, it is filled in a staging
 * folder of this object (tmp/ID, which recovery knows), packed, and handed over.
 */
#include "herd/fill.h"

#include "image/archive.h"
#include "image/tree.h"
#include "herd/adopt.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Passes a room's progress on to the herd's. */
struct reporting {
        struct cowherd_herd *herd;
        const char *what;
};

static void report_bytes(void *context, uint64_t done, uint64_t total)
{
        const struct reporting *reporting = context;

        herd_report(reporting->herd, reporting->what, done, total);
}

static void report_line(void *context, const char *line)
{
        const struct reporting *reporting = context;

        herd_report(reporting->herd, line, 0, 0);
}

static void report_import(void *context, const char *what, uint64_t done, uint64_t total)
{
        const struct reporting *reporting = context;

        herd_report(reporting->herd, what, done, total);
}

int fill_disk(const struct call *call, const struct origin *origin, const struct thing *base, struct cowherd_error *err)
{
        struct reporting reporting = {.herd = call->herd, .what = "copying the image"};
        const struct file_progress progress = {.report = report_bytes, .context = &reporting};
        char path[STORE_PATH_BYTES];
        bool shared = false;

        if (request_flag(call->request, KEY_ADOPT))
                return adopt_take(base, origin->path, err);
        if (disk_import(origin->fd, &origin->disk, base->place.fd, store_object_path(&base->object, path), base->place.place.lock, &shared,
                        &progress, err) < 0)
                return fail_while(err, "reading '%s'", origin->path);
        return 0;
}

static int copy_folder(const char *from, int to, const struct file_progress *progress, struct cowherd_error *err)
{
        owned_fd int source = -1;

        if (file_open_folder(AT_FDCWD, from, &source, err) < 0)
                return -1;
        return file_copy_tree(source, to, FILE_TREE_COPY, progress, err);
}

static int bootstrap(const struct origin *origin, const char *path, int lock, struct reporting *reporting, struct cowherd_error *err)
{
        const struct tree_bootstrap wanted = {.distro = origin->distro, .release = origin->release, .mirror = origin->mirror,
                                              .variant = origin->variant, .packages = origin->packages, .lock = lock};

        return tree_bootstrap(&wanted, path, report_line, reporting, err);
}

int fill_tree(const struct call *call, const struct origin *origin, const char *path, int lock, struct cowherd_error *err)
{
        struct reporting reporting = {.herd = call->herd, .what = "copying the tree"};
        const struct file_progress progress = {.report = report_bytes, .context = &reporting};
        owned_fd int tree = -1;
        int filled = -1;

        if (origin->kind == ORIGIN_PACKAGES)
                return bootstrap(origin, path, lock, &reporting, err);
        if (file_open_folder(AT_FDCWD, path, &tree, err) < 0)
                return -1;
        if (origin->kind == ORIGIN_FOLDER)
                filled = copy_folder(origin->path, tree, &progress, err);
        else
                return archive_unpack(origin->path, tree, &progress, NULL, err); /* whose errors name the archive */
        return filled < 0 ? fail_while(err, "reading '%s'", origin->path) : 0;
}

/* Takes over what LXD found out about the image. */
static void take_imported(struct catalogue_row *row, struct store_imported *imported)
{
        if (imported->distro != NULL) {
                free(row->distro);
                row->distro = take(imported->distro);
        }
        if (imported->release != NULL) {
                free(row->release);
                row->release = take(imported->release);
        }
        if (row->source == NULL)
                row->source = take(imported->fingerprint);
        free(imported->distro);
        free(imported->release);
        free(imported->description);
        free(imported->fingerprint);
}

static int import(const struct call *call, const struct store_import *source, struct thing *base, struct cowherd_error *err)
{
        struct store_imported imported = {0};

        if (base->driver->import_base(&base->place.place, &base->object, source, &imported, err) < 0)
                return -1;
        take_imported(&base->row, &imported);
        (void)call;
        return 0;
}

/* Fills a tree in the staging folder `folder` (opened), packs it there as an LXD image. */
static int stage_image(const struct call *call, const struct origin *origin, const char *folder, struct thing *base, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/tree", folder);
        owned_fd int at = -1, tree = -1;

        if (file_open_folder(AT_FDCWD, folder, &at, err) < 0 || file_make_folders(at, "tree", 0755, err) < 0)
                return -1;
        if (fill_tree(call, origin, path, base->place.place.lock, err) < 0 || file_open_folder(at, "tree", &tree, err) < 0)
                return -1;
        if (tree_check(tree, origin->asked, err) < 0 || tree_identify(tree, &base->row.distro, &base->row.release, err) < 0)
                return -1;
        /* Its identity stays in it: the store takes it out of the instance, and keeps there what identity=keep puts back. */
        herd_report(call->herd, "packing the tree for LXD", 0, 0);
        return archive_pack_image(tree, base->row.distro, base->row.release, at, "metadata.tar", "rootfs.tar", err);
}

static int import_tree(const struct call *call, const struct origin *origin, const struct store_import *template, struct thing *base,
                       struct cowherd_error *err)
{
        struct cowherd_herd *herd = call->herd;
        owned_str char *staging = x_asprintf("tmp/%llu", (unsigned long long)base->row.id);
        owned_str char *folder = x_asprintf("%s/%s", herd->root, staging);
        owned_str char *metadata = x_asprintf("%s/metadata.tar", folder), *rootfs = x_asprintf("%s/rootfs.tar", folder);
        struct store_import source = *template;
        struct cowherd_error ignored;

        if (file_make_folders(herd->fd, staging, 0700, err) < 0)
                return -1;
        source.metadata = metadata;
        source.rootfs = rootfs;
        if (stage_image(call, origin, folder, base, err) < 0 || import(call, &source, base, err) < 0) {
                ignore_result(file_remove_tree(herd->fd, staging, &ignored));
                return -1;
        }
        return file_remove_tree(herd->fd, staging, err);
}

int fill_instance(const struct call *call, const struct origin *origin, struct thing *base, struct cowherd_error *err)
{
        struct reporting reporting = {.herd = call->herd, .what = ""};
        struct store_import source = {.progress = report_import, .context = &reporting};

        switch (origin->kind) {
        case ORIGIN_REMOTE:
                source.image = origin->remote;
                return import(call, &source, base, err);
        case ORIGIN_FILES:
                source.metadata = origin->path;
                source.rootfs = origin->rootfs;
                return import(call, &source, base, err);
        case ORIGIN_FOLDER:
        case ORIGIN_TARBALL:
        case ORIGIN_PACKAGES:
                return import_tree(call, origin, &source, base, err);
        case ORIGIN_DISK:
        default:
                return fail(err, COWHERD_INTERNAL, "a disk can't become an LXD instance");
        }
}
