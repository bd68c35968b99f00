/* SPDX-License-Identifier: Apache-2.0 */
/* cleanup: what killed commands left, what no row knows, and clones whose ttl is over. Two at once share the work. */
#include "herd/herd.h"

#include "sys/clock.h"

/* Deletes one clone that has expired, as delete would. What runs or is busy stays, and is counted. */
static int expire(struct cowherd_herd *herd, const struct catalogue_row *expired, struct recovery *recovery, size_t *deleted)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        enum engine_state state = ENGINE_UNKNOWN;
        struct cowherd_error err;

        int got = ownership_take(&owned, expired->id, false, &err);
        if (got != 0) {
                recovery->busy += got > 0;
                return 0;
        }
        if (catalogue_get(herd->catalogue, expired->id, &row, &err) != 0 || row.phase != CATALOGUE_READY)
                return 0;
        if (herd_states(herd, &row, 1, &state, &err) < 0 || state == ENGINE_RUNNING || state == ENGINE_PAUSED) {
                recovery->busy++;
                return 0;
        }
        if (catalogue_mark_deleting(herd->catalogue, &row.id, 1, "cleanup", &err) != 0)
                return 0;
        row.phase = CATALOGUE_DELETING;
        if (herd_settle_unfinished(herd, &row, &err) < 0) {
                if (recovery->failed++ == 0)
                        recovery->first = err;
                return 0;
        }
        ownership_remove(&owned);
        *deleted += 1;
        return 0;
}

static int expire_all(struct cowherd_herd *herd, struct recovery *recovery, size_t *deleted, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_expired(herd->catalogue, clock_wall_ms(), &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                if (expire(herd, &rows.items[i], recovery, deleted) < 0)
                        return -1;
        return 0;
}

static int answer_cleanup(struct call *call, const struct recovery *recovery, size_t expired, struct cowherd_error *err)
{
        size_t removed = recovery->undone + recovery->finished + recovery->orphans + expired;

        answer_number(call->answer, "removed", removed);
        answer_number(call->answer, "undone", recovery->undone);
        answer_number(call->answer, "finished", recovery->finished);
        answer_number(call->answer, "orphans", recovery->orphans);
        answer_number(call->answer, "expired", expired);
        answer_number(call->answer, "busy", recovery->busy);
        answer_number(call->answer, "failed", recovery->failed);
        if (recovery->failed > 0) {
                *err = recovery->first;
                return fail_while(err, "%zu leftover%s could not be removed, the first", recovery->failed, recovery->failed == 1 ? "" : "s");
        }
        if (removed == 0)
                answer_done(call->answer, "nothing to clean up");
        else
                answer_done(call->answer, "%zu leftover%s removed", removed, removed == 1 ? "" : "s");
        return 0;
}

/* What cleanup would do, as far as the catalogue tells. */
static int answer_plan(struct call *call, struct cowherd_error *err)
{
        struct catalogue_rows unfinished owned_by(catalogue_rows_free) = {0}, expired owned_by(catalogue_rows_free) = {0};

        if (catalogue_unfinished(call->herd->catalogue, &unfinished, err) < 0 ||
            catalogue_expired(call->herd->catalogue, clock_wall_ms(), &expired, err) < 0)
                return -1;
        answer_number(call->answer, "unfinished", unfinished.count);
        answer_number(call->answer, "expired", expired.count);
        answer_done(call->answer, "nothing done: cleanup would settle %zu unfinished object%s and delete %zu expired clone%s", unfinished.count,
                    unfinished.count == 1 ? "" : "s", expired.count, expired.count == 1 ? "" : "s");
        return 0;
}

int verb_cleanup(struct call *call, struct cowherd_error *err)
{
        struct recovery recovery = {0};
        size_t expired = 0;
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN))
                return got > 0 ? answer_cleanup(call, &recovery, 0, err) : answer_plan(call, err);
        if (call->herd->fd >= 0) {
                bool found = false;
                if (catalogue_sweep(call->herd->fd, call->herd->root, &found, err) < 0)
                        return -1;
                recovery.orphans += found;
        }
        if (got > 0)
                return answer_cleanup(call, &recovery, 0, err);
        if (herd_recover(call->herd, &recovery, err) < 0 || expire_all(call->herd, &recovery, &expired, err) < 0 ||
            herd_sweep(call->herd, &recovery, err) < 0)
                return -1;
        return answer_cleanup(call, &recovery, expired, err);
}
