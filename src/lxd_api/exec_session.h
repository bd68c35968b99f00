/* SPDX-License-Identifier: Apache-2.0 */
/* A command under way: what exec.c (its beginning and its end) and exec_carry.c (what is between) share. */
#pragma once

#include "lxd_api/exec.h"
#include "lxd_api/websocket.h"

#define LXD_SESSION_STREAMS 4
#define LXD_SESSION_CONTROL 3

struct lxd_session {
        struct lxd_client *client;
        const struct lxd_exec *exec;
        const char *instance;
        char *operation;
        char mark[33];
        struct websocket *streams[LXD_SESSION_STREAMS]; /* 0: input (and a terminal's output), 1, 2: output, CONTROL */
        bool ended[LXD_SESSION_STREAMS];
        bool input_ended;
        size_t sent; /* of the input */
        double deadline; /* 0: none */
        bool killed;
};

/* Carries its streams until all output has ended; 1 where it did not in time, kill or no kill. */
int lxd_session_carry(struct lxd_session *session, struct cowherd_error *err) must_check;
/* Kills the command, and all that bear its mark. */
int lxd_session_kill(struct lxd_session *session, struct cowherd_error *err) must_check;
