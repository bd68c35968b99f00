/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live bases: a machine's memory and devices kept beside its disk, and machines that wake from them. engine.h tells what is asked
 * for. The memory is kept in a file, and used from a sealed memory file that is filled from it once, which a small program holds
 * while it is used (keeper_main.c); clones map it privately, so nobody can change it under another.
 */
#pragma once

#include "engine/engine.h"
#include "engine/qemu/line.h"
#include "engine/qemu/qmp.h"

#include <jansson.h>
#include <sys/types.h>

/* ---- live_facts.c: what a clone must have in common with what its base was made of ---- */

struct live_facts {
        json_t *json;
        struct qemu_wake wake; /* its `memory` is -1 */
        uint64_t memory_bytes, cpus;
        bool seeded;
        bool agent;          /* somebody inside answered */
        bool helper;         /* and that is cowherd-guest */
        bool fresh_random;   /* the guest's kernel has the driver of the generation id */
        const char *network; /* "user", "bridge", "none" */
        const char *mac;     /* that the source had, or NULL */
};
void live_facts_free(struct live_facts *facts);
define_owned(struct live_facts, live_facts_free)
#define owned_live_facts owned_by(live_facts_free)
/* Reads what capture told. 65. */
int live_facts_read(const struct engine_live *live, struct live_facts *ret, struct cowherd_error *err) must_check;

/* The words of a line that the guest can see the effect of, in their order; numbers of descriptors and names left out. A JSON array. */
json_t *live_shape(const struct strv *argv);
/* The processors that guests see with this acceleration: QEMU_TCG_PROCESSOR, or what this host's are. To be freed. */
char *live_processor(const char *acceleration);
/* 69 with how to make the base anew, where this machine, with this line, can't wake from it. */
int live_facts_compare(const struct live_facts *facts, const struct engine_instance *instance, const char *acceleration,
                       const struct strv *argv, struct cowherd_error *err) must_check;
/* The same of the QEMU that was started. */
int live_facts_compare_version(const struct live_facts *facts, const struct engine_live *live, struct qmp *qmp,
                               struct cowherd_error *err) must_check;
/* "7.2.22" into version[bytes]. */
int live_version(struct qmp *qmp, char *version, size_t bytes, struct cowherd_error *err) must_check;
/* Whether these limits and this network can be had: asked before anything is made. 64, 69. */
int live_check(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- live_memory.c: memory files ---- */

/* A memory file of so many bytes. */
int live_memory_make(uint64_t bytes, int *ret_fd, struct cowherd_error *err) must_check;
/* From now on nobody can change it. */
int live_memory_seal(int fd, struct cowherd_error *err) must_check;
bool live_memory_is_sealed(int fd, uint64_t bytes);
/* Fills `to`, a file of holes of the same length, with what `from` has. Pages of zeros stay holes. */
int live_memory_copy(int from, int to, uint64_t bytes, struct cowherd_error *err) must_check;
/* The pages that a process has of its own over its private mapping of the file `memory`, written into `to`. */
int live_memory_copy_private(pid_t pid, int memory, int to, uint64_t *ret_bytes, struct cowherd_error *err) must_check;

/* ---- live_mirror.c: the same while somebody writes to `from` ---- */

struct live_mirror {
        int from, to; /* borrowed */
        uint64_t bytes;
        const char *source, *target; /* both mapped */
        unsigned char *kept;         /* of each page, whether it was written to `to` */
};
void live_mirror_free(struct live_mirror *mirror);
define_owned(struct live_mirror, live_mirror_free)
/* Fills `to`, an empty memory file of `bytes`, with what `from` has now; it is to be freed whatever comes. `from` can't be cut (sealed so). */
int live_mirror_begin(struct live_mirror *mirror, int from, int to, uint64_t bytes, struct cowherd_error *err) must_check;
/* And with what changed since, now that nobody writes. */
int live_mirror_catch_up(struct live_mirror *mirror, struct cowherd_error *err) must_check;

/* What a process has of its own, and what it reads of others' memory, in bytes; 0 where it can't be told. */
void live_memory_measure(pid_t pid, uint64_t *ret_private, uint64_t *ret_shared);

/* ---- live_state.c: the devices ---- */

/* Writes the state of the standing machine into the empty file `path` of `folder`. */
int live_state_save(struct qmp *qmp, int folder, const char *path, struct cowherd_error *err) must_check;
/*
 * Opens a kept state for a machine that wakes. QEMU's user network remembers in it whose lease its first address is: that becomes the new
 * card's, so that the woken guest, asking by its new address (both "52:54:…", or NULL), keeps the one that ports lead to. The
 * descriptor is the caller's; -1.
 */
int live_state_open(int folder, const char *path, const char *old_mac, const char *new_mac, struct cowherd_error *err) must_check;
/* Has the machine that waits take it. */
int live_state_load(struct qmp *qmp, int state, struct cowherd_error *err) must_check;

/* ---- live_keeper.c ---- */

/*
 * The base's memory, sealed: from its keeper, or read in, and a keeper left behind for the next. *ret_fd is the caller's.
 */
int live_keeper_take(const struct engine_instance *instance, uint64_t bytes, int *ret_fd, struct cowherd_error *err) must_check;
/* Leaves a keeper behind that has this memory. `ram`, relative to `folder`, is what it was read from: with that it ends. */
int live_keeper_leave(const char *runtime, int folder, const char *ram, int memory, struct cowherd_error *err) must_check;
/* engine.h: release_live. */
int qemu_release_live(const char *runtime, struct cowherd_error *err) must_check;
bool qemu_live_in_use(const char *runtime);

/* ---- live_wake.c ---- */

/* What was started gets its state, goes on with its link down, gets the identity that it has now, runs a command and stands still again. */
int live_rehearse(const struct engine_instance *instance, const struct live_facts *facts, int runtime, struct engine_started *ret,
                  struct cowherd_error *err) must_check;
/* What stands so goes on: by a connection to it, which is taken over. `since`: when the phase "restore" began. */
int live_go_on(const struct engine_instance *instance, const struct live_facts *facts, struct qmp *qmp, double since, pid_t pid,
               struct engine_started *ret, struct cowherd_error *err) must_check;
/* What was started gets its state, goes on, gets its identity and then its link. */
int live_wake(const struct engine_instance *instance, const struct live_facts *facts, int runtime, pid_t pid,
              struct engine_started *ret, struct cowherd_error *err) must_check;

/* ---- live_stand_by.c: machines that wait to be wanted ---- */

/* Wakes the one that stands ready; 1 where there is none that wakes, and nothing of one (any more). */
int live_take(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err) must_check;
/*
 * Has what is made in advance leave the processors to others, or no longer: by its session (sched(7), autogroup), whose threads all follow, and
 * which anybody may set back.
 */
void live_give_way(pid_t pid, bool gives_way);
bool qemu_stands_by(const struct engine_instance *instance, uint64_t *ret_private_bytes);

/* ---- live_capture.c ---- */
int qemu_capture(const struct engine_instance *instance, const struct engine_capture *how, struct engine_captured *ret,
                 struct cowherd_error *err) must_check;
