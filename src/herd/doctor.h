/* SPDX-License-Identifier: Apache-2.0 */
/* What doctor's files share: findings, of three levels. */
#pragma once

#include "herd/herd.h"

struct findings {
        struct call *call;
        enum cowherd_target asked; /* the one engine that is meant, or COWHERD_ANY */
        size_t bad;                /* problems */
        size_t engines;            /* how many are ready */
};

enum level {
        LEVEL_OK,
        LEVEL_NOTE,    /* it could be better, or is not there and nobody needs it */
        LEVEL_PROBLEM, /* counted */
};

/* Adds a check. `detail` is what was found, `advice` (NULL or "") what to do where it is not well. */
void doctor_add(struct findings *findings, const char *check, enum level level, const char *detail, const char *advice);
/* Whether an engine is meant. */
bool doctor_wants(const struct findings *findings, enum cowherd_target target);

/* doctor_host.c: the root folder, what is shared there, rights, acceleration, the kernel, and what was installed with us. */
void doctor_host(struct findings *findings);
/* doctor_pools.c: what the stores say of the pools they work in. */
int doctor_pools(struct findings *findings, struct cowherd_error *err) must_check;
