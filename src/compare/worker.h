/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the process that measures. */
#pragma once

#include "compare/images.h"
#include "compare/session.h"

#include <signal.h>

/*
 * INT, TERM and HUP are kept for us from begin to end: one that comes while measuring breaks it off, one that comes while cleaning up waits.
 * (QUIT and KILL do not: `cleanup` finds what they leave.)
 */
struct interrupts {
        int fd;
        sigset_t before;
};
void interrupts_begin(struct interrupts *interrupts);
void interrupts_end(struct interrupts *interrupts);
define_owned(struct interrupts, interrupts_end)

/*
 * Measures in a process of its own, which dies with us, and shows its progress. *ret_document is the caller's. 75 where it was
 * interrupted: the process is gone then, and what it had made is for site_remove.
 */
int worker_run(const struct compare_options *options, const struct site *site, const struct images *images, const struct interrupts *interrupts,
               json_t **ret_document, struct cowherd_error *err) must_check;
