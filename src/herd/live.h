/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance while it lives: a row with its store and its engine, opened together, and the steps that every verb of its life is
 * made of. Opening reads the catalogue, so it is done on one thread; the steps do not, so that many instances can take theirs
 * at once.
 */
#pragma once

#include "herd/machine.h"

struct live {
        struct thing thing;      /* its row is filled in by the caller */
        struct machine machine;
        char *root;              /* of a tree: where it is, or where it was activated */
        enum engine_state state; /* what the engine said */
        bool intended;           /* an intent of ours stands in the catalogue */
        bool skipped;            /* nothing is to be done with it */
        bool started, stopped;   /* what we have done, for the undo */
        bool forced;
        bool user_data_unread;   /* its tree has no cloud-init */
        bool stuck;              /* could not be undone: its intent stays for recovery */
        double start_ms, stop_ms, wait_ms;
        struct engine_started start;
        struct engine_waited wait;
};
void live_free(struct live *live);
define_owned(struct live, live_free)

/* Completes it for its row. It must not be moved afterwards. */
int live_open(struct cowherd_herd *herd, bool durable, struct live *live, struct cowherd_error *err) must_check;

/*
 * The same for a clone that was just reserved, under the lock that its maker holds: `row` has the identity that the catalogue is yet
 * to be told.
 */
int live_open_new(struct cowherd_herd *herd, const struct catalogue_row *row, int lock, struct live *live, struct cowherd_error *err) must_check;

/*
 * Makes the SSH host key of a fresh identity that is not inside yet, where there is none: *ret_made, in the row's extra as well, which
 * is the caller's to settle before the start.
 */
int live_make_host_key(struct live *live, bool *ret_made, struct cowherd_error *err) must_check;
/* Whether its tree is yet to get its identity: never for other kinds. */
bool live_has_to_personalise(const struct live *live);
/* Puts the identity into an activated tree. */
int live_personalise(struct live *live, struct cowherd_error *err) must_check;
/* Marks a row, yet to be settled, as one whose identity is inside: what was kept for that alone is forgotten. */
void live_identity_is_inside(struct catalogue_row *row);

/* Makes its tree usable, puts its identity in, and has its engine start it. A failure leaves it stopped and tidy. */
int live_start(struct live *live, struct cowherd_error *err) must_check;
#define LIVE_STOP_MS 30000 /* how long a guest has to shut down where nothing else is said */
/* Has its engine stop it, and puts its tree away. */
int live_stop(struct live *live, uint64_t timeout_ms, bool force, struct cowherd_error *err) must_check;
int live_pause(struct live *live, struct cowherd_error *err) must_check;
int live_resume(struct live *live, struct cowherd_error *err) must_check;
#define LIVE_WAIT_MS 120000 /* how long is waited for an instance where nothing else is said */
/* Waits for an event until `deadline_ms` (of clock_ms). */
int live_wait(struct live *live, enum engine_event what, double deadline_ms, struct cowherd_error *err) must_check;
/* Ends what runs by live->state, removes what a stopped one has left of itself, puts its tree away. */
int live_end(struct live *live, struct cowherd_error *err) must_check;
/*
 * The same after asking for the state. For what is about to be destroyed, or was left by a killed command: without `end`, what
 * runs is left as it is, but for the length of its log.
 */
int live_tidy(struct live *live, bool end, struct cowherd_error *err) must_check;

/* 69: the engine has no such thing. */
int live_fail_unable(const struct live *live, const char *what, struct cowherd_error *err);

/* Writes down that all of its identity is inside now; what changed or removed the row meanwhile stays. */
int live_note_identity(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err) must_check;

void fields_of_phases(struct cowherd_answer *answer, const struct engine_phases *phases);
/* What is told of a start, and of a wait. */
void fields_of_start(struct cowherd_answer *answer, const struct live *live);
void fields_of_wait(struct cowherd_answer *answer, const struct live *live);
