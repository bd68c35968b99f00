/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delete and remove_base. An object is first owned, then marked DELETING, then destroyed, then forgotten: a kill anywhere
 * in between leaves a row that the next command finishes. What runs is ended with force=true, else it stays (75).
 */
#include "herd/group.h"
#include "herd/memory.h"
#include "herd/warm.h"

static bool is_on(const struct live *live)
{
        return live->state == ENGINE_RUNNING || live->state == ENGINE_PAUSED;
}

/* What runs stays, but for force=true; asked of the engines while the locks are held. */
static void refuse_running(struct group *group)
{
        for (size_t i = 0; i < group->count; i++) {
                struct cowherd_error running;
                const struct live *live = &group->lives[i];
                if (group->outcomes[i].failed || !is_on(live))
                        continue;
                (void)fail(&running, COWHERD_BUSY, "clone '%s' is %s", live->thing.row.name, engine_state_name(live->state));
                (void)fail_hint(&running, "stop it first, or say force=true");
                group_fail_item(group, i, &running);
        }
}

/* The ids of those that have not failed; to be freed. */
static uint64_t *ids_of(const struct group *group, size_t *ret_count)
{
        uint64_t *ids = x_calloc(group->count, sizeof *ids);

        *ret_count = 0;
        for (size_t i = 0; i < group->count; i++)
                if (!group->outcomes[i].failed)
                        ids[(*ret_count)++] = group->lives[i].thing.row.id;
        return ids;
}

static int claim(void *operation, size_t item, struct cowherd_error *err)
{
        struct group *group = operation;
        size_t count = 0;

        (void)item;
        group_own(group);
        group_ask(group, true);
        if (!request_flag(group->call->request, KEY_FORCE))
                refuse_running(group);
        group_open(group);
        if (group_judge(group, err) < 0)
                return -1;
        owned_mem uint64_t *ids = ids_of(group, &count);
        int got = catalogue_mark_deleting(group->call->herd->catalogue, ids, count, "delete", err);
        return got <= 0 ? got : fail(err, COWHERD_INTERNAL, "a clone that is owned here was changed by another command");
}

static int destroy(void *operation, size_t item, struct cowherd_error *err)
{
        struct group *group = operation;
        struct live *live = &group->lives[item];
        const struct thing *thing = &live->thing;

        if (live_end(live, err) < 0)
                return -1;
        return thing->driver->destroy(&thing->place.place, &thing->object, err);
}

static int forget(void *operation, size_t item, struct cowherd_error *err)
{
        struct group *group = operation;
        struct cowherd_herd *herd = group->call->herd;
        struct strv freed owned_by(strv_free) = {0};
        size_t count = 0;
        owned_mem uint64_t *ids = ids_of(group, &count);

        (void)item;
        if (catalogue_forget(herd->catalogue, ids, count, &freed, err) < 0)
                return -1;
        ownership_free(&group->owned); /* a base's lock is taken while no clone's is held */
        return herd_destroy_freed(herd, &freed, err);
}

#define REMOVE_PARALLEL 8

static void make_plan(struct group *group)
{
        struct plan *plan = &group->plan;
        size_t count = group->count;
        const struct catalogue_row *first = &group->lives[0].thing.row;
        const char *running = request_flag(group->call->request, KEY_FORCE) ? "end what runs" : "leave out what runs";

        *plan = (struct plan){.items = count, .parallel = REMOVE_PARALLEL, .operation = group};
        if (count == 1)
                plan_add(plan, false, claim, NULL, "own clone '%s', ask whether it runs (%s), mark it deleted", first->name, running);
        else
                plan_add(plan, false, claim, NULL, "own %zu clones ('%s' to '%s'), ask which run (%s), mark them deleted", count, first->name,
                         group->lives[count - 1].thing.row.name, running);
        plan_add(plan, true, destroy, NULL, "destroy the bytes in store '%s'", first->store);
        plan_add(plan, false, forget, NULL, "forget the rows, and removed bases that nothing stands on any more");
}

static void fields(struct group *group, const struct live *live)
{
        if (live->stopped)
                answer_flag(group->call->answer, "ended", true);
}

/* Where each of several failed, the answer tells why for each. */
static bool any_failed(const struct group *group)
{
        for (size_t i = 0; i < group->count; i++)
                if (group->outcomes[i].failed)
                        return true;
        return false;
}

int verb_delete(struct call *call, struct cowherd_error *err)
{
        struct group group owned_by(group_free) = {.call = call, .done = "deleted", .state_is_gone = true};

        if (group_select(&group, err) < 0)
                return -1;
        make_plan(&group);
        if (request_flag(call->request, KEY_DRY_RUN))
                return group_answer_plan(&group, "delete");
        if (plan_apply(&group.plan, group.outcomes, err) < 0 && !any_failed(&group))
                return -1;
        return group_answer(&group, fields, err);
}

/* ---- remove_base ---- */

/* What was kept warm of it goes; the last of that takes the base along where nothing else stands on it. */
static int remove_warm(struct ownership *owned, const struct catalogue_row *row, bool *ret_waits, struct cowherd_error *err)
{
        struct cowherd_herd *herd = owned->herd;
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (!warm_is_possible(row))
                return 0;
        ownership_free(owned); /* who forgets the last of them takes the base's lock */
        if (warm_bury(herd, row->id, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, row->id, &now, err);
        *ret_waits = got == 0;
        return got < 0 ? -1 : 0;
}

int herd_remove_base(struct ownership *owned, const struct catalogue_row *row, bool *ret_waits, struct cowherd_error *err)
{
        struct cowherd_herd *herd = owned->herd;
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        int got = catalogue_remove_base(herd->catalogue, row->id, err);

        if (got < 0)
                return -1;
        *ret_waits = got > 0;
        if (got > 0 && (catalogue_end(herd->catalogue, row->id, err) < 0 || remove_warm(owned, row, ret_waits, err) < 0))
                return -1;
        /* Nothing wakes from it any more; what did has what it needs. */
        if (got > 0)
                return memory_release(herd, row->id, NULL, err);
        got = catalogue_get(herd->catalogue, row->id, &now, err);
        if (got != 0)
                return got;
        if (herd_settle_unfinished(herd, &now, err) < 0)
                return fail_while(err, "removing base '%s'", row->name);
        ownership_free(owned);
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
        if (herd_remove_base(&owned, &row, &waits, err) < 0)
                return -1;
        if (waits && row.clones == 1)
                answer_done(call->answer, "base '%s' removed; its bytes stay until its last clone is deleted", row.name);
        else if (waits)
                answer_done(call->answer, "base '%s' removed; its bytes stay until the last of its %llu clones is deleted", row.name, (unsigned long long)row.clones);
        else
                answer_done(call->answer, "base '%s' removed", row.name);
        return 0;
}
