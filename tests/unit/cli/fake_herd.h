/* SPDX-License-Identifier: Apache-2.0 */
/* A herd that only notes what it was asked, and gives the answer that a test prepared; a REXX host likewise. */
#pragma once

#include "cli/cli.h"
#include "command/answer.h"

struct fake {
        struct cowherd_answer *answer;   /* given once; NULL: a plain success */
        struct cowherd_error open_error; /* code 0: opening works */
        char asked[1024];                /* "open ROOT; TARGET word word …" or "rexx FILE arguments" */
        int script_status;
};
extern struct fake fake;
/* Forgets all; an answer that nobody took is freed. */
void fake_reset(void);
