/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more to be kept warm: a clone like any other but without a name, reserved, made by the store, of a live base woken and
 * stopped, settled. What fails, and what is killed, is taken away as any clone in the making is.
 */
#include "herd/machine.h"
#include "herd/warm.h"

#include "sys/clock.h"

static struct catalogue_row row_of(const struct catalogue_row *base)
{
        return (struct catalogue_row){
                .role = CATALOGUE_CLONE,
                .target = base->target,
                .store = x_strdup(base->store),
                .place = x_strdup(base->place),
                .kind = base->kind,
                .format = x_strdup(str_equal(base->store, "qcow2") ? "qcow2" : base->format),
                .virtual_bytes = base->virtual_bytes,
                .base_id = base->id,
                .created_ms = clock_wall_ms(),
                .memory_bytes = base->kind == STORE_DISK ? base->memory_bytes : 0,
                .cpus = base->kind == STORE_DISK ? base->cpus : 0,
                .extra = base->kind == STORE_DISK ? machine_handed_on(base->extra) : NULL,
        };
}

struct making {
        struct cowherd_herd *herd;
        struct catalogue_row row;
};

static void making_free(struct making *making)
{
        catalogue_row_free(&making->row);
}
define_owned(struct making, making_free)

/* A machine has all of one while it stands; only hostname, seed and instance-id become others with its name. Of an instance all of it. */
static int choose_identity(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct making *making = context;

        (void)err;
        if (row->kind != STORE_DISK)
                return 0;
        owned_str char *name = x_asprintf("ready-%llu", (unsigned long long)row->id);
        identity_choose_machine(&making->row, catalogue_uuid(making->herd->catalogue));
        identity_choose_system(&making->row, name);
        return 0;
}

static int make_bytes(struct cowherd_herd *herd, const struct thing *base, const struct catalogue_row *row, int lock, struct cowherd_error *err)
{
        const struct store_object object = object_of(row, &base->object);
        struct store_place place = base->place.place;

        place.lock = lock;
        if (row->kind == STORE_INSTANCE)
                return base->driver->clone_checked(&place, &object, err);
        if (base->driver->check_base(&place, &base->object, err) < 0 || base->driver->clone(&place, &object, err) < 0)
                return -1;
        return warm_stand_by(herd, base, row, lock, err) < 0 ? -1 : warm_check_memory(herd, &base->row, row, err);
}

int warm_make(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err)
{
        struct thing base owned_by(thing_free) = {.place.fd = -1};
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct cowherd_error ignored;

        int got = catalogue_get(herd->catalogue, base_id, &base.row, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (thing_open(herd, false, &base, err) < 0 || (base.row.kind == STORE_DISK && warm_check_memory(herd, &base.row, NULL, err) < 0))
                return -1;
        struct making making owned_by(making_free) = {.herd = herd, .row = row_of(&base.row)};
        struct catalogue_row *row = &making.row;
        if (herd_reserve(&owned, row, 1, "keep_warm", choose_identity, &making, err) < 0)
                return -1;
        if (make_bytes(herd, &base, row, owned.lock, err) == 0 && catalogue_settle(herd->catalogue, row, 1, err) == 0)
                return 0;
        /* Where that fails too its row stays CREATING: recovery. */
        ignore_result(herd_settle_unfinished(herd, row, &ignored));
        return -1;
}
