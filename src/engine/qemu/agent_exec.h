/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: commands in a guest by guest-exec. */
#pragma once

#include "engine/qemu/agent_channel.h"

/* A command line as guest-exec takes it. */
struct agent_command {
        struct strv argv;
        struct strv environment; /* the whole of it; empty: the agent's own */
        const char *input;       /* borrowed, or NULL */
        size_t input_length;
        bool unheard; /* its output is not kept */
};
void agent_command_free(struct agent_command *command);
define_owned(struct agent_command, agent_command_free)
#define owned_agent_command owned_by(agent_command_free)

        /* Starts it. 66 where the guest has no such program. */
        int agent_start(struct agent *agent, const struct agent_command *command, int64_t *ret_pid,
                        struct cowherd_error *err) must_check;
/* Whether it has ended: 0 with its result in *ret, or 1. */
int agent_ended(struct agent *agent, int64_t pid, struct engine_output *ret, struct cowherd_error *err) must_check;
/* Ends a command and all that it has started in a Linux guest. */
int agent_kill(struct agent *agent, int64_t pid, struct cowherd_error *err) must_check;

/*
 * Runs it to its end, its status asked at growing intervals; others get their turn in between. After timeout_ms (0:
 * none) it is ended in the guest: 75.
 */
int agent_run(const struct engine_instance *instance, struct agent *agent, const struct agent_command *command,
              uint64_t timeout_ms, struct engine_output *ret, struct cowherd_error *err) must_check;

/* Intervals between two questions about the same thing, in ms. */
#define AGENT_PAUSE_LEAST_MS 1.0
#define AGENT_PAUSE_MOST_MS 50.0
/* Sleeps and makes *pause_ms longer. */
void agent_pause(double *pause_ms);

/*
 * Runs one of our own scripts by the guest's /bin/sh, with words as its arguments ($1 …, NULL-terminated) and `input`
 * (may be NULL). *ret is the caller's, whatever the script's status.
 */
int agent_script(const struct engine_instance *instance, struct agent *agent, const char *script,
                 const char *const *words, const char *input, uint64_t timeout_ms, struct engine_output *ret,
                 struct cowherd_error *err) must_check;
/* Fails with what a script complained of: the last line of its stderr. */
int agent_script_failed(const struct agent *agent, const struct engine_output *output, enum cowherd_code code,
                        struct cowherd_error *err);

#define AGENT_TOKEN_BYTES 33
/*
 * The command line that has `command` run by the guest, as its user, in its folder, in a session of its own where
 * `session`. What goes wrong before the command runs is said on its stderr, in a line that begins with `token` and
 * tells one word.
 */
void agent_wrap(const struct engine_command *command, bool session, const char *token, struct agent_command *ret);
/* Whether stderr is such a line: then it is a failure, -1; else 0. */
int agent_unwrap(const struct agent *agent, const struct engine_command *command, const char *token, const char *errors,
                 size_t length, struct cowherd_error *err) must_check;
/* The same with what the instance's system can do; 64 and 69. */
int agent_prepare(const struct engine_instance *instance, const struct engine_command *command, const char *token,
                  struct agent_command *ret, struct cowherd_error *err) must_check;
