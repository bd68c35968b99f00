/* SPDX-License-Identifier: Apache-2.0 */
/* Clones that were made in advance (warm.h): which clones one would do for, and how it becomes one. */
#include "herd/clone.h"
#include "herd/warm.h"

/* A machine that stands ready. */
static bool can_stand_by(const struct cloning *cloning)
{
        const struct request *request = cloning->call->request;

        return cloning->wakes && cloning->base.row.role == CATALOGUE_BASE && !request_flag(request, KEY_DURABLE) &&
               !str_equal_case(request_text(request, KEY_IDENTITY), "keep");
}

int cloning_choose_warm(struct cloning *cloning, struct cowherd_error *err)
{
        const struct thing *base = &cloning->base;
        bool renamed = cloning->driver->take_warm != NULL && !request_has(cloning->call->request, KEY_DISK_SIZE);
        uint64_t wanted = 0;

        if (cloning->driver != base->driver || (!renamed && !can_stand_by(cloning)))
                return 0;
        if (warm_wanted(cloning->call->herd, &base->row, &wanted, err) < 0)
                return -1;
        cloning->may_be_warm = wanted > 0;
        return 0;
}

int cloning_choose_warm_identity(const struct cloning *cloning, struct catalogue_row *row, struct cowherd_error *err)
{
        struct catalogue_row made owned_by(catalogue_row_free) = {0};
        int got = catalogue_get(cloning->call->herd->catalogue, row->id, &made, err);

        if (got != 0)
                return got < 0 ? -1 : fail(err, COWHERD_INTERNAL, "what was taken for '%s' is not in the catalogue", row->name);
        x_replace(&row->mac, made.mac);
        x_replace(&row->uuid, made.uuid);
        x_replace(&row->generation_id, made.generation_id);
        identity_choose_system(row, row->name);
        x_replace(&row->machine_id, made.machine_id);
        return 0;
}

/* What is started now is named in all its engine knows; else that can wait. */
int cloning_take_warm(struct cloning *cloning, size_t item, const struct store_place *place, bool checked, struct cowherd_error *err)
{
        const struct store_object *object = &cloning->objects[item];
        struct catalogue_row *row = &cloning->rows[item];

        if (!row->was_warm)
                return 1;
        if (row->kind == STORE_DISK)
                return 0; /* its start tells whether it is there */
        int taken = cloning->driver->take_warm(place, object, checked, err);
        if (taken < 0 && err->code == COWHERD_NOT_FOUND) {
                row->was_warm = false;
                return 1;
        }
        if (taken < 0)
                return -1;
        if (cloning_is_started(cloning))
                return cloning->driver->rename(place, object, object->name, err);
        row->then = OPERATION_TAKE;
        return 0;
}

void cloning_refill(struct cloning *cloning, bool is_changed)
{
        struct cowherd_herd *herd = cloning->call->herd;
        struct cowherd_error ignored;

        if (!cloning->may_be_warm)
                return;
        if (is_changed && catalogue_drop_warm(herd->catalogue, cloning->base.row.id, 0, &ignored) == 0)
                ignore_result(warm_bury(herd, cloning->base.row.id, &ignored));
        if (!cloning_is_started(cloning))
                ownership_free(&cloning->owned); /* the helper waits for it */
        warm_refill(herd, &cloning->base.row);
}
