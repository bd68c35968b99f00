/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be: bases, clones, their names and ids, what is being done to them (intents), what was done (audit). SQLite
 * in WAL mode, many processes at once, each statement prepared once. What *is* is the engine's and the store's to say.
 *
 * Ids are never used again. A base that was removed while in use is a row without a name. An object goes through three
 * phases: CREATING (its maker holds its lock), READY, DELETING (likewise); an object in the first or the last whose lock
 * is free is unfinished, and whoever gets the lock settles it.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct catalogue;

enum catalogue_role { CATALOGUE_BASE, CATALOGUE_CLONE, CATALOGUE_SNAPSHOT };
enum catalogue_phase { CATALOGUE_CREATING, CATALOGUE_READY, CATALOGUE_DELETING };

/*
 * One row: a base, a clone or a snapshot. Texts are owned by the row (catalogue_row_free); NULL is "not known" or "not set".
 */
struct catalogue_row {
        uint64_t id;
        enum catalogue_role role;
        enum catalogue_phase phase;
        enum cowherd_target target;
        char *name;             /* NULL: a snapshot, a removed base whose bytes wait for its last clone, or a clone that is kept warm */
        char *store;            /* driver's name */
        char *place;            /* name of a row of the places table ("" is the herd's root) */
        unsigned kind;          /* enum store_kind */
        char *format;           /* of a disk: "qcow2" or "raw" */
        uint64_t virtual_bytes; /* of a disk */
        uint64_t base_id;       /* what it stands on, 0 for none */
        uint64_t created_ms;    /* wall clock */
        uint64_t memory_bytes;  /* 0: not set */
        uint64_t cpus;          /* 0: not set */
        char *extra;            /* JSON object with what only later verbs use (network, ports, mount …), or NULL */

        /* of a base */
        char *image;            /* what was asked for: "debian.qcow2", "ubuntu:22.04" */
        char *source;           /* what it came from, really: an absolute path, an image's fingerprint */
        char *distro;           /* what it really is, from its own os-release */
        char *release;
        uint64_t size_bytes;    /* allocated at registration */
        char *fingerprint;

        /* of a clone */
        double clone_ms;        /* how long making it took */
        uint64_t expires_ms;    /* wall clock, 0: never */
        uint64_t disk_bytes;    /* disk_size=, 0: as the base */
        bool keep_identity;
        char *hostname, *machine_id, *mac, *uuid, *generation_id, *instance_id;
        char *random_seed;      /* hex */
        bool identity_applied;

        /*
         * Whose it is. Of a snapshot, and of a base that is being made of a clone: that clone, there or not any more. Of a clone or
         * base that stands on a snapshot: what people say it stands on (a base, another clone, or itself: nothing); else 0.
         */
        uint64_t of_id;
        char *label;            /* of a snapshot: its name among its clone's; NULL: it is there for what stands on it, and goes with that */

        /* Said to catalogue_reserve and _settle, and told by them; not kept. */
        bool may_be_warm;       /* of a clone to be reserved: take one that is kept warm of its base, if there is one */
        bool was_warm;          /* that was done: its bytes are there, and its engine does not know its name yet */
        bool as_reserved;       /* when it is settled: but for clone_ms and what makes its identity nothing of it has changed */
        const char *then;       /* what is intended with it once it is settled, or NULL. Borrowed */

        uint64_t clones;        /* counted on reading: how many with a name stand on it */
        char *base_name;        /* joined on reading: the name of of_id, else of base_id; NULL where that is gone or removed */
};
void catalogue_row_free(struct catalogue_row *row);
define_owned(struct catalogue_row, catalogue_row_free)
#define owned_row owned_by(catalogue_row_free)

struct catalogue_rows {
        struct catalogue_row *items;
        size_t count;
        size_t capacity;
};
void catalogue_rows_free(struct catalogue_rows *rows);
define_owned(struct catalogue_rows, catalogue_rows_free)
#define owned_rows owned_by(catalogue_rows_free)

/*
 * Opens, or makes, the catalogue in a folder (catalogue.db). A schema newer than ours is 78, its file untouched; one that
 * is no catalogue, or damaged, is 78 with its path. With `create` false, no catalogue there is 1 and nothing is made. Whoever
 * copies the file copies catalogue.db-wal with it: what was written last stands there, also after everybody has closed it.
 */
int catalogue_open(int folder, const char *folder_path, bool create, struct catalogue **ret, struct cowherd_error *err) must_check;
/*
 * Removes what killed makers and removers of the catalogue in a folder have left: half a new one that nobody is making,
 * and the log of one that is gone. *ret_found: whether there was any.
 */
int catalogue_sweep(int folder, const char *folder_path, bool *ret_found, struct cowherd_error *err) must_check;
void catalogue_close(struct catalogue *catalogue);
/* This herd's UUID, made with the catalogue. Borrowed. */
const char *catalogue_uuid(const struct catalogue *catalogue);
/* Transactions reach the disk before they return, from now on (durable=true). */
int catalogue_set_durable(struct catalogue *catalogue, bool durable, struct cowherd_error *err) must_check;

/*
 * Called for each row inside the reserving transaction, once its id is known and before anyone else can see it: the place
 * to take its lock. -1 rolls all of it back.
 */
typedef int catalogue_reserved_fn(void *context, const struct catalogue_row *row, struct cowherd_error *err);

/*
 * Reserves `count` rows (phase CREATING, an intent each) in one transaction, all or none, and fills in their ids. A clone's
 * base_id must be READY and named (where it has an of_id: READY), checked in the same transaction (66 where it is gone). A name that is taken is 1 with
 * that row in *ret_taken (the caller's; its phase says whether it is READY or in the making), nothing reserved.
 *
 * A clone without a name is one to be kept warm (catalogue_warm): its base does not count it.
 */
int catalogue_reserve(struct catalogue *catalogue, struct catalogue_row *rows, size_t count, const char *operation,
                      catalogue_reserved_fn *reserved, void *context, struct catalogue_row *ret_taken,
                      struct cowherd_error *err) must_check;
/*
 * Writes all that is in the rows (but target and name, which were reserved), makes them READY and ends their intents, in one
 * transaction. One that is gone is 66, and so is one to be kept warm whose base has just been removed. Another base_id than before moves the row to that base, which may be one that is
 * settled before it here; a removed base or nameless snapshot that it was the last to stand on is marked DELETING.
 */
int catalogue_settle(struct catalogue *catalogue, const struct catalogue_row *rows, size_t count, struct cowherd_error *err) must_check;
/* The same, but what is intended with them next stands there at once. */
int catalogue_settle_and_begin(struct catalogue *catalogue, const struct catalogue_row *rows, size_t count, const char *operation,
                               struct cowherd_error *err) must_check;
/*
 * Marks objects DELETING with an intent, in one transaction; 1 where one of them is not READY (any more), 75 where others
 * stand on it that do not go with it. A clone's snapshots follow it: marked too, but for those that others stand on, which
 * lose their labels and wait.
 */
int catalogue_mark_deleting(struct catalogue *catalogue, const uint64_t *ids, size_t count, const char *operation,
                            struct cowherd_error *err) must_check;
/*
 * Forgets objects and their intents, in one transaction. *ret_freed (may be NULL) gets the ids (decimal texts) of removed
 * bases whose last dependent this was, marked DELETING in the same transaction, and of the snapshots that were marked with
 * their clone: their bytes are now the caller's to destroy, in that order.
 */
int catalogue_forget(struct catalogue *catalogue, const uint64_t *ids, size_t count, struct strv *ret_freed,
                     struct cowherd_error *err) must_check;
/*
 * Removes a base by name's row: where nothing stands on it, marks it DELETING (0: destroy it, then forget it); where
 * something does, takes its name (1: its bytes wait). Those that are kept warm of it are marked DELETING, and it waits for them.
 */
int catalogue_remove_base(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err) must_check;
/* Writes down that something is being done to a READY row that its engine must hear of as well; and that it is done. */
int catalogue_begin(struct catalogue *catalogue, uint64_t id, const char *operation, struct cowherd_error *err) must_check;
int catalogue_end(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err) must_check;
/* What is being done to an object, the caller's; 1 where nothing is. */
int catalogue_operation(struct catalogue *catalogue, uint64_t id, char **ret, struct cowherd_error *err) must_check;
/* Gives a READY row another name; taken is 73, and reserved names likewise. */
int catalogue_rename(struct catalogue *catalogue, uint64_t id, const char *name, struct cowherd_error *err) must_check;

/* One READY or unfinished row by name (66 with the nearest name as hint where there is none). target may be COWHERD_ANY: then 64 where several engines know the name. */
int catalogue_find(struct catalogue *catalogue, enum cowherd_target target, const char *name, struct catalogue_row *ret,
                   struct cowherd_error *err) must_check;
/* By id: 1 where there is none. */
int catalogue_get(struct catalogue *catalogue, uint64_t id, struct catalogue_row *ret, struct cowherd_error *err) must_check;
/* READY rows of a role, by target (or COWHERD_ANY) and pattern (NULL: all), ordered by target and name; append to *ret. Removed bases are left out. */
int catalogue_list(struct catalogue *catalogue, enum cowherd_target target, enum catalogue_role role, const char *pattern,
                   struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/* Rows with an intent, of all targets, appended to *ret: CREATING, DELETING, or READY and being renamed. */
int catalogue_unfinished(struct catalogue *catalogue, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/*
 * A clone's snapshot by its label: 66 with the nearest one as hint, or that there is none. *ret is the caller's.
 */
int catalogue_find_snapshot(struct catalogue *catalogue, const struct catalogue_row *clone, const char *label,
                            struct catalogue_row *ret, struct cowherd_error *err) must_check;
/* The READY snapshots of a clone in the order in which they were taken, nameless ones too; append to *ret. */
int catalogue_snapshots(struct catalogue *catalogue, uint64_t clone_id, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/* Nameless snapshots that nothing stands on, of all clones: their makers were killed before something did. Append to *ret. */
int catalogue_nameless(struct catalogue *catalogue, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/*
 * Removes a clone's snapshot: where nothing stands on it, marks it DELETING (0: destroy it, then forget it); where something
 * does, takes its label (1: its bytes wait).
 */
int catalogue_remove_snapshot(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err) must_check;
/* Marks a nameless snapshot DELETING where nothing stands on it: 1 where something does, or it is gone. */
int catalogue_free_nameless(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err) must_check;

/*
 * Clones that are kept warm: made in advance, whole, without a name, so that no list, pattern or count has them, until
 * catalogue_reserve gives one a name. _begin is called before the first of a herd is made: it gives the catalogue the index by
 * which they are found (a program that does not know of it keeps it up as well).
 */
int catalogue_warm_begin(struct catalogue *catalogue, struct cowherd_error *err) must_check;
/* All of a base, in any phase, oldest first; append to *ret. */
int catalogue_warm(struct catalogue *catalogue, uint64_t base_id, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/* Marks READY ones of a base DELETING, with an intent, but for the `keep` oldest. */
int catalogue_drop_warm(struct catalogue *catalogue, uint64_t base_id, uint64_t keep, struct cowherd_error *err) must_check;

/* READY clones whose expires_ms has passed. */
int catalogue_expired(struct catalogue *catalogue, uint64_t now_ms, struct catalogue_rows *ret, struct cowherd_error *err) must_check;
/* How many READY bases and clones a target has (COWHERD_ANY: all). */
int catalogue_count(struct catalogue *catalogue, enum cowherd_target target, uint64_t *ret_bases, uint64_t *ret_clones,
                    struct cowherd_error *err) must_check;
/* Whether any row uses this place (teardown asks). */
int catalogue_place_in_use(struct catalogue *catalogue, const char *place, bool *ret, struct cowherd_error *err) must_check;

/* A place that `setup` made: an embedded pool, a ZFS dataset, an LXD pool. "" is the root itself and has no row. */
struct catalogue_place {
        char *name;     /* "btrfs", "zfs", "lxd" … */
        char *store;    /* driver's name */
        char *folder;   /* absolute, or relative to the root */
        char *source;   /* backing file, dataset, LXD pool */
        uint64_t size_bytes;
        bool ours;      /* made by setup: teardown removes it */
};
void catalogue_place_free(struct catalogue_place *place);
define_owned(struct catalogue_place, catalogue_place_free)
#define owned_place owned_by(catalogue_place_free)
int catalogue_put_place(struct catalogue *catalogue, const struct catalogue_place *place, struct cowherd_error *err) must_check;
/* 1 where there is none of that name. */
int catalogue_get_place(struct catalogue *catalogue, const char *name, struct catalogue_place *ret, struct cowherd_error *err) must_check;
int catalogue_drop_place(struct catalogue *catalogue, const char *name, struct cowherd_error *err) must_check;
/* Names of all places. */
int catalogue_list_places(struct catalogue *catalogue, struct strv *ret, struct cowherd_error *err) must_check;

/* A setting of this herd by key ("qemu.store" …): *ret is the caller's, NULL where unset. */
int catalogue_get_setting(struct catalogue *catalogue, const char *key, char **ret, struct cowherd_error *err) must_check;
int catalogue_set_setting(struct catalogue *catalogue, const char *key, const char *value, struct cowherd_error *err) must_check;

/* A line of the audit, as its reader sees it: texts are borrowed for the call; name and text may be NULL. */
struct catalogue_refusal {
        uint64_t at_ms;
        enum cowherd_target target; /* COWHERD_ANY where none was known */
        const char *operation, *name, *text;
        int code;
};
/* Calls `each` for what was refused on a target (or COWHERD_ANY), oldest first: a word (64), an image or data (65), by policy (77). */
int catalogue_refusals(struct catalogue *catalogue, enum cowherd_target target, void (*each)(void *context, const struct catalogue_refusal *line),
                       void *context, struct cowherd_error *err) must_check;
/*
 * Calls `each` with how many lines of the audit have an operation and a code, in that order; *ret_last: how many lines were ever
 * written.
 */
int catalogue_audit_counts(struct catalogue *catalogue, void (*each)(void *context, const char *operation, int code, uint64_t count),
                           void *context, uint64_t *ret_last, struct cowherd_error *err) must_check;
/* Adds a line to the audit: what was done, to whom, with which code. Never fails the caller's work. Keeps the last 10,000. */
void catalogue_audit(struct catalogue *catalogue, enum cowherd_target target, const char *operation, const char *name, int code,
                     const char *text);
