/* SPDX-License-Identifier: Apache-2.0 */
/* A base in the making, as the files of register_base share it. */
#pragma once

#include "herd/fill.h"
#include "herd/plan.h"

struct registering {
        struct call *call;
        struct origin origin;
        struct choice choice;
        struct thing base;     /* its place is the choice's; row filled in from the beginning */
        struct ownership owned;
        struct strv neutralised;
        bool stuck;
        struct plan plan;
};

/* ---- register_steps.c ---- */

/* The plan: the name reserved, bytes made, sealed, settled. */
void register_make_plan(struct registering *registering);
/* guest=inject: cowherd-guest is put in. */
bool register_wants_guest(const struct request *request);
