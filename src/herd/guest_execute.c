/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execute and shell. Where the caller has streams (the shell face), the command reads and writes them as it runs; else its output is
 * kept and becomes fields, in base64 where it is no text. That it ran is success, whatever its exit code.
 */
#include "herd/guest.h"

#include "base/base64.h"
#include "base/number.h"
#include "sys/clock.h"

#include <string.h>

struct executing {
        struct call *call;
        struct live live;
        struct engine_command command;
        const char *shell_argv[GUEST_ARGV_SHELL];
        struct strv environment;
};

static void executing_free(struct executing *executing)
{
        strv_free(&executing->environment);
        live_free(&executing->live);
}
define_owned(struct executing, executing_free)

/* What the command is to be, besides what needs the instance. Asked before anything else, so that a bad word is told first. */
static int fill_command(struct executing *executing, struct cowherd_error *err)
{
        const struct request *request = executing->call->request;
        const char *env = request_text(request, KEY_ENV), *input = request_text(request, KEY_STDIN);
        const char *folder = request_text(request, KEY_WORKING_DIR);

        if (env != NULL && guest_environment(env, &executing->environment, err) < 0)
                return -1;
        executing->command = (struct engine_command){
                .environment = (const char *const *)executing->environment.items,
                .working_dir = folder,
                .user = request_text(request, KEY_USER),
                .input = input,
                .input_length = input == NULL ? 0 : strlen(input),
                .timeout_ms = request_number(request, KEY_TIMEOUT),
        };
        return 0;
}

/* stdout or stderr: as text, or in base64 where it is none. */
static void add_output(struct cowherd_answer *answer, const char *name, const char *bytes, size_t length)
{
        if (length == 0 || (strlen(bytes) == length && str_is_utf8(bytes, length))) {
                answer_text(answer, name, length == 0 ? "" : bytes);
                return;
        }
        owned_str char *field = x_asprintf("%s_base64", name), *text = base64_encode(bytes, length);
        answer_text(answer, field, text);
}

static void answer_execution(struct executing *executing, int exit_code, double ms)
{
        struct cowherd_answer *answer = executing->call->answer;
        char text[NUMBER_TEXT_BYTES];

        answer_number(answer, "exit_code", (uint64_t)exit_code);
        answer_also(answer, "exitCode", "exit_code");
        answer_ms(answer, "duration_ms", ms);
        answer_done(answer, "the command in '%s' ended with exit code %d after %s ms", executing->live.thing.row.name, exit_code, number_format_ms(ms, text));
        answer_set_code(answer, exit_code);
}

/* Runs it with the caller's own descriptors. */
static int attach(struct executing *executing, struct cowherd_error *err)
{
        const struct cowherd_streams *said = &executing->call->herd->streams;
        const struct engine_streams streams = {.input = said->input, .output = said->output, .errors = said->errors, .terminal = said->terminal};
        const struct engine_driver *engine = executing->live.machine.engine;
        double began = clock_ms();
        int exit_code = 0;

        if (engine->attach(&executing->live.machine.instance, &executing->command, &streams, &exit_code, err) < 0)
                return -1;
        answer_execution(executing, exit_code, clock_ms() - began);
        return 0;
}

static int keep_output(struct executing *executing, struct cowherd_error *err)
{
        const struct engine_driver *engine = executing->live.machine.engine;
        struct cowherd_answer *answer = executing->call->answer;
        struct engine_output output = {0};

        if (engine->execute == NULL)
                return live_fail_unable(&executing->live, "execute a command in", err);
        if (engine->execute(&executing->live.machine.instance, &executing->command, &output, err) < 0)
                return -1;
        add_output(answer, "stdout", output.out, output.out_length);
        add_output(answer, "stderr", output.errors, output.errors_length);
        if (output.cut)
                answer_flag(answer, "cut", true);
        answer_execution(executing, output.exit_code, output.ms);
        engine_output_free(&output);
        return 0;
}

static int run(struct executing *executing, struct cowherd_error *err)
{
        struct call *call = executing->call;
        bool streams = call->herd->has_streams && executing->command.input == NULL && executing->live.machine.engine->attach != NULL;
        int got = streams ? attach(executing, err) : keep_output(executing, err);

        return got < 0 ? fail_while(err, "executing in '%s'", executing->live.thing.row.name) : 0;
}

int verb_execute(struct call *call, struct cowherd_error *err)
{
        struct executing executing owned_by(executing_free) = {.call = call, .live.thing.place.fd = -1};
        struct live *live = &executing.live;

        if (str_is_empty(request_text(call->request, KEY_COMMAND)))
                return fail(err, COWHERD_USAGE, "parameter 'command' is empty");
        if (fill_command(&executing, err) < 0 || guest_open(call, live, err) < 0)
                return -1;
        executing.command.argv = guest_argv(call->request, live->machine.machine.os, executing.shell_argv);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_done(call->answer, "nothing done: '%s' would be executed in '%s'", request_text(call->request, KEY_COMMAND), live->thing.row.name);
                return 0;
        }
        return run(&executing, err);
}

int verb_shell(struct call *call, struct cowherd_error *err)
{
        struct executing executing owned_by(executing_free) = {.call = call, .live.thing.place.fd = -1};
        bool dry = request_flag(call->request, KEY_DRY_RUN);

        if (!call->herd->has_streams && !dry) {
                (void)fail(err, COWHERD_USAGE, "'shell' belongs to the shell: it needs somebody's terminal");
                return fail_hint(err, "in a script, use execute; by hand: cowherd shell %s", request_text(call->request, KEY_NAME));
        }
        executing.command.user = request_text(call->request, KEY_USER);
        if (guest_open(call, &executing.live, err) < 0)
                return -1;
        if (dry) {
                answer_done(call->answer, "nothing done: a login shell would be opened in '%s'", executing.live.thing.row.name);
                return 0;
        }
        if (executing.live.machine.engine->attach == NULL)
                return live_fail_unable(&executing.live, "open a shell in", err);
        return attach(&executing, err) < 0 ? fail_while(err, "a shell in '%s'", executing.live.thing.row.name) : 0;
}

int verb_logs(struct call *call, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        owned_str char *log = NULL;
        const char *name = request_text(call->request, KEY_NAME);
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' not found", name);
        if (herd_find(call->herd, call->request->target, "clone", name, &live.thing.row, err) < 0 ||
            expect_role(&live.thing.row, CATALOGUE_CLONE, err) < 0 || live_open(call->herd, false, &live, err) < 0)
                return -1;
        guest_fields(call, &live);
        if (live.machine.engine->logs == NULL)
                return live_fail_unable(&live, "show the console of", err);
        if (live.machine.engine->logs(&live.machine.instance, request_number(call->request, KEY_LINES), &log, err) < 0)
                return fail_while(err, "reading the console of '%s'", name);
        answer_text(call->answer, "log", log);
        answer_done(call->answer, "the last lines of the console of '%s'", live.thing.row.name);
        return 0;
}
