/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: a clone becomes again what a snapshot of it holds. The snapshot stays, so that it can be gone back to again. Once begun it
 * is finished, by the next command if need be: what the clone was may be gone already. The identity goes back as well: where
 * the snapshot was taken before the first start, the next start is the first one again, with the same values.
 *
 * A running instance is ended before (at once: what it would still write is thrown away with the rest) and started after it, as
 * LXD does. Each of the three has an intent of its own.
 */
#include "herd/live.h"
#include "herd/point.h"

#include "base/number.h"
#include "sys/clock.h"

struct restoring {
        struct call *call;
        struct ownership owned;
        struct live clone, again; /* as it was; and once more, as it is started again */
        struct thing snapshot;
        double restore_ms;
        struct plan plan;
};

static void restoring_free(struct restoring *restoring)
{
        thing_free(&restoring->snapshot);
        live_free(&restoring->again);
        live_free(&restoring->clone);
        ownership_free(&restoring->owned);
}
define_owned(struct restoring, restoring_free)

static bool is_on(enum engine_state state)
{
        return state == ENGINE_RUNNING || state == ENGINE_PAUSED;
}

/* The snapshot that is meant: by its name, or the last one that has a name. */
static int find_snapshot(struct restoring *restoring, struct cowherd_error *err)
{
        const char *label = request_text(restoring->call->request, KEY_SNAPSHOT);
        struct catalogue *catalogue = restoring->call->herd->catalogue;
        const struct catalogue_row *clone = &restoring->clone.thing.row;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (label != NULL)
                return catalogue_find_snapshot(catalogue, clone, label, &restoring->snapshot.row, err);
        if (catalogue_snapshots(catalogue, clone->id, &rows, err) < 0)
                return -1;
        for (size_t i = rows.count; i-- > 0;)
                if (rows.items[i].label != NULL)
                        return catalogue_find_snapshot(catalogue, clone, rows.items[i].label, &restoring->snapshot.row, err);
        (void)fail(err, COWHERD_NOT_FOUND, "a snapshot of '%s' was not found: it has none", clone->name);
        return fail_hint(err, "take one with 'snapshot name=%s'", clone->name);
}

static int expect_able(const struct thing *clone, struct cowherd_error *err)
{
        return clone->driver->restore != NULL
                       ? 0
                       : fail(err, COWHERD_UNAVAILABLE, "store '%s' can't restore snapshots in this version", clone->driver->name);
}

/* Facts about the clone, whose row is there; with its lock once it is held. */
static int look(struct restoring *restoring, struct cowherd_error *err)
{
        struct cowherd_herd *herd = restoring->call->herd;

        struct live *clone = &restoring->clone;

        if (find_snapshot(restoring, err) < 0 || live_open(herd, true, clone, err) < 0 || thing_open(herd, true, &restoring->snapshot, err) < 0 ||
            expect_able(&clone->thing, err) < 0)
                return -1;
        return clone->machine.engine->states(&clone->machine.instance, 1, &clone->state, err);
}

static int own(void *operation, size_t item, struct cowherd_error *err)
{
        struct restoring *restoring = operation;
        struct catalogue_row row = restoring->clone.thing.row;

        (void)item;
        restoring->clone.thing.row = (struct catalogue_row){0};
        int got = herd_own(&restoring->owned, &row, err);
        live_free(&restoring->clone);
        thing_free(&restoring->snapshot);
        restoring->clone = (struct live){.thing.place.fd = -1, .thing.row = row};
        if (got < 0 || look(restoring, err) < 0)
                return -1;
        restoring->clone.thing.place.place.lock = restoring->owned.lock;
        const struct thing *snapshot = &restoring->snapshot;
        return snapshot->driver->check_base(&snapshot->place.place, &snapshot->object, err);
}

static int end_life(void *operation, size_t item, struct cowherd_error *err)
{
        struct restoring *restoring = operation;
        struct live *clone = &restoring->clone;

        (void)item;
        if (!is_on(clone->state))
                return 0;
        return catalogue_begin(restoring->call->herd->catalogue, clone->thing.row.id, "stop", err) < 0 ||
                               live_stop(clone, 0, true, err) < 0
                       ? -1
                       : 0;
}

/* What was stopped for a restore that failed runs on as it was. */
static void live_on(void *operation, size_t item)
{
        struct restoring *restoring = operation;
        struct cowherd_error ignored;

        (void)item;
        if (restoring->clone.stopped && restoring->clone.state == ENGINE_RUNNING && live_start(&restoring->clone, &ignored) == 0)
                ignore_result(catalogue_end(restoring->call->herd->catalogue, restoring->clone.thing.row.id, &ignored));
}

/* The row of a clone that was restored. */
static int settle_restored(struct cowherd_herd *herd, const struct thing *clone, const struct thing *snapshot, struct cowherd_error *err)
{
        struct catalogue_row row = clone->row; /* borrowed */
        const struct store_driver *driver = clone->driver;
        bool stacks = driver->snapshot_stacks != NULL && driver->snapshot_stacks(STORE_SNAPSHOT);

        row.base_id = stacks ? snapshot->row.id : snapshot->row.base_id;
        row.virtual_bytes = snapshot->row.virtual_bytes;
        row.disk_bytes = snapshot->row.disk_bytes;
        row.identity_applied = snapshot->row.identity_applied;
        if (point_called(herd, row.id, row.base_id, &row.of_id, err) < 0)
                return -1;
        return catalogue_settle(herd->catalogue, &row, 1, err);
}

static int restore(void *operation, size_t item, struct cowherd_error *err)
{
        struct restoring *restoring = operation;
        struct catalogue *catalogue = restoring->call->herd->catalogue;
        const struct thing *clone = &restoring->clone.thing, *snapshot = &restoring->snapshot;
        owned_str char *intent = x_asprintf("restore %llu", (unsigned long long)snapshot->row.id);
        double began = clock_ms();
        struct cowherd_error ignored;

        (void)item;
        if (catalogue_set_durable(catalogue, true, err) < 0 || catalogue_begin(catalogue, clone->row.id, intent, err) < 0)
                return -1;
        restoring->call->herd->durable = true;
        int restored = clone->driver->restore(&clone->place.place, &clone->object, &snapshot->object, err);
        if (restored > 0) { /* the intent stays, for recovery, and nobody starts it before */
                restoring->clone.stopped = false;
                return fail_hint(err, "'cowherd cleanup' finishes it, once that is mended");
        }
        if (restored < 0) {
                /* It left nothing behind: nobody shall find this tomorrow and do it then. */
                ignore_result(catalogue_end(catalogue, clone->row.id, &ignored));
                return -1;
        }
        if (settle_restored(restoring->call->herd, clone, snapshot, err) < 0)
                return -1;
        restoring->restore_ms = clock_ms() - began;
        return 0;
}

static int start_again(void *operation, size_t item, struct cowherd_error *err)
{
        struct restoring *restoring = operation;
        struct catalogue *catalogue = restoring->call->herd->catalogue;
        struct live *again = &restoring->again;
        struct catalogue_row *row = &again->thing.row;

        (void)item;
        if (catalogue_get(catalogue, restoring->clone.thing.row.id, row, err) != 0 || live_open(restoring->call->herd, false, again, err) < 0)
                return -1;
        again->thing.place.place.lock = restoring->owned.lock;
        bool made = false; /* the snapshot may be older than its first start */
        if (live_make_host_key(again, &made, err) < 0 ||
            (made ? catalogue_settle_and_begin(catalogue, row, 1, "start", err) : catalogue_begin(catalogue, row->id, "start", err)) < 0)
                return -1;
        if (live_start(again, err) < 0) {
                struct cowherd_error ignored;
                ignore_result(catalogue_end(catalogue, row->id, &ignored));
                restoring->clone.stopped = false; /* it would not be started as it was: it is another one now */
                return fail_while(err, "it was restored, but not started again");
        }
        if (!again->start.identity_applied || row->identity_applied)
                return catalogue_end(catalogue, row->id, err);
        live_identity_is_inside(row);
        return catalogue_settle(catalogue, row, 1, err);
}

static void make_plan(struct restoring *restoring)
{
        struct plan *plan = &restoring->plan;
        const char *name = restoring->clone.thing.row.name, *label = restoring->snapshot.row.label;

        *plan = (struct plan){.items = 1, .parallel = 1, .operation = restoring};
        plan_add(plan, false, own, NULL, "own clone '%s', and see that snapshot '%s' is unchanged", name, label);
        plan_add(plan, false, end_life, live_on, is_on(restoring->clone.state) ? "stop '%s'" : "see that '%s' does not run", name);
        plan_add(plan, false, restore, NULL, "give '%s' the bytes of snapshot '%s' in store '%s', and settle the catalogue", name, label,
                 restoring->clone.thing.row.store);
        if (restoring->clone.state == ENGINE_RUNNING)
                plan_add(plan, false, start_again, NULL, "start '%s' again", name);
}

static int answer_restored(const struct restoring *restoring)
{
        struct cowherd_answer *answer = restoring->call->answer;
        const struct catalogue_row *clone = &restoring->clone.thing.row, *snapshot = &restoring->snapshot.row;
        char text[CLOCK_TEXT_BYTES], ms[NUMBER_TEXT_BYTES];
        bool restarted = restoring->again.started;

        answer_text(answer, "snapshot", snapshot->label);
        answer_text(answer, "name", clone->name);
        answer_number(answer, "id", clone->id);
        answer_text(answer, "engine", cowherd_target_name(clone->target));
        answer_text(answer, "store", clone->store);
        answer_text(answer, "created", clock_format(snapshot->created_ms, text));
        answer_ms(answer, "restore_ms", restoring->restore_ms);
        answer_text(answer, "state", engine_state_name(restarted ? ENGINE_RUNNING : ENGINE_STOPPED));
        answer_flag(answer, "restarted", restarted);
        if (restarted)
                fields_of_start(answer, &restoring->again);
        answer_also(answer, "snapshot_name", "snapshot");
        answer_done(answer, "clone '%s' is what it was at snapshot '%s' (%s ms)%s", clone->name, snapshot->label,
                    number_format_ms(restoring->restore_ms, ms), restarted ? "; it was stopped for it and started again" : "");
        return 0;
}

int verb_restore(struct call *call, struct cowherd_error *err)
{
        struct restoring restoring owned_by(restoring_free) = {
                .call = call, .owned.herd = call->herd, .clone.thing.place.fd = -1, .again.thing.place.fd = -1, .snapshot.place.fd = -1};
        struct outcome outcome = {0};
        bool dry = request_flag(call->request, KEY_DRY_RUN);

        if (point_find_clone(call, request_text(call->request, KEY_NAME), &restoring.clone.thing.row, err) < 0)
                return -1;
        if ((!dry && herd_recover(call->herd, NULL, err) < 0) || look(&restoring, err) < 0)
                return -1;
        make_plan(&restoring);
        if (dry) {
                plan_print(&restoring.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to restore '%s'", restoring.clone.thing.row.name);
                return 0;
        }
        if (plan_apply(&restoring.plan, &outcome, err) < 0)
                return fail_while(err, "restoring '%s'", restoring.clone.thing.row.name);
        if (herd_recover(call->herd, NULL, err) < 0) /* what the clone stood on, and nothing does any more */
                return -1;
        return answer_restored(&restoring);
}

int restore_recover(struct cowherd_herd *herd, const struct catalogue_row *row, uint64_t snapshot_id, struct cowherd_error *err)
{
        struct thing clone owned_by(thing_free) = {.place.fd = -1}, snapshot owned_by(thing_free) = {.place.fd = -1};
        enum engine_state state = ENGINE_UNKNOWN;

        if (catalogue_get(herd->catalogue, row->id, &clone.row, err) != 0)
                return -1;
        int got = catalogue_get(herd->catalogue, snapshot_id, &snapshot.row, err);
        if (got < 0)
                return -1;
        if (got > 0) /* it can't go while the clone's lock is held: nothing was begun */
                return catalogue_end(herd->catalogue, row->id, err);
        if (thing_open(herd, true, &clone, err) < 0 || thing_open(herd, true, &snapshot, err) < 0 || herd_states(herd, row, 1, &state, err) < 0)
                return -1;
        if (is_on(state)) /* it was stopped for it: somebody has started it since */
                return catalogue_end(herd->catalogue, row->id, err);
        if (expect_able(&clone, err) < 0 ||
            clone.driver->restore(&clone.place.place, &clone.object, &snapshot.object, err) != 0)
                return fail_while(err, "finishing an interrupted restore of '%s'", row->name);
        return settle_restored(herd, &clone, &snapshot, err);
}
