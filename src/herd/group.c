/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all verbs over several instances share. Rows are owned in the order in which the catalogue lists them, the same for
 * everybody, so that two commands over one pattern wait for each other and never for ever.
 */
#include "herd/group.h"

#include "sys/clock.h"
#include "sys/process.h"

#include <unistd.h>

#define FILES_EACH 8 /* a place each, more for a chain over several, and what is opened while it is worked on */

void group_free(struct group *group)
{
        for (size_t i = 0; i < group->count; i++)
                live_free(&group->lives[i]);
        free(group->lives);
        free(group->outcomes);
        ownership_free(&group->owned);
        *group = (struct group){0};
}

void group_make_lives(struct group *group, size_t count)
{
        process_allow_files(count * FILES_EACH);
        group->lives = x_calloc(count, sizeof *group->lives);
        for (size_t i = 0; i < count; i++)
                group->lives[i].thing.place.fd = -1;
}

int herd_select(struct call *call, struct catalogue_rows *ret, struct cowherd_error *err)
{
        const struct request *request = call->request;
        const char *name = request_text(request, KEY_NAME);
        struct catalogue_row row = {0};

        if (str_is_pattern(name)) {
                if (catalogue_list(call->herd->catalogue, request->target, CATALOGUE_CLONE, name, ret, err) < 0)
                        return -1;
                return ret->count > 0 ? 0 : fail(err, COWHERD_NOT_FOUND, "no clone matches '%s'", name);
        }
        if (herd_find(call->herd, request->target, "clone", name, &row, err) < 0)
                return -1;
        if (expect_role(&row, CATALOGUE_CLONE, err) < 0) {
                catalogue_row_free(&row);
                return -1;
        }
        ret->items = x_reallocarray(ret->items, ret->count + 1, sizeof *ret->items);
        ret->items[ret->count++] = row;
        ret->capacity = ret->count;
        return 0;
}

int group_select(struct group *group, struct cowherd_error *err)
{
        struct call *call = group->call;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        const char *name = request_text(call->request, KEY_NAME);
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' not found", name);
        if (!request_flag(call->request, KEY_DRY_RUN) && herd_recover(call->herd, NULL, err) < 0)
                return -1;
        if (herd_select(call, &rows, err) < 0)
                return -1;
        group->several = str_is_pattern(name);
        group->count = rows.count;
        group->owned.herd = call->herd;
        group_make_lives(group, rows.count);
        group->outcomes = x_calloc(rows.count, sizeof *group->outcomes);
        for (size_t i = 0; i < rows.count; i++) {
                group->lives[i].thing.row = rows.items[i];
                rows.items[i] = (struct catalogue_row){0};
        }
        return 0;
}

void group_fail_item(struct group *group, size_t item, const struct cowherd_error *err)
{
        group->outcomes[item] = (struct outcome){.failed = true, .err = *err};
}

void group_own(struct group *group)
{
        for (size_t i = 0; i < group->count; i++) {
                struct cowherd_error err;
                if (herd_own(&group->owned, &group->lives[i].thing.row, &err) < 0)
                        group_fail_item(group, i, &err);
        }
}

static void judge_state(struct group *group, size_t item, const struct cowherd_error *why)
{
        const struct live *live = &group->lives[item];
        struct cowherd_error err;

        if (live->state == ENGINE_UNKNOWN) {
                if (why->code != 0) {
                        group_fail_item(group, item, why);
                        return;
                }
                (void)fail(&err, COWHERD_SYSTEM, "the state of '%s' is not known", live->thing.row.name);
                (void)fail_hint(&err, "'doctor' tells what is wrong");
                group_fail_item(group, item, &err);
        }
        if (live->state == ENGINE_MISSING) {
                (void)fail(&err, COWHERD_NOT_FOUND, "what clone '%s' consists of was not found: it was removed behind our back", live->thing.row.name);
                (void)fail_hint(&err, "delete it, and clone it anew");
                group_fail_item(group, item, &err);
        }
}

void group_ask(struct group *group, bool missing_is_well)
{
        owned_mem struct catalogue_row *rows = x_calloc(group->count, sizeof *rows); /* borrowed */
        owned_mem enum engine_state *states = x_calloc(group->count, sizeof *states);
        struct cowherd_error why = {0};

        for (size_t i = 0; i < group->count; i++)
                rows[i] = group->lives[i].thing.row;
        if (herd_states(group->call->herd, rows, group->count, states, &why) == 0)
                why.code = 0;
        for (size_t i = 0; i < group->count; i++) {
                group->lives[i].state = states[i];
                if (!group->outcomes[i].failed && !(states[i] == ENGINE_MISSING && missing_is_well))
                        judge_state(group, i, &why);
        }
}

void group_open(struct group *group)
{
        for (size_t i = 0; i < group->count; i++) {
                struct cowherd_error err;
                if (!group->outcomes[i].failed && live_open(group->call->herd, false, &group->lives[i], &err) < 0)
                        group_fail_item(group, i, &err);
                group->lives[i].thing.place.place.lock = group->owned.lock;
        }
}

int group_judge(const struct group *group, struct cowherd_error *err)
{
        for (size_t i = 0; i < group->count; i++)
                if (!group->outcomes[i].failed)
                        return 0;
        *err = group->outcomes[0].err;
        return -1;
}

unsigned group_parallel(size_t count)
{
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        size_t bound = cores < 2 ? 2 : (size_t)cores;

        return (unsigned)(count < bound ? count : bound);
}

int group_answer_plan(const struct group *group, const char *what)
{
        struct cowherd_answer *answer = group->call->answer;

        answer_number(answer, "matched", group->count);
        plan_print(&group->plan, answer);
        answer_done(answer, "nothing done: this is the plan to %s %zu clone%s", what, group->count, group->count == 1 ? "" : "s");
        return 0;
}

static void add_item(struct group *group, size_t item, void (*fields)(struct group *, const struct live *))
{
        struct cowherd_answer *answer = group->call->answer;
        const struct live *live = &group->lives[item];
        const struct outcome *outcome = &group->outcomes[item];

        answer_number(answer, "id", live->thing.row.id);
        answer_text(answer, "name", live->thing.row.name);
        answer_text(answer, "engine", cowherd_target_name(live->thing.row.target));
        if (!group->state_is_gone || outcome->failed)
                answer_text(answer, "state", engine_state_name(live->state));
        if (group->several)
                answer_flag(answer, "success", !outcome->failed);
        fields(group, live);
        if (!group->several || !outcome->failed)
                return;
        answer_text(answer, "error", outcome->err.text);
        answer_number(answer, "code", (uint64_t)outcome->err.code);
        if (outcome->err.hint[0] != '\0')
                answer_text(answer, "hint", outcome->err.hint);
}

/* How many did not end when they were asked to; where that was not asked, nobody is surprised. */
static size_t count_forced(const struct group *group)
{
        size_t count = 0;

        for (size_t i = 0; i < group->count; i++)
                count += !group->outcomes[i].failed && group->lives[i].forced;
        return request_flag(group->call->request, KEY_FORCE) ? 0 : count;
}

static int answer_one(struct group *group, void (*fields)(struct group *, const struct live *), struct cowherd_error *err)
{
        struct cowherd_answer *answer = group->call->answer;
        const char *name = group->lives[0].thing.row.name;

        add_item(group, 0, fields);
        if (group->outcomes[0].failed) {
                *err = group->outcomes[0].err;
                return -1;
        }
        if (group->lives[0].skipped && group->skipped != NULL)
                answer_done(answer, "clone '%s' %s: nothing to do", name, group->skipped);
        else if (group->lives[0].skipped)
                answer_done(answer, "clone '%s' is %s: nothing to do", name, engine_state_name(group->lives[0].state));
        else
                answer_done(answer, "clone '%s' %s%s", name, group->done, count_forced(group) > 0 ? ", by force: it did not end when asked" : "");
        return 0;
}

int group_answer(struct group *group, void (*fields)(struct group *, const struct live *), struct cowherd_error *err)
{
        struct cowherd_answer *answer = group->call->answer;
        const struct outcome *first = NULL;
        size_t failed = 0, skipped = 0;

        answer_number(answer, "matched", group->count);
        if (!group->several)
                return answer_one(group, fields, err);
        for (size_t i = 0; i < group->count; i++) {
                failed += group->outcomes[i].failed;
                skipped += !group->outcomes[i].failed && group->lives[i].skipped;
                first = first == NULL && group->outcomes[i].failed ? &group->outcomes[i] : first;
        }
        answer_number(answer, "failed", failed);
        answer_number(answer, "skipped", skipped);
        answer_ms(answer, "duration_ms", clock_ms() - group->call->started_ms);
        answer_list(answer);
        for (size_t i = 0; i < group->count; i++) {
                answer_item(answer);
                add_item(group, i, fields);
        }
        answer_items_end(answer);
        if (first != NULL) {
                *err = first->err;
                return failed == 1 && group->count == 1 ? -1 : fail_while(err, "%zu of %zu clones failed, the first", failed, group->count);
        }
        size_t done = group->count - skipped, forced = count_forced(group);
        owned_str char *by_force = forced == 0 ? x_strdup("") : x_asprintf(", %zu by force", forced);
        owned_str char *left_out = skipped == 0 ? x_strdup("") : x_asprintf(", %zu skipped", skipped);
        answer_done(answer, "%zu clone%s %s%s%s", done, done == 1 ? "" : "s", group->done, by_force, left_out);
        return 0;
}
