/* SPDX-License-Identifier: Apache-2.0 */
/* How clones are told: one by its fields, several as items, each with its own success. */
#include "herd/clone.h"

#include "base/number.h"
#include "sys/clock.h"

static void add_clone(struct cloning *cloning, size_t index, bool measured)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct catalogue_row *row = &cloning->rows[index];
        owned_str char *path = thing_path(&cloning->base.place, row);
        struct store_usage usage = {0};
        struct cowherd_error ignored;

        const struct live *live = cloning->group.lives == NULL ? NULL : &cloning->group.lives[index];
        if (live == NULL && cloning->memory.kept != NULL)
                answer_text(answer, "note", "a clone of the live base's disk alone: when it is started it boots");
        fields_of_clone(answer, row, path, live == NULL ? "stopped" : engine_state_name(live->state));
        if (row->was_warm)
                answer_flag(answer, "warm", true);
        if (live != NULL && live->started)
                fields_of_start(answer, live);
        if (live != NULL && live->wait_ms > 0)
                fields_of_wait(answer, live);
        if (measured && row->kind == STORE_DISK && cloning->driver->usage(&cloning->base.place.place, &cloning->objects[index], &usage, &ignored) == 0)
                answer_number(answer, "space_bytes", usage.unique_bytes);
}

/* Whether a clone was made and stays: also one that only never got ready. */
static bool is_there(const struct cloning *cloning, size_t index)
{
        return !cloning->outcomes[index].failed || (cloning->is_settled && cloning->group.lives != NULL && cloning->group.lives[index].started && !cloning->group.lives[index].stopped);
}

static const char *done_text(const struct cloning *cloning)
{
        return cloning->wakes ? " and awake" : cloning->group.lives == NULL ? "" : " and started";
}

/* The answer of several: an item each, with its own success, and the first failure's code for all. */
static int answer_several(struct cloning *cloning, struct cowherd_error *err)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct cowherd_error *first = NULL;
        size_t failed = 0;

        for (size_t i = 0; i < cloning->count; i++)
                failed += cloning->outcomes[i].failed;
        answer_number(answer, "failed", failed);
        answer_ms(answer, "duration_ms", clock_ms() - cloning->call->started_ms);
        answer_list(answer);
        for (size_t i = 0; i < cloning->count; i++) {
                const struct outcome *outcome = &cloning->outcomes[i];
                answer_item(answer);
                answer_flag(answer, "success", !outcome->failed);
                if (is_there(cloning, i))
                        add_clone(cloning, i, false);
                else
                        answer_text(answer, "name", cloning->rows[i].name);
                if (!outcome->failed)
                        continue;
                answer_text(answer, "error", outcome->err.text);
                answer_number(answer, "code", (uint64_t)outcome->err.code);
                if (first == NULL)
                        first = &outcome->err;
        }
        answer_items_end(answer);
        if (first != NULL) {
                *err = *first;
                return fail_while(err, "%zu of %zu clones failed, the first", failed, cloning->count);
        }
        answer_done(answer, "%zu clones of '%s' made%s: '%s' to '%s'", cloning->count, cloning->base.row.name, done_text(cloning), cloning->rows[0].name,
                    cloning->rows[cloning->count - 1].name);
        return 0;
}

int cloning_answer(struct cloning *cloning, struct cowherd_error *err)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct catalogue_row *row = &cloning->rows[0];
        char ms[NUMBER_TEXT_BYTES];

        if (request_has(cloning->call->request, KEY_COUNT_OF))
                return answer_several(cloning, err);
        add_clone(cloning, 0, true);
        if (cloning->outcomes[0].failed) {
                *err = cloning->outcomes[0].err;
                return -1;
        }
        if (cloning->group.lives != NULL) {
                answer_ms(answer, "duration_ms", clock_ms() - cloning->call->started_ms);
                answer_done(answer, "clone '%s' of '%s' made%s (%s)", row->name, cloning->base.row.name, done_text(cloning), row->store);
                return 0;
        }
        answer_done(answer, "clone '%s' of '%s' made in %s ms (%s)", row->name, cloning->base.row.name, number_format_ms(row->clone_ms, ms), row->store);
        return 0;
}
