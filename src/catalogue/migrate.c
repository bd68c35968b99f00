/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Older catalogues. Each step brings one version to the next, all in one transaction: SQLite keeps the version itself in the
 * file's header page, so that a kill at any moment leaves the old version or the new one, whole. Programs of before
 * refuse what was brought up, unharmed (78). A step is written down once and never changed.
 */
#include "catalogue/connection.h"

/* Version 2: snapshots, rows that belong to a clone. Columns come last, as schema.sql has them. */
static const char *const steps[CATALOGUE_VERSION] = {
        [1] = "ALTER TABLE object ADD COLUMN of_id;"
              "ALTER TABLE object ADD COLUMN label TEXT COLLATE NOCASE;"
              "CREATE UNIQUE INDEX object_label ON object (of_id, label) WHERE role = 2;"
              "PRAGMA user_version = 2;",
};

static int read_version(struct catalogue *catalogue, int *ret, struct cowherd_error *err)
{
        sqlite3_stmt *statement = NULL;

        if (sqlite3_prepare_v2(catalogue->db, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK)
                return catalogue_fail(catalogue, err);
        int got = statement_step(catalogue, statement, err);
        if (got > 0)
                *ret = sqlite3_column_int(statement, 0);
        (void)sqlite3_finalize(statement);
        return got < 0 ? -1 : 0;
}

static int take_steps(struct catalogue *catalogue, struct cowherd_error *err)
{
        int version = 0;

        if (read_version(catalogue, &version, err) < 0)
                return -1;
        for (; version > 0 && version < CATALOGUE_VERSION; version++)
                if (sqlite3_exec(catalogue->db, steps[version], NULL, NULL, NULL) != SQLITE_OK)
                        return catalogue_fail(catalogue, err);
        return 0;
}

int migrate(struct catalogue *catalogue, struct cowherd_error *err)
{
        if (transaction_begin(catalogue, err) < 0)
                return -1;
        if (transaction_end(catalogue, take_steps(catalogue, err), err) < 0)
                return fail_while(err, "bringing the catalogue '%s' up to this version", catalogue->path);
        return 0;
}
