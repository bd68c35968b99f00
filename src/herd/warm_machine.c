/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines of live bases that stand ready: how they come to be and to their end, and how much memory they may have. Each has as much of
 * its own as a clone that has just woken; their limit is for all of a herd's together, an eighth of the host's memory where setup
 * warm_memory= did not say. It is measured, not reckoned: of those that stand, what they have.
 *
 * A row tells that one was made; whether it still stands is asked of its process. A reboot ends all, and their rows are found then.
 */
#include "herd/live.h"
#include "herd/memory.h"
#include "herd/warm.h"

#include "base/number.h"

#include <unistd.h>

#define LIMIT_KEY "qemu.warm_memory"
#define LIMIT_SHARE 8
#define FIRST_BYTES (48u << 20) /* of one before any was measured */

bool warm_stands(struct cowherd_herd *herd, const struct catalogue_row *row, uint64_t *ret_bytes)
{
        const struct store_object object = object_of(row, NULL);
        struct place place owned_by(place_close) = {.fd = -1};
        owned_str char *runtime = machine_runtime(herd, row->id);
        const struct engine_driver *engine = NULL;
        char path[STORE_PATH_BYTES];
        struct cowherd_error ignored;

        if (ret_bytes != NULL)
                *ret_bytes = 0;
        if (engine_find(row->target, &engine, &ignored) < 0 || engine->stands_by == NULL ||
            place_open(herd, row->place, false, &place, &ignored) < 0)
                return false;
        const struct engine_instance instance = {.id = row->id, .name = "", .folder = place.fd, .path = store_object_path(&object, path), .runtime = runtime};
        return engine->stands_by(&instance, ret_bytes);
}

/* ---- memory ---- */

int warm_memory_limit(struct cowherd_herd *herd, uint64_t *ret_bytes, struct cowherd_error *err)
{
        owned_str char *value = NULL;

        *ret_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / LIMIT_SHARE;
        if (catalogue_get_setting(herd->catalogue, LIMIT_KEY, &value, err) < 0)
                return -1;
        if (value != NULL)
                (void)number_parse(value, ret_bytes);
        return 0;
}

int warm_set_memory_limit(struct cowherd_herd *herd, uint64_t bytes, struct cowherd_error *err)
{
        owned_str char *value = bytes == 0 ? NULL : x_asprintf("%llu", (unsigned long long)bytes);

        return catalogue_set_setting(herd->catalogue, LIMIT_KEY, value, err);
}

static int add_used(struct cowherd_herd *herd, const struct catalogue_row *base, struct warm_memory *used, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_warm(herd->catalogue, base->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                uint64_t own = 0;
                if (rows.items[i].phase != CATALOGUE_READY || !warm_stands(herd, &rows.items[i], &own))
                        continue;
                used->bytes += own;
                used->largest = own > used->largest ? own : used->largest;
        }
        return 0;
}

int warm_memory_used(struct cowherd_herd *herd, struct warm_memory *ret, struct cowherd_error *err)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};

        *ret = (struct warm_memory){0};
        if (catalogue_list(herd->catalogue, COWHERD_QEMU, CATALOGUE_BASE, NULL, &bases, err) < 0)
                return -1;
        for (size_t i = 0; i < bases.count; i++)
                if (warm_is_possible(&bases.items[i]) && add_used(herd, &bases.items[i], ret, err) < 0)
                        return -1;
        return 0;
}

int warm_check_memory(struct cowherd_herd *herd, const struct catalogue_row *base, const struct catalogue_row *made, struct cowherd_error *err)
{
        char limit_text[NUMBER_TEXT_BYTES], used_text[NUMBER_TEXT_BYTES];
        struct warm_memory used;
        uint64_t limit = 0;

        if (warm_memory_limit(herd, &limit, err) < 0 || warm_memory_used(herd, &used, err) < 0)
                return -1;
        uint64_t next = used.largest == 0 ? FIRST_BYTES : used.largest;
        if (made != NULL)
                (void)warm_stands(herd, made, &next);
        if (used.bytes + next <= limit)
                return made != NULL ? 0 : memory_check_room(base, 1, err);
        (void)fail(err, COWHERD_BUSY, "the machines that stand ready have %s of memory of their own, and one more would be over their limit of %s",
                   number_format_size(used.bytes, used_text), number_format_size(limit, limit_text));
        return fail_hint(err, "say setup warm_memory= for another limit, or keep fewer ready");
}

/* ---- their life ---- */

int warm_stand_by(struct cowherd_herd *herd, const struct thing *base, const struct catalogue_row *row, int lock, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        struct memory memory owned_by(memory_free) = {0};

        if (memory_open(herd, base, base->row.name, &memory, err) < 0 || memory_check(base, &memory, false, err) < 0 ||
            live_open_new(herd, row, lock, &live, err) < 0)
                return -1;
        const struct engine_driver *engine = live.machine.engine;
        live.machine.machine.live = &memory.live;
        if (engine->stand_by == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "keeping machines ready is not available in this version");
        if ((engine->check != NULL && engine->check(&live.machine.instance, err) < 0) || engine->stand_by(&live.machine.instance, err) < 0)
                return fail_while(err, "making a machine of '%s' stand ready", base->row.name);
        return 0;
}

int warm_bury_dead(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_warm(herd->catalogue, base_id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                if (rows.items[i].phase == CATALOGUE_READY && !warm_stands(herd, &rows.items[i], NULL) &&
                    catalogue_mark_deleting(herd->catalogue, &rows.items[i].id, 1, "drop", err) < 0)
                        return -1;
        return warm_bury(herd, base_id, err);
}

int warm_end_machines(struct cowherd_herd *herd, size_t *ret_ended, struct cowherd_error *err)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};

        *ret_ended = 0;
        if (catalogue_list(herd->catalogue, COWHERD_QEMU, CATALOGUE_BASE, NULL, &bases, err) < 0)
                return -1;
        for (size_t i = 0; i < bases.count; i++) {
                struct warm_count count;
                if (!warm_is_possible(&bases.items[i]))
                        continue;
                if (warm_count(herd, &bases.items[i], &count, err) < 0)
                        return -1;
                if (count.ready + count.dead > 0 &&
                    (catalogue_drop_warm(herd->catalogue, bases.items[i].id, 0, err) < 0 || warm_bury(herd, bases.items[i].id, err) < 0))
                        return -1;
                *ret_ended += count.ready + count.dead;
        }
        return 0;
}
