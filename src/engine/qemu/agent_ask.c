/* SPDX-License-Identifier: Apache-2.0 */
/* One question, and what its answer means: the agent's refusals become codes and sentences of ours. */
#include "engine/qemu/agent_bytes.h"

#include "sys/clock.h"

#include <string.h>

/* A command without an answer may be in the making so long. */
#define TOLD_MS 2000

/* What the agent says where it refuses. */
static int fail_refused(const struct agent *agent, const char *command, const json_t *error, struct cowherd_error *err)
{
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *description = json_string_value(json_object_get(error, "desc"));
        owned_str char *words = agent_quote(description == NULL ? "no reason given" : description);

        if (strstr(words, "frozen") != NULL)
                return fail(err, COWHERD_BUSY, "the filesystems of '%s' are frozen: its agent takes no '%s' now",
                            agent->name, command);
        if (!str_equal(class, "CommandNotFound"))
                return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' says: %s", agent->name, words);
        (void)fail(err, COWHERD_UNAVAILABLE, "the guest agent in '%s' does not do '%s': %s", agent->name, command,
                   words);
        return fail_hint(
                err,
                "in the guest: take '%s' off the list of what is blocked (BLACKLIST_RPC in /etc/sysconfig/qemu-ga, "
                "block-rpcs in /etc/qemu/qemu-ga.conf), and restart the agent; or install a newer one",
                command);
}

/* Takes the answer apart. */
static int read_reply(const struct agent *agent, const char *command, const char *line, json_type type, json_t **ret,
                      struct cowherd_error *err)
{
        json_t *reply = json_loads(line, 0, NULL);
        json_t *error = json_object_get(reply, "error"), *value = json_object_get(reply, "return");
        int result = 0;

        if (json_is_object(error))
                result = fail_refused(agent, command, error, err);
        else if (value == NULL || json_typeof(value) != type)
                result = agent_fail_nonsense(agent, "what can't be read", err);
        else if (ret != NULL)
                *ret = json_incref(value);
        json_decref(reply);
        return result;
}

/* Sends one question. */
static int send_question(struct agent *agent, const char *command, json_t *arguments, double until_ms,
                         struct cowherd_error *err)
{
        json_t *question = json_pack("{s:s, s:o}", "execute", command, "arguments", arguments);
        owned_str char *text = question == NULL ? NULL : json_dumps(question, JSON_COMPACT);

        json_decref(question);
        if (text == NULL)
                return fail(err, COWHERD_USAGE, "a word for the guest '%s' is not UTF-8, which its agent needs",
                            agent->name);
        owned_str char *line = x_asprintf("%s\n", text);
        return agent_send(agent, line, strlen(line), until_ms, err);
}

int agent_ask(struct agent *agent, const char *command, json_t *arguments, json_type type, size_t limit_bytes,
              json_t **ret, struct cowherd_error *err)
{
        double until_ms = clock_ms() + AGENT_ANSWER_MS;
        owned_str char *line = NULL;

        agent->buffer.length = 0;
        if (send_question(agent, command, arguments, until_ms, err) < 0)
                return -1;
        int over = agent_read_line(agent, limit_bytes, until_ms, &line, err);
        if (over != 0)
                return over < 0 ? -1 : agent_fail_silent(agent, err);
        return read_reply(agent, command, line, type, ret, err);
}

int agent_tell(struct agent *agent, const char *command, json_t *arguments, struct cowherd_error *err)
{
        double until_ms = clock_ms() + TOLD_MS;
        struct cowherd_error ended;
        owned_str char *line = NULL;

        agent->buffer.length = 0;
        if (send_question(agent, command, arguments, until_ms, err) < 0)
                return -1;
        /* A second question, whose answer tells that the first was done; where it has ended the agent, there is none.
         */
        if (send_question(agent, "guest-ping", json_object(), until_ms, &ended) < 0 ||
            agent_read_line(agent, AGENT_REPLY_BYTES, until_ms, &line, &ended) != 0)
                return 0;
        return read_reply(agent, command, line, JSON_OBJECT, NULL, err);
}
