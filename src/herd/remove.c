/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delete and remove_base. An object is first owned, then marked DELETING, then destroyed, then forgotten: a kill anywhere
 * in between leaves a row that the next command finishes. What runs is not deleted under itself (75).
 */
#include "herd/herd.h"
#include "herd/plan.h"

#include <stdio.h>

struct removing {
        struct call *call;
        struct catalogue_rows rows;
        struct ownership *owned;   /* one for each row, so that each can be given back by itself */
        struct thing *things;
        struct outcome *outcomes;
        struct plan plan;
};

static void removing_free(struct removing *removing)
{
        for (size_t i = 0; removing->owned != NULL && i < removing->rows.count; i++) {
                thing_free(&removing->things[i]);
                ownership_free(&removing->owned[i]);
        }
        free(removing->owned);
        free(removing->things);
        free(removing->outcomes);
        catalogue_rows_free(&removing->rows);
}
define_owned(struct removing, removing_free)

static void add_row(struct catalogue_rows *rows, const struct catalogue_row *row)
{
        rows->items = x_reallocarray(rows->items, rows->count + 1, sizeof *rows->items);
        rows->items[rows->count++] = *row;
        rows->capacity = rows->count;
}

/* The clones that name= means: one by name, or all of a pattern; none is 66 either way. */
static int find_clones(struct removing *removing, struct cowherd_error *err)
{
        const struct request *request = removing->call->request;
        const char *name = request_text(request, KEY_NAME);
        struct catalogue *catalogue = removing->call->herd->catalogue;
        struct catalogue_row row = {0};

        if (str_is_pattern(name)) {
                if (catalogue_list(catalogue, request->target, CATALOGUE_CLONE, name, &removing->rows, err) < 0)
                        return -1;
                return removing->rows.count > 0 ? 0 : fail(err, COWHERD_NOT_FOUND, "no clone matches '%s'", name);
        }
        if (herd_find(removing->call->herd, request->target, "clone", name, &row, err) < 0)
                return -1;
        if (expect_role(&row, CATALOGUE_CLONE, err) < 0) {
                catalogue_row_free(&row);
                return -1;
        }
        add_row(&removing->rows, &row);
        return 0;
}

static void fail_item(struct removing *removing, size_t item, const struct cowherd_error *err)
{
        removing->outcomes[item] = (struct outcome){.failed = true, .err = *err};
}

/* Owns the rows one after the other; who is gone meanwhile is out. */
static void own_rows(struct removing *removing)
{
        for (size_t i = 0; i < removing->rows.count; i++) {
                struct cowherd_error err;
                removing->owned[i].herd = removing->call->herd;
                if (herd_own(&removing->owned[i], &removing->rows.items[i], &err) < 0)
                        fail_item(removing, i, &err);
        }
}

/* What runs stays; asked of the engines while the locks are held. */
static int refuse_running(struct removing *removing, struct cowherd_error *err)
{
        size_t count = removing->rows.count;
        owned_mem enum engine_state *states = x_calloc(count, sizeof *states);

        if (herd_states(removing->call->herd, removing->rows.items, count, states, err) < 0)
                return -1;
        for (size_t i = 0; i < count; i++) {
                struct cowherd_error running;
                if (removing->outcomes[i].failed || (states[i] != ENGINE_RUNNING && states[i] != ENGINE_PAUSED))
                        continue;
                (void)fail(&running, COWHERD_BUSY, "clone '%s' is %s", removing->rows.items[i].name, engine_state_name(states[i]));
                (void)fail_hint(&running, "stop it first");
                fail_item(removing, i, &running);
        }
        return 0;
}

static int mark(struct removing *removing, struct cowherd_error *err)
{
        struct catalogue *catalogue = removing->call->herd->catalogue;
        owned_mem uint64_t *ids = x_calloc(removing->rows.count, sizeof *ids);
        size_t count = 0;

        for (size_t i = 0; i < removing->rows.count; i++)
                if (!removing->outcomes[i].failed)
                        ids[count++] = removing->rows.items[i].id;
        int got = count == 0 ? 0 : catalogue_mark_deleting(catalogue, ids, count, "delete", err);
        return got <= 0 ? got : fail(err, COWHERD_INTERNAL, "a clone that is owned here was changed by another command");
}

static int claim(void *operation, size_t item, struct cowherd_error *err)
{
        struct removing *removing = operation;
        size_t failed = 0;

        (void)item;
        own_rows(removing);
        if (refuse_running(removing, err) < 0)
                return -1;
        for (size_t i = 0; i < removing->rows.count; i++)
                failed += removing->outcomes[i].failed;
        if (failed == removing->rows.count) {
                *err = removing->outcomes[0].err;
                return -1;
        }
        return mark(removing, err);
}

static int open_thing(void *operation, size_t item, struct cowherd_error *err)
{
        struct removing *removing = operation;
        struct cowherd_herd *herd = removing->call->herd;

        (void)item;
        for (size_t i = 0; i < removing->rows.count; i++) {
                struct cowherd_error own;
                struct thing *thing = &removing->things[i];
                if (removing->outcomes[i].failed)
                        continue;
                if (catalogue_get(herd->catalogue, removing->rows.items[i].id, &thing->row, err) != 0)
                        return -1;
                if (thing_open(herd, false, thing, &own) < 0)
                        fail_item(removing, i, &own);
                else
                        thing->place.place.lock = removing->owned[i].fds[0];
        }
        return 0;
}

static int destroy(void *operation, size_t item, struct cowherd_error *err)
{
        struct removing *removing = operation;
        const struct thing *thing = &removing->things[item];

        return thing->driver->destroy(&thing->place.place, &thing->object, err);
}

static int forget(void *operation, size_t item, struct cowherd_error *err)
{
        struct removing *removing = operation;
        struct cowherd_herd *herd = removing->call->herd;
        owned_mem uint64_t *ids = x_calloc(removing->rows.count, sizeof *ids);
        struct strv freed owned_by(strv_free) = {0};
        size_t count = 0;

        (void)item;
        for (size_t i = 0; i < removing->rows.count; i++)
                if (!removing->outcomes[i].failed)
                        ids[count++] = removing->rows.items[i].id;
        if (catalogue_forget(herd->catalogue, ids, count, &freed, err) < 0)
                return -1;
        for (size_t i = 0; i < removing->rows.count; i++)
                if (!removing->outcomes[i].failed)
                        ownership_remove(&removing->owned[i]);
        return herd_destroy_freed(herd, &freed, err);
}

#define REMOVE_PARALLEL 8

static void make_plan(struct removing *removing)
{
        struct plan *plan = &removing->plan;
        size_t count = removing->rows.count;
        const struct catalogue_row *first = &removing->rows.items[0];

        removing->owned = x_calloc(count, sizeof *removing->owned);
        removing->things = x_calloc(count, sizeof *removing->things);
        removing->outcomes = x_calloc(count, sizeof *removing->outcomes);
        for (size_t i = 0; i < count; i++)
                removing->things[i].place.fd = -1;
        *plan = (struct plan){.items = count, .parallel = REMOVE_PARALLEL, .operation = removing};
        if (count == 1)
                plan_add(plan, false, claim, NULL, "own clone '%s', see that it does not run, mark it deleted", first->name);
        else
                plan_add(plan, false, claim, NULL, "own %zu clones ('%s' to '%s'), leave out what runs, mark them deleted", count, first->name,
                         removing->rows.items[count - 1].name);
        plan_add(plan, false, open_thing, NULL, "open their places");
        plan_add(plan, true, destroy, NULL, "destroy the bytes in store '%s'", first->store);
        plan_add(plan, false, forget, NULL, "forget the rows, and removed bases that nothing stands on any more");
}

static int answer_removed(struct removing *removing, struct cowherd_error *err)
{
        struct cowherd_answer *answer = removing->call->answer;
        const struct catalogue_row *row = &removing->rows.items[0];
        const struct outcome *first = NULL;
        size_t count = removing->rows.count, failed = 0;

        answer_number(answer, "matched", count);
        if (!str_is_pattern(request_text(removing->call->request, KEY_NAME))) {
                answer_number(answer, "id", row->id);
                answer_text(answer, "name", row->name);
                answer_text(answer, "engine", cowherd_target_name(row->target));
                answer_done(answer, "clone '%s' deleted", row->name);
                return 0;
        }
        answer_list(answer);
        for (size_t i = 0; i < count; i++) {
                const struct outcome *outcome = &removing->outcomes[i];
                answer_item(answer);
                answer_text(answer, "name", removing->rows.items[i].name);
                answer_text(answer, "engine", cowherd_target_name(removing->rows.items[i].target));
                answer_flag(answer, "success", !outcome->failed);
                if (!outcome->failed)
                        continue;
                answer_text(answer, "error", outcome->err.text);
                answer_number(answer, "code", (uint64_t)outcome->err.code);
                failed++;
                first = first == NULL ? outcome : first;
        }
        answer_items_end(answer);
        answer_number(answer, "failed", failed);
        if (first != NULL) {
                *err = first->err;
                return fail_while(err, "%zu of %zu clones were not deleted, the first", failed, count);
        }
        answer_done(answer, "%zu clone%s deleted", count, count == 1 ? "" : "s");
        return 0;
}

/* Where each of several failed, the answer tells why for each. */
static bool all_failed(const struct removing *removing)
{
        if (!str_is_pattern(request_text(removing->call->request, KEY_NAME)))
                return false;
        for (size_t i = 0; i < removing->rows.count; i++)
                if (!removing->outcomes[i].failed)
                        return false;
        return true;
}

int verb_delete(struct call *call, struct cowherd_error *err)
{
        struct removing removing owned_by(removing_free) = {.call = call};

        int got = herd_open(call->herd, false, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' not found", request_text(call->request, KEY_NAME));
        if (!request_flag(call->request, KEY_DRY_RUN) && herd_recover(call->herd, NULL, err) < 0)
                return -1;
        if (find_clones(&removing, err) < 0)
                return -1;
        make_plan(&removing);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_number(call->answer, "matched", removing.rows.count);
                plan_print(&removing.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to delete %zu clone%s", removing.rows.count, removing.rows.count == 1 ? "" : "s");
                return 0;
        }
        if (plan_apply(&removing.plan, removing.outcomes, err) < 0 && !all_failed(&removing))
                return -1;
        return answer_removed(&removing, err);
}

/* ---- remove_base ---- */

/* Takes the base's name; where nothing stands on it, its bytes as well. */
static int remove_owned_base(struct cowherd_herd *herd, struct ownership *owned, const struct catalogue_row *row, bool *ret_waits,
                             struct cowherd_error *err)
{
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        int got = catalogue_remove_base(herd->catalogue, row->id, err);

        if (got < 0)
                return -1;
        *ret_waits = got > 0;
        if (got > 0)
                return 0;
        got = catalogue_get(herd->catalogue, row->id, &now, err);
        if (got != 0)
                return got;
        if (herd_settle_unfinished(herd, &now, err) < 0)
                return fail_while(err, "removing base '%s'", row->name);
        ownership_remove(owned);
        return 0;
}

static int answer_base_plan(struct call *call, const struct catalogue_row *row)
{
        answer_list(call->answer);
        answer_item(call->answer);
        answer_number(call->answer, "step", 1);
        answer_text(call->answer, "what", row->clones > 0 ? "take the base's name: it can't be cloned any more" : "own the base and mark it deleted");
        answer_item(call->answer);
        answer_number(call->answer, "step", 2);
        answer_text(call->answer, "what", row->clones > 0 ? "leave its bytes to its clones; the last one's delete takes them away" : "destroy its bytes and forget it");
        answer_items_end(call->answer);
        answer_done(call->answer, "nothing done: this is the plan to remove base '%s'", row->name);
        return 0;
}

int verb_remove_base(struct call *call, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME);
        struct ownership owned owned_by(ownership_free) = {.herd = call->herd};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        bool waits = false;

        int got = herd_open(call->herd, false, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "base '%s' not found", name);
        if (herd_find(call->herd, call->request->target, "base", name, &row, err) < 0 || expect_role(&row, CATALOGUE_BASE, err) < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN))
                return answer_base_plan(call, &row);
        if (herd_recover(call->herd, NULL, err) < 0 || herd_own(&owned, &row, err) < 0)
                return -1;
        answer_number(call->answer, "id", row.id);
        answer_text(call->answer, "name", row.name);
        answer_text(call->answer, "engine", cowherd_target_name(row.target));
        answer_number(call->answer, "clones", row.clones);
        if (remove_owned_base(call->herd, &owned, &row, &waits, err) < 0)
                return -1;
        if (waits)
                answer_done(call->answer, "base '%s' removed; its bytes stay until the last of its %llu clones is deleted", row.name, (unsigned long long)row.clones);
        else
                answer_done(call->answer, "base '%s' removed", row.name);
        return 0;
}
