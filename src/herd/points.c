/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot, list_snapshots, delete_snapshot. A snapshot belongs to its clone, whose lock protects all of them: what is done with
 * one is done by one command at a time.
 */
#include "herd/point.h"

#include "base/number.h"
#include "sys/clock.h"

#include <stdio.h>

/* ---- the plan that snapshot, promote and register_base from= share ---- */

static int act_own(void *operation, size_t item, struct cowherd_error *err)
{
        (void)item;
        return point_own(operation, err);
}

/* snap-1, snap-2 …: the first that is free. */
static int make_label(struct point *point, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        bool is_free = false;

        if (catalogue_snapshots(point->herd->catalogue, point->clone.row.id, &rows, err) < 0)
                return -1;
        for (size_t number = rows.count + 1; !is_free; number++) {
                free(point->made.row.label);
                point->made.row.label = x_asprintf("snap-%zu", number);
                is_free = true;
                for (size_t i = 0; i < rows.count; i++)
                        is_free = is_free && !str_equal_case(rows.items[i].label, point->made.row.label);
        }
        return 0;
}

static int act_reserve(void *operation, size_t item, struct cowherd_error *err)
{
        struct point *point = operation;

        (void)item;
        if (point->makes_label && make_label(point, err) < 0)
                return -1;
        return point_reserve(operation, err);
}

static int act_take(void *operation, size_t item, struct cowherd_error *err)
{
        (void)item;
        return point_take(operation, err);
}

static int act_neutralise(void *operation, size_t item, struct cowherd_error *err)
{
        (void)item;
        return point_neutralise(operation, err);
}

static int act_seal(void *operation, size_t item, struct cowherd_error *err)
{
        (void)item;
        return point_seal(operation, err);
}

static int act_settle(void *operation, size_t item, struct cowherd_error *err)
{
        (void)item;
        return point_settle(operation, err);
}

static void undo_reserve(void *operation, size_t item)
{
        (void)item;
        point_give_up(operation);
}

void point_plan(struct point *point, struct plan *plan, const char *name)
{
        const struct catalogue_row *clone = &point->clone.row;
        bool base = point->made.row.role == CATALOGUE_BASE, running = point->state == ENGINE_RUNNING;

        *plan = (struct plan){.items = 1, .parallel = 1, .operation = point};
        plan_add(plan, false, act_own, NULL, "own clone '%s'", clone->name);
        plan_add(plan, false, act_reserve, undo_reserve, "reserve the %s '%s'", base ? "name" : "snapshot's name", name);
        if (point->live)
                plan_add(plan, false, act_take, NULL, "have '%s' stand still, keep its memory and its devices beside its disk, have it go on", clone->name);
        else if (point->stacks)
                plan_add(plan, false, act_take, NULL, "%shand the bytes of '%s' over to it%s", running ? "have the guest stand still, " : "", clone->name,
                         running ? ", the running clone going on upon it" : ", the clone going on upon it");
        else
                plan_add(plan, false, act_take, NULL, "%sshare the bytes of '%s' with it", running ? "have the guest stand still, " : "", clone->name);
        if (base && clone->kind == STORE_TREE)
                plan_add(plan, false, act_neutralise, NULL, "take machine-id, host keys, leases and seeds out of it");
        plan_add(plan, false, act_seal, NULL, "make it read-only and fingerprint it");
        plan_add(plan, false, act_settle, NULL, "settle the catalogue");
}

int point_nameless(struct point *point, const struct catalogue_row *clone, bool durable, struct cowherd_error *err)
{
        struct outcome outcome = {0};
        struct plan plan;

        point->durable = durable;
        if (catalogue_get(point->herd->catalogue, clone->id, &point->clone.row, err) != 0 || point_look(point, STORE_SNAPSHOT, err) < 0)
                return -1;
        point_fill_row(point, CATALOGUE_SNAPSHOT);
        point_plan(point, &plan, "");
        if (plan_apply(&plan, &outcome, err) < 0)
                return fail_while(err, "taking a snapshot of '%s' for it", clone->name);
        return 0;
}

void point_drop_nameless(struct point *point)
{
        struct catalogue *catalogue = point->herd->catalogue;
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        uint64_t id = point->made.row.id;
        struct cowherd_error ignored;

        if (point->making.count > 0 && id != 0 && catalogue_free_nameless(catalogue, id, &ignored) == 0 &&
            catalogue_get(catalogue, id, &row, &ignored) == 0)
                ignore_result(herd_settle_unfinished(point->herd, &row, &ignored));
        ownership_free(&point->making);
        ownership_free(&point->owned);
}

/* ---- snapshot ---- */

static void fields_of_snapshot(struct cowherd_answer *answer, const struct catalogue_row *row, const char *name)
{
        char text[CLOCK_TEXT_BYTES];

        answer_text(answer, "snapshot", row->label);
        answer_text(answer, "name", name);
        answer_number(answer, "id", row->id);
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "store", row->store);
        answer_text(answer, "created", clock_format(row->created_ms, text));
        if (row->size_bytes != 0)
                answer_number(answer, "bytes", row->size_bytes);
        answer_also(answer, "snapshot_name", "snapshot");
}

static int answer_snapshot(struct call *call, const struct point *point)
{
        const struct catalogue_row *row = &point->made.row;
        char ms[NUMBER_TEXT_BYTES];

        fields_of_snapshot(call->answer, row, point->clone.row.name);
        answer_text(call->answer, "state", engine_state_name(point->state));
        answer_ms(call->answer, "snapshot_ms", point->taken_ms);
        answer_flag(call->answer, "frozen", point->frozen);
        answer_done(call->answer, "snapshot '%s' of '%s' taken in %s ms%s", row->label, point->clone.row.name, number_format_ms(point->taken_ms, ms),
                    point->state != ENGINE_RUNNING ? "" : point->frozen ? ", its file systems frozen" : ", as if the power had been cut: its file systems could not be frozen");
        return 0;
}

int verb_snapshot(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;
        struct point point owned_by(point_free) = POINT_OF(call->herd);
        struct outcome outcome = {0};
        struct plan plan;

        point.durable = request_flag(request, KEY_DURABLE);
        if (point_find_clone(call, request_text(request, KEY_NAME), &point.clone.row, err) < 0)
                return -1;
        bool dry = request_flag(request, KEY_DRY_RUN);
        if ((!dry && herd_recover(call->herd, NULL, err) < 0) || point_look(&point, STORE_SNAPSHOT, err) < 0)
                return -1;
        point_fill_row(&point, CATALOGUE_SNAPSHOT);
        point.made.row.label = x_strdup(request_text(request, KEY_SNAPSHOT));
        point.makes_label = point.made.row.label == NULL;
        if (point.makes_label && make_label(&point, err) < 0)
                return -1;
        point_plan(&point, &plan, point.made.row.label);
        if (dry) {
                plan_print(&plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to take snapshot '%s' of '%s'", point.made.row.label, point.clone.row.name);
                return 0;
        }
        if (plan_apply(&plan, &outcome, err) < 0)
                return fail_while(err, "taking a snapshot of '%s'", point.clone.row.name);
        return answer_snapshot(call, &point);
}

/* ---- list_snapshots ---- */

int point_select(struct call *call, struct catalogue_rows *ret, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME);
        struct catalogue_row row = {0};

        if (!str_is_pattern(name)) {
                if (point_find_clone(call, name, &row, err) < 0) {
                        catalogue_row_free(&row);
                        return -1;
                }
                ret->items = x_calloc(1, sizeof *ret->items);
                ret->items[0] = row;
                ret->count = ret->capacity = 1;
                return 0;
        }
        int got = herd_open(call->herd, false, err);
        if (got < 0 || (got == 0 && catalogue_list(call->herd->catalogue, call->request->target, CATALOGUE_CLONE, name, ret, err) < 0))
                return -1;
        return ret->count > 0 ? 0 : fail(err, COWHERD_NOT_FOUND, "no clone matches '%s'", name);
}

/* The snapshots of one clone that the request means, as items; *count grows. */
static int list_of(struct call *call, const struct catalogue_row *clone, size_t *count, struct cowherd_error *err)
{
        const char *pattern = request_text(call->request, KEY_SNAPSHOT);
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_snapshots(call->herd->catalogue, clone->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                const struct catalogue_row *row = &rows.items[i];
                if (row->label == NULL || (pattern != NULL && !str_matches(pattern, row->label)))
                        continue;
                answer_item(call->answer);
                fields_of_snapshot(call->answer, row, clone->name);
                *count += 1;
        }
        return 0;
}

int verb_list_snapshots(struct call *call, struct cowherd_error *err)
{
        struct catalogue_rows clones owned_by(catalogue_rows_free) = {0};
        size_t count = 0;

        if (point_select(call, &clones, err) < 0)
                return -1;
        answer_list(call->answer);
        for (size_t i = 0; i < clones.count; i++)
                if (list_of(call, &clones.items[i], &count, err) < 0)
                        return -1;
        answer_items_end(call->answer);
        answer_done(call->answer, "%zu snapshot%s", count, count == 1 ? "" : "s");
        return 0;
}

/* ---- delete_snapshot ---- */

static int answer_delete_plan(struct call *call, const struct catalogue_row *clone, const struct catalogue_row *row)
{
        answer_list(call->answer);
        answer_item(call->answer);
        answer_number(call->answer, "step", 1);
        answer_text(call->answer, "what", row->clones > 0 ? "take the snapshot's name" : "own the snapshot and mark it deleted");
        answer_item(call->answer);
        answer_number(call->answer, "step", 2);
        answer_text(call->answer, "what", row->clones > 0 ? "leave its bytes to what stands on it" : "destroy its bytes and forget it");
        answer_items_end(call->answer);
        answer_done(call->answer, "nothing done: this is the plan to delete snapshot '%s' of '%s'", row->label, clone->name);
        return 0;
}

/* 1 where its bytes wait. */
static int delete_owned(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (ownership_take(&owned, row->id, true, err) < 0)
                return -1;
        int got = catalogue_remove_snapshot(herd->catalogue, row->id, err);
        if (got != 0)
                return got;
        if (catalogue_get(herd->catalogue, row->id, &now, err) != 0 || herd_settle_unfinished(herd, &now, err) < 0)
                return fail_while(err, "deleting snapshot '%s'", row->label);
        return 0;
}

int verb_delete_snapshot(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;
        struct ownership owned owned_by(ownership_free) = {.herd = call->herd};
        struct catalogue_row clone owned_by(catalogue_row_free) = {0}, row owned_by(catalogue_row_free) = {0};

        if (point_find_clone(call, request_text(request, KEY_NAME), &clone, err) < 0)
                return -1;
        bool dry = request_flag(request, KEY_DRY_RUN);
        if (!dry && (herd_recover(call->herd, NULL, err) < 0 || herd_own(&owned, &clone, err) < 0))
                return -1;
        if (catalogue_find_snapshot(call->herd->catalogue, &clone, request_text(request, KEY_SNAPSHOT), &row, err) < 0)
                return -1;
        if (dry)
                return answer_delete_plan(call, &clone, &row);
        int got = delete_owned(call->herd, &row, err);
        if (got < 0)
                return -1;
        fields_of_snapshot(call->answer, &row, clone.name);
        answer_flag(call->answer, "waits", got > 0);
        if (got > 0)
                answer_done(call->answer, "snapshot '%s' of '%s' deleted; its bytes stay until the last that stands on it is gone", row.label, clone.name);
        else
                answer_done(call->answer, "snapshot '%s' of '%s' deleted", row.label, clone.name);
        return 0;
}
