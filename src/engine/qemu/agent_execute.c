/* SPDX-License-Identifier: Apache-2.0 */
/* A command in the guest, to its end, with its output in memory. */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_exec.h"
#include "sys/clock.h"

#include <string.h>

/* NAME=value of a kind that a shell can export. */
static int check_environment(const struct engine_command *command, struct cowherd_error *err)
{
        for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++) {
                const char *text = command->environment[i];
                size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
                if (length == 0 || text[length] != '=' || (text[0] >= '0' && text[0] <= '9'))
                        return fail(err, COWHERD_USAGE, "'%s' is no variable of an environment (expected NAME=value)",
                                    text);
        }
        return 0;
}

static int check_windows(const struct engine_command *command, struct cowherd_error *err)
{
        if (str_is_empty(command->user) && str_is_empty(command->working_dir))
                return 0;
        return fail(err, COWHERD_UNAVAILABLE,
                    "the guest agent of Windows runs commands as itself and in its own folder: "
                    "neither user= nor working_dir= can be had there");
}

int agent_prepare(const struct engine_instance *instance, const struct engine_command *command, const char *token,
                  struct agent_command *ret, struct cowherd_error *err)
{
        bool windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;

        if (check_environment(command, err) < 0 || (windows && check_windows(command, err) < 0))
                return -1;
        agent_wrap(command, command->timeout_ms > 0 && !windows, token, ret);
        if (windows) { /* the agent's own, or what was given and nothing else */
                strv_free(&ret->environment);
                for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++)
                        strv_add(&ret->environment, command->environment[i]);
        }
        return 0;
}

int qemu_agent_execute(const struct engine_instance *instance, const struct engine_command *command,
                       struct engine_output *ret, struct cowherd_error *err)
{
        owned_agent_command struct agent_command wrapped = {0};
        owned_agent struct agent agent = AGENT_CLOSED;
        struct engine_output output = {0};
        char token[AGENT_TOKEN_BYTES];

        if (agent_prepare(instance, command, random_hex((AGENT_TOKEN_BYTES - 1) / 2, token), &wrapped, err) < 0 ||
            agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0 ||
            agent_run(instance, &agent, &wrapped, command->timeout_ms, &output, err) < 0)
                return -1;
        if (output.exit_code == 125 &&
            agent_unwrap(&agent, command, token, output.errors, output.errors_length, err) < 0) {
                engine_output_free(&output);
                return -1;
        }
        *ret = output;
        return 0;
}
