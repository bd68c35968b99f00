/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: until instances are what is asked for. Nothing is owned meanwhile, since waiting changes nothing: only where an identity
 * went in on the way is that written down afterwards. Each instance has a thread, which sleeps on its engine's event.
 */
#include "herd/power.h"

#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

#define WAITING_MAX 128 /* threads; all of more share the deadline */

struct waiting {
        struct group *group;
        enum engine_event what;
        double deadline_ms;
        bool (*wanted)(const struct live *live);
};

double wait_deadline(const struct request *request)
{
        uint64_t timeout = request_has(request, KEY_TIMEOUT) ? request_number(request, KEY_TIMEOUT) : LIVE_WAIT_MS;

        return clock_ms() + (double)timeout;
}

static int wait_item(void *operation, size_t item, struct cowherd_error *err)
{
        struct waiting *waiting = operation;
        struct live *live = &waiting->group->lives[item];

        if (waiting->wanted != NULL && !waiting->wanted(live))
                return 0;
        return live_wait(live, waiting->what, waiting->deadline_ms, err);
}

/* The states after the wait: asked, not concluded. */
static void ask_again(struct group *group)
{
        owned_mem struct catalogue_row *rows = x_calloc(group->count, sizeof *rows); /* borrowed */
        owned_mem enum engine_state *states = x_calloc(group->count, sizeof *states);
        struct cowherd_error ignored;

        for (size_t i = 0; i < group->count; i++)
                rows[i] = group->lives[i].thing.row;
        ignore_result(herd_states(group->call->herd, rows, group->count, states, &ignored));
        for (size_t i = 0; i < group->count; i++)
                if (states[i] != ENGINE_UNKNOWN)
                        group->lives[i].state = states[i];
}

/* In the sentence, as the hint may be taken: an agent that is missing says how to install one. */
static void tell_how_it_was_left(const struct live *live, struct cowherd_error *err)
{
        owned_str char *why = x_strdup(err->text);
        owned_str char *hint = x_strdup(err->hint[0] == '\0' ? "'logs' shows its console" : err->hint);

        (void)fail(err, COWHERD_BUSY, "%s; it was left as it is, %s", why, engine_state_name(live->state));
        (void)fail_hint(err, "%s", hint);
}

void group_wait(struct group *group, enum engine_event what, double deadline_ms, bool (*wanted)(const struct live *))
{
        struct waiting waiting = {.group = group, .what = what, .deadline_ms = deadline_ms, .wanted = wanted};
        struct plan plan = {.items = group->count, .parallel = WAITING_MAX, .operation = &waiting};
        owned_mem bool *failed_before = x_calloc(group->count, sizeof *failed_before);
        struct cowherd_error ignored;

        for (size_t i = 0; i < group->count; i++)
                failed_before[i] = group->outcomes[i].failed;
        plan_add(&plan, true, wait_item, NULL, "wait");
        ignore_result(plan_apply(&plan, group->outcomes, &ignored)); /* the outcomes tell */
        ask_again(group);
        for (size_t i = 0; i < group->count; i++) {
                struct live *live = &group->lives[i];
                struct cowherd_error err;
                struct outcome *outcome = &group->outcomes[i];
                if (outcome->failed && !failed_before[i] && outcome->err.code == COWHERD_BUSY)
                        tell_how_it_was_left(live, &outcome->err);
                if (!live->wait.identity_applied || live->thing.row.identity_applied)
                        continue;
                live->thing.row.identity_applied = true;
                if (live_note_identity(group->call->herd, live->thing.row.id, &err) < 0)
                        group_fail_item(group, i, &err);
        }
}

static const char *const events[] = {
        [ENGINE_EVENT_RUNNING] = "running",
        [ENGINE_EVENT_READY] = "ready",
        [ENGINE_EVENT_STOPPED] = "stopped",
        [ENGINE_EVENT_ADDRESS] = "address",
};

static void fields(struct group *group, const struct live *live)
{
        fields_of_wait(group->call->answer, live);
}

static enum engine_event event_of(const struct request *request)
{
        const char *what = request_text(request, KEY_FOR);

        for (size_t i = 0; i < array_length(events); i++)
                if (str_equal_case(what, events[i]))
                        return (enum engine_event)i;
        return ENGINE_EVENT_READY;
}

static int wait_for_all(struct group *group, struct cowherd_error *err)
{
        const struct request *request = group->call->request;
        enum engine_event what = event_of(request);
        double deadline_ms = wait_deadline(request);

        if (group_select(group, err) < 0)
                return -1;
        if (request_flag(request, KEY_DRY_RUN)) {
                group->plan = (struct plan){.items = group->count};
                plan_add(&group->plan, true, wait_item, NULL, "wait for it: %s", events[what]);
                return group_answer_plan(group, "wait for");
        }
        group_ask(group, false);
        group_open(group);
        group_wait(group, what, deadline_ms, NULL);
        owned_str char *address = x_asprintf("has the address %s", group->lives[0].wait.address);
        group->done = what == ENGINE_EVENT_ADDRESS ? group->several ? "have an address" : address : what == ENGINE_EVENT_READY ? "is ready"
                      : what == ENGINE_EVENT_RUNNING                                           ? "runs"
                                                                                               : "has stopped";
        return group_answer(group, fields, err);
}

int verb_wait(struct call *call, struct cowherd_error *err)
{
        struct group group owned_by(group_free) = {.call = call};

        return wait_for_all(&group, err);
}
