/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup: what killed commands left, what no row knows, and clones whose ttl is over. Two at once share the work. The helper that keeps
 * clones warm ends before it; instances that are ready stay, machines that stand ready end, as does what keeps a base's memory.
 */
#include "herd/herd.h"

#include "compare/compare.h"
#include "herd/runtime.h"
#include "herd/warm.h"
#include "sys/clock.h"

struct expiry {
        size_t deleted, ended; /* of those, how many ran */
        size_t stood;          /* machines that stood ready, ended */
};

/* Deletes one clone that has expired, as delete force=true would. What is being worked on stays, and is counted. */
static int expire(struct cowherd_herd *herd, const struct catalogue_row *expired, struct recovery *recovery, struct expiry *expiry)
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
        /* Asked again, as it may have been extended or deleted meanwhile. */
        if (catalogue_get(herd->catalogue, expired->id, &row, &err) != 0 || row.phase != CATALOGUE_READY || row.expires_ms == 0 ||
            row.expires_ms > clock_wall_ms())
                return 0;
        if (herd_states(herd, &row, 1, &state, &err) < 0 || state == ENGINE_UNKNOWN) {
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
        expiry->deleted++;
        expiry->ended += state == ENGINE_RUNNING || state == ENGINE_PAUSED;
        return 0;
}

static int expire_all(struct call *call, struct recovery *recovery, struct expiry *expiry, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        const char *pattern = request_text(call->request, KEY_NAME);

        if (catalogue_expired(call->herd->catalogue, clock_wall_ms(), &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                if ((pattern == NULL || str_matches(pattern, rows.items[i].name)) && expire(call->herd, &rows.items[i], recovery, expiry) < 0)
                        return -1;
        return 0;
}

static int answer_cleanup(struct call *call, const struct recovery *recovery, const struct expiry *expiry, struct cowherd_error *err)
{
        size_t removed = recovery->undone + recovery->finished + recovery->orphans + expiry->deleted + expiry->stood;

        answer_number(call->answer, "removed", removed);
        answer_number(call->answer, "undone", recovery->undone);
        answer_number(call->answer, "finished", recovery->finished);
        answer_number(call->answer, "orphans", recovery->orphans);
        answer_number(call->answer, "expired", expiry->deleted);
        answer_number(call->answer, "ended", expiry->ended);
        answer_number(call->answer, "warm_ended", expiry->stood);
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

/* What cleanup would do, as far as the catalogue, the stores and the locks of comparisons tell. There may be no catalogue. */
static int answer_plan(struct call *call, struct cowherd_error *err)
{
        struct catalogue_rows unfinished owned_by(catalogue_rows_free) = {0}, expired owned_by(catalogue_rows_free) = {0};
        struct recovery look = {.only_look = true};
        struct cowherd_herd *herd = call->herd;

        if (herd->catalogue != NULL && (catalogue_unfinished(herd->catalogue, &unfinished, err) < 0 ||
                                        catalogue_expired(herd->catalogue, clock_wall_ms(), &expired, err) < 0 || herd_sweep(herd, &look, err) < 0))
                return -1;
        if (herd->fd >= 0 && compare_sweep(herd->fd, herd->root, true, &look.orphans, &look.busy, err) < 0)
                return -1;
        answer_number(call->answer, "unfinished", unfinished.count);
        answer_number(call->answer, "orphans", look.orphans);
        answer_number(call->answer, "expired", expired.count);
        answer_number(call->answer, "busy", look.busy);
        answer_done(call->answer, "nothing done: cleanup would settle %zu unfinished object%s, remove %zu that nobody knows and delete %zu expired clone%s",
                    unfinished.count, unfinished.count == 1 ? "" : "s", look.orphans, expired.count, expired.count == 1 ? "" : "s");
        return 0;
}

int verb_cleanup(struct call *call, struct cowherd_error *err)
{
        struct recovery recovery = {0};
        struct expiry expiry = {0};
        struct warm_pause pause owned_by(warm_pause_end) = WARM_PAUSE_OF(call->herd);
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN))
                return answer_plan(call, err);
        if (call->herd->fd >= 0) {
                bool found = false;
                if (catalogue_sweep(call->herd->fd, call->herd->root, &found, err) < 0)
                        return -1;
                recovery.orphans += found;
                if (compare_sweep(call->herd->fd, call->herd->root, false, &recovery.orphans, &recovery.busy, &recovery.first) < 0)
                        recovery.failed++;
        }
        if (got > 0)
                return answer_cleanup(call, &recovery, &expiry, err);
        if (warm_pause(&pause, err) < 0 || herd_recover(call->herd, &recovery, err) < 0 || warm_trim(call->herd, call->request->target, err) < 0 ||
            warm_end_machines(call->herd, &expiry.stood, err) < 0 || expire_all(call, &recovery, &expiry, err) < 0 || runtime_sweep(call->herd, &recovery, err) < 0 || herd_sweep(call->herd, &recovery, err) < 0)
                return -1;
        return answer_cleanup(call, &recovery, &expiry, err);
}
