/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename: names live in the catalogue, so it is one row. Only LXD knows its instances by name as well: there the row is
 * renamed first and the instance after it, within an intent. Whoever is killed in between leaves an instance under its old
 * name, which is found by its tags; recovery has it follow the row.
 */
#include "herd/herd.h"

/* Opens the renamed object, and says whether its engine knows it by name. */
static int open_named(struct cowherd_herd *herd, uint64_t id, struct thing *thing, bool *ret_known, struct cowherd_error *err)
{
        if (catalogue_get(herd->catalogue, id, &thing->row, err) != 0 || thing_open(herd, false, thing, err) < 0)
                return -1;
        *ret_known = thing->driver->rename != NULL && thing->row.role == CATALOGUE_CLONE;
        return 0;
}

int herd_finish_rename(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        bool known = false;

        if (open_named(herd, id, &thing, &known, err) < 0)
                return -1;
        if (known && thing.driver->rename(&thing.place.place, &thing.object, thing.row.name, err) < 0 &&
            err->code != COWHERD_NOT_FOUND) /* what its engine lost has no name to be given */
                return -1;
        return catalogue_end(herd->catalogue, id, err);
}

/* Both names, or none: a failure puts the row's back. */
static int rename_both(struct cowherd_herd *herd, const struct thing *thing, const char *name, struct cowherd_error *err)
{
        uint64_t id = thing->row.id;
        struct cowherd_error ignored;

        if (catalogue_begin(herd->catalogue, id, "rename", err) < 0)
                return -1;
        if (catalogue_rename(herd->catalogue, id, name, err) < 0) {
                ignore_result(catalogue_end(herd->catalogue, id, &ignored));
                return -1;
        }
        if (thing->driver->rename(&thing->place.place, &thing->object, name, err) == 0)
                return catalogue_end(herd->catalogue, id, err);
        if (catalogue_rename(herd->catalogue, id, thing->row.name, &ignored) == 0)
                ignore_result(catalogue_end(herd->catalogue, id, &ignored));
        return -1;
}

static int rename_object(struct cowherd_herd *herd, uint64_t id, const char *name, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        bool known = false;

        if (open_named(herd, id, &thing, &known, err) < 0)
                return -1;
        return known ? rename_both(herd, &thing, name, err) : catalogue_rename(herd->catalogue, id, name, err);
}

int verb_rename(struct call *call, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME), *as = request_text(call->request, KEY_AS);
        struct cowherd_herd *herd = call->herd;
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        int got = herd_open(herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found: the herd at '%s' is empty", name, herd->root);
        if (herd_find(herd, call->request->target, "", name, &row, err) < 0 || name_check(row.target, as, err) < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_done(call->answer, "nothing done: '%s' would be renamed to '%s'", row.name, as);
                return 0;
        }
        if (herd_recover(herd, NULL, err) < 0 || herd_own(&owned, &row, err) < 0)
                return -1;
        if (rename_object(herd, row.id, as, err) < 0)
                return -1;
        answer_number(call->answer, "id", row.id);
        answer_text(call->answer, "name", as);
        answer_text(call->answer, "was", row.name);
        answer_text(call->answer, "engine", cowherd_target_name(row.target));
        answer_done(call->answer, "'%s' is now '%s'", row.name, as);
        return 0;
}
