/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-exec and guest-exec-status. The agent has no event for the end of a command, so it is asked again at growing
 * intervals. The conversation is given up for a moment where others wait: a command that takes minutes must not keep
 * them out.
 */
#include "engine/qemu/agent_exec.h"

#include "base/str.h"
#include "engine/qemu/agent_base64.h"
#include "sys/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What was killed may take so long to be gone. */
#define KILLED_MS 10000

/* $1 is the root of what is to end: it, its session and all their children are stopped, until no more are found, then
 * killed. */
static const char kill_script[] = "root=$1 all=\" $1 \" more=1\n"
                                  "kill -STOP \"$root\" 2>/dev/null\n"
                                  "while [ $more = 1 ]; do\n"
                                  "  more=0\n"
                                  "  for file in /proc/[0-9]*/stat; do\n"
                                  "    text=\n"
                                  "    { while read -r line; do text=\"$text $line\"; done <\"$file\"; } 2>/dev/null\n"
                                  "    id=${file#/proc/}; id=${id%/stat}\n"
                                  "    set -f; set -- ${text##*) }; set +f\n"
                                  "    case $all in *\" $id \"*) continue ;; esac\n"
                                  "    case $all in *\" $2 \"*) ;; *) [ \"$4\" = \"$root\" ] || continue ;; esac\n"
                                  "    kill -STOP \"$id\" 2>/dev/null && all=\"$all$id \" more=1\n"
                                  "  done\n"
                                  "done\n"
                                  "kill -KILL $all 2>/dev/null\n"
                                  "exit 0\n";

void agent_command_free(struct agent_command *command)
{
        strv_free(&command->argv);
        strv_free(&command->environment);
        *command = (struct agent_command){0};
}

static json_t *json_of(const struct strv *list, size_t first)
{
        json_t *array = json_array();

        for (size_t i = first; i < list->count; i++) {
                if (json_array_append_new(array, json_string(list->items[i])) == 0)
                        continue;
                json_decref(array);
                return NULL;
        }
        return array;
}

/* The agent tells an absent program only by its words, which are GLib's. */
static int explain_start(const struct agent *agent, const struct agent_command *command, struct cowherd_error *err)
{
        if (err->code == COWHERD_SYSTEM && strstr(err->text, "No such file or directory") != NULL)
                return fail(err, COWHERD_NOT_FOUND, "command '%s' not found in '%s'", command->argv.items[0],
                            agent->name);
        if (err->code == COWHERD_SYSTEM && strstr(err->text, "Permission denied") != NULL)
                return fail(err, COWHERD_DENIED, "command '%s' can't be run in '%s': permission denied",
                            command->argv.items[0], agent->name);
        return -1;
}

int agent_start(struct agent *agent, const struct agent_command *command, int64_t *ret_pid, struct cowherd_error *err)
{
        json_t *arguments = json_pack("{s:s, s:o, s:b}", "path", command->argv.items[0], "arg",
                                      json_of(&command->argv, 1), "capture-output", !command->unheard);
        json_t *answer = NULL;

        if (arguments != NULL && command->environment.count > 0 &&
            json_object_set_new(arguments, "env", json_of(&command->environment, 0)) < 0) {
                json_decref(arguments);
                arguments = NULL;
        }
        if (arguments != NULL && command->input != NULL) {
                owned_str char *input = agent_base64_encode(command->input, command->input_length);
                (void)json_object_set_new(arguments, "input-data", json_string(input));
        }
        if (agent_ask(agent, "guest-exec", arguments, JSON_OBJECT, AGENT_REPLY_BYTES, &answer, err) < 0)
                return explain_start(agent, command, err);
        const json_t *pid = json_object_get(answer, "pid");
        int64_t number = json_is_integer(pid) ? json_integer_value(pid) : 0;
        json_decref(answer);
        if (number <= 0)
                return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' told no process id", agent->name);
        *ret_pid = number;
        return 0;
}

/* ---- Its end ---- */

static bool read_output(const json_t *answer, const char *key, const char *key_cut, char **ret, size_t *ret_length,
                        bool *ret_cut)
{
        const json_t *text = json_object_get(answer, key);

        if (text == NULL) {
                *ret = x_strdup("");
                *ret_length = 0;
                return true;
        }
        if (!json_is_string(text) ||
            !agent_base64_decode(json_string_value(text), json_string_length(text), ret, ret_length))
                return false;
        if (json_is_true(json_object_get(answer, key_cut)))
                *ret_cut = true;
        if (*ret_length > ENGINE_OUTPUT_BYTES) {
                *ret_length = ENGINE_OUTPUT_BYTES;
                (*ret)[ENGINE_OUTPUT_BYTES] = '\0';
                *ret_cut = true;
        }
        return true;
}

static bool read_exit(const json_t *answer, int *ret_code)
{
        const json_t *code = json_object_get(answer, "exitcode"), *number = json_object_get(answer, "signal");

        if (json_is_integer(number) && json_integer_value(number) > 0 && json_integer_value(number) < 128)
                *ret_code = 128 + (int)json_integer_value(number);
        else if (json_is_integer(code))
                *ret_code = (int)(json_integer_value(code) & 255); /* Windows has 32 bits of it */
        else
                return false;
        if (*ret_code == 0 && json_integer_value(code) != 0)
                *ret_code = 255; /* and a failure must not look like success */
        return true;
}

int agent_ended(struct agent *agent, int64_t pid, struct engine_output *ret, struct cowherd_error *err)
{
        struct engine_output output = {0};
        json_t *answer = NULL;

        if (agent_ask(agent, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid), JSON_OBJECT,
                      AGENT_STATUS_BYTES, &answer, err) < 0)
                return -1;
        const json_t *exited = json_object_get(answer, "exited");
        if (json_is_false(exited)) {
                json_decref(answer);
                return 1;
        }
        bool sound =
                json_is_true(exited) && read_exit(answer, &output.exit_code) &&
                read_output(answer, "out-data", "out-truncated", &output.out, &output.out_length, &output.cut) &&
                read_output(answer, "err-data", "err-truncated", &output.errors, &output.errors_length, &output.cut);
        json_decref(answer);
        if (!sound) {
                engine_output_free(&output);
                return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' answered what can't be read", agent->name);
        }
        *ret = output;
        return 0;
}

void agent_pause(double *pause_ms)
{
        long nanoseconds = (long)(*pause_ms * 1e6);
        struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};

        while (nanosleep(&time, &time) < 0 && errno == EINTR)
                ;
        *pause_ms = *pause_ms * 1.5 > AGENT_PAUSE_MOST_MS ? AGENT_PAUSE_MOST_MS : *pause_ms * 1.5;
}

/* Waits for a command's end until the time; 1 when it is over. */
static int await_end(const struct engine_instance *instance, struct agent *agent, int64_t pid, double until_ms,
                     struct engine_output *ret, struct cowherd_error *err)
{
        double pause_ms = AGENT_PAUSE_LEAST_MS;

        for (;;) {
                int running = agent_ended(agent, pid, ret, err);
                if (running <= 0)
                        return running;
                if (until_ms > 0 && clock_ms() >= until_ms)
                        return 1;
                bool wanted = agent_is_wanted(agent);
                if (wanted)
                        agent_close(agent);
                double left_ms = until_ms > 0 ? until_ms - clock_ms() : AGENT_PAUSE_MOST_MS;
                if (left_ms < pause_ms)
                        pause_ms = left_ms < AGENT_PAUSE_LEAST_MS ? AGENT_PAUSE_LEAST_MS : left_ms;
                agent_pause(&pause_ms);
                if (wanted && agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, agent, err) < 0)
                        return -1;
        }
}

int agent_kill(struct agent *agent, int64_t pid, struct cowherd_error *err)
{
        owned_agent_command struct agent_command killer = {.unheard = true};
        struct engine_output output = {0};
        double until_ms = clock_ms() + KILLED_MS, pause_ms = AGENT_PAUSE_LEAST_MS;
        int64_t id = 0;
        int running = 1;

        if (agent->windows) {
                strv_add(&killer.argv, "taskkill.exe");
                strv_add(&killer.argv, "/T");
                strv_add(&killer.argv, "/F");
                strv_add(&killer.argv, "/PID");
        } else {
                strv_add(&killer.argv, "/bin/sh");
                strv_add(&killer.argv, "-c");
                strv_add(&killer.argv, kill_script);
                strv_add(&killer.argv, "kill");
        }
        strv_addf(&killer.argv, "%lld", (long long)pid);
        if (agent_start(agent, &killer, &id, err) < 0)
                return -1;
        while ((running = agent_ended(agent, id, &output, err)) > 0 && clock_ms() < until_ms)
                agent_pause(&pause_ms);
        engine_output_free(&output);
        return running < 0 ? -1 : 0;
}

/* It has taken too long. */
static int end_late(const struct engine_instance *instance, struct agent *agent, int64_t pid, uint64_t timeout_ms,
                    struct cowherd_error *err)
{
        struct engine_output output = {0};
        struct cowherd_error kept;

        int over = agent_kill(agent, pid, &kept);
        if (over == 0)
                over = await_end(instance, agent, pid, clock_ms() + KILLED_MS, &output,
                                 &kept); /* the agent forgets it then */
        engine_output_free(&output);
        if (over < 0)
                return fail(err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms, and could not be ended: %s",
                            agent->name, (unsigned long long)timeout_ms, kept.text);
        return fail(err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms; %s", agent->name,
                    (unsigned long long)timeout_ms, over == 0 ? "it was ended" : "it was killed, but is still there");
}

int agent_run(const struct engine_instance *instance, struct agent *agent, const struct agent_command *command,
              uint64_t timeout_ms, struct engine_output *ret, struct cowherd_error *err)
{
        double begin_ms = clock_ms();
        int64_t pid = 0;

        if (agent_start(agent, command, &pid, err) < 0)
                return -1;
        int over = await_end(instance, agent, pid, timeout_ms == 0 ? 0 : begin_ms + (double)timeout_ms, ret, err);
        if (over != 0)
                return over < 0 ? -1 : end_late(instance, agent, pid, timeout_ms, err);
        ret->ms = clock_ms() - begin_ms;
        return 0;
}

/* ---- Scripts of our own ---- */

int agent_script(const struct engine_instance *instance, struct agent *agent, const char *script,
                 const char *const *words, const char *input, uint64_t timeout_ms, struct engine_output *ret,
                 struct cowherd_error *err)
{
        owned_agent_command struct agent_command command = {.input = input,
                                                            .input_length = input == NULL ? 0 : strlen(input)};

        strv_add(&command.argv, "/bin/sh");
        strv_add(&command.argv, "-c");
        strv_add(&command.argv, script);
        strv_add(&command.argv, "cowherd");
        for (; words != NULL && *words != NULL; words++)
                strv_add(&command.argv, *words);
        if (agent_run(instance, agent, &command, timeout_ms, ret, err) == 0)
                return 0;
        if (err->code != COWHERD_NOT_FOUND)
                return -1;
        (void)fail(err, COWHERD_UNAVAILABLE, "'%s' has no /bin/sh, which this needs", agent->name);
        return fail_hint(err, "only commands can be run there, as they are");
}

int agent_script_failed(const struct agent *agent, const struct engine_output *output, enum cowherd_code code,
                        struct cowherd_error *err)
{
        size_t length = output->errors_length;
        const char *errors = output->errors == NULL ? "" : output->errors;

        while (length > 0 && (errors[length - 1] == '\n' || errors[length - 1] == '\r'))
                length--;
        size_t start = length;
        while (start > 0 && errors[start - 1] != '\n')
                start--;
        owned_str char *line = x_strndup(errors + start, length - start), *words = agent_quote(line);
        if (words[0] == '\0')
                return fail(err, code, "a script in '%s' ended with status %d", agent->name, output->exit_code);
        return fail(err, code, "in '%s': %s", agent->name, words);
}
