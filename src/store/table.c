/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of stores, in order of preference. A store that needs a heavy library lives in a module, which is opened
 * when that store is asked for and not before.
 */
#include "store/store.h"

#include "store/drivers.h"
#include "sys/module.h"

#include <stdio.h>

static const struct {
        const char *name;
        const struct store_driver *driver; /* NULL: in the module */
        const char *module, *symbol;
} stores[] = {
        {.name = "qcow2", .driver = &store_qcow2},
        {.name = "btrfs", .driver = &store_btrfs},
        {.name = "zfs", .driver = &store_zfs},
        {.name = "overlay", .driver = &store_overlay},
        {.name = "reflink", .driver = &store_reflink},
        {.name = "hardlink", .driver = &store_hardlink},
        {.name = "copy", .driver = &store_copy},
        {.name = "lxd_pool", .module = "lxd", .symbol = "cowherd_store_lxd_pool"},
};

size_t store_count(void)
{
        return array_length(stores);
}

const char *store_name_at(size_t index)
{
        return index < array_length(stores) ? stores[index].name : NULL;
}

static int unknown_store(const char *name, struct cowherd_error *err)
{
        const char *names[array_length(stores)];

        for (size_t i = 0; i < array_length(stores); i++)
                names[i] = stores[i].name;
        const char *nearest = str_nearest(name, names, array_length(names));
        if (nearest != NULL)
                return fail(err, COWHERD_USAGE, "store '%s' is not known (did you mean '%s'?)", name, nearest);
        return fail(err, COWHERD_USAGE, "store '%s' is not known: it is one of qcow2, btrfs, zfs, overlay, reflink, hardlink, copy, lxd_pool", name);
}

int store_find(const char *name, const struct store_driver **ret, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(stores); i++) {
                if (!str_equal_case(stores[i].name, name))
                        continue;
                if (stores[i].driver != NULL) {
                        *ret = stores[i].driver;
                        return 0;
                }
                void *symbol = NULL;
                if (module_symbol(stores[i].module, stores[i].symbol, &symbol, err) < 0)
                        return fail_while(err, "opening store '%s'", stores[i].name);
                *ret = symbol;
                return 0;
        }
        return unknown_store(name, err);
}

const char *store_role_folder(enum store_role role)
{
        static const char *const folders[] = {[STORE_BASE] = "bases", [STORE_CLONE] = "clones", [STORE_SNAPSHOT] = "snapshots"};

        return folders[role];
}

const char *store_object_folder(const struct store_object *object, char *buffer)
{
        (void)snprintf(buffer, STORE_PATH_BYTES, "%s/%llu", store_role_folder(object->role), (unsigned long long)object->id);
        return buffer;
}

const char *store_object_path(const struct store_object *object, char *buffer)
{
        const char *leaf = object->kind == STORE_TREE         ? "tree"
                           : str_equal(object->format, "raw") ? "disk.raw"
                                                              : "disk.qcow2";

        (void)snprintf(buffer, STORE_PATH_BYTES, "%s/%llu/%s", store_role_folder(object->role), (unsigned long long)object->id, leaf);
        return buffer;
}
