/* SPDX-License-Identifier: Apache-2.0 */
/* Clones in the making, as the files of clone_from_base share them. */
#pragma once

#include "herd/memory.h"
#include "herd/power.h"

struct cloning {
        struct call *call;
        struct thing base;                 /* before its snapshot is taken, a source that is a clone */
        struct point source;               /* that clone, and the snapshot */
        struct memory memory;              /* of a live base … */
        bool wakes;                        /* … that the clones wake from */
        struct engine_live taken;          /* the same, of clones that stand ready */
        const struct store_driver *driver; /* of the clones: the base's, unless store= says otherwise */
        bool may_be_warm;                  /* one that is kept warm would do */
        struct catalogue_row *rows;
        struct store_object *objects;
        double *item_ms;
        bool is_settled;                   /* the rows are READY */
        bool *stuck;                       /* could not be undone now: its row stays for recovery */
        struct outcome *outcomes;
        size_t count;
        struct group group;                /* where they are to be started: their lives, and the outcomes above */
        double deadline_ms;                /* when wait=true gives up */
        double reserved_ms;                /* how long the reserving took, for all of them */
        struct ownership owned;
        struct plan plan;
};

/* ---- clone_steps.c ---- */

/* The plan: names reserved, bytes made, started where that was asked for, settled. */
void cloning_make_plan(struct cloning *cloning);
/* Does it. Where they are to get ready and may stay if they don't, that is waited for once the rows are settled. */
int cloning_apply(struct cloning *cloning, struct cowherd_error *err) must_check;
/* The place, with the lock of the clone in hand for the tools that make it. Locks are in the order of the rows. */
struct store_place cloning_place(const struct cloning *cloning);

/* ---- clone_start.c ---- */

/* Whether they are to run: start=true, or what wakes by itself. */
bool cloning_is_started(const struct cloning *cloning);
/* The steps of that, and of waiting where nothing is settled before all are ready. */
void cloning_add_start(struct cloning *cloning);
/* Whether they are waited for once the rows are settled, when others may stop and delete what never gets ready; the step; and doing it. */
bool cloning_waits_afterwards(const struct cloning *cloning);
void cloning_add_wait(struct cloning *cloning);
void cloning_wait(struct cloning *cloning);
/* Has the row of one that was started keep its identity; its host key until that is inside, as the rest of it. */
void cloning_keep_identity(struct cloning *cloning, size_t item);

/* ---- clone_warm.c ---- */

/*
 * Whether one that is kept warm would do: of LXD's, all but the size of its disk is told to its engine at the first start; a machine that
 * stands ready is one of its base's memory, with an identity of its own.
 */
int cloning_choose_warm(struct cloning *cloning, struct cowherd_error *err) must_check;
/* Inside the reserving transaction: what such a machine was started with stays its own. */
int cloning_choose_warm_identity(const struct cloning *cloning, struct catalogue_row *row, struct cowherd_error *err) must_check;
/* Gives one that was kept warm its name: 1 where this is none, or where another tool removed what was kept. */
int cloning_take_warm(struct cloning *cloning, size_t item, const struct store_place *place, bool checked, struct cowherd_error *err) must_check;
/* Has others made, and the engine told what was taken. What is kept of a base that was changed goes. */
void cloning_refill(struct cloning *cloning, bool is_changed);

/* ---- clone_answer.c ---- */

/* What became of them; -1 with the first failure where there is one. */
int cloning_answer(struct cloning *cloning, struct cowherd_error *err) must_check;
