/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flatten: a clone gets bytes of its own of all that it reads through its base, and stands on nothing any more. Where a clone never
 * needs its base's bytes (a btrfs snapshot, a full copy) that is one row. A virtual machine that runs copies them itself.
 *
 * After a kill a stopped clone is flattened to its end: the store goes on. A running one stays what it was for the catalogue:
 * its machine may still be copying, and to say it again later finds most of it done.
 */
#include "herd/point.h"

#include "base/number.h"
#include "sys/clock.h"

struct flattening {
        struct call *call;
        struct ownership owned;
        struct thing clone;
        struct machine machine;
        enum engine_state state;
        struct plan plan;
};

static void flattening_free(struct flattening *flattening)
{
        machine_free(&flattening->machine);
        thing_free(&flattening->clone);
        ownership_free(&flattening->owned);
}
define_owned(struct flattening, flattening_free)

static bool is_on(enum engine_state state)
{
        return state == ENGINE_RUNNING || state == ENGINE_PAUSED;
}

static int look(struct flattening *flattening, struct cowherd_error *err)
{
        struct cowherd_herd *herd = flattening->call->herd;
        struct thing *clone = &flattening->clone;
        const struct catalogue_row *row = &clone->row;

        if (thing_open(herd, true, clone, err) < 0 || herd_states(herd, row, 1, &flattening->state, err) < 0)
                return -1;
        if (flattening->state == ENGINE_MISSING)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' is missing: its bytes were removed behind our back", row->name);
        if (!is_on(flattening->state) || clone->driver->flatten == NULL)
                return 0;
        if (machine_open(herd, clone, &flattening->machine, err) < 0)
                return -1;
        if (flattening->machine.engine->flatten != NULL)
                return 0;
        (void)fail(err, COWHERD_BUSY, "clone '%s' is %s, and store '%s' can cut it loose only while it is stopped", row->name,
                   engine_state_name(flattening->state), clone->driver->name);
        return fail_hint(err, "stop it first");
}

static int own(void *operation, size_t item, struct cowherd_error *err)
{
        struct flattening *flattening = operation;
        struct catalogue_row row = flattening->clone.row;

        (void)item;
        flattening->clone.row = (struct catalogue_row){0};
        int got = herd_own(&flattening->owned, &row, err);
        machine_free(&flattening->machine);
        thing_free(&flattening->clone);
        flattening->clone.row = row;
        if (got < 0 || look(flattening, err) < 0)
                return -1;
        flattening->clone.place.place.lock = flattening->owned.lock;
        return 0;
}

static void report_bytes(void *context, uint64_t done, uint64_t total)
{
        herd_report(context, "copying what is the base's", done, total);
}

static int settle_alone(struct cowherd_herd *herd, const struct catalogue_row *clone, struct cowherd_error *err)
{
        struct catalogue_row row = *clone; /* borrowed */

        row.base_id = 0;
        row.of_id = 0;
        return catalogue_settle(herd->catalogue, &row, 1, err);
}

static int copy(struct flattening *flattening, struct cowherd_error *err)
{
        struct thing *clone = &flattening->clone;
        struct cowherd_herd *herd = flattening->call->herd;

        if (clone->row.base_id == 0 || clone->driver->flatten == NULL)
                return 0;
        if (is_on(flattening->state))
                return flattening->machine.engine->flatten(&flattening->machine.instance, report_bytes, herd, err);
        return clone->driver->flatten(&clone->place.place, &clone->object, report_bytes, herd, err);
}

static int flatten(void *operation, size_t item, struct cowherd_error *err)
{
        struct flattening *flattening = operation;
        struct catalogue *catalogue = flattening->call->herd->catalogue;
        struct cowherd_error ignored;

        (void)item;
        if (catalogue_set_durable(catalogue, true, err) < 0 || catalogue_begin(catalogue, flattening->clone.row.id, "flatten", err) < 0)
                return -1;
        flattening->call->herd->durable = true;
        int copied = copy(flattening, err);
        if (copied > 0) /* the intent stays, for recovery */
                return fail_hint(err, "'cowherd cleanup' finishes it, once that is mended");
        if (copied < 0) {
                ignore_result(catalogue_end(catalogue, flattening->clone.row.id, &ignored));
                return -1;
        }
        return settle_alone(flattening->call->herd, &flattening->clone.row, err);
}

static void make_plan(struct flattening *flattening)
{
        const struct thing *clone = &flattening->clone;
        struct plan *plan = &flattening->plan;
        const char *name = clone->row.name;

        *plan = (struct plan){.items = 1, .parallel = 1, .operation = flattening};
        plan_add(plan, false, own, NULL, "own clone '%s'", name);
        if (clone->row.base_id == 0)
                plan_add(plan, false, flatten, NULL, "nothing: '%s' stands on no base", name);
        else if (clone->driver->flatten == NULL)
                plan_add(plan, false, flatten, NULL, "write down that '%s' stands on no base: in store '%s' it needs none of its bytes", name, clone->driver->name);
        else
                plan_add(plan, false, flatten, NULL, "%s what '%s' reads through its base, and write down that it stands on none",
                         is_on(flattening->state) ? "have the running machine copy" : "copy", name);
}

static int answer_flattened(struct flattening *flattening, const struct catalogue_row *was)
{
        struct cowherd_answer *answer = flattening->call->answer;
        const struct catalogue_row *row = &flattening->clone.row;
        double took = clock_ms() - flattening->call->started_ms;
        char ms[NUMBER_TEXT_BYTES];

        answer_number(answer, "id", row->id);
        answer_text(answer, "name", row->name);
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "store", row->store);
        answer_text(answer, "state", engine_state_name(flattening->state));
        answer_text(answer, "base", "none");
        answer_text(answer, "was", was->base_name);
        answer_ms(answer, "flatten_ms", took);
        if (was->base_id == 0)
                answer_done(answer, "clone '%s' stands on no base already", row->name);
        else
                answer_done(answer, "clone '%s' stands on its own bytes now (%s ms)", row->name, number_format_ms(took, ms));
        return 0;
}

int verb_flatten(struct call *call, struct cowherd_error *err)
{
        struct flattening flattening owned_by(flattening_free) = {.call = call, .owned.herd = call->herd, .clone.place.fd = -1};
        struct outcome outcome = {0};
        bool dry = request_flag(call->request, KEY_DRY_RUN);

        if (point_find_clone(call, request_text(call->request, KEY_NAME), &flattening.clone.row, err) < 0)
                return -1;
        if ((!dry && herd_recover(call->herd, NULL, err) < 0) || look(&flattening, err) < 0)
                return -1;
        make_plan(&flattening);
        if (dry) {
                plan_print(&flattening.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to cut '%s' loose", flattening.clone.row.name);
                return 0;
        }
        if (plan_apply(&flattening.plan, &outcome, err) < 0)
                return fail_while(err, "flattening '%s'", flattening.clone.row.name);
        if (herd_recover(call->herd, NULL, err) < 0) /* the base that nothing stands on any more */
                return -1;
        return answer_flattened(&flattening, &flattening.clone.row);
}

int flatten_recover(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct thing clone owned_by(thing_free) = {.place.fd = -1};
        enum engine_state state = ENGINE_UNKNOWN;

        if (catalogue_get(herd->catalogue, row->id, &clone.row, err) != 0 || thing_open(herd, true, &clone, err) < 0 ||
            herd_states(herd, row, 1, &state, err) < 0)
                return -1;
        if (is_on(state) && clone.driver->flatten != NULL)
                return catalogue_end(herd->catalogue, row->id, err);
        if (clone.row.base_id != 0 && clone.driver->flatten != NULL &&
            clone.driver->flatten(&clone.place.place, &clone.object, NULL, NULL, err) != 0)
                return fail_while(err, "finishing an interrupted flatten of '%s'", row->name);
        return settle_alone(herd, &clone.row, err);
}
