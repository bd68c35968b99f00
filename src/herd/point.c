/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a point in time. The order of things, and what a kill between them leaves:
 *
 *     row and intent      nothing was done to the clone: taken back
 *     prepare             likewise; the store removes what it made
 *     (running) quiet, switch   the engine may go on with another file already: the intent was written anew before, and
 *                         tells that it was, so that the engine is asked (point_recover.c)
 *     take, seal, settle  (point_seal.c) where the store stacks the clone's bytes are the new object's by now: it is finished.
 *                         Where it does not, the new object is a copy, and is taken away.
 *
 * Where it stacks, all that is written down is synced: a clone whose bytes were moved must not lose the row that says where to.
 */
#include "herd/memory.h"
#include "herd/point.h"

#include "sys/clock.h"

void point_free(struct point *point)
{
        machine_free(&point->machine);
        thing_free(&point->made);
        thing_free(&point->clone);
        ownership_free(&point->making);
        ownership_free(&point->owned);
        strv_free(&point->neutralised);
        engine_captured_free(&point->captured);
        free(point->next);
        point->next = NULL;
}

/* ---- facts ---- */

int point_find_clone(struct call *call, const char *name, struct catalogue_row *ret, struct cowherd_error *err)
{
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' not found", name);
        if (herd_find(call->herd, call->request->target, "clone", name, ret, err) < 0)
                return -1;
        return expect_role(ret, CATALOGUE_CLONE, err);
}

static bool is_on(enum engine_state state)
{
        return state == ENGINE_RUNNING || state == ENGINE_PAUSED;
}

/* What the store and the engine together can't do is said before anything is made. */
static int check_able(const struct point *point, enum store_role role, struct cowherd_error *err)
{
        const struct catalogue_row *row = &point->clone.row;
        const char *what = role == STORE_BASE ? "make a base of a clone" : "take snapshots";

        if (point->clone.driver->snapshot == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "store '%s' can't %s in this version", point->clone.driver->name, what);
        if (point->state == ENGINE_MISSING) {
                (void)fail(err, COWHERD_NOT_FOUND, "clone '%s' is missing: its bytes were removed behind our back", row->name);
                return fail_hint(err, "delete it");
        }
        if (!is_on(point->state) || !point->stacks || point->live || (point->machine.engine != NULL && point->machine.engine->switch_disk != NULL))
                return 0;
        (void)fail(err, COWHERD_BUSY, "clone '%s' is %s, and store '%s' can %s only while it is stopped", row->name, engine_state_name(point->state),
                   point->clone.driver->name, role == STORE_BASE ? "make a base of it" : "take a snapshot");
        return fail_hint(err, "stop it first");
}

int point_look(struct point *point, enum store_role role, struct cowherd_error *err)
{
        struct thing *clone = &point->clone;

        if (thing_open(point->herd, point->durable, clone, err) < 0)
                return -1;
        point->stacks = clone->driver->snapshot_stacks != NULL && clone->driver->snapshot_stacks(role);
        if (point->stacks)
                clone->place.place.durable = true;
        if (herd_states(point->herd, &clone->row, 1, &point->state, err) < 0)
                return -1;
        if (is_on(point->state) && machine_open(point->herd, clone, &point->machine, err) < 0)
                return -1;
        if (check_able(point, role, err) < 0)
                return -1;
        return point->live ? memory_can_keep(point, err) : 0;
}

void point_fill_row(struct point *point, enum catalogue_role role)
{
        const struct catalogue_row *clone = &point->clone.row;
        const struct thing *bottom = &point->clone;

        while (bottom->base != NULL)
                bottom = bottom->base;
        point->made.row = (struct catalogue_row){
                .role = role,
                .phase = CATALOGUE_CREATING,
                .target = clone->target,
                .store = x_strdup(clone->store),
                .place = x_strdup(clone->place),
                .kind = clone->kind,
                .format = x_strdup(clone->format),
                .virtual_bytes = clone->virtual_bytes,
                .base_id = clone->base_id,
                .of_id = clone->id,
                .created_ms = clock_wall_ms(),
                .memory_bytes = clone->memory_bytes,
                .cpus = clone->cpus,
                .disk_bytes = clone->disk_bytes,
                .identity_applied = clone->identity_applied,
                .distro = x_strdup(bottom->row.distro),
                .release = x_strdup(bottom->row.release),
                .base_name = x_strdup(clone->name),
        };
}

int point_called(struct cowherd_herd *herd, uint64_t clone_id, uint64_t base_id, uint64_t *ret, struct cowherd_error *err)
{
        uint64_t at = base_id;

        while (at != 0) {
                struct catalogue_row row owned_by(catalogue_row_free) = {0};
                int got = catalogue_get(herd->catalogue, at, &row, err);
                if (got < 0)
                        return -1;
                if (got > 0 || row.role != CATALOGUE_SNAPSHOT)
                        break;
                if (row.of_id != clone_id) {
                        *ret = row.of_id;
                        return 0;
                }
                at = row.base_id;
        }
        *ret = at == base_id ? 0 : at == 0 ? clone_id : at;
        return 0;
}

/* ---- steps ---- */

int point_own(struct point *point, struct cowherd_error *err)
{
        struct catalogue_row row = point->clone.row;

        /* What was found without the lock is read again with it. */
        point->clone.row = (struct catalogue_row){0};
        const enum store_role role = point->made.row.role == CATALOGUE_BASE ? STORE_BASE : STORE_SNAPSHOT;
        int got = herd_own(&point->owned, &row, err);
        thing_free(&point->clone);
        machine_free(&point->machine);
        point->clone.row = row;
        if (got < 0 || point_look(point, role, err) < 0)
                return -1;
        point->clone.place.place.lock = point->owned.lock;
        point->made.row.base_id = point->clone.row.base_id;
        point->made.row.identity_applied = point->clone.row.identity_applied;
        point->made.row.virtual_bytes = point->clone.row.virtual_bytes;
        return 0;
}

static const char *operation_of(const struct point *point)
{
        if (point->live)
                return OPERATION_PROMOTE_LIVE;
        return point->made.row.role == CATALOGUE_BASE ? "promote" : "snapshot";
}

/* "snapshot 12"; while it runs "snapshot 12 running" (or paused), and then what its engine is to go on with. */
static int write_intent(struct point *point, uint64_t id, bool with_state, struct cowherd_error *err)
{
        const char *operation = operation_of(point);
        owned_str char *text = with_state ? x_asprintf("%s %llu %s%s%s", operation, (unsigned long long)id, engine_state_name(point->state),
                                                       point->next == NULL ? "" : " ", point->next == NULL ? "" : point->next)
                                          : x_asprintf("%s %llu", operation, (unsigned long long)id);

        return catalogue_begin(point->herd->catalogue, point->clone.row.id, text, err);
}

static int intend(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        return write_intent(context, row->id, false, err);
}

/* Opens the new object beside its row, which is there by now. */
static int open_made(struct point *point, struct cowherd_error *err)
{
        if (thing_open(point->herd, point->durable, &point->made, err) < 0)
                return -1;
        point->made.place.place.durable = point->clone.place.place.durable;
        point->made.place.place.lock = point->making.lock;
        return 0;
}

int point_reserve(struct point *point, struct cowherd_error *err)
{
        if (catalogue_set_durable(point->herd->catalogue, point->durable || point->stacks, err) < 0)
                return -1;
        point->herd->durable = point->durable || point->stacks;
        if (herd_reserve(&point->making, &point->made.row, 1, operation_of(point), intend, point, err) < 0)
                return -1;
        return open_made(point, err);
}

/* The guest stands still around it; *ret_quiet whether it has to be let go on. */
static int quiesce(struct point *point, bool *ret_quiet, struct cowherd_error *err)
{
        const struct engine_driver *engine = point->machine.engine;

        *ret_quiet = false;
        if (!is_on(point->state) || (point->state == ENGINE_PAUSED && point->next == NULL))
                return 0;
        if (write_intent(point, point->made.row.id, true, err) < 0)
                return -1;
        if (point->state == ENGINE_PAUSED || engine->quiesce == NULL)
                return 0;
        if (engine->quiesce(&point->machine.instance, true, &point->frozen, err) < 0)
                return -1;
        *ret_quiet = true;
        return 0;
}

/* What happens while the guest stands still. */
static int take_quiet(struct point *point, struct cowherd_error *err)
{
        const struct thing *clone = &point->clone, *made = &point->made;

        if (point->next != NULL && is_on(point->state)) {
                if (point->machine.engine->switch_disk(&point->machine.instance, point->next, err) < 0)
                        return -1;
                point->begun = true;
        }
        if (clone->driver->snapshot(&clone->place.place, &clone->object, &made->object, err) < 0)
                return -1;
        point->begun = point->stacks;
        return 0;
}

static int intend_running(struct point *point, struct cowherd_error *err)
{
        return write_intent(point, point->made.row.id, true, err);
}

int point_take(struct point *point, struct cowherd_error *err)
{
        const struct thing *clone = &point->clone;
        bool quiet = false;
        struct cowherd_error second;

        if (point->live)
                return memory_keep(point, intend_running, err);
        if (point->stacks && clone->driver->snapshot_prepare != NULL &&
            clone->driver->snapshot_prepare(&clone->place.place, &clone->object, &point->made.object, &point->next, err) < 0)
                return -1;
        double began = clock_ms();
        if (quiesce(point, &quiet, err) < 0)
                return -1;
        int got = take_quiet(point, err);
        bool frozen = point->frozen;
        if (quiet && point->machine.engine->quiesce(&point->machine.instance, false, &frozen, got < 0 ? &second : err) < 0)
                got = -1;
        point->taken_ms = clock_ms() - began;
        return got;
}
