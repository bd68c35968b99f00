/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this folder: one session with cowherd-guest in a machine (guest/protocol.h), on one of its ports. Nothing that the guest says
 * is a path, a length or a format of ours.
 */
#pragma once

#include "base/str.h"
#include "engine/engine.h"
#include "guest/protocol.h"

/* How long a helper that listens may take to answer an ordinary question. */
#define GUEST_ANSWER_MS 20000

struct guest {
        int fd, lock;
        const struct engine_instance *instance;
        struct guest_decoder decoder;
        struct str received; /* and not decoded yet, from `at` on */
        size_t at;
        unsigned channel;    /* of the last request */
        uint32_t flags;      /* of WELCOME */
        uint8_t nonce[GUEST_NONCE_BYTES]; /* of the helper's process: another after each boot */
};
void guest_close(struct guest *guest);
define_owned(struct guest, guest_close)
#define owned_guest owned_by(guest_close)
#define GUEST_CLOSED                                                                                                   \
        (struct guest)                                                                                                 \
        {                                                                                                              \
                .fd = -1, .lock = -1                                                                                   \
        }

/*
 * Begins a session, on a port that nobody uses; `lasting` ones (commands) leave the first port to others. 0; 1 where there is no helper
 * in the guest, which costs a question to QEMU, or where all its ports are in use and the agent is there; -1 with 75 where it does not
 * answer, or all ports stay in use.
 */
int guest_begin(const struct engine_instance *instance, bool lasting, uint64_t timeout_ms, struct guest *ret,
               struct cowherd_error *err) must_check;
/*
 * The parts of it, for who waits for more than this: says HELLO on a port, 1 where all are in use until then; takes the answer, 1 when
 * the time is over.
 */
int guest_connect(const struct engine_instance *instance, bool lasting, double until_ms, struct guest *ret,
                  struct cowherd_error *err) must_check;
/* The same on a socket that is connected, which becomes ret's. */
int guest_greet(const struct engine_instance *instance, int fd, struct guest *ret, struct cowherd_error *err) must_check;
int guest_welcome(struct guest *guest, double until_ms, struct cowherd_error *err) must_check;
/* Whether its system is one that the helper is made for. */
bool guest_can_be_there(const struct engine_instance *instance);
/* Whether something in the guest has one of the helper's ports open, or the agent's, as QEMU tells: 1, 0; -1 where it can't be asked. */
int guest_is_there(const struct engine_instance *instance);
int guest_agent_is_there(const struct engine_instance *instance);

/* Sends all of it. */
int guest_send(struct guest *guest, const struct str *bytes, double until_ms, struct cowherd_error *err) must_check;
/* The next frame, borrowed until the next call; 1 when the time is over. */
int guest_next(struct guest *guest, double until_ms, struct guest_frame *ret, struct cowherd_error *err) must_check;
/*
 * After a silence: a helper that was killed says nothing, and one that was started anew knows of no command. The question goes on
 * channel 0; its answer is for guest_is_lost.
 */
#define GUEST_SILENCE_MS 5000
#define GUEST_CHANNEL_PING 0u
void guest_ping_add(struct str *out);
bool guest_is_lost(const struct guest_frame *frame);
/* A frame that is here already; 1 where there is none. */
int guest_next_here(struct guest *guest, struct guest_frame *ret, struct cowherd_error *err) must_check;

/* Asks, and takes the answer, of type `expected`; GUEST_FAILED is a failure in sentences. `request` may be NULL. */
int guest_ask(struct guest *guest, enum guest_type type, const struct str *request, enum guest_type expected, uint64_t timeout_ms,
              struct guest_frame *ret, struct cowherd_error *err) must_check;
/* What a GUEST_FAILED means, of `command` (may be NULL). Always -1. */
int guest_failed(const struct guest *guest, const struct guest_frame *frame, const struct engine_command *command,
                 struct cowherd_error *err) must_check;
int guest_fail_lost(const struct guest *guest, struct cowherd_error *err) must_check;
int guest_fail_silent(const struct guest *guest, struct cowherd_error *err) must_check;
int guest_fail_nonsense(const struct guest *guest, struct cowherd_error *err) must_check;

/* The request that runs a command, without a terminal's size; 64 where it can't be one. */
int guest_run_request(const struct engine_command *command, const struct engine_streams *streams, struct str *ret,
                      struct cowherd_error *err) must_check;
