/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clones that are kept warm: made in advance, so that a clone is only given its name. Wanted are as many as a base's own warm= says,
 * else its engine's. They are rows without a name (catalogue_warm); LXD's store's `take_warm` makes a clone of one. Of a live base they
 * are machines that stand ready, woken and stopped (engine.h: stand_by), and a start takes them; together they may have so
 * much memory of their own as setup warm_memory= says, and no more are made than the host has room for.
 *
 * They are made by a helper, a program of its own that is started after each use and ends by itself (warm_refill.c). One works for a
 * herd at a time: it holds the lock locks/warm. Who holds locks/warm-stop wishes it to end, and none to begin.
 */
#pragma once

#include "herd/herd.h"

#define OPERATION_TAKE "take" /* the intent on a clone that was kept warm: its engine is still to be told its name */
#define WARM_COMPLAINT_KEY "warm.complaint" /* the setting that tells why the last one could not be made */
#define WARM_LOCK "warm"
#define WARM_STOP_LOCK "warm-stop"

/* How many of a base are wanted. */
int warm_wanted(struct cowherd_herd *herd, const struct catalogue_row *base, uint64_t *ret, struct cowherd_error *err) must_check;
/* A base's extra with a warm= of its own, to be freed. */
char *warm_mark(const char *extra, uint64_t wanted);
/* Writes down how many are wanted of the bases of an engine that have none of their own. */
int warm_set_default(struct cowherd_herd *herd, enum cowherd_target target, uint64_t wanted, struct cowherd_error *err) must_check;
/* 69 with the reason where warm= is said of an engine for whose clones it would gain nothing; `live`: of a live base. */
int warm_check_words(const struct request *request, enum cowherd_target target, bool live, struct cowherd_error *err) must_check;
/* Whether clones of a base can be kept warm at all. */
bool warm_is_possible(const struct catalogue_row *base);

struct warm_count {
        uint64_t wanted, ready;
        uint64_t dead; /* rows whose machine stands no more: after a reboot, or a kill */
};
/* Of one base; of all bases of an engine, added up. */
int warm_count(struct cowherd_herd *herd, const struct catalogue_row *base, struct warm_count *ret, struct cowherd_error *err) must_check;
int warm_count_all(struct cowherd_herd *herd, enum cowherd_target target, struct warm_count *ret, struct cowherd_error *err) must_check;

/* ---- warm_machine.c: machines that stand ready ---- */

/* Whether the machine of such a row stands; *ret_bytes (may be NULL): the memory that it has of its own. */
bool warm_stands(struct cowherd_herd *herd, const struct catalogue_row *row, uint64_t *ret_bytes);
/* How much memory those of all bases may have together; setup warm_memory=, and writing that down. */
int warm_memory_limit(struct cowherd_herd *herd, uint64_t *ret_bytes, struct cowherd_error *err) must_check;
int warm_set_memory_limit(struct cowherd_herd *herd, uint64_t bytes, struct cowherd_error *err) must_check;
/* How much they have now, and the largest of them; 0 where there is none. */
struct warm_memory {
        uint64_t bytes, largest;
};
int warm_memory_used(struct cowherd_herd *herd, struct warm_memory *ret, struct cowherd_error *err) must_check;
/* 75 where one more would be too many: as large as the largest, or as the one in the making (`made`, NULL before it is made) turned out. */
int warm_check_memory(struct cowherd_herd *herd, const struct catalogue_row *base, const struct catalogue_row *made, struct cowherd_error *err) must_check;
/* Starts the machine of a row in the making, whose lock is held, and leaves it standing. */
int warm_stand_by(struct cowherd_herd *herd, const struct thing *base, const struct catalogue_row *row, int lock, struct cowherd_error *err) must_check;
/* Ends those that stand, of all bases; *ret_ended: how many rows that were. */
int warm_end_machines(struct cowherd_herd *herd, size_t *ret_ended, struct cowherd_error *err) must_check;
/* Takes away the rows whose machine stands no more. */
int warm_bury_dead(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err) must_check;

/* ---- warm_make.c ---- */

/* Makes one. */
int warm_make(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err) must_check;

/* ---- warm.c, on ---- */
/* Adds the fields warm and ready, where anything is wanted. */
int fields_of_warm(struct cowherd_herd *herd, struct cowherd_answer *answer, const struct catalogue_row *base, struct cowherd_error *err) must_check;
/* Whether a helper is at work. */
bool warm_is_filling(const struct cowherd_herd *herd);
/* Why the last one could not be made, to be freed; NULL where it could. */
char *warm_complaint(struct cowherd_herd *herd);

/* Starts the helper where there is work for it, and none is at it: for one base, or for all of an engine. What fails is written into the audit. */
void warm_refill(struct cowherd_herd *herd, const struct catalogue_row *base);
void warm_refill_all(struct cowherd_herd *herd, enum cowherd_target target);
/* The helper's life, with the lock that it was handed. 0, or the code of what went wrong. */
int warm_run(const char *root, int lock);

/* While it is held no helper works. */
struct warm_pause {
        struct cowherd_herd *herd;
        int stop, lock; /* -1: not held */
};
#define WARM_PAUSE_OF(the_herd) {.herd = (the_herd), .stop = -1, .lock = -1}
int warm_pause(struct warm_pause *pause, struct cowherd_error *err) must_check;
void warm_pause_end(struct warm_pause *pause);
define_owned(struct warm_pause, warm_pause_end)

/* Destroys those of a base that are marked DELETING, and waits for those in the making, which find their base gone. */
int warm_bury(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err) must_check;
/* Takes away what is more than wanted, of all bases of an engine (COWHERD_ANY: of all). */
int warm_trim(struct cowherd_herd *herd, enum cowherd_target target, struct cowherd_error *err) must_check;
