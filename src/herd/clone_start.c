/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start=true, and what wakes by itself: the clones are started before their rows are settled, so one that can't be started, and all of
 * a command that was killed over it, are none. Waiting comes after that, without a lock, but for atomic=true.
 */
#include "herd/clone.h"

static int open_lives(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        struct group *group = &cloning->group;

        (void)item;
        group_make_lives(group, cloning->count);
        for (group->count = 0; group->count < cloning->count; group->count++) {
                size_t i = group->count;
                struct cowherd_error own;
                bool made = false;
                if (!cloning->outcomes[i].failed && (live_open_new(cloning->call->herd, &cloning->rows[i], cloning->owned.lock, &group->lives[i], &own) < 0 ||
                                                     live_make_host_key(&group->lives[i], &made, &own) < 0))
                        group_fail_item(group, i, &own);
                if (cloning->wakes)
                        group->lives[i].machine.machine.live = cloning->rows[i].was_warm ? &cloning->taken : &cloning->memory.live;
        }
        return group_judge(group, err);
}

static int start(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        struct live *live = &cloning->group.lives[item];

        int started = live_start(live, err);
        if (started > 0) { /* it was to stand ready, and does not */
                const struct store_place place = cloning_place(cloning);
                cloning->rows[item].was_warm = false;
                live->machine.machine.live = &cloning->memory.live;
                if (cloning->driver->destroy(&place, &cloning->objects[item], err) < 0 || cloning->driver->clone(&place, &cloning->objects[item], err) < 0)
                        return fail_while(err, "cloning '%s'", cloning->rows[item].name);
                started = live_start(live, err);
        }
        if (started < 0)
                return -1;
        live->state = ENGINE_RUNNING;
        return 0;
}

static void unstart(void *operation, size_t item)
{
        struct cloning *cloning = operation;
        struct cowherd_error ignored;

        if (cloning->group.lives != NULL && cloning->group.lives[item].started)
                cloning->stuck[item] = live_end(&cloning->group.lives[item], &ignored) < 0;
}

static int wait_ready(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;

        return live_wait(&cloning->group.lives[item], ENGINE_EVENT_READY, cloning->deadline_ms, err);
}

bool cloning_is_started(const struct cloning *cloning)
{
        return cloning->wakes || request_flag(cloning->call->request, KEY_START);
}

void cloning_add_start(struct cloning *cloning)
{
        const struct request *request = cloning->call->request;
        struct plan *plan = &cloning->plan;

        if (!cloning_is_started(cloning))
                return;
        plan_add(plan, false, open_lives, NULL, "open what the engine is to be told");
        if (cloning->wakes)
                plan_add(plan, true, start, unstart, "wake it in the memory of '%s', give it an identity of its own, bring its link up", cloning->base.row.name);
        else
                plan_add(plan, true, start, unstart, "start it, with an identity of its own");
        if (request_flag(request, KEY_WAIT) && plan->atomic && !cloning->wakes)
                plan_add(plan, true, wait_ready, NULL, "wait until it is ready");
        plan->parallel = group_parallel(cloning->count);
}

bool cloning_waits_afterwards(const struct cloning *cloning)
{
        return request_flag(cloning->call->request, KEY_WAIT) && !cloning->plan.atomic && !cloning->wakes;
}

void cloning_add_wait(struct cloning *cloning)
{
        if (cloning_waits_afterwards(cloning))
                plan_add(&cloning->plan, true, wait_ready, NULL, "wait until it is ready");
}

void cloning_wait(struct cloning *cloning)
{
        ownership_free(&cloning->owned);
        group_wait(&cloning->group, ENGINE_EVENT_READY, cloning->deadline_ms, NULL);
        for (size_t i = 0; i < cloning->count; i++)
                cloning->rows[i].identity_applied |= cloning->group.lives[i].wait.identity_applied;
}

void cloning_keep_identity(struct cloning *cloning, size_t item)
{
        struct catalogue_row *row = &cloning->rows[item];
        const struct live *live = &cloning->group.lives[item];

        x_replace(&row->extra, live->thing.row.extra);
        if (live->start.identity_applied || live->wait.identity_applied)
                live_identity_is_inside(row);
}
