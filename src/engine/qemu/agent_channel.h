/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: one conversation with a guest's agent (qemu-ga-ref(7)), one question at a time. */
#pragma once

#include "base/str.h"
#include "engine/engine.h"

#include <jansson.h>

#define AGENT_SOCKET "agent.sock"
#define AGENT_LOCK "agent.lock"
/* One line of an answer: more is taken for an attack. */
#define AGENT_REPLY_BYTES (1u << 20)
/* Of guest-exec-status: two outputs as base64. */
#define AGENT_STATUS_BYTES (2 * (ENGINE_OUTPUT_BYTES / 3 * 4) + AGENT_REPLY_BYTES)
/* How long an agent that listens may take to answer an ordinary question. */
#define AGENT_ANSWER_MS 20000
/* What opens no port for so long, while QEMU could have read what was said, has no agent. */
#define AGENT_GRACE_MS 1500
/* The same where others queue as well. */
#define AGENT_QUEUE_GRACE_MS 6000

struct agent {
        int fd, lock;
        char *name; /* the instance's, for sentences */
        bool windows;
        struct str buffer; /* read and not yet looked at */
};
void agent_close(struct agent *agent);
define_owned(struct agent, agent_close)
#define owned_agent owned_by(agent_close)
#define AGENT_CLOSED                                                                                                   \
        (struct agent)                                                                                                 \
        {                                                                                                              \
                .fd = -1, .lock = -1                                                                                   \
        }

        enum agent_patience {
                AGENT_EXPECTED, /* 69 soon where nobody listens in the guest */
                AGENT_AWAITED,  /* the guest may still have to start it: until the time is over */
        };

/*
 * Connects to the instance's agent, behind those who speak to it already, and makes sure that the next answer is to our
 * next question. 69, 75.
 */
int agent_open(const struct engine_instance *instance, enum agent_patience patience, uint64_t timeout_ms,
               struct agent *ret, struct cowherd_error *err) must_check;
/* The second half of it, on a socket that is connected. */
int agent_synchronise(struct agent *agent, enum agent_patience patience, uint64_t timeout_ms,
                      struct cowherd_error *err) must_check;
/* Whether others wait for their turn. */
bool agent_is_wanted(const struct agent *agent);

/*
 * Asks one question; `arguments` is taken (NULL, as json_pack answers to what is not UTF-8, is 64). *ret (may be NULL)
 * is what it returned, the caller's; anything but a `type` is a failure.
 */
int agent_ask(struct agent *agent, const char *command, json_t *arguments, json_type type, size_t limit_bytes,
              json_t **ret, struct cowherd_error *err) must_check;

/*
 * Tells a command that has no answer but a refusal, such as guest-shutdown; `arguments` is taken. Returns when the
 * agent has done it, or has ended over it.
 */
int agent_tell(struct agent *agent, const char *command, json_t *arguments, struct cowherd_error *err) must_check;

/* Text of a guest, fit for a sentence: printable, at most 200 bytes. To be freed. */
char *agent_quote(const char *text);
