/* SPDX-License-Identifier: Apache-2.0 */
/* A runner in the place of the zfs program: the commands that must be run, and what each is answered. */
#pragma once

#include "place.h"

#include "sys/process.h"

struct line {
        const char *command; /* what must be run next; "*" at its end stands for anything */
        int status;
        const char *output, *errors;
};

struct script {
        const struct line *lines;
        size_t count, at;
        int lock; /* what the last one was to inherit */
};

static inline int play(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct script *script = context;
        owned_string struct str command = {0};

        (void)err;
        for (size_t i = 0; i < process->argv.count; i++)
                str_addf(&command, "%s%s", i == 0 ? "" : " ", process->argv.items[i]);
        assert_true(script->at < script->count);
        const struct line *line = &script->lines[script->at++];
        if (str_ends(line->command, "*"))
                assert_memory_equal(str_text(&command), line->command, strlen(line->command) - 1);
        else
                assert_string_equal(str_text(&command), line->command);
        script->lock = process->keep_count == 1 ? process->keep[0] : -1;
        *ret = (struct process_result){
                .status = line->status,
                .output = x_strdup(line->output == NULL ? "" : line->output),
                .errors = x_strdup(line->errors == NULL ? "" : line->errors),
        };
        return 0;
}

/* Plays `lines` while the statement runs; all of them must have been asked for. */
#define with_zfs(statement, ...)                                                                                       \
        do {                                                                                                           \
                const struct line lines_[] = {__VA_ARGS__};                                                            \
                struct script script_ = {.lines = lines_, .count = array_length(lines_)};                              \
                const struct process_runner runner_ = {.run = play, .context = &script_};                              \
                process_set_runner(&runner_);                                                                          \
                statement;                                                                                             \
                process_set_runner(NULL);                                                                              \
                assert_int_equal(script_.at, script_.count);                                                           \
                last_lock = script_.lock;                                                                              \
        } while (0)

static int last_lock __attribute__((unused));
