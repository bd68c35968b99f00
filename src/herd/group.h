/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several instances at once: the clones that name= means, opened, owned, and answered for. What fails for one fails for it alone; the
 * answer then has an item for each, failed=n, and the code of the first failure. One that was said by its name alone is
 * answered for by itself.
 */
#pragma once

#include "herd/live.h"
#include "herd/plan.h"

struct group {
        struct call *call;
        struct live *lives;
        struct outcome *outcomes;
        size_t count;
        struct ownership owned; /* of them all */
        bool several; /* a pattern was said */
        bool state_is_gone; /* afterwards there is no state to be told */
        struct plan plan;
        const char *done; /* "started": for the sentence */
        const char *skipped; /* "lives that long already": for that of one that was skipped; NULL: its state tells */
};
void group_free(struct group *group);
define_owned(struct group, group_free)
#define owned_group owned_by(group_free)

/* Makes room for `count` lives, all of them empty, and for the files that they will have open. */
void group_make_lives(struct group *group, size_t count);
/* The clones that a request's name= means: one by name, or all of a pattern, appended to *ret; none is 66 either way. */
int herd_select(struct call *call, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/* Fills in the lives' rows; nothing is opened yet. Settles what killed commands left, but for a dry run. */
int group_select(struct group *group, struct cowherd_error *err) must_check;
/* Owns them one after the other; who is gone meanwhile has failed. */
void group_own(struct group *group);
/*
 * Asks their engines for the states of all that have not failed. One that is not told has failed; missing ones too, with 66, but where
 * that is `well`. */
void group_ask(struct group *group, bool missing_is_well);
/* Opens all that have not failed. */
void group_open(struct group *group);
/* Fails as a whole, with the first failure, where every item failed. */
int group_judge(const struct group *group, struct cowherd_error *err) must_check;
void group_fail_item(struct group *group, size_t item, const struct cowherd_error *err);
/* How many of them at once. */
unsigned group_parallel(size_t count);
/* Prints the plan of a dry run. */
int group_answer_plan(const struct group *group, const char *what);

/*
 * Answers: an item for each, `fields` adding the verb's own to those that did not fail and to those that did (the state is told for
 * both). -1 with the first failure where there is one.
 */
int group_answer(struct group *group, void (*fields)(struct group *group, const struct live *live), struct cowherd_error *err) must_check;
