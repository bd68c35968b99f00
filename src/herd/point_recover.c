/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A point in time that was not finished: its command was killed, or failed. What the clone's intent says is enough to know what may
 * have been done; the store and the engine are asked what was. Taken back where nothing of the clone was moved; finished where it was,
 * since its bytes are the new object's then.
 *
 * A virtual machine that runs is asked by the disk that it has open for writing: the file that it was to go on with, or the
 * one that it used before.
 */
#include "herd/memory.h"
#include "herd/point.h"

#include "base/number.h"

#include <string.h>

/* "snapshot 12 running clones/5/next.qcow2", taken apart. */
struct intent {
        struct strv words;
        const char *operation, *state, *next; /* NULL where it is shorter */
        uint64_t id;
};

static bool read_intent(const char *text, struct intent *ret)
{
        for (const char *at = text; *at != '\0';) {
                size_t length = strcspn(at, " ");
                owned_str char *word = x_strndup(at, length);
                strv_add(&ret->words, word);
                at += length + strspn(at + length, " ");
        }
        ret->operation = ret->words.count > 0 ? ret->words.items[0] : "";
        ret->state = ret->words.count > 2 ? ret->words.items[2] : NULL;
        ret->next = ret->words.count > 3 ? ret->words.items[3] : NULL;
        return ret->words.count > 1 && number_parse(ret->words.items[1], &ret->id);
}

/* Destroys what was made, and forgets it. 1 where it must be finished. */
static int take_back(struct point *point, struct cowherd_error *err)
{
        const struct thing *clone = &point->clone, *made = &point->made;
        int got = 0;

        if (point->live && memory_release(point->herd, made->row.id, NULL, err) < 0)
                return -1;
        if (point->stacks)
                got = clone->driver->snapshot_cancel == NULL ? 1
                                                             : clone->driver->snapshot_cancel(&clone->place.place, &clone->object, &made->object, err);
        else
                got = made->driver->destroy(&made->place.place, &made->object, err);
        if (got != 0)
                return got;
        if (catalogue_forget(point->herd->catalogue, &made->row.id, 1, NULL, err) < 0 ||
            catalogue_end(point->herd->catalogue, clone->row.id, err) < 0)
                return -1;
        ownership_free(&point->making);
        return 0;
}

static int finish(struct point *point, struct cowherd_error *err)
{
        const struct thing *clone = &point->clone;
        bool live = point->live;

        if (clone->driver->snapshot(&clone->place.place, &clone->object, &point->made.object, err) < 0 || (live && memory_drop(point, err) < 0))
                return -1;
        /* What its engine said of the memory is not known any more, or it failed in between. */
        point->live = false;
        if (point_neutralise(point, err) < 0 || point_seal(point, err) < 0)
                return -1;
        return live ? point_settle_nameless(point, err) : point_settle(point, err);
}

void point_give_up(struct point *point)
{
        struct cowherd_error ignored;

        if (point->making.count == 0)
                return; /* nothing was reserved */
        if (point->begun && !point->live)
                return; /* it is finished by the next command */
        if (!point->begun && take_back(point, &ignored) != 0)
                point->begun = true;
        if (point->begun && point->live)
                ignore_result(finish(point, &ignored));
}

static bool is_on(enum engine_state state)
{
        return state == ENGINE_RUNNING || state == ENGINE_PAUSED;
}

/* Whether the engine goes on with the next file already. */
static int ask_switched(struct point *point, const char *next, bool *ret, struct cowherd_error *err)
{
        struct engine_instance instance = point->machine.instance;
        enum engine_state state = ENGINE_UNKNOWN;

        instance.path = next;
        if (point->machine.engine->states(&instance, 1, &state, err) < 0)
                return -1;
        *ret = is_on(state);
        return 0;
}

/* Lets a guest go on that its killed command had made stand still. */
static int let_go_on(struct point *point, const struct intent *intent, bool on, struct cowherd_error *err)
{
        const struct engine_driver *engine = point->machine.engine;
        bool frozen = false;

        if (!on || !str_equal(intent->state, engine_state_name(ENGINE_RUNNING)) || engine->quiesce == NULL)
                return 0;
        return engine->quiesce(&point->machine.instance, false, &frozen, err);
}

/* Both rows are there, both locks are held. */
static int settle_point(struct point *point, const struct intent *intent, struct cowherd_error *err)
{
        bool switched = false;
        int got = 1;

        if (thing_open(point->herd, true, &point->clone, err) < 0 || thing_open(point->herd, true, &point->made, err) < 0)
                return -1;
        const struct store_driver *driver = point->clone.driver;
        if (driver->snapshot == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "store '%s' can't finish a snapshot that was begun", driver->name);
        point->clone.place.place.lock = point->owned.lock;
        point->made.place.place.lock = point->making.lock;
        point->live = str_equal(intent->operation, OPERATION_PROMOTE_LIVE);
        point->stacks = driver->snapshot_stacks != NULL && driver->snapshot_stacks(point->made.object.role);
        if (intent->state != NULL && machine_open(point->herd, &point->clone, &point->machine, err) < 0)
                return -1;
        if (intent->next != NULL && ask_switched(point, intent->next, &switched, err) < 0)
                return -1;
        if (intent->state != NULL && herd_states(point->herd, &point->clone.row, 1, &point->state, err) < 0)
                return -1;
        if (!switched && (got = take_back(point, err)) < 0)
                return -1;
        if (got > 0 && finish(point, err) < 0)
                return -1;
        return let_go_on(point, intent, switched || is_on(point->state), err);
}

static int recover_point(struct cowherd_herd *herd, const struct catalogue_row *clone, const struct intent *intent, struct cowherd_error *err)
{
        struct point point owned_by(point_free) = POINT_OF(herd);

        if (ownership_take(&point.making, intent->id, true, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, intent->id, &point.made.row, err);
        if (got < 0 || catalogue_get(herd->catalogue, clone->id, &point.clone.row, err) != 0)
                return -1;
        if (got > 0 || point.made.row.phase != CATALOGUE_CREATING)
                return catalogue_end(herd->catalogue, clone->id, err);
        if (settle_point(&point, intent, err) < 0)
                return fail_while(err, "settling an interrupted %s of '%s'", intent->operation, clone->name);
        return 0;
}

int point_recover(struct cowherd_herd *herd, const struct catalogue_row *clone, const char *operation, struct cowherd_error *err)
{
        struct intent intent = {0};
        bool has_id = read_intent(operation, &intent);
        int got = 1;

        if (str_equal(intent.operation, "flatten"))
                got = flatten_recover(herd, clone, err);
        else if (str_equal(intent.operation, "restore") && has_id)
                got = restore_recover(herd, clone, intent.id, err);
        else if ((str_equal(intent.operation, "snapshot") || str_equal(intent.operation, "promote") || str_equal(intent.operation, OPERATION_PROMOTE_LIVE)) &&
                 has_id)
                got = recover_point(herd, clone, &intent, err);
        strv_free(&intent.words);
        return got;
}

/* One whose maker was killed between it and what was to stand on it. */
static int sweep_nameless(struct cowherd_herd *herd, uint64_t id, struct recovery *recovery, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        int got = ownership_take(&owned, id, false, err);

        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        got = catalogue_free_nameless(herd->catalogue, id, err);
        if (got == 0)
                got = catalogue_get(herd->catalogue, id, &row, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (herd_settle_unfinished(herd, &row, err) < 0)
                return -1;
        recovery->undone++;
        return 0;
}

int point_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_nameless(herd->catalogue, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                if (sweep_nameless(herd, rows.items[i].id, recovery, err) < 0)
                        return -1;
        return 0;
}
