/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns an object: the holder of byte ID of the table locks/objects. A lock is taken inside the transaction that
 * reserves the row, so nobody ever sees a row in the making whose lock is free while its maker lives. The descriptor is
 * inherited by the tools that a command starts: if cowherd is killed while mmdebstrap still writes, the object stays owned
 * until mmdebstrap ends, and only then is it taken away. A file for each object was a new inode for each clone, the
 * dearest part of making one on ext4 (0.05 to 0.28 ms), and a descriptor for each in a command about thousands.
 */
#include "herd/herd.h"

#include "sys/lock.h"

#include <fcntl.h>

#define OBJECT_LOCKS "objects"

void ownership_free(struct ownership *owned)
{
        if (owned->lock > 0)
                close_at(&owned->lock);
        *owned = (struct ownership){.herd = owned->herd};
}

int ownership_take(struct ownership *owned, uint64_t id, bool wait, struct cowherd_error *err)
{
        bool is_first = owned->count == 0;

        if (is_first && lock_open_table(owned->herd->locks, OBJECT_LOCKS, &owned->lock, err) < 0)
                return -1;
        int got = lock_take_number(owned->lock, id, wait, err);
        if (got != 0) {
                if (is_first)
                        ownership_free(owned);
                return got;
        }
        if (is_first) {
                owned->first = id;
                (void)fcntl(owned->lock, F_SETFD, 0); /* inherited on purpose: see above */
        }
        owned->count++;
        return 0;
}

/* What the reserving transaction calls for each row. */
struct reserving {
        struct ownership *owned;
        catalogue_reserved_fn *also;
        void *context;
};

static int lock_reserved(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct reserving *reserving = context;
        int got = ownership_take(reserving->owned, row->id, true, err);

        if (got < 0)
                return -1;
        return reserving->also == NULL ? 0 : reserving->also(reserving->context, row, err);
}

int fail_taken(const struct catalogue_row *taken, struct cowherd_error *err)
{
        bool base = taken->role == CATALOGUE_BASE;

        (void)fail(err, COWHERD_EXISTS, "%s '%s' already exists", base ? "base" : "clone", taken->name);
        return fail_hint(err, base ? "choose another name, or remove_base it first" : "choose another name, or delete it first");
}

/*
 * The name we want is taken. READY: that is 73. In the making: waits for its maker (by its lock), and settles what a
 * killed one left. 0 then means: try again.
 */
static int wait_for_owner(struct cowherd_herd *herd, const struct catalogue_row *taken, struct cowherd_error *err)
{
        struct ownership theirs owned_by(ownership_free) = {.herd = herd}, keepers owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0}, keeper owned_by(catalogue_row_free) = {0};

        if (taken->phase == CATALOGUE_READY)
                return fail_taken(taken, err);
        if (taken->role == CATALOGUE_BASE && taken->phase == CATALOGUE_CREATING && taken->of_id != 0) { /* it is being made of a clone: that one's lock comes first */
                if (ownership_take(&keepers, taken->of_id, true, err) < 0)
                        return -1;
                int there = catalogue_get(herd->catalogue, taken->of_id, &keeper, err);
                if (there < 0 || (there == 0 && keeper.phase == CATALOGUE_READY && herd_settle_ready(herd, &keeper, err) < 0))
                        return -1;
        }
        if (ownership_take(&theirs, taken->id, true, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, taken->id, &now, err);
        if (got < 0)
                return -1;
        if (got == 0 && now.phase == CATALOGUE_READY)
                return 0;
        if (got == 0 && herd_settle_unfinished(herd, &now, err) < 0)
                return fail_while(err, "settling what an interrupted command left of '%s'", taken->name);
        ownership_free(&theirs);
        return 0;
}

int herd_reserve(struct ownership *owned, struct catalogue_row *rows, size_t count, const char *operation,
                 catalogue_reserved_fn *also, void *context, struct cowherd_error *err)
{
        struct reserving reserving = {.owned = owned, .also = also, .context = context};

        for (;;) {
                struct catalogue_row taken owned_by(catalogue_row_free) = {0};
                int got = catalogue_reserve(owned->herd->catalogue, rows, count, operation, lock_reserved, &reserving, &taken, err);
                if (got == 0)
                        return 0;
                ownership_free(owned); /* of rows that were rolled back */
                if (got < 0 || wait_for_owner(owned->herd, &taken, err) < 0)
                        return -1;
        }
}

int herd_own(struct ownership *owned, struct catalogue_row *row, struct cowherd_error *err)
{
        struct catalogue_row now = {0};

        if (ownership_take(owned, row->id, true, err) < 0)
                return -1;
        int got = catalogue_get(owned->herd->catalogue, row->id, &now, err);
        if (got < 0)
                return -1;
        if (got > 0 || now.phase != CATALOGUE_READY) {
                catalogue_row_free(&now);
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found: another command has just removed it", row->name);
        }
        catalogue_row_free(row);
        *row = now;
        got = herd_settle_ready(owned->herd, row, err);
        if (got <= 0)
                return got;
        return fail(err, COWHERD_NOT_FOUND, "'%s' not found: it was left by an interrupted command", row->name);
}
