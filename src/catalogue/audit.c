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

int catalogue_refusals(struct catalogue *catalogue, enum cowherd_target target, void (*each)(void *, const struct catalogue_refusal *), void *context,
                       struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, AUDIT_REFUSED, err);
        int got;

        if (list == NULL)
                return -1;
        (void)sqlite3_bind_int(list, 1, target == COWHERD_ANY ? 0 : (int)target);
        (void)sqlite3_bind_int(list, 2, (int)target); /* COWHERD_ANY is the last of them */
        while ((got = statement_step(catalogue, list, err)) > 0) {
                const struct catalogue_refusal line = {
                        .at_ms = column_number(list, 0),
                        .target = (enum cowherd_target)sqlite3_column_int(list, 1),
                        .operation = (const char *)sqlite3_column_text(list, 2),
                        .name = (const char *)sqlite3_column_text(list, 3),
                        .code = sqlite3_column_int(list, 4),
                        .text = (const char *)sqlite3_column_text(list, 5),
                };
                each(context, &line);
        }
        return got;
}

int catalogue_audit_counts(struct catalogue *catalogue, void (*each)(void *, const char *, int, uint64_t), void *context, uint64_t *ret_last,
                           struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, AUDIT_COUNTS, err);
        sqlite3_stmt *last owned_statement = statement_get(catalogue, AUDIT_LAST, err);
        int got;

        if (list == NULL || last == NULL || statement_step(catalogue, last, err) < 0)
                return -1;
        *ret_last = column_number(last, 0);
        while ((got = statement_step(catalogue, list, err)) > 0)
                each(context, (const char *)sqlite3_column_text(list, 0), sqlite3_column_int(list, 1), column_number(list, 2));
        return got;
}
