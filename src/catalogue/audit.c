/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit. Line numbers only grow, so the last ten thousand are those above a number: old ones are removed by that, a
 * batch at a time, and nothing is counted.
 */
#include "catalogue/connection.h"

#define TRIM_EVERY 64

/* What fails here must not fail the work that is told of, and there is nobody else to tell. */
void catalogue_audit(struct catalogue *catalogue, enum cowherd_target target, const char *operation, const char *name,
                     int code, const char *text)
{
        struct cowherd_error ignored;
        sqlite3_stmt *add owned_statement = statement_get(catalogue, AUDIT_ADD, &ignored);

        if (add == NULL)
                return;
        (void)sqlite3_bind_int(add, 1, (int)target);
        bind_text(add, 2, operation);
        bind_text(add, 3, name);
        (void)sqlite3_bind_int(add, 4, code);
        bind_text(add, 5, text);
        if (statement_step(catalogue, add, &ignored) < 0)
                return;
        uint64_t line = (uint64_t)sqlite3_last_insert_rowid(catalogue->db);
        if (line % TRIM_EVERY == 0 && line > CATALOGUE_AUDIT_LINES &&
            statement_run_id(catalogue, AUDIT_TRIM, line - CATALOGUE_AUDIT_LINES, NULL, &ignored) < 0)
                return;
}
