/* SPDX-License-Identifier: Apache-2.0 */
/* The room's own: the connection, its statements, and how rows are bound and read. */
#pragma once

#include "catalogue/catalogue.h"

#include <sqlite3.h>

#define CATALOGUE_FILE "catalogue.db"
#define CATALOGUE_VERSION 2
#define CATALOGUE_APPLICATION 0x436f5768 /* "CoWh", for file(1) and for us: the file's application id */
#define CATALOGUE_WAIT_MS 60000
#define CATALOGUE_AUDIT_LINES 10000
#define CATALOGUE_UUID_KEY "herd.uuid"

/* schema.sql, embedded at build time. */
extern const char catalogue_schema[];

/* The statements, each prepared when it is first used, and kept. Their texts: statement.c. */
enum statement {
        BEGIN,
        COMMIT,
        ROLLBACK,
        ROW_INSERT,
        ROW_SETTLE,
        ROW_SETTLE_MADE,
        ROW_REBASE,
        ROW_BASE,
        ROW_RENAME,
        ROW_MARK_DELETING,
        ROW_DELETE,
        ROW_IS_STOOD_ON,
        BASE_GAIN,
        BASE_GAIN_ANY,
        BASE_STAY,
        BASE_LOSE,
        BASE_FREE,
        BASE_MARK_DELETING,
        BASE_TAKE_NAME,
        INTENT_BEGIN,
        INTENT_GET,
        INTENT_END,
        SNAPSHOT_TAKE_LABELS,
        SNAPSHOT_MARK_DELETING,
        SNAPSHOT_MARK_ALONE,
        SNAPSHOT_TAKE_LABEL,
        WARM_INDEX,
        WARM_FIND,
        WARM_TAKE,
        WARM_LIST,
        FIND_ID,
        FIND_NAME,
        LIST_NAMED,
        ANY_UNFINISHED,
        FIND_LABEL,
        LIST_SNAPSHOTS,
        LIST_NAMELESS,
        LIST_BURIED,
        LIST_UNFINISHED,
        LIST_EXPIRED,
        LIST_NAMES,
        COUNT_ROLES,
        PLACE_IN_USE,
        PLACE_PUT,
        PLACE_GET,
        PLACE_DROP,
        PLACE_NAMES,
        SETTING_GET,
        SETTING_PUT,
        AUDIT_ADD,
        AUDIT_TRIM,
        AUDIT_REFUSED,
        AUDIT_COUNTS,
        AUDIT_LAST,
        STATEMENTS,
};

struct catalogue {
        sqlite3 *db;
        char *path;
        char *uuid;
        bool durable;
        uint64_t wait_ms;    /* how long a writer waits for the others */
        uint64_t waiting_ms; /* since when, monotonic */
        sqlite3_stmt *statements[STATEMENTS];
};

/* ---- statement.c ---- */

/* Sets *err from what SQLite says of its last failure: 74, 75, 77, 78 … as catalogue.h tells. Always -1. */
int catalogue_fail(const struct catalogue *catalogue, struct cowherd_error *err);

/*
 * A statement, ready to be bound; NULL and *err where it cannot be prepared. Declared owned_statement, it is free for its
 * next use at the end of the scope.
 */
sqlite3_stmt *statement_get(struct catalogue *catalogue, enum statement which, struct cowherd_error *err) must_check;
void statement_done_at(sqlite3_stmt *const *statement);
#define owned_statement __attribute__((cleanup(statement_done_at)))
/* One step: 1 a row is there, 0 the end. */
int statement_step(struct catalogue *catalogue, sqlite3_stmt *statement, struct cowherd_error *err) must_check;
/* Runs a statement that gives no rows: 1 where a name is taken. */
int statement_run(struct catalogue *catalogue, sqlite3_stmt *statement, struct cowherd_error *err) must_check;
/* Runs a statement of one number; *ret_changed (may be NULL) tells whether it changed a row. */
int statement_run_id(struct catalogue *catalogue, enum statement which, uint64_t id, bool *ret_changed,
                     struct cowherd_error *err) must_check;
void bind_number(sqlite3_stmt *statement, int index, uint64_t number);
/* 0 is bound as NULL. */
void bind_id(sqlite3_stmt *statement, int index, uint64_t id);
/* Borrows the text until the statement is done. NULL stays NULL. */
void bind_text(sqlite3_stmt *statement, int index, const char *text);
uint64_t column_number(sqlite3_stmt *statement, int index);
/* NULL stays NULL. The caller's. */
char *column_text(sqlite3_stmt *statement, int index);

/* A writer's transaction. It waits for other writers here, and nowhere later. */
int transaction_begin(struct catalogue *catalogue, struct cowherd_error *err) must_check;
/* Commits where `got` is 0, else takes all back; gives `got`, or -1 where the commit failed. */
int transaction_end(struct catalogue *catalogue, int got, struct cowherd_error *err) must_check;

/* ---- row.c ---- */

/*
 * The columns that are written and read alike, with their types. The rest (id, phase, target, name, base_id, clones)
 * play a part in names, indexes and counts, and are handled one by one.
 */
#define ROW_COLUMNS(X)                                                                                                 \
        X(role, INT)                                                                                                   \
        X(store, TEXT)                                                                                                 \
        X(place, TEXT)                                                                                                 \
        X(kind, INT)                                                                                                   \
        X(format, TEXT)                                                                                                \
        X(virtual_bytes, NUMBER)                                                                                       \
        X(created_ms, NUMBER)                                                                                          \
        X(memory_bytes, NUMBER)                                                                                        \
        X(cpus, NUMBER)                                                                                                \
        X(extra, TEXT)                                                                                                 \
        X(image, TEXT)                                                                                                 \
        X(source, TEXT)                                                                                                \
        X(distro, TEXT)                                                                                                \
        X(release, TEXT)                                                                                               \
        X(size_bytes, NUMBER)                                                                                          \
        X(fingerprint, TEXT)                                                                                           \
        X(clone_ms, REAL)                                                                                              \
        X(expires_ms, NUMBER)                                                                                          \
        X(disk_bytes, NUMBER)                                                                                          \
        X(keep_identity, BOOL)                                                                                         \
        X(hostname, TEXT)                                                                                              \
        X(machine_id, TEXT)                                                                                            \
        X(mac, TEXT)                                                                                                   \
        X(uuid, TEXT)                                                                                                  \
        X(generation_id, TEXT)                                                                                         \
        X(instance_id, TEXT)                                                                                           \
        X(random_seed, TEXT)                                                                                           \
        X(identity_applied, BOOL)                                                                                      \
        X(of_id, NUMBER)                                                                                               \
        X(label, TEXT)

/* Binds those columns from parameter 1 on; gives the number of the next parameter. */
int row_bind(sqlite3_stmt *statement, const struct catalogue_row *row);
/* Reads the row that a FIND_… or LIST_… statement stands on; 78 where it cannot be one of ours. */
int row_read(const struct catalogue *catalogue, sqlite3_stmt *statement, struct catalogue_row *ret,
             struct cowherd_error *err) must_check;
/* The name of the row that such a statement stands on. Borrowed until its next step; NULL for a removed base. */
const char *row_peek_name(sqlite3_stmt *statement);
/* Steps to the end, appending the rows whose name matches (pattern NULL: all); on failure *ret is as it was. */
int rows_read(struct catalogue *catalogue, sqlite3_stmt *statement, const char *pattern, struct catalogue_rows *ret,
              struct cowherd_error *err) must_check;

/* ---- migrate.c ---- */

/* Brings an older catalogue up to our version, in one transaction. Its version is looked at again inside. */
int migrate(struct catalogue *catalogue, struct cowherd_error *err) must_check;

/* ---- find.c ---- */

/* The row of this name: 1 where there is none. */
int find_name(struct catalogue *catalogue, enum cowherd_target target, const char *name, struct catalogue_row *ret,
              struct cowherd_error *err) must_check;

/* ---- snapshot.c ---- */

/*
 * The snapshots of a clone that is marked DELETING: those that only go with it are marked DELETING too, with the
 * intent; those that others stand on lose their labels.
 */
int snapshots_follow(struct catalogue *catalogue, uint64_t clone_id, const char *operation,
                     struct cowherd_error *err) must_check;
/* Appends the ids of DELETING snapshots of an object that is gone, newest first. */
int snapshots_buried(struct catalogue *catalogue, uint64_t clone_id, struct strv *ids,
                     struct cowherd_error *err) must_check;

/* ---- warm.c ---- */

#define WARM_NONE 2
/* Gives one that is kept warm the name and id of a row to be reserved: 1 where the name is taken, WARM_NONE where none is kept. */
int warm_take(struct catalogue *catalogue, struct catalogue_row *row, struct cowherd_error *err) must_check;
/* Whether a row is one to be kept warm. */
bool row_is_warm(const struct catalogue_row *row);
/* catalogue_drop_warm within a transaction. */
int warm_drop(struct catalogue *catalogue, uint64_t base_id, uint64_t keep, struct cowherd_error *err) must_check;

/* ---- remove.c ---- */

int intent_begin(struct catalogue *catalogue, uint64_t id, const char *operation, struct cowherd_error *err) must_check;
/* Marks a removed base DELETING where nothing stands on it any more; *ret_freed tells. */
int free_base(struct catalogue *catalogue, uint64_t id, bool *ret_freed, struct cowherd_error *err) must_check;
/* The base that a row stands on by the catalogue, 0 for none: 1 where there is no such row, *ret_base as it was. */
int read_base(struct catalogue *catalogue, uint64_t id, uint64_t *ret_base, bool *ret_counted, struct cowherd_error *err) must_check;

/* How something that others may stand on is removed, and what it is called in sentences. */
struct removal {
        enum statement mark_deleting; /* changes a row on which nothing stands */
        enum statement take_name;     /* changes any other */
        const char *operation, *what;
};
/* Marks it DELETING, 0: destroy it, then forget it; or, 1, takes only its name, as something stands on it. */
int remove_stood_on(struct catalogue *catalogue, uint64_t id, const struct removal *how, struct cowherd_error *err) must_check;

/* ---- create.c ---- */

/* Makes the file, whole or not at all; one that another process made meanwhile is success. */
int create_file(int folder, const char *path, struct cowherd_error *err) must_check;
