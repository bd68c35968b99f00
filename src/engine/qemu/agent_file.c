/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the guest in pieces. A handle belongs to the agent and not to the conversation, so this too lets others have
 * their turn. An agent closes no handle by itself: all of ours are closed on failure as well.
 */
#include "engine/qemu/agent_file.h"

#include "base/str.h"
#include "engine/qemu/agent_base64.h"
#include "sys/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (48u << 10)
/* A turn that others wait for. */
#define TURN_MS 200

/* The C library's words in the agent's refusal tell what it was. */
static int explain(struct cowherd_error *err)
{
        static const struct {
                const char *words;
                enum cowherd_code code;
        } known[] = {
                {"No such file or directory", COWHERD_NOT_FOUND},
                {"Permission denied", COWHERD_DENIED},
                {"Read-only file system", COWHERD_IO},
                {"No space left on device", COWHERD_IO},
                {"Input/output error", COWHERD_IO},
                {"Is a directory", COWHERD_DATA},
        };

        for (size_t i = 0; err->code == COWHERD_SYSTEM && i < array_length(known); i++)
                if (strstr(err->text, known[i].words) != NULL)
                        err->code = (int)known[i].code;
        return -1;
}

int agent_file_open(struct agent *agent, const char *path, const char *mode, int64_t *ret_handle,
                    struct cowherd_error *err)
{
        json_t *answer = NULL;

        if (agent_ask(agent, "guest-file-open", json_pack("{s:s, s:s}", "path", path, "mode", mode), JSON_INTEGER,
                      AGENT_REPLY_BYTES, &answer, err) < 0)
                return explain(err);
        *ret_handle = json_integer_value(answer);
        json_decref(answer);
        return 0;
}

int agent_file_close(struct agent *agent, int64_t handle, struct cowherd_error *err)
{
        /* fclose(3) writes what is left: it may fail where the disk is full. */
        if (agent_ask(agent, "guest-file-close", json_pack("{s:I}", "handle", (json_int_t)handle), JSON_OBJECT,
                      AGENT_REPLY_BYTES, NULL, err) < 0)
                return explain(err);
        return 0;
}

int agent_file_write(struct agent *agent, int64_t handle, const void *bytes, size_t count, struct cowherd_error *err)
{
        owned_str char *text = agent_base64_encode(bytes, count);
        json_t *answer = NULL;

        if (agent_ask(agent, "guest-file-write", json_pack("{s:I, s:s}", "handle", (json_int_t)handle, "buf-b64", text),
                      JSON_OBJECT, AGENT_REPLY_BYTES, &answer, err) < 0)
                return explain(err);
        bool whole = json_integer_value(json_object_get(answer, "count")) == (json_int_t)count;
        json_decref(answer);
        if (!whole)
                return fail(err, COWHERD_IO, "the guest agent in '%s' wrote only a part of what it was given",
                            agent->name);
        return 0;
}

int agent_file_read(struct agent *agent, int64_t handle, char **ret_bytes, size_t *ret_count, bool *ret_end,
                    struct cowherd_error *err)
{
        json_t *answer = NULL;

        if (agent_ask(agent, "guest-file-read",
                      json_pack("{s:I, s:i}", "handle", (json_int_t)handle, "count", (int)PIECE_BYTES), JSON_OBJECT,
                      AGENT_REPLY_BYTES, &answer, err) < 0)
                return explain(err);
        const json_t *text = json_object_get(answer, "buf-b64"), *end = json_object_get(answer, "eof");
        owned_mem char *bytes = NULL;
        size_t count = 0;
        bool sound = json_is_string(text) && json_is_boolean(end) &&
                     agent_base64_decode(json_string_value(text), json_string_length(text), &bytes, &count) &&
                     (count > 0 || json_is_true(end));
        *ret_end = json_is_true(end);
        json_decref(answer);
        if (!sound)
                return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' answered what can't be read", agent->name);
        *ret_bytes = take(bytes);
        *ret_count = count;
        return 0;
}

/* ---- Whole files ---- */

/* Where others wait and this turn was long enough, lets them have theirs. */
static int give_way(const struct engine_instance *instance, struct agent *agent, double *begin_ms,
                    struct cowherd_error *err)
{
        if (clock_ms() - *begin_ms < TURN_MS || !agent_is_wanted(agent))
                return 0;
        agent_close(agent);
        *begin_ms = clock_ms();
        return agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, agent, err);
}

static void tell(const struct agent_progress *progress, uint64_t done)
{
        if (progress != NULL && progress->report != NULL)
                progress->report(progress->context, done, progress->total_bytes > done ? progress->total_bytes : done);
}

static int send_pieces(const struct engine_instance *instance, struct agent *agent, int from, int64_t handle,
                       const struct agent_progress *progress, struct cowherd_error *err)
{
        owned_mem char *piece = x_malloc(PIECE_BYTES);
        double begin_ms = clock_ms();
        uint64_t done = 0;

        for (;;) {
                ssize_t got = read(from, piece, PIECE_BYTES);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail_errno(err, "cannot read what is to be copied to '%s'", agent->name);
                if (got == 0)
                        return 0;
                if (agent_file_write(agent, handle, piece, (size_t)got, err) < 0)
                        return -1;
                done += (uint64_t)got;
                tell(progress, done);
                if (give_way(instance, agent, &begin_ms, err) < 0)
                        return -1;
        }
}

int agent_send_file(const struct engine_instance *instance, struct agent *agent, int from, const char *path,
                    const struct agent_progress *progress, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        int64_t handle = 0;

        if (agent_file_open(agent, path, "wb", &handle, err) < 0)
                return -1;
        if (send_pieces(instance, agent, from, handle, progress, err) == 0)
                return agent_file_close(agent, handle, err);
        ignore_result(agent_file_close(agent, handle, &ignored));
        return -1;
}

static int write_all(const struct agent *agent, int to, const char *bytes, size_t count, struct cowherd_error *err)
{
        while (count > 0) {
                ssize_t done = write(to, bytes, count);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0)
                        return fail_errno(err, "cannot write what is copied from '%s'", agent->name);
                bytes += done;
                count -= (size_t)done;
        }
        return 0;
}

static int fetch_pieces(const struct engine_instance *instance, struct agent *agent, int64_t handle, int to,
                        const struct agent_progress *progress, struct cowherd_error *err)
{
        double begin_ms = clock_ms();
        uint64_t done = 0;
        bool end = false;

        while (!end) {
                owned_mem char *bytes = NULL;
                size_t count = 0;
                if (agent_file_read(agent, handle, &bytes, &count, &end, err) < 0 ||
                    write_all(agent, to, bytes, count, err) < 0)
                        return -1;
                done += count;
                tell(progress, done);
                if (give_way(instance, agent, &begin_ms, err) < 0)
                        return -1;
        }
        return 0;
}

int agent_fetch_file(const struct engine_instance *instance, struct agent *agent, const char *path, int to,
                     const struct agent_progress *progress, struct cowherd_error *err)
{
        struct cowherd_error ignored;
        int64_t handle = 0;

        if (agent_file_open(agent, path, "rb", &handle, err) < 0)
                return -1;
        int result = fetch_pieces(instance, agent, handle, to, progress, err);
        ignore_result(agent_file_close(agent, handle, &ignored));
        return result;
}
