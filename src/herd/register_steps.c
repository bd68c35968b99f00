/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a registration, each with its undo: room in the store, what it is filled with (fill.c), and the seal. What could not be undone
 * now keeps its row, which recovery finds; so does what was adopted and could not be given back.
 */
#include "herd/register.h"

#include "herd/adopt.h"
#include "herd/inject.h"
#include "image/tree.h"
#include "sys/file.h"

#include <fcntl.h>

static int reserve(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;

        (void)item;
        if (herd_reserve(&registering->owned, &registering->base.row, 1, "register_base", NULL, NULL, err) < 0)
                return -1;
        registering->base.object = object_of(&registering->base.row, NULL);
        registering->base.place.place.lock = registering->owned.lock;
        return 0;
}

static void unreserve(void *operation, size_t item)
{
        struct registering *registering = operation;
        struct cowherd_error ignored;

        (void)item;
        if (registering->owned.count == 0 || registering->stuck ||
            catalogue_forget(registering->call->herd->catalogue, &registering->base.row.id, 1, NULL, &ignored) < 0)
                return;
        ownership_free(&registering->owned);
}

static int prepare(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;
        const struct thing *base = &registering->base;

        (void)item;
        return base->driver->prepare_base == NULL ? 0 : base->driver->prepare_base(&base->place.place, &base->object, err);
}

static void unmake(void *operation, size_t item)
{
        struct registering *registering = operation;
        const struct thing *base = &registering->base;
        struct cowherd_error ignored;

        (void)item;
        registering->stuck = adopt_give_back(base, &ignored) < 0 || base->driver->destroy(&base->place.place, &base->object, &ignored) < 0;
}

static int fill(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;
        struct thing *base = &registering->base;

        (void)item;
        if (base->row.kind == STORE_DISK)
                return fill_disk(registering->call, &registering->origin, base, err);
        if (base->row.kind == STORE_INSTANCE)
                return fill_instance(registering->call, &registering->origin, base, err);
        owned_str char *path = thing_path(&base->place, &base->row);
        return fill_tree(registering->call, &registering->origin, path, base->place.place.lock, err);
}

static int inject(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;

        (void)item;
        return inject_guest(registering->call, &registering->base, err);
}

/* Sees that a tree is one, takes its identity out, and asks it what it is. */
static int neutralise(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;
        struct thing *base = &registering->base;
        char folder[STORE_PATH_BYTES], path[STORE_PATH_BYTES];
        owned_str char *aside = x_asprintf("%s/aside", store_object_folder(&base->object, folder));
        owned_fd int tree = -1;

        (void)item;
        if (file_open_folder(base->place.fd, store_object_path(&base->object, path), &tree, err) < 0)
                return -1;
        if (tree_check(tree, registering->origin.asked, err) < 0 || tree_identify(tree, &base->row.distro, &base->row.release, err) < 0)
                return -1;
        return tree_neutralise(tree, base->place.fd, aside, &registering->neutralised, err);
}

static int seal(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;
        struct thing *base = &registering->base;
        struct store_usage usage = {0};

        (void)item;
        if (base->driver->seal_base(&base->place.place, &base->object, &base->row.fingerprint, err) < 0)
                return -1;
        base->object.fingerprint = base->row.fingerprint;
        if (base->driver->usage(&base->place.place, &base->object, &usage, err) < 0)
                return -1;
        base->row.size_bytes = usage.unique_bytes + usage.shared_bytes;
        return 0;
}

static int settle(void *operation, size_t item, struct cowherd_error *err)
{
        struct registering *registering = operation;

        (void)item;
        if (request_has(registering->call->request, KEY_WARM) && catalogue_warm_begin(registering->call->herd->catalogue, err) < 0)
                return -1;
        return catalogue_settle_and_begin(registering->call->herd->catalogue, &registering->base.row, 1, registering->call->keep == NULL ? NULL : OPERATION_CREATE, err);
}

static const char *fill_text(const struct registering *registering)
{
        switch (registering->origin.kind) {
        case ORIGIN_DISK:
                if (!registering->origin.disk.cloneable)
                        return "convert to qcow2 the disk";
                return request_flag(registering->call->request, KEY_ADOPT) ? "adopt the disk" : "share or copy the disk";
        case ORIGIN_FOLDER:
                return "copy the tree";
        case ORIGIN_TARBALL:
                return "unpack";
        case ORIGIN_PACKAGES:
                return "bootstrap by mmdebstrap";
        case ORIGIN_REMOTE:
                return "have LXD fetch and start once the image";
        case ORIGIN_FILES:
        default:
                return "have LXD import and start once the image";
        }
}

bool register_wants_guest(const struct request *request)
{
        return str_equal(request_text(request, KEY_GUEST), "inject");
}

void register_make_plan(struct registering *registering)
{
        const struct catalogue_row *row = &registering->base.row;
        struct plan *plan = &registering->plan;

        *plan = (struct plan){.items = 1, .parallel = 1, .operation = registering};
        plan_add(plan, false, reserve, unreserve, "reserve the name '%s' for %s", row->name, cowherd_target_name(row->target));
        plan_add(plan, false, prepare, unmake, "make room in store '%s'", row->store);
        plan_add(plan, false, fill, NULL, "%s '%s'", fill_text(registering), row->source != NULL ? row->source : row->image);
        if (register_wants_guest(registering->call->request))
                plan_add(plan, false, inject, NULL, "boot it once, without a network, and have its agent put cowherd-guest in");
        if (row->kind == STORE_TREE)
                plan_add(plan, false, neutralise, NULL, "take machine-id, host keys, leases and seeds out of it");
        plan_add(plan, false, seal, NULL, "make it read-only and fingerprint it");
        plan_add(plan, false, settle, NULL, "settle the catalogue");
}
