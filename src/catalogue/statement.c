/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of the catalogue: their texts, each prepared once, and the one place where SQLite's answers become our
 * errors. Texts are made of ROW_COLUMNS, so that a new column is one line there and one in schema.sql.
 */
#include "catalogue/connection.h"

#define COMMA_NAME(name, type) ", " #name
#define COMMA_MARK(name, type) ", ?"
#define COMMA_SET(name, type) ", " #name " = ?"

/* The parameters of ROW_COLUMNS come first in both: row_bind. The partial key of settling is told in reserve.c. */
#define INSERT_ROW                                                                                                     \
        "INSERT INTO object (phase" ROW_COLUMNS(COMMA_NAME) ", target, name, base_id)"                                 \
                                                            " VALUES (0" ROW_COLUMNS(COMMA_MARK) ", ?, ?, ?)"
#define SETTLE_ROW "UPDATE object SET phase = 1" ROW_COLUMNS(COMMA_SET) " WHERE id = ? AND base_id IS ?"
/*
 * What row_read expects. The name of what it is called a clone (or a snapshot) of, by a subquery: a join is twice as dear
 * to prepare, and that at each start.
 */
#define BASE_NAME "(SELECT b.name FROM object b WHERE b.id = coalesce(nullif(object.of_id, 0), object.base_id))"
#define SELECT_ROWS                                                                                                    \
        "SELECT id, phase, target, name, base_id, clones, " BASE_NAME ROW_COLUMNS(COMMA_NAME) " FROM object "

/* SQLite 3.40 has no milliseconds in unixepoch(); a Julian day has. */
#define NOW_MS "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
#define NOTHING_STANDS_ON_IT "NOT EXISTS (SELECT 1 FROM object d WHERE d.base_id = object.id)"
#define NOTHING_STAYS_ON_IT "NOT EXISTS (SELECT 1 FROM object d WHERE d.base_id = object.id AND d.phase <> 2)"
/* A clone that is kept warm has no name yet. The words of the index object_warm: only so is it found by it. */
#define IS_WARM "role = 1 AND name IS NULL"
/* A removed base, a nameless snapshot: it is there for what stands on it. */
#define WAITS_FOR_ITS_LAST "(role = 0 AND name IS NULL OR role = 2 AND label IS NULL)"

static const char *const texts[STATEMENTS] = {
        [BEGIN] = "BEGIN IMMEDIATE",
        [COMMIT] = "COMMIT",
        [ROLLBACK] = "ROLLBACK",

        [ROW_INSERT] = INSERT_ROW,
        [ROW_SETTLE] = SETTLE_ROW,
        [ROW_SETTLE_MADE] = "UPDATE object SET phase = 1, clone_ms = ?, hostname = ?, machine_id = ?, mac = ?, uuid = ?, generation_id = ?,"
                            " instance_id = ?, random_seed = ? WHERE id = ? AND base_id IS ?",
        [ROW_REBASE] = "UPDATE object SET base_id = ?2 WHERE id = ?1",
        [ROW_BASE] = "SELECT base_id, " IS_WARM " FROM object WHERE id = ?",
        [ROW_RENAME] = "UPDATE object SET name = ?2 WHERE id = ?1 AND phase = 1 AND name IS NOT NULL",
        [ROW_MARK_DELETING] = "UPDATE object SET phase = 2 WHERE id = ? AND phase = 1",
        [ROW_DELETE] = "DELETE FROM object WHERE id = ?",
        [ROW_IS_STOOD_ON] = "SELECT 1 FROM object WHERE base_id = ? AND phase <> 2",

        [BASE_GAIN] = "UPDATE object SET clones = clones + 1 WHERE id = ? AND phase = 1 AND name IS NOT NULL",
        [BASE_GAIN_ANY] = "UPDATE object SET clones = clones + 1 WHERE id = ? AND phase = 1",
        [BASE_STAY] = "UPDATE object SET clones = clones WHERE id = ? AND phase = 1 AND name IS NOT NULL",
        [BASE_LOSE] = "UPDATE object SET clones = clones - 1 WHERE id = ?",
        [BASE_FREE] = "UPDATE object SET phase = 2 WHERE id = ? AND phase = 1 AND " WAITS_FOR_ITS_LAST
                      " AND " NOTHING_STANDS_ON_IT,
        [BASE_MARK_DELETING] = "UPDATE object SET phase = 2 WHERE id = ? AND role = 0 AND phase = 1 AND name IS NOT NULL"
                               " AND " NOTHING_STANDS_ON_IT,
        [BASE_TAKE_NAME] = "UPDATE object SET name = NULL WHERE id = ? AND role = 0 AND phase = 1 AND name IS NOT NULL",

        [INTENT_BEGIN] = "INSERT OR REPLACE INTO intent VALUES (?, ?, " NOW_MS ")",
        [INTENT_GET] = "SELECT operation FROM intent WHERE object_id = ?",
        [INTENT_END] = "DELETE FROM intent WHERE object_id = ?",

        [SNAPSHOT_TAKE_LABELS] = "UPDATE object SET label = NULL WHERE role = 2 AND of_id = ? AND phase = 1",
        [SNAPSHOT_MARK_DELETING] = "UPDATE object SET phase = 2 WHERE id = ? AND role = 2 AND phase = 1 AND label IS NOT NULL"
                                   " AND " NOTHING_STANDS_ON_IT,
        [SNAPSHOT_MARK_ALONE] = "UPDATE object SET phase = 2 WHERE role = 2 AND of_id = ? AND phase = 1"
                                " AND " NOTHING_STAYS_ON_IT,
        [SNAPSHOT_TAKE_LABEL] = "UPDATE object SET label = NULL WHERE id = ? AND role = 2 AND phase = 1 AND label IS NOT NULL",

        [WARM_INDEX] = "CREATE INDEX IF NOT EXISTS object_warm ON object (base_id) WHERE " IS_WARM,
        [WARM_FIND] = "SELECT id FROM object WHERE base_id = ? AND " IS_WARM " AND phase = 1 ORDER BY id LIMIT 1",
        [WARM_TAKE] = "UPDATE object SET phase = 0, name = ?2 WHERE id = ?1",
        [WARM_LIST] = SELECT_ROWS "WHERE base_id = ? AND " IS_WARM " ORDER BY id",

        [FIND_ID] = SELECT_ROWS "WHERE id = ?",
        [FIND_NAME] = SELECT_ROWS "WHERE target = ? AND name = ?",
        [LIST_NAMED] = SELECT_ROWS "WHERE target = ?1 AND name >= ?2 AND name < ?3 AND phase = 1 AND role = ?4"
                                   " ORDER BY target, name",
        [ANY_UNFINISHED] = "SELECT 1 FROM intent LIMIT 1",
        [FIND_LABEL] = SELECT_ROWS "WHERE role = 2 AND of_id = ? AND label = ?",
        [LIST_SNAPSHOTS] = SELECT_ROWS "WHERE role = 2 AND of_id = ? AND phase = 1 ORDER BY id",
        [LIST_NAMELESS] = SELECT_ROWS "WHERE role = 2 AND label IS NULL AND phase = 1 AND " NOTHING_STANDS_ON_IT,
        [LIST_BURIED] = SELECT_ROWS "WHERE role = 2 AND of_id = ? AND phase = 2 ORDER BY id DESC",
        [LIST_UNFINISHED] = SELECT_ROWS "WHERE id IN (SELECT object_id FROM intent) ORDER BY id",
        [LIST_EXPIRED] = SELECT_ROWS "WHERE expires_ms > 0 AND expires_ms <= ? AND role = 1 AND phase = 1"
                                     " ORDER BY expires_ms",
        [LIST_NAMES] = "SELECT name FROM object WHERE target BETWEEN ? AND ? AND name IS NOT NULL",
        [COUNT_ROLES] =
                "SELECT role, count(*) FROM object WHERE phase = 1 AND name IS NOT NULL AND target BETWEEN ? AND ?"
                " GROUP BY role",

        [PLACE_IN_USE] = "SELECT 1 FROM object WHERE place = ? LIMIT 1",
        [PLACE_PUT] = "INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?, ?, ?)",
        [PLACE_GET] = "SELECT name, store, folder, source, size_bytes, ours FROM place WHERE name = ?",
        [PLACE_DROP] = "DELETE FROM place WHERE name = ?",
        [PLACE_NAMES] = "SELECT name FROM place ORDER BY name",
        [SETTING_GET] = "SELECT value FROM setting WHERE key = ?",
        [SETTING_PUT] = "INSERT OR REPLACE INTO setting VALUES (?, ?)",

        [AUDIT_ADD] = "INSERT INTO audit VALUES (NULL, " NOW_MS ", ?, ?, ?, ?, ?)",
        [AUDIT_TRIM] = "DELETE FROM audit WHERE id <= ?",
        [AUDIT_COUNTS] = "SELECT operation, code, count(*) FROM audit GROUP BY operation, code ORDER BY operation, code",
        [AUDIT_LAST] = "SELECT coalesce(max(id), 0) FROM audit",
        [AUDIT_REFUSED] = "SELECT at_ms, target, operation, name, code, text FROM audit WHERE code IN (64, 65, 77) AND target BETWEEN ? AND ?"
                          " ORDER BY id",
};

static enum cowherd_code code_of(int result, int os_errno)
{
        switch (result & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_ERROR: /* our statements are constants: a table or a column of them is not there */
                return COWHERD_CONFIG;
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_READONLY:
                return COWHERD_DENIED;
        case SQLITE_FULL:
        case SQLITE_IOERR:
                return COWHERD_IO;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
                return COWHERD_BUSY;
        case SQLITE_CANTOPEN:
                return os_errno == 0 ? COWHERD_SYSTEM : error_code_of_errno(os_errno);
        case SQLITE_NOMEM:
                return COWHERD_SYSTEM;
        default:
                return COWHERD_INTERNAL;
        }
}

int catalogue_fail(const struct catalogue *catalogue, struct cowherd_error *err)
{
        int result = sqlite3_extended_errcode(catalogue->db), os_errno = sqlite3_system_errno(catalogue->db);
        enum cowherd_code code = code_of(result, os_errno);

        if (code == COWHERD_BUSY) {
                (void)fail(err, code, "the catalogue '%s' was locked by other processes for %llu ms", catalogue->path,
                           (unsigned long long)catalogue->wait_ms);
                return fail_hint(err, "try again; `fuser '%s'` tells who has it open", catalogue->path);
        }
        if (code == COWHERD_CONFIG) {
                (void)fail(err, code, "the catalogue '%s' is damaged: %s", catalogue->path,
                           sqlite3_errmsg(catalogue->db));
                return fail_hint(err, "put a backup of it in its place, or move it away to begin with an empty one");
        }
        (void)fail(err, code, "cannot use the catalogue '%s': %s", catalogue->path, sqlite3_errmsg(catalogue->db));
        if ((result & 0xff) == SQLITE_CANTOPEN || (result & 0xff) == SQLITE_IOERR)
                err->os_errno = os_errno;
        if ((result & 0xff) == SQLITE_FULL)
                return fail_hint(err, "make room on the disk, then try again");
        return -1;
}

sqlite3_stmt *statement_get(struct catalogue *catalogue, enum statement which, struct cowherd_error *err)
{
        sqlite3_stmt **statement = &catalogue->statements[which];

        if (*statement == NULL && sqlite3_prepare_v3(catalogue->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                                     statement, NULL) != SQLITE_OK) {
                (void)catalogue_fail(catalogue, err);
                return NULL;
        }
        return *statement;
}

void statement_done_at(sqlite3_stmt *const *statement)
{
        if (*statement == NULL)
                return;
        (void)sqlite3_reset(*statement); /* tells the failure of the last step again */
        (void)sqlite3_clear_bindings(*statement);
}

int statement_step(struct catalogue *catalogue, sqlite3_stmt *statement, struct cowherd_error *err)
{
        int result = sqlite3_step(statement);

        if (result == SQLITE_ROW)
                return 1;
        return result == SQLITE_DONE ? 0 : catalogue_fail(catalogue, err);
}

int statement_run(struct catalogue *catalogue, sqlite3_stmt *statement, struct cowherd_error *err)
{
        int result = sqlite3_step(statement);

        if (result == SQLITE_CONSTRAINT_UNIQUE)
                return 1;
        return result == SQLITE_DONE ? 0 : catalogue_fail(catalogue, err);
}

int statement_run_id(struct catalogue *catalogue, enum statement which, uint64_t id, bool *ret_changed,
                     struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, which, err);

        if (statement == NULL)
                return -1;
        bind_number(statement, 1, id);
        if (statement_step(catalogue, statement, err) < 0)
                return -1;
        if (ret_changed != NULL)
                *ret_changed = sqlite3_changes(catalogue->db) > 0;
        return 0;
}

/* Numbers and borrowed texts are bound without allocating, so that binding cannot fail. */
void bind_number(sqlite3_stmt *statement, int index, uint64_t number)
{
        (void)sqlite3_bind_int64(statement, index, (sqlite3_int64)number);
}

void bind_id(sqlite3_stmt *statement, int index, uint64_t id)
{
        if (id != 0)
                bind_number(statement, index, id);
}

void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
        (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

uint64_t column_number(sqlite3_stmt *statement, int index)
{
        return (uint64_t)sqlite3_column_int64(statement, index);
}

char *column_text(sqlite3_stmt *statement, int index)
{
        return x_strdup((const char *)sqlite3_column_text(statement, index));
}

int transaction_begin(struct catalogue *catalogue, struct cowherd_error *err)
{
        sqlite3_stmt *begin owned_statement = statement_get(catalogue, BEGIN, err);

        return begin == NULL ? -1 : statement_step(catalogue, begin, err);
}

/* SQLite has already rolled back by itself after a full disk and its like; what fails here fails at the next begin. */
static void roll_back(struct catalogue *catalogue)
{
        struct cowherd_error ignored;
        sqlite3_stmt *rollback owned_statement = statement_get(catalogue, ROLLBACK, &ignored);

        if (rollback != NULL && !sqlite3_get_autocommit(catalogue->db))
                (void)sqlite3_step(rollback);
}

int transaction_end(struct catalogue *catalogue, int got, struct cowherd_error *err)
{
        sqlite3_stmt *commit owned_statement = NULL;

        if (got == 0) {
                commit = statement_get(catalogue, COMMIT, err);
                if (commit != NULL && statement_step(catalogue, commit, err) == 0)
                        return 0;
                got = -1;
        }
        roll_back(catalogue);
        return got;
}
