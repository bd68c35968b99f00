/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start stop restart pause resume, and the two _if_ forms. The rows are owned and an intent stands in the catalogue for each before
 * its engine is told anything, so that whoever comes after a kill asks the engine what became of it (recover.c). Locks
 * are given back before anything is waited for: a guest that never gets ready can be stopped by others.
 */
#include "herd/power.h"

#include "sys/clock.h"

struct powering {
        struct group group;
        enum verb_id verb;
        uint64_t timeout_ms;
        bool force, wait;
        double deadline_ms;
};

static bool is_start(enum verb_id verb)
{
        return verb == VERB_START || verb == VERB_START_IF_STOPPED;
}

static bool is_stop(enum verb_id verb)
{
        return verb == VERB_STOP || verb == VERB_STOP_IF_RUNNING;
}

static int wrong_state(const struct live *live, const char *hint, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "clone '%s' is %s already", live->thing.row.name, engine_state_name(live->state));
        return fail_hint(err, "%s", hint);
}

/* Whether the verb has anything to do with an instance in this state: 75 where it can't have. */
static int judge(const struct powering *powering, struct live *live, struct cowherd_error *err)
{
        const char *name = live->thing.row.name;
        bool on = live->state == ENGINE_RUNNING || live->state == ENGINE_PAUSED;

        live->skipped = (powering->verb == VERB_START_IF_STOPPED && on) || (powering->verb == VERB_STOP_IF_RUNNING && !on);
        if (powering->verb == VERB_START && live->state == ENGINE_PAUSED) {
                (void)fail(err, COWHERD_BUSY, "clone '%s' is paused", name);
                return fail_hint(err, "'resume' lets it go on");
        }
        if (powering->verb == VERB_START && on)
                return wrong_state(live, "start_if_stopped skips what runs; 'restart' stops and starts it", err);
        if (powering->verb == VERB_STOP && !on)
                return wrong_state(live, "stop_if_running skips what does not run", err);
        if (powering->verb == VERB_PAUSE && live->state == ENGINE_PAUSED)
                return wrong_state(live, "'resume' lets it go on", err);
        if ((powering->verb == VERB_PAUSE && !on) || (powering->verb == VERB_RESUME && !on)) {
                (void)fail(err, COWHERD_BUSY, "clone '%s' is stopped", name);
                return fail_hint(err, "start it first");
        }
        if (powering->verb == VERB_RESUME && live->state == ENGINE_RUNNING)
                return wrong_state(live, "only what is paused can be resumed", err);
        return 0;
}

/* ---- steps ---- */

/* What is intended, and the host key that the first start of an instance puts in, in one transaction. */
static int intend_one(struct powering *powering, struct live *live, struct cowherd_error *err)
{
        struct catalogue *catalogue = powering->group.call->herd->catalogue;
        const char *verb = powering->group.call->request->verb->public.name;
        bool made = false;

        if ((is_start(powering->verb) || powering->verb == VERB_RESTART) && live_make_host_key(live, &made, err) < 0)
                return -1;
        return made ? catalogue_settle_and_begin(catalogue, &live->thing.row, 1, verb, err) : catalogue_begin(catalogue, live->thing.row.id, verb, err);
}

static int intend(struct powering *powering, struct cowherd_error *err)
{
        struct group *group = &powering->group;

        for (size_t i = 0; i < group->count; i++) {
                struct live *live = &group->lives[i];
                if (group->outcomes[i].failed || live->skipped)
                        continue;
                if (intend_one(powering, live, err) < 0)
                        return -1;
                live->intended = true;
        }
        return 0;
}

static int claim(void *operation, size_t item, struct cowherd_error *err)
{
        struct powering *powering = operation;
        struct group *group = &powering->group;

        (void)item;
        group_own(group);
        group_ask(group, false);
        for (size_t i = 0; i < group->count; i++) {
                struct cowherd_error own;
                if (!group->outcomes[i].failed && judge(powering, &group->lives[i], &own) < 0)
                        group_fail_item(group, i, &own);
        }
        group_open(group);
        if (group_judge(group, err) < 0)
                return -1;
        for (size_t i = 0; group->plan.atomic && i < group->count; i++)
                if (group->outcomes[i].failed) {
                        *err = group->outcomes[i].err;
                        return -1;
                }
        return intend(powering, err);
}

static void unclaim(void *operation, size_t item)
{
        struct powering *powering = operation;
        struct group *group = &powering->group;

        (void)item;
        for (size_t i = 0; i < group->count; i++) {
                struct live *live = &group->lives[i];
                struct cowherd_error ignored;
                if (live->intended && !live->stuck)
                        ignore_result(catalogue_end(group->call->herd->catalogue, live->thing.row.id, &ignored));
                live->intended = false;
        }
}

static int act(void *operation, size_t item, struct cowherd_error *err)
{
        struct powering *powering = operation;
        struct live *live = &powering->group.lives[item];
        enum verb_id verb = powering->verb;

        if (live->skipped)
                return 0;
        if (verb == VERB_PAUSE || verb == VERB_RESUME) {
                if ((verb == VERB_PAUSE ? live_pause : live_resume)(live, err) < 0)
                        return -1;
                live->state = verb == VERB_PAUSE ? ENGINE_PAUSED : ENGINE_RUNNING;
                return 0;
        }
        if (!is_start(verb) && live->state != ENGINE_STOPPED && live_stop(live, powering->timeout_ms, powering->force, err) < 0)
                return -1;
        live->state = ENGINE_STOPPED;
        if (is_stop(verb))
                return 0;
        if (live_start(live, err) < 0)
                return -1;
        live->state = ENGINE_RUNNING;
        return 0;
}

/* Back to the state in which it was found. */
static void undo(void *operation, size_t item)
{
        struct powering *powering = operation;
        struct live *live = &powering->group.lives[item];
        struct cowherd_error ignored;
        bool failed = powering->group.outcomes[item].failed;
        int got = 0;

        if (powering->verb == VERB_PAUSE && !failed)
                got = live_resume(live, &ignored);
        else if (powering->verb == VERB_RESUME && !failed)
                got = live_pause(live, &ignored);
        else if (live->started && !live->stopped)
                got = live_stop(live, 0, true, &ignored);
        else if (live->stopped && !live->started)
                got = live_start(live, &ignored);
        live->stuck = live->stuck || got < 0;
}

static int settle(void *operation, size_t item, struct cowherd_error *err)
{
        struct powering *powering = operation;
        struct group *group = &powering->group;
        struct catalogue *catalogue = group->call->herd->catalogue;

        (void)item;
        for (size_t i = 0; i < group->count; i++) {
                struct live *live = &group->lives[i];
                struct catalogue_row *row = &live->thing.row;
                bool applied = live->started && (live->start.identity_applied || live->wait.identity_applied) && !row->identity_applied;
                if (live->intended && !live->stuck) {
                        if (applied)
                                live_identity_is_inside(row);
                        if ((applied ? catalogue_settle(catalogue, row, 1, err) : catalogue_end(catalogue, row->id, err)) < 0)
                                return -1;
                }
                live->intended = false;
        }
        ownership_free(&group->owned);
        return 0;
}

static int wait_atomically(void *operation, size_t item, struct cowherd_error *err)
{
        struct powering *powering = operation;
        struct live *live = &powering->group.lives[item];

        return live->state != ENGINE_RUNNING ? 0 : live_wait(live, ENGINE_EVENT_READY, powering->deadline_ms, err);
}

static const struct {
        const char *verb, *done;
} words[VERB_COUNT] = {
        [VERB_START] = {"start", "started"},     [VERB_START_IF_STOPPED] = {"start", "started"}, [VERB_STOP] = {"stop", "stopped"},
        [VERB_STOP_IF_RUNNING] = {"stop", "stopped"}, [VERB_RESTART] = {"restart", "restarted"},    [VERB_PAUSE] = {"pause", "paused"},
        [VERB_RESUME] = {"resume", "resumed"},
};

static void make_plan(struct powering *powering)
{
        struct group *group = &powering->group;
        struct plan *plan = &group->plan;
        const char *verb = words[powering->verb].verb;

        *plan = (struct plan){.items = group->count, .parallel = group_parallel(group->count), .operation = powering,
                              .atomic = request_flag(group->call->request, KEY_ATOMIC)};
        if (group->several)
                plan_add(plan, false, claim, unclaim, "own %zu clones ('%s' to '%s'), ask for their states, write down what is intended", group->count,
                         group->lives[0].thing.row.name, group->lives[group->count - 1].thing.row.name);
        else
                plan_add(plan, false, claim, unclaim, "own clone '%s', ask for its state, write down what is intended", group->lives[0].thing.row.name);
        plan_add(plan, true, act, undo, "%s it", verb);
        if (powering->wait && plan->atomic)
                plan_add(plan, true, wait_atomically, NULL, "wait until it is ready");
        plan_add(plan, false, settle, NULL, "settle the catalogue, give the locks back");
        if (powering->wait && !plan->atomic)
                plan_add(plan, true, wait_atomically, NULL, "wait until it is ready");
}

/* ---- answer ---- */

static void fields(struct group *group, const struct live *live)
{
        struct cowherd_answer *answer = group->call->answer;
        enum verb_id verb = group->call->request->verb->id;

        if (verb == VERB_START_IF_STOPPED || verb == VERB_STOP_IF_RUNNING)
                answer_flag(answer, "skipped", live->skipped);
        if (live->stopped && !is_start(verb)) {
                answer_ms(answer, "stop_ms", live->stop_ms);
                answer_flag(answer, "forced", live->forced);
        }
        if (live->started && !is_stop(verb))
                fields_of_start(answer, live);
        if (live->wait_ms > 0)
                fields_of_wait(answer, live);
}

static bool is_running(const struct live *live)
{
        return live->state == ENGINE_RUNNING;
}

/* Says what became of them. Where a single one failed, that is the answer. */
static int answer_power(struct powering *powering, int applied, struct cowherd_error *err)
{
        struct group *group = &powering->group;
        bool told = false;

        for (size_t i = 0; i < group->count; i++)
                told |= group->outcomes[i].failed;
        if (applied < 0 && !told) /* a whole step failed: nothing is known of the items */
                return -1;
        for (size_t i = 0; applied < 0 && group->plan.atomic && i < group->count; i++)
                if (!group->outcomes[i].failed) {
                        group->outcomes[i].failed = true;
                        (void)fail(&group->outcomes[i].err, (enum cowherd_code)err->code, "undone, since another one failed (atomic=true)");
                }
        struct cowherd_error first = *err;
        int got = group_answer(group, fields, err);
        if (applied < 0 && group->plan.atomic)
                *err = first;
        return got;
}

static int power(struct powering *powering, struct cowherd_error *err)
{
        struct group *group = &powering->group;
        struct call *call = group->call;
        const struct request *request = call->request;

        if (group_select(group, err) < 0)
                return -1;
        make_plan(powering);
        if (request_flag(request, KEY_DRY_RUN))
                return group_answer_plan(group, words[powering->verb].verb);
        size_t steps = group->plan.count;
        group->plan.count -= powering->wait && !group->plan.atomic;
        powering->deadline_ms = wait_deadline(request);
        int applied = plan_apply(&group->plan, group->outcomes, err);
        group->plan.count = steps;
        if (applied == 0 && powering->wait && !group->plan.atomic)
                group_wait(group, ENGINE_EVENT_READY, powering->deadline_ms, is_running);
        return answer_power(powering, applied, err);
}

int verb_power(struct call *call, struct cowherd_error *err)
{
        enum verb_id verb = call->request->verb->id;
        const struct request *request = call->request;
        struct powering powering = {
                .group = {.call = call, .done = words[verb].done},
                .verb = verb,
                .timeout_ms = request_has(request, KEY_TIMEOUT) ? request_number(request, KEY_TIMEOUT) : LIVE_STOP_MS,
                .force = request_flag(request, KEY_FORCE),
                .wait = request_flag(request, KEY_WAIT) && !is_stop(verb) && verb != VERB_PAUSE,
        };
        int got = power(&powering, err);

        group_free(&powering.group);
        return got;
}
