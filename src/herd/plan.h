/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: a short list of steps, each with its undo. Making a plan has no side effect, so it can be printed instead of
 * applied. A step is done once for the whole operation, or once for each of its items (the clones of count=256), then in
 * parallel, bounded. What fails for one item fails alone: that item's steps are undone in reverse and it is left out of
 * what follows; with `atomic`, or where a whole step fails, everything is.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define PLAN_STEPS_MAX 12
#define STEP_TEXT_BYTES 512

struct cowherd_answer;

struct step {
        char what[STEP_TEXT_BYTES];
        bool each; /* once for each item; else once, with item 0 */
        int (*act)(void *operation, size_t item, struct cowherd_error *err);
        /* NULL where there is nothing to undo. Called also for a step that failed: half of it may have been done. */
        void (*undo)(void *operation, size_t item);
};

struct plan {
        struct step steps[PLAN_STEPS_MAX];
        size_t count;
        size_t items;      /* how many items there are, at least 1 */
        unsigned parallel; /* how many items at once, at least 1 */
        bool atomic;
        void *operation;
};

/* How an item ended. */
struct outcome {
        bool failed;
        struct cowherd_error err;
};

/* Adds a step; its text is what dry_run=true prints. */
void plan_add(struct plan *plan, bool each, int (*act)(void *, size_t, struct cowherd_error *), void (*undo)(void *, size_t),
              const char *format, ...) format_like(5, 6);
/* Prints the plan into an answer, as a list of items {step, what}. */
void plan_print(const struct plan *plan, struct cowherd_answer *answer);
/*
 * Does it. `outcomes` has plan->items entries, all {0}. Fails where a whole step failed (all is undone), where every item
 * failed, or with `atomic` where one did; else 0, and the outcomes tell.
 */
int plan_apply(const struct plan *plan, struct outcome *outcomes, struct cowherd_error *err) must_check;
