/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a live base: a virtual machine's RAM and the state of its devices, kept beside its disk (bases/ID/ram, bases/ID/state)
 * and sealed as that is. What was recorded of them lies in the base's row, in its `extra` under "live". A clone wakes from them: its
 * engine is told by struct engine_live, and has the rest of the work.
 */
#pragma once

#include "herd/machine.h"
#include "herd/point.h"

struct memory {
        char ram[STORE_PATH_BYTES], state[STORE_PATH_BYTES]; /* relative to the folder of the base's place */
        char *runtime;           /* what belongs to it while it is in use */
        json_t *kept;            /* what the row says of it */
        char *facts;             /* of that, what its engine said */
        struct engine_live live; /* borrows from all of the above, and the base's name */
};
void memory_free(struct memory *memory);
define_owned(struct memory, memory_free)
#define owned_memory owned_by(memory_free)

#define MEMORY_RUNTIME_PREFIX "base-" /* of the folder of one in use, among those of instances */

/* Whether a row is a live base's. */
bool memory_is_kept(const struct catalogue_row *row);
/* Reads what the row of a live base says; `name` is what people call the base. 65 where that is damaged. It must not be moved afterwards. */
int memory_open(const struct cowherd_herd *herd, const struct thing *base, const char *name, struct memory *ret, struct cowherd_error *err) must_check;
/* Whether both files are what was sealed: 65 with what changed. `deep` reads all of the RAM and compares its digest. */
int memory_check(const struct thing *base, const struct memory *memory, bool deep, struct cowherd_error *err) must_check;
/* Brings it out of use; what is not in use, or was never kept, is success. *ret_left (may be NULL): there was something. */
int memory_release(const struct cowherd_herd *herd, uint64_t base_id, bool *ret_left, struct cowherd_error *err) must_check;
/* What lists tell of a base, and what info tells. Nothing where it is not live. */
void fields_of_memory(struct cowherd_answer *answer, const struct catalogue_row *row);
void fields_of_memory_facts(struct cowherd_answer *answer, const struct cowherd_herd *herd, const struct catalogue_row *row);

/* ---- memory_keep.c: promote live=true ---- */

/* Whether the memory of this clone can be kept: 69, 75 with why not. The point was looked at. */
int memory_can_keep(const struct point *point, struct cowherd_error *err) must_check;
/* Has the engine keep it, the store take the disk meanwhile. `intend` writes down that it is about to be done. */
int memory_keep(struct point *point, int (*intend)(struct point *point, struct cowherd_error *err), struct cowherd_error *err) must_check;
/* Seals both files and writes what is known of them into made's row, yet to be settled. */
int memory_seal(struct point *point, struct cowherd_error *err) must_check;
/* Takes away what was kept for a base that can't be live any more. */
int memory_drop(const struct point *point, struct cowherd_error *err) must_check;

/* ---- memory_wake.c: clone_from_base of a live base ---- */

/* Whether a clone that is asked for so can wake: 64 or 69 with the word that is another machine's than the base's. */
int memory_check_words(const struct request *request, const struct catalogue_row *base, struct cowherd_error *err) must_check;
/* Whether the host has memory for so many clones: 75 where it has not. */
int memory_check_room(const struct catalogue_row *base, size_t count, struct cowherd_error *err) must_check;
