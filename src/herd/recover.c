/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After kill -9: whole or nothing. An object whose row is CREATING or DELETING while its lock is free was left by a killed
 * command, and is taken away by whoever comes next: a half-made clone cannot be finished (its caller is gone and was
 * never told), a half-deleted one is finished. What an engine has not heard of yet (a rename) is told it. What no row tells of is
 * for `cleanup` (sweep.c).
 */
#include "herd/live.h"

#include "base/number.h"
#include "herd/adopt.h"
#include "herd/inject.h"
#include "herd/memory.h"
#include "herd/point.h"
#include "herd/warm.h"
#include "sys/file.h"

#define DESTROY_TRIES 3

int herd_destroy_freed(struct cowherd_herd *herd, const struct strv *ids, struct cowherd_error *err)
{
        for (size_t i = 0; i < ids->count; i++) {
                struct ownership owned owned_by(ownership_free) = {.herd = herd};
                struct catalogue_row row owned_by(catalogue_row_free) = {0};
                uint64_t id = 0;

                (void)number_parse(ids->items[i], &id);
                if (ownership_take(&owned, id, true, err) < 0)
                        return -1;
                int got = catalogue_get(herd->catalogue, id, &row, err);
                if (got < 0 || (got == 0 && herd_settle_unfinished(herd, &row, err) < 0))
                        return fail_while(err, "taking away a removed base");
        }
        return 0;
}

int herd_remove_staging(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        owned_str char *staging = x_asprintf("tmp/%llu", (unsigned long long)id);

        return file_remove_tree(herd->fd, staging, err);
}

/* A clone that was started as it was made, or is deleted while it runs, runs no more. */
static int end_life(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};

        if (catalogue_get(herd->catalogue, id, &live.thing.row, err) != 0 || live_open(herd, false, &live, err) < 0)
                return -1;
        return live_tidy(&live, true, err);
}

/*
 * Ends its life and takes its bytes away. A start that a killed command had asked an engine for may come to its end in between: then it is
 * in use, and its life ends once more.
 */
static int destroy(struct cowherd_herd *herd, const struct catalogue_row *row, const struct thing *thing, struct cowherd_error *err)
{
        bool lives = row->role == CATALOGUE_CLONE && (row->name != NULL || row->kind == STORE_DISK); /* what is kept warm was never started */
        int done = -1;

        for (int tries = 0; done < 0 && tries < DESTROY_TRIES; tries++) {
                if (lives && end_life(herd, row->id, err) < 0)
                        return -1;
                done = thing->driver->destroy(&thing->place.place, &thing->object, err);
                if (done < 0 && (!lives || err->code != COWHERD_BUSY))
                        return -1;
        }
        return done;
}

int herd_settle_unfinished(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        struct strv freed owned_by(strv_free) = {0};

        if (row->phase == CATALOGUE_READY)
                return 0;
        int got = catalogue_get(herd->catalogue, row->id, &thing.row, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (thing_open(herd, false, &thing, err) < 0)
                return -1;
        if (row->role == CATALOGUE_BASE && row->phase == CATALOGUE_CREATING &&
            (inject_end(herd, row->id, err) < 0 || adopt_give_back(&thing, err) < 0 || herd_remove_staging(herd, row->id, err) < 0))
                return -1;
        if (row->role == CATALOGUE_BASE && row->target == COWHERD_QEMU && memory_release(herd, row->id, NULL, err) < 0)
                return -1;
        if (destroy(herd, row, &thing, err) < 0)
                return -1;
        if (catalogue_forget(herd->catalogue, &row->id, 1, &freed, err) < 0)
                return -1;
        return herd_destroy_freed(herd, &freed, err);
}

/* start, stop … : the engine is asked what became of it. What runs is well; what does not leaves nothing of itself behind. */
static int settle_power(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};

        if (catalogue_get(herd->catalogue, id, &live.thing.row, err) != 0 || live_open(herd, false, &live, err) < 0 || live_tidy(&live, false, err) < 0)
                return -1;
        return catalogue_end(herd->catalogue, id, err);
}

/* create: its base goes; with its bytes, where no clone was made of it. */
static int settle_create(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (row->name == NULL)
                return catalogue_end(herd->catalogue, row->id, err);
        int got = catalogue_remove_base(herd->catalogue, row->id, err);
        if (got != 0)
                return got < 0 ? -1 : catalogue_end(herd->catalogue, row->id, err);
        if (catalogue_get(herd->catalogue, row->id, &now, err) != 0 || herd_settle_unfinished(herd, &now, err) < 0)
                return -1;
        return 1;
}

int herd_settle_ready(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        owned_str char *operation = NULL;
        int got = catalogue_operation(herd->catalogue, row->id, &operation, err);

        if (got != 0)
                return got < 0 ? -1 : 0;
        if (str_equal(operation, OPERATION_CREATE))
                return settle_create(herd, row, err);
        if (str_equal(operation, OPERATION_UNPROMOTE))
                return row->role == CATALOGUE_BASE ? settle_create(herd, row, err) : catalogue_end(herd->catalogue, row->id, err);
        if (str_equal(operation, "rename") || str_equal(operation, OPERATION_TAKE))
                return herd_finish_rename(herd, row->id, err);
        got = point_recover(herd, row, operation, err);
        return got <= 0 ? got : settle_power(herd, row->id, err);
}

/*
 * Whether another row's turn settles this one as well: what is being made of a clone, its clone's intent; a snapshot that goes with its
 * clone, the clone's end.
 */
static int has_keeper(struct cowherd_herd *herd, const struct catalogue_row *row, bool *ret, struct cowherd_error *err)
{
        struct catalogue_row of owned_by(catalogue_row_free) = {0};
        owned_str char *operation = NULL;

        *ret = false;
        if (row->of_id == 0 || row->role == CATALOGUE_CLONE || row->phase == CATALOGUE_READY ||
            (row->role == CATALOGUE_BASE && row->phase == CATALOGUE_DELETING))
                return 0;
        int got = catalogue_get(herd->catalogue, row->of_id, &of, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (row->phase == CATALOGUE_DELETING || of.phase == CATALOGUE_DELETING) {
                *ret = of.phase == CATALOGUE_DELETING;
                return 0;
        }
        got = catalogue_operation(herd->catalogue, of.id, &operation, err);
        *ret = got == 0;
        return got < 0 ? -1 : 0;
}

void recovery_count_failure(struct recovery *recovery, const struct cowherd_error *err)
{
        if (recovery->failed++ == 0)
                recovery->first = *err;
}

/*
 * A clone that was kept warm is whole once it is settled, and its engine is told its name by the helper, or by who next works on it:
 * nobody else is to wait for that.
 */
static int can_wait(struct cowherd_herd *herd, const struct catalogue_row *row, const struct recovery *recovery, bool *ret, struct cowherd_error *err)
{
        owned_str char *operation = NULL;

        *ret = false;
        if (!recovery->only_wrecks || row->phase != CATALOGUE_READY)
                return 0;
        int got = catalogue_operation(herd->catalogue, row->id, &operation, err);
        *ret = str_equal(operation, OPERATION_TAKE);
        return got < 0 ? -1 : 0;
}

/* Settles one row if nobody owns it. */
static int recover_row(struct cowherd_herd *herd, const struct catalogue_row *row, struct recovery *recovery, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        bool kept = false;

        if (can_wait(herd, row, recovery, &kept, err) < 0 || (!kept && has_keeper(herd, row, &kept, err) < 0))
                return -1;
        if (kept)
                return 0;
        int got = ownership_take(&owned, row->id, false, err);
        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        got = catalogue_get(herd->catalogue, row->id, &now, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return 0;
        if (now.phase == CATALOGUE_READY) {
                got = herd_settle_ready(herd, &now, err);
                if (got < 0)
                        recovery_count_failure(recovery, err);
                recovery->finished += got >= 0;
                return 0;
        }
        if (herd_settle_unfinished(herd, &now, err) < 0) {
                recovery_count_failure(recovery, err);
                return 0;
        }
        recovery->undone += now.phase == CATALOGUE_CREATING;
        recovery->finished += now.phase == CATALOGUE_DELETING;
        return 0;
}

static bool is_among(const struct catalogue_rows *rows, size_t count, uint64_t id)
{
        for (size_t i = 0; i < count; i++)
                if (rows->items[i].id == id)
                        return true;
        return false;
}

int herd_recover(struct cowherd_herd *herd, struct recovery *ret, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct recovery ignored = {.only_wrecks = true}, *recovery = ret == NULL ? &ignored : ret;

        /* To settle one may leave others to be taken away: a removed base that its last clone was cut loose from. */
        for (size_t seen = 0, settled = 0;; settled = recovery->finished + recovery->undone) {
                if (catalogue_unfinished(herd->catalogue, &rows, err) < 0)
                        return -1;
                size_t count = rows.count;
                for (size_t i = seen; i < count; i++)
                        if (!is_among(&rows, seen, rows.items[i].id) && recover_row(herd, &rows.items[i], recovery, err) < 0)
                                return fail_while(err, "settling what an interrupted command left");
                if (count == seen || recovery->finished + recovery->undone == settled)
                        return 0;
                seen = count;
        }
}
