/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A point in time of a clone: a snapshot, or a base that is made of it. Both are a new object (`made`) with what the clone is
 * now, taken under the clone's lock within an intent on the clone that names the new row, so that whoever finds the clone after
 * a kill knows what to take back or to finish. Where the store stacks, the clone goes on upon the new object.
 */
#pragma once

#include "herd/machine.h"
#include "herd/plan.h"

struct point {
        struct cowherd_herd *herd;
        struct ownership owned;      /* the clone's lock */
        struct ownership making;     /* and that of the object in the making */
        struct thing clone, made;    /* made: its row is filled in before it is reserved */
        struct machine machine;      /* opened where it runs */
        enum engine_state state;     /* of the clone */
        bool follows;                /* the clone is to be called a clone of `made` (promote) */
        bool stacks;
        bool makes_label;            /* none was given */
        bool begun;                  /* it can't be taken back any more */
        bool frozen;                 /* the guest's filesystems were, for it */
        bool durable;
        bool live;                   /* a base with the clone's memory (memory_keep.c) */
        bool brings_guest;           /* cowherd-guest is started in it, where it is not there */
        struct engine_captured captured; /* of it */
        char *next;                  /* what a running engine is to go on with, or NULL */
        struct strv neutralised;
        double taken_ms;             /* how long the guest stood still for it, or the store took */
};
void point_free(struct point *point);
define_owned(struct point, point_free)
#define owned_point owned_by(point_free)
/* One that owns nothing yet. */
#define POINT_OF(the_herd)                                                                                                     \
        {.herd = (the_herd), .owned.herd = (the_herd), .making.herd = (the_herd), .clone.place.fd = -1, .made.place.fd = -1}

/* ---- facts ---- */

/* The clone of that name: 66, also for a base's name. `what` is for the sentence where there is no herd. */
int point_find_clone(struct call *call, const char *name, struct catalogue_row *ret, struct cowherd_error *err) must_check;
/* Reads the clone (its row is there) with its bases, its state, and whether its store takes points of that role; 69, 66, 75 where it can't be. */
int point_look(struct point *point, enum store_role role, struct cowherd_error *err) must_check;
/* Fills in made's row after the clone's; its label or name is the caller's to add. */
void point_fill_row(struct point *point, enum catalogue_role role);
/* What a clone that stands on `base_id` is to be called a clone of: see catalogue_row.of_id. */
int point_called(struct cowherd_herd *herd, uint64_t clone_id, uint64_t base_id, uint64_t *ret, struct cowherd_error *err) must_check;

/* ---- steps ---- */

/* Owns the clone, and looks again at what was looked at without its lock. */
int point_own(struct point *point, struct cowherd_error *err) must_check;
/* Reserves made's row and writes the intent on the clone ("snapshot", "promote" or "promote_live", and which), in one transaction. */
int point_reserve(struct point *point, struct cowherd_error *err) must_check;
/* Makes all ready, has the guest stand still, takes it, lets the guest go on. */
int point_take(struct point *point, struct cowherd_error *err) must_check;
/* Of a base's tree: takes the identity out of it, and asks it what it is. */
int point_neutralise(struct point *point, struct cowherd_error *err) must_check;
int point_seal(struct point *point, struct cowherd_error *err) must_check;
/* The new row and the clone's, in one transaction. */
int point_settle(struct point *point, struct cowherd_error *err) must_check;
/*
 * The same, but the new base goes, a live one that can't have its memory: what the clone stands on now are bytes without a name. A kill
 * in between leaves both with this intent.
 */
int point_settle_nameless(struct point *point, struct cowherd_error *err) must_check;
#define OPERATION_UNPROMOTE "unpromote"
#define OPERATION_PROMOTE_LIVE "promote_live"
/* Takes it back where that can be; else its intent stays, and the next command finishes it. */
void point_give_up(struct point *point);

/* Adds all steps but the first to a plan whose operation is a struct point. */
void point_plan(struct point *point, struct plan *plan, const char *operation);

/* ---- after a kill ---- */

/*
 * Ends what an intent on a READY clone, whose lock the caller holds, says was being done with it: "snapshot", "promote",
 * "promote_live", "restore", "flatten". 1 where it is none of these.
 */
int point_recover(struct cowherd_herd *herd, const struct catalogue_row *clone, const char *operation, struct cowherd_error *err) must_check;
/* restore.c, flatten.c: their part of it. */
int restore_recover(struct cowherd_herd *herd, const struct catalogue_row *clone, uint64_t snapshot_id, struct cowherd_error *err) must_check;
int flatten_recover(struct cowherd_herd *herd, const struct catalogue_row *clone, struct cowherd_error *err) must_check;
/* Destroys nameless snapshots that nothing stands on. */
int point_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err) must_check;

/* ---- for others ---- */

/*
 * A nameless snapshot of a clone for clones of it to stand on, sealed and settled. `ret`'s row is the snapshot's; both stay owned
 * (point->owned, point->making) until point_free. `dry` only looks whether it could be.
 */
int point_nameless(struct point *point, const struct catalogue_row *clone, bool durable, struct cowherd_error *err) must_check;
/* Takes it away again if nothing stands on it, and gives the locks back. */
void point_drop_nameless(struct point *point);
/* register_base from=: as promote, and the clone goes on where it is unless its store stacks. */
int point_register(struct call *call, struct cowherd_error *err) must_check;

/* Several clones by a pattern, or one by its name. */
int point_select(struct call *call, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
