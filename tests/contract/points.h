/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time, as the herd takes them: what is common to points.c, points_own.c and points_faults.c. */
#pragma once

#include "subject.h"

#define POINTS 4

/* A clone with what it stands on, and what was made of it. */
struct history {
        struct subject *subject;
        struct store_object base, clone;
        struct store_object made[POINTS]; /* borrowed by clone.base: a history is not moved */
        size_t count;
        char *before; /* what the place held */
};

/* A base and a clone of it. */
void history_begin(struct history *history, struct subject *subject);
/* Takes all of it away; what does not hold, or is left behind. */
const char *history_end(struct history *history, const char *wrong);

/* Writes something of its own to an object, told apart by a number. */
void mark(struct subject *subject, const struct store_object *object, unsigned number);
/* Fills in what is to be made of the clone; then has the driver make it, seals it, settles the clone's base. */
struct store_object *point_begin(struct history *history, enum store_role role);
void point_seal(struct history *history, struct store_object *made);
struct store_object *point_take(struct history *history, enum store_role role);
/* Restores, and settles the clone's base. */
void point_restore(struct history *history, const struct store_object *snapshot);
/* What is in a snapshot or base, seen through a clone of it. */
uint64_t point_hash(struct subject *subject, const struct store_object *made);
bool point_stacks(const struct subject *subject, enum store_role role);

extern const struct contract_case contract_points[], contract_own_points[], contract_point_faults[];
extern const size_t contract_point_count, contract_own_point_count, contract_point_fault_count;
