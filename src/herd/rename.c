/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename: names live in the catalogue, so it is one row. Only LXD knows its instances by name as well: there the row is
 * renamed first and the instance after it, because the driver finds an instance by its tags too and can do it again.
 */
#include "herd/herd.h"

static int rename_in_engine(struct cowherd_herd *herd, const struct catalogue_row *row, const char *name, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};

        if (catalogue_get(herd->catalogue, row->id, &thing.row, err) != 0 || thing_open(herd, false, &thing, err) < 0)
                return -1;
        if (thing.driver->rename == NULL || row->role == CATALOGUE_BASE)
                return 0;
        x_replace(&thing.row.name, row->name);
        thing.object.name = thing.row.name;
        return thing.driver->rename(&thing.place.place, &thing.object, name, err);
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
        if (catalogue_rename(herd->catalogue, row.id, as, err) < 0)
                return -1;
        if (rename_in_engine(herd, &row, as, err) < 0) {
                struct cowherd_error ignored;
                ignore_result(catalogue_rename(herd->catalogue, row.id, row.name, &ignored));
                return -1;
        }
        answer_number(call->answer, "id", row.id);
        answer_text(call->answer, "name", as);
        answer_text(call->answer, "was", row.name);
        answer_text(call->answer, "engine", cowherd_target_name(row.target));
        answer_done(call->answer, "'%s' is now '%s'", row.name, as);
        return 0;
}
