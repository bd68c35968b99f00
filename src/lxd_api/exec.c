/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's beginning and its end. LXD opens a stream for each of stdin, stdout and stderr, which exec_carry.c serves; the
 * exit code is in the operation, which is asked for when all output has ended.
 *
 * A command that takes too long is ended with its children. LXD can signal the process that it started, and nobody else;
 * but children inherit their environment, so the command gets a variable of its own, by which a second command finds all
 * that bear it, in whatever session or process group they are by then.
 */
#include "lxd_api/exec_session.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPEN_MS 10000u
#define END_MS 10000u /* for LXD to see that it has ended, after a kill */
#define WAIT_S 3600u
#define STREAMS LXD_SESSION_STREAMS
#define CONTROL LXD_SESSION_CONTROL
#define MARK "COWHERD_COMMAND"

static void session_free(struct lxd_session *it)
{
        for (size_t i = 0; i < STREAMS; i++)
                websocket_free(it->streams[i]);
        free(it->operation);
}
define_owned(struct lxd_session, session_free)

        void lxd_exec_output_free(struct lxd_exec_output *output)
{
        str_free(&output->out);
        str_free(&output->errors);
        *output = (struct lxd_exec_output){0};
}

/* ---- beginning ---- */

static json_t *environment_of(const struct lxd_session *it)
{
        json_t *environment = json_object();

        for (const char *const *at = it->exec->environment; at != NULL && *at != NULL; at++) {
                const char *equals = strchr(*at, '=');
                if (equals == NULL)
                        continue;
                owned_str char *name = x_strndup(*at, (size_t)(equals - *at));
                (void)json_object_set_new(environment, name, json_string(equals + 1));
        }
        if (it->exec->timeout_ms != 0)
                (void)json_object_set_new(environment, MARK, json_string(it->mark));
        return environment;
}

/* The body of POST …/exec, or NULL where a word is not UTF-8, which JSON can't carry. */
static json_t *body_of(const struct lxd_session *it)
{
        const struct lxd_exec *exec = it->exec;
        json_t *command = json_array();

        for (const char *const *at = exec->argv; *at != NULL; at++)
                if (json_array_append_new(command, json_string(*at)) < 0) {
                        json_decref(command);
                        return NULL;
                }
        json_t *body = json_pack("{s:o, s:o, s:b, s:b, s:i, s:i}", "command", command, "environment", environment_of(it),
                                 "wait-for-websocket", 1, "interactive", exec->terminal, "user", (int)exec->user,
                                 "group", (int)exec->group);
        if (exec->working_dir != NULL)
                (void)json_object_set_new(body, "cwd", json_string(exec->working_dir));
        if (exec->terminal) {
                (void)json_object_set_new(body, "width", json_integer(exec->columns));
                (void)json_object_set_new(body, "height", json_integer(exec->rows));
        }
        return body;
}

static int open_stream(struct lxd_session *it, const json_t *secrets, size_t stream, const char *name,
                       struct cowherd_error *err)
{
        const char *secret = lxd_text(secrets, name);

        if (secret == NULL)
                return fail(err, COWHERD_SYSTEM, "LXD gives a command no stream '%s'", name);
        owned_str char *path = x_asprintf("%s/websocket?secret=%s", it->operation, secret);
        return websocket_open(lxd_client_socket(it->client), path, OPEN_MS, &it->streams[stream], err);
}

/* The control stream first: LXD runs the command when the others are open, and where that ends at once there is nothing left to open. */
static int open_streams(struct lxd_session *it, const json_t *secrets, struct cowherd_error *err)
{
        static const char *const names[STREAMS] = {"0", "1", "2", "control"};

        for (size_t turn = 0; turn < STREAMS; turn++) {
                size_t i = (turn + CONTROL) % STREAMS;
                it->ended[i] = it->exec->terminal && (i == 1 || i == 2);
                if (!it->ended[i] && open_stream(it, secrets, i, names[i], err) < 0)
                        return -1;
        }
        return 0;
}

static void cancel(struct lxd_session *it)
{
        const struct lxd_request request = {.method = "DELETE", .path = it->operation};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error ignored;

        ignore_result(lxd_send(it->client, &request, &reply, &ignored));
}

static int begin(struct lxd_session *it, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(it->instance), *path = x_asprintf("/1.0/instances/%s/exec", name);
        owned_json json_t *body = body_of(it);
        const struct lxd_request request = {.method = "POST", .path = path, .json = body};
        owned_reply struct lxd_reply reply = {0};

        if (body == NULL)
                return fail(err, COWHERD_USAGE, "a word of the command for '%s' is not UTF-8, which LXD's API can't carry",
                            it->instance);
        if (lxd_send(it->client, &request, &reply, err) < 0)
                return -1;
        const json_t *secrets = json_object_get(json_object_get(reply.metadata, "metadata"), "fds");
        if (reply.operation == NULL || !json_is_object(secrets))
                return fail(err, COWHERD_SYSTEM, "LXD gives a command for '%s' no streams", it->instance);
        it->operation = take(reply.operation);
        if (open_streams(it, secrets, err) < 0) {
                cancel(it);
                return -1;
        }
        return 0;
}

/* ---- signals ---- */

static int control(struct lxd_session *it, json_t *message, struct cowherd_error *err)
{
        owned_json json_t *owned = message;
        owned_mem char *text = json_dumps(owned, JSON_COMPACT);

        if (text == NULL || it->streams[CONTROL] == NULL)
                return fail(err, COWHERD_INTERNAL, "a message to the command in '%s' can't be written", it->instance);
        return websocket_send(it->streams[CONTROL], WEBSOCKET_TEXT, text, strlen(text), err);
}

int lxd_session_signal(struct lxd_session *it, int number, struct cowherd_error *err)
{
        return control(it, json_pack("{s:s, s:i}", "command", "signal", "signal", number), err);
}

int lxd_session_resize(struct lxd_session *it, unsigned columns, unsigned rows, struct cowherd_error *err)
{
        char width[12], height[12];

        (void)snprintf(width, sizeof width, "%u", columns);
        (void)snprintf(height, sizeof height, "%u", rows);
        return control(it, json_pack("{s:s, s:{s:s, s:s}}", "command", "window-resize", "args", "width", width, "height", height),
                       err);
}

/* Twice: what was forked while the first look went on is found by the second. Without a shell inside, only the first. */
int lxd_session_kill(struct lxd_session *it, struct cowherd_error *err)
{
        static const char script[] = "for again in 1 2; do for each in /proc/[0-9]*; do "
                                     "if grep -q \"" MARK "=$1\" \"$each/environ\" 2>/dev/null; then "
                                     "kill -9 \"${each#/proc/}\"; fi; done; done 2>/dev/null";
        const char *const argv[] = {"/bin/sh", "-c", script, "sh", it->mark, NULL};
        const struct lxd_exec killer = {.argv = argv, .input = -1, .wake = -1};
        struct lxd_exec_result result;
        struct cowherd_error ignored;

        ignore_result(lxd_exec_run(it->client, it->instance, &killer, &result, &ignored));
        return lxd_session_signal(it, SIGKILL, err);
}

/* ---- its end ---- */

static int exit_code(const struct lxd_session *it, const json_t *state, int *ret, struct cowherd_error *err)
{
        const json_t *returned = json_object_get(json_object_get(state, "metadata"), "return");
        const char *why = lxd_text(state, "err");

        if (json_is_integer(returned)) {
                int code = (int)json_integer_value(returned);
                *ret = code < 0 ? 128 + SIGKILL : code; /* LXD's word for "it can't be told" */
                return 0;
        }
        if (!str_is_empty(why))
                return fail(err, lxd_error_code(400, why), "LXD could not run the command in '%s': %s", it->instance, why);
        return fail(err, COWHERD_SYSTEM, "LXD does not tell how the command in '%s' ended", it->instance);
}

/* The server answers when the operation has ended. */
static int finish(struct lxd_session *it, struct lxd_exec_result *ret, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/wait?timeout=%u", it->operation, it->killed ? END_MS / 1000 : WAIT_S);
        const struct lxd_request request = {.method = "GET", .path = path, .timeout_ms = (WAIT_S + 60) * 1000u};
        owned_reply struct lxd_reply reply = {0};

        for (size_t i = 0; i < STREAMS; i++) { /* LXD waits for them */
                websocket_free(it->streams[i]);
                it->streams[i] = NULL;
        }
        if (it->killed) {
                *ret = (struct lxd_exec_result){.exit_code = 128 + SIGKILL, .timed_out = true};
                cancel(it);
                return 0;
        }
        if (lxd_send(it->client, &request, &reply, err) < 0)
                return -1;
        return exit_code(it, reply.metadata, &ret->exit_code, err);
}

int lxd_exec_run(struct lxd_client *client, const char *instance, const struct lxd_exec *exec,
                 struct lxd_exec_result *ret, struct cowherd_error *err)
{
        owned_by(session_free) struct lxd_session it = {.client = client, .exec = exec, .instance = instance};
        struct lxd_exec_result result = {0};

        (void)random_hex((sizeof it.mark - 1) / 2, it.mark);
        if (exec->timeout_ms != 0)
                it.deadline = clock_ms() + (double)exec->timeout_ms;
        if (begin(&it, err) < 0 || lxd_session_carry(&it, err) < 0 || finish(&it, &result, err) < 0)
                return -1;
        *ret = result;
        return 0;
}

/* ---- with its output kept ---- */

struct collecting {
        struct lxd_exec_output *output;
        size_t limit_bytes;
};

static int collect(void *context, int stream, const char *bytes, size_t length, struct cowherd_error *err)
{
        const struct collecting *it = context;
        struct str *to = stream == 2 ? &it->output->errors : &it->output->out;
        size_t room = it->limit_bytes - to->length;

        (void)err;
        if (length > room) {
                it->output->cut = true;
                length = room;
        }
        str_add_bytes(to, bytes, length);
        return 0;
}

int lxd_exec_collect(struct lxd_client *client, const char *instance, const struct lxd_exec *exec, size_t limit_bytes,
                     struct lxd_exec_output *ret, struct cowherd_error *err)
{
        owned_exec_output struct lxd_exec_output output = {0};
        struct collecting collecting = {.output = &output, .limit_bytes = limit_bytes};
        struct lxd_exec collected = *exec;
        struct lxd_exec_result result = {0};

        collected.wrote = collect;
        collected.fed = NULL;
        collected.context = &collecting;
        if (lxd_exec_run(client, instance, &collected, &result, err) < 0)
                return -1;
        output.exit_code = result.exit_code;
        output.timed_out = result.timed_out;
        *ret = output;
        output = (struct lxd_exec_output){0};
        return 0;
}
