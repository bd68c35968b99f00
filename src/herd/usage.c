/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: bytes, as the stores measure them. A clone's snapshots are counted as its own, since deleting it frees them with it;
 * snapshot_bytes tells how many of its unique bytes they are. So are those kept warm of a base its own, in warm_bytes.
 */
#include "herd/usage.h"

#include "base/number.h"

static bool is_removed(struct cowherd_herd *herd, uint64_t id)
{
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        struct cowherd_error ignored;
        int got = catalogue_get(herd->catalogue, id, &now, &ignored);

        return got > 0 || (got == 0 && now.phase != CATALOGUE_READY);
}

static bool stands_on(const struct thing *thing, uint64_t id)
{
        for (const struct thing *at = thing->base; at != NULL; at = at->base)
                if (at->row.id == id)
                        return true;
        return false;
}

/* A clone's snapshots are its own bytes, for they go with it; those that it reads through them are not shared with others. */
static int add_snapshots(struct cowherd_herd *herd, const struct thing *clone, struct measured *measured, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_snapshots(herd->catalogue, clone->row.id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                struct measured own = {0};
                int got = usage_measure(herd, &rows.items[i], &own, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        continue;
                uint64_t unique = own.usage.unique_bytes, *shared = &measured->usage.shared_bytes;
                if (stands_on(clone, rows.items[i].id))
                        *shared -= unique < *shared ? unique : *shared;
                measured->usage.unique_bytes += unique;
                measured->usage.apparent_bytes += own.usage.apparent_bytes;
                measured->snapshot_bytes += unique;
        }
        return 0;
}

/* What is kept warm of a base goes with it. */
static int add_warm(struct cowherd_herd *herd, const struct catalogue_row *base, struct measured *measured, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (base->kind != STORE_INSTANCE)
                return 0;
        if (catalogue_warm(herd->catalogue, base->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                struct measured own = {0};
                if (rows.items[i].phase != CATALOGUE_READY)
                        continue;
                int got = usage_measure(herd, &rows.items[i], &own, err);
                if (got < 0)
                        return -1;
                measured->usage.unique_bytes += own.usage.unique_bytes;
                measured->usage.apparent_bytes += own.usage.apparent_bytes;
                measured->warm_bytes += own.usage.unique_bytes;
        }
        return 0;
}

int usage_measure(struct cowherd_herd *herd, const struct catalogue_row *row, struct measured *ret, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        const char *name = row->name != NULL ? row->name : row->label != NULL ? row->label : "a snapshot";
        int got = catalogue_get(herd->catalogue, row->id, &thing.row, err);

        if (got < 0)
                return -1;
        if (got == 0 && thing_open(herd, false, &thing, err) == 0 && thing.driver->usage(&thing.place.place, &thing.object, &ret->usage, err) == 0)
                return row->role == CATALOGUE_CLONE ? add_snapshots(herd, &thing, ret, err) : row->role == CATALOGUE_BASE ? add_warm(herd, row, ret, err) : 0;
        if (got == 0 && !is_removed(herd, row->id))
                return fail_while(err, "measuring '%s'", name);
        (void)fail(err, COWHERD_NOT_FOUND, "'%s' not found: another command has just removed it", name);
        return 1;
}

static void fields_of_measured(struct cowherd_answer *answer, const struct catalogue_row *row, const struct measured *measured)
{
        answer_text(answer, "name", row->name);
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "role", row->role == CATALOGUE_BASE ? "base" : "clone");
        answer_text(answer, "store", row->store);
        fields_of_usage(answer, &measured->usage);
        if (measured->snapshot_bytes > 0)
                answer_number(answer, "snapshot_bytes", measured->snapshot_bytes);
        if (measured->warm_bytes > 0)
                answer_number(answer, "warm_bytes", measured->warm_bytes);
        if (measured->usage.missing)
                answer_text(answer, "state", "missing");
}

static int usage_of_one(struct call *call, const char *name, struct cowherd_error *err)
{
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        struct measured measured = {0};
        const struct store_usage *usage = &measured.usage;
        char unique[NUMBER_TEXT_BYTES], shared[NUMBER_TEXT_BYTES];

        if (herd_find(call->herd, call->request->target, "", name, &row, err) < 0 || usage_measure(call->herd, &row, &measured, err) != 0)
                return -1;
        fields_of_measured(call->answer, &row, &measured);
        answer_done(call->answer, "'%s' has %s of its own and shares %s", row.name, number_format_size(usage->unique_bytes, unique),
                    number_format_size(usage->shared_bytes, shared));
        return 0;
}

static int usage_of_many(struct call *call, const char *pattern, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        enum cowherd_target target = call->request->target;
        uint64_t unique = 0;
        size_t count = 0;
        char text[NUMBER_TEXT_BYTES];

        if ((pattern == NULL && catalogue_list(call->herd->catalogue, target, CATALOGUE_BASE, NULL, &rows, err) < 0) ||
            catalogue_list(call->herd->catalogue, target, CATALOGUE_CLONE, pattern, &rows, err) < 0)
                return -1;
        if (rows.count == 0 && pattern != NULL)
                return fail(err, COWHERD_NOT_FOUND, "no clone matches '%s'", pattern);
        answer_list(call->answer);
        for (size_t i = 0; i < rows.count; i++) {
                struct measured measured = {0};
                int got = usage_measure(call->herd, &rows.items[i], &measured, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        continue;
                count++;
                unique += measured.usage.unique_bytes;
                answer_item(call->answer);
                fields_of_measured(call->answer, &rows.items[i], &measured);
        }
        answer_items_end(call->answer);
        answer_number(call->answer, "total_unique_bytes", unique);
        answer_done(call->answer, "%zu of them have %s of their own", count, number_format_size(unique, text));
        return 0;
}

int verb_usage(struct call *call, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME);
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0 && name != NULL)
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found: the herd at '%s' is empty", name, call->herd->root);
        if (got > 0) {
                answer_list(call->answer);
                answer_done(call->answer, "the herd at '%s' is empty", call->herd->root);
                return 0;
        }
        return name != NULL && !str_is_pattern(name) ? usage_of_one(call, name, err) : usage_of_many(call, name, err);
}
