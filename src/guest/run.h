/* SPDX-License-Identifier: Apache-2.0 */
/* A command that runs, as the files of run*.c share it. */
#pragma once

#include "guest/program.h"

struct run {
        struct run *next;
        struct port *port; /* NULL: its session is over, nobody wants to hear of it */
        unsigned channel, number;
        pid_t supervisor; /* 0: has ended */
        struct source input, output, errors, status; /* of a terminal, input is output's */
        struct str text; /* of the input, not taken yet */
        size_t output_left, errors_left; /* of pipes: what lay in them when it ended, and was not read yet */
        bool is_terminal, input_ends, is_started, timed_out;
        struct launch_report failed;
        int code;
        double deadline_ms; /* 0: none */
};

/* ---- run.c ---- */

struct run *run_find(const struct port *port, unsigned channel); /* NULL: there is none (any more) */
/* Ends it with all that it has started. */
void run_end_tree(struct run *run);

/* ---- run_streams.c ---- */

/* Takes our end of a pipe or a terminal, -1 for none, which does not block from now on; it is not watched yet. */
void run_adopt(struct run *run, struct source *source, int fd, void (*ready)(struct source *, uint32_t));
/* The three of what launch_open_terminal or launch_open_pipes opened. */
void run_adopt_streams(struct run *run, const int ours[3]);
void run_close_streams(struct run *run);
/* Reads its outputs or does not; not before it is told that it has begun. */
void run_watch_outputs(struct run *run, bool watched);
/* It has ended: what others write to its pipes from now on is not its own. */
void run_bound_outputs(struct run *run);
/* Sends what lies in its outputs; false where the port is full before all was sent. */
bool run_send_rest(struct run *run);
