/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: keeping a running machine's memory, under way. */
#pragma once

#include "engine/qemu/live.h"

#include "base/str.h"

struct capture {
        const struct engine_instance *instance;
        const struct engine_capture *how;
        struct engine_captured *ret;
        struct qmp qmp;
        pid_t pid;
        struct strv argv;   /* its own command line */
        int memory, copy;   /* its RAM's file; ours */
        uint64_t bytes;
        struct live_mirror mirror;
        bool shared, agent, helper;
        double since;
};

/* ---- live_bring.c ---- */

/* Where a Linux inside has qemu-guest-agent and not cowherd-guest, has the one start the other. ret's `brought`, or a `note` why not. */
void live_bring_guest(struct capture *capture);

/* ---- live_source.c ---- */

/* Finds the running machine and opens its memory; 75 where it does not run, 69 where its memory can't be kept. */
int live_source_find(struct capture *capture, struct cowherd_error *err) must_check;
/* Has what it has written flushed to its disk, and fills in ret's facts. */
int live_source_describe(struct capture *capture, struct cowherd_error *err) must_check;
