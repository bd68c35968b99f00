/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd marries the rooms: a command becomes a plan over catalogue, store and engine. This header is the room's own.
 *
 * An operation always goes the same way: facts are read, a plan is made of them (no side effect so far: this is what
 * dry_run=true prints), names are reserved, steps are done and undone in reverse where one fails, the catalogue is settled.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "catalogue/catalogue.h"
#include "command/answer.h"
#include "command/request.h"
#include "engine/engine.h"
#include "store/store.h"

struct cowherd_herd {
        char *root;          /* absolute */
        char *script_folder; /* absolute, or NULL */
        int fd;              /* the root folder, -1 until it is opened */
        int locks;           /* its locks/ folder, likewise */
        struct catalogue *catalogue; /* NULL until it is opened */
        bool durable;        /* what the catalogue was told last */
        cowherd_progress_fn *progress;
        void *progress_context;
        struct cowherd_streams streams; /* what cowherd_set_streams said */
        bool has_streams;
};

struct ownership;

/* One command on its way. */
struct call {
        struct cowherd_herd *herd;
        const struct request *request;
        struct cowherd_answer *answer;
        double started_ms; /* clock_ms when it came in */
        struct ownership *keep; /* of create: takes the lock of the base that is registered, whose intent CREATE stays; or NULL */
};

/* ---- open.c: the root folder and its catalogue ---- */

/* Opens root and catalogue; 1 where there is no herd yet and `create` is false. */
int herd_open(struct cowherd_herd *herd, bool create, struct cowherd_error *err) must_check;
/* As herd_open, made if need be (but 1 for a dry run), and tells the catalogue whether to sync (the request's durable=). */
int herd_open_for(const struct call *call, struct cowherd_error *err) must_check;
void herd_report(struct cowherd_herd *herd, const char *what, uint64_t done, uint64_t total);

/* ---- objects.c: from rows to what stores and engines take ---- */

/* A place, attached and opened. The texts that `place` borrows are owned here. */
struct place {
        struct store_place place;
        char *name;
        char *folder;
        char *source;
        int fd;
        bool is_borrowed; /* all of it is another's: of the thing that stands on it, or of the choice */
};
void place_close(struct place *place);
define_owned(struct place, place_close)
#define owned_place_handle owned_by(place_close)

/* Opens the place of this name ("" is the root), mounting it again where it has to be. */
int place_open(struct cowherd_herd *herd, const char *name, bool durable, struct place *ret, struct cowherd_error *err) must_check;

/* The store's view of a row; borrows its texts. `base` (may be NULL) must outlive it. */
struct store_object object_of(const struct catalogue_row *row, const struct store_object *base);

/* A row with its store, place, and the chain of bases that it stands on. */
struct thing {
        struct catalogue_row row;
        const struct store_driver *driver;
        struct place place;
        struct store_object object;
        struct store_object of; /* of what was made of a clone: that clone, its id and, if it is still there, its name */
        struct thing *base; /* owned, or NULL */
};
void thing_free(struct thing *thing);
define_owned(struct thing, thing_free)
#define owned_thing owned_by(thing_free)
/* Completes a thing whose row is filled in (on failure too the row stays its own). It must not be moved afterwards. */
int thing_open(struct cowherd_herd *herd, bool durable, struct thing *thing, struct cowherd_error *err) must_check;

/* Where people find it: an absolute path, or an LXD instance as `lxc` names it. To be freed. */
char *thing_path(const struct place *place, const struct catalogue_row *row);
/* The real states of `rows`, one question to each engine concerned. Rows of an engine that does not answer are UNKNOWN. */
int herd_states(struct cowherd_herd *herd, const struct catalogue_row *rows, size_t count, enum engine_state *ret,
                struct cowherd_error *err) must_check;
/* A row by name; what ("base", "clone" or "") is for the sentence: base 'vm-bse' not found (did you mean 'vm-base'?). */
int herd_find(struct cowherd_herd *herd, enum cowherd_target target, const char *what, const char *name, struct catalogue_row *ret,
              struct cowherd_error *err) must_check;
/* Puts what to do behind the sentence of a base that was not found. Always -1. */
int say_register(struct cowherd_error *err);
/* 66 with a hint where the row is not of this role. */
int expect_role(const struct catalogue_row *row, enum catalogue_role role, struct cowherd_error *err) must_check;

/* ---- ownership.c: locks of objects ---- */

/* Locks of a group of objects, taken as their rows are reserved. */
struct ownership {
        struct cowherd_herd *herd;
        uint64_t first; /* the id of the first that was taken */
        size_t count;
        int lock; /* what holds them all, for tools to inherit; 0 where count is */
};
void ownership_free(struct ownership *owned); /* gives the locks back */
define_owned(struct ownership, ownership_free)
#define owned_ownership owned_by(ownership_free)
/* Takes one object's lock; without `wait`, 1 where another has it. */
int ownership_take(struct ownership *owned, uint64_t id, bool wait, struct cowherd_error *err) must_check;
/* Reserves rows with their locks; who finds a name in the making waits for its maker, then 73. */
int herd_reserve(struct ownership *owned, struct catalogue_row *rows, size_t count, const char *operation,
                 catalogue_reserved_fn *also, void *context, struct cowherd_error *err) must_check;
/* 73: the row has the name that was wanted. */
int fail_taken(const struct catalogue_row *taken, struct cowherd_error *err);
/* Takes the lock of a READY row and reads it again, so that what follows is about what is; 66 where it went away. */
int herd_own(struct ownership *owned, struct catalogue_row *row, struct cowherd_error *err) must_check;

/* ---- recover.c ---- */

struct recovery {
        size_t undone;    /* half-made objects taken away */
        size_t finished;  /* half-deleted ones taken away */
        size_t orphans;   /* bytes without a row taken away */
        size_t busy;      /* still being worked on */
        bool only_look;   /* of a sweep: only count what it would take */
        bool only_wrecks; /* leaves alone what is whole as it stands, but for its engine's being told */
        size_t failed;    /* could not be settled */
        struct cowherd_error first; /* why the first of those could not */
};
/* Settles what killed commands left (rows whose lock is free). Cheap where there is nothing. */
int herd_recover(struct cowherd_herd *herd, struct recovery *ret, struct cowherd_error *err) must_check;
/* Settles one row whose lock the caller holds, and removes the lock file's row; `owned` is that lock. */
int herd_settle_unfinished(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err) must_check;
/*
 * Ends what a killed command had begun with a READY row whose lock the caller holds (its intent tells what), and the intent. Nothing
 * where there is none. 1: the object is gone with it.
 */
int herd_settle_ready(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err) must_check;
/* Destroys the bytes of removed bases whose last clone is gone (ids as catalogue_forget tells them), then forgets them. */
int herd_destroy_freed(struct cowherd_herd *herd, const struct strv *ids, struct cowherd_error *err) must_check;
/* Counts one more that could not be settled, and keeps why the first could not. */
void recovery_count_failure(struct recovery *recovery, const struct cowherd_error *err);
/* Removes the staging folder that a registration may have used. */
int herd_remove_staging(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err) must_check;

/* ---- sweep.c ---- */

/* Removes what lies in the places without a row, and lock files of nobody. */
int herd_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err) must_check;

/* ---- remove.c ---- */

/* Removes an owned base: its name at once, its bytes too where nothing stands on it; *ret_waits: something does. Ends its intent. */
int herd_remove_base(struct ownership *owned, const struct catalogue_row *row, bool *ret_waits, struct cowherd_error *err) must_check;
#define OPERATION_CREATE "create" /* the intent of a base that goes once its clone is made */

/* ---- places.c: what setup and teardown were killed over ---- */

/* Held by whoever sets up, tears down, or settles what those left. */
struct places_lock {
        struct cowherd_herd *herd;
        int fd; /* -1: not held */
};
void places_unlock(struct places_lock *lock); /* removes its file as well */
define_owned(struct places_lock, places_unlock)
/* Takes it; without `wait`, 1 where another has it. */
int places_lock(struct places_lock *lock, bool wait, struct cowherd_error *err) must_check;
/* Whether a place is being made or taken away, or was when its command was killed: it is none that can be used. */
bool place_is_unfinished(const struct catalogue_place *place);
/* Whether what a place consists of is known not to be there (any more); where it is, it is mounted for that. */
bool place_is_gone(struct cowherd_herd *herd, const struct catalogue_place *made);
/* Writes a place down as unfinished; its source is what is known of where it will be, or is. */
int place_write_unfinished(struct cowherd_herd *herd, const struct catalogue_place *place, struct cowherd_error *err) must_check;
/* Takes a place away, whole or unfinished, with the choices of engines for its store, and its row. */
int place_undo(const struct places_lock *lock, const struct catalogue_place *place, struct cowherd_error *err) must_check;
/*
 * Undoes all unfinished places; *ret_count: how many, on failure too. One that can't be undone stays as it is, and fails the call
 * unless only those of `store` matter (NULL: all do).
 */
int places_settle(const struct places_lock *lock, const char *store, size_t *ret_count, struct cowherd_error *err) must_check;
/* The same, for a sweep: where a setup is under way, that is counted as busy. */
int places_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err) must_check;

/* ---- teardown.c ---- */

/* Takes the whole herd away where nothing is left in it: only what cowherd made there, and the folder if that empties it. */
int herd_remove_empty(struct cowherd_herd *herd, struct cowherd_error *err) must_check;

/* ---- rename.c ---- */

/* Has the engine's name of an object, whose lock the caller holds, follow the catalogue's; ends the intent. */
int herd_finish_rename(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err) must_check;

/* ---- identity.c ---- */

/* Chooses the identity of a clone whose id is known; deterministic where it must be unique (MAC), random elsewhere. */
void identity_choose(struct catalogue_row *row, const char *herd_uuid);
/* Its two parts: what a machine has on its board (MAC, UUID, generation id), and what its system has, with a hostname of `name`. */
void identity_choose_machine(struct catalogue_row *row, const char *herd_uuid);
void identity_choose_system(struct catalogue_row *row, const char *name);
/* The names of what waits for the first start, apart by blanks; "" where nothing does. Static. */
const char *identity_pending(const struct catalogue_row *row);

/* ---- choose.c: which store ---- */

struct choice {
        const struct store_driver *driver;
        struct place place;
        struct store_probe probe;
};
void choice_free(struct choice *choice);
define_owned(struct choice, choice_free)
#define owned_choice owned_by(choice_free)
/* Asks one store about one of the places it could work in; probe tells. */
int choice_probe(struct cowherd_herd *herd, const char *store, enum store_kind kind, bool durable, struct choice *ret,
                 struct cowherd_error *err) must_check;
/* The store that an engine's bases go to: what was asked for, else what setup chose, else the first that works here. */
int choice_make(struct cowherd_herd *herd, enum cowherd_target target, enum store_kind kind, const char *asked, bool durable,
                struct choice *ret, struct cowherd_error *err) must_check;
/* The kind of object an engine runs. */
enum store_kind kind_of_target(enum cowherd_target target);

/* ---- fields.c: answers ---- */

/* "web-base", "" where that was removed, "none" where it stands on nothing. Borrowed. */
const char *base_text(const struct catalogue_row *row);
void fields_of_base(struct cowherd_answer *answer, const struct catalogue_row *row);
void fields_of_clone(struct cowherd_answer *answer, const struct catalogue_row *row, const char *path, const char *state);
void fields_of_identity(struct cowherd_answer *answer, const struct catalogue_row *row);
void fields_of_usage(struct cowherd_answer *answer, const struct store_usage *usage);

/* ---- the verbs, one function each; what it adds to the answer stays there even if it fails ---- */

typedef int verb_function(struct call *call, struct cowherd_error *err);
verb_function verb_status, verb_doctor, verb_setup, verb_teardown, verb_register_base, verb_remove_base, verb_clone_from_base,
        verb_list_bases, verb_power, verb_wait, verb_execute, verb_shell, verb_copy, verb_logs, verb_extend, verb_security_audit,
        verb_create, verb_list, verb_info, verb_usage, verb_rename, verb_delete, verb_cleanup, verb_help, verb_compare;
verb_function verb_snapshot, verb_restore, verb_list_snapshots, verb_delete_snapshot, verb_promote, verb_flatten, verb_advise;
verb_function verb_tree, verb_completion, verb_metrics;
