/* SPDX-License-Identifier: Apache-2.0 */
/* Another name for an object: one row, for names live in the catalogue alone. The unique index says whether it is free.
 */
#include "catalogue/connection.h"

/* Why no row was renamed: it is gone, or another command is at work on it. */
static int explain(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        struct catalogue_row row owned_row = {0};

        int got = catalogue_get(catalogue, id, &row, err);
        if (got < 0)
                return -1;
        if (got > 0 || row.name == NULL)
                return fail(err, COWHERD_NOT_FOUND, "object %llu was not found: it has just been removed",
                            (unsigned long long)id);
        return fail(err, COWHERD_BUSY, "'%s' is being made or removed by another command", row.name);
}

int catalogue_rename(struct catalogue *catalogue, uint64_t id, const char *name, struct cowherd_error *err)
{
        sqlite3_stmt *rename owned_statement = statement_get(catalogue, ROW_RENAME, err);

        if (rename == NULL)
                return -1;
        bind_number(rename, 1, id);
        bind_text(rename, 2, name);
        int got = statement_run(catalogue, rename, err);
        if (got < 0)
                return -1;
        if (got > 0) {
                (void)fail(err, COWHERD_EXISTS, "the name '%s' already exists", name);
                return fail_hint(err, "choose another name");
        }
        return sqlite3_changes(catalogue->db) > 0 ? 0 : explain(catalogue, id, err);
}

int catalogue_begin(struct catalogue *catalogue, uint64_t id, const char *operation, struct cowherd_error *err)
{
        return intent_begin(catalogue, id, operation, err);
}

int catalogue_end(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        return statement_run_id(catalogue, INTENT_END, id, NULL, err);
}

int catalogue_operation(struct catalogue *catalogue, uint64_t id, char **ret, struct cowherd_error *err)
{
        sqlite3_stmt *find owned_statement = statement_get(catalogue, INTENT_GET, err);

        if (find == NULL)
                return -1;
        bind_number(find, 1, id);
        int got = statement_step(catalogue, find, err);
        if (got < 0)
                return -1;
        if (got == 0)
                return 1;
        *ret = column_text(find, 0);
        return 0;
}
