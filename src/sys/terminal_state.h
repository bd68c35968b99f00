/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the caller's terminal and signals while a relay runs, and as they were before afterwards. */
#pragma once

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

struct terminal_state {
        int fd; /* of the terminal that is raw, or -1 */
        struct termios before;
        sigset_t mask_before, watched, seen;
        bool blocked;
        int signals; /* a signalfd, or -1 */
};

/*
 * Makes a terminal raw (fd -1: there is none), and has the signals that would end us wait in state->signals: none of
 * them can kill us with the terminal raw.
 */
int terminal_state_begin(struct terminal_state *state, int fd, struct cowherd_error *err) must_check;
/* Puts back what begin changed, after its failure too. */
void terminal_state_end(struct terminal_state *state);
/* The next signal that waits, or 0. After CONT the terminal is made raw again: a shell that stopped us had it. */
int terminal_state_signal(struct terminal_state *state);
/* Whether this signal came before; remembers that it came. */
bool terminal_state_seen(struct terminal_state *state, int number);
