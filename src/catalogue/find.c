/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. Lists are read whole before they are given, so that no reader's snapshot stays open while an engine is asked
 * (it would keep the log from being carried over). A pattern's beginning, up to its first `*` or `?`, is looked up in
 * the index of names; the rest is compared.
 */
#include "catalogue/connection.h"

#include <string.h>

#define AFTER_ALL_NAMES "\xff" /* no UTF-8 text has that byte */

int find_name(struct catalogue *catalogue, enum cowherd_target target, const char *name, struct catalogue_row *ret,
              struct cowherd_error *err)
{
        sqlite3_stmt *find owned_statement = statement_get(catalogue, FIND_NAME, err);

        if (find == NULL)
                return -1;
        (void)sqlite3_bind_int(find, 1, (int)target);
        bind_text(find, 2, name);
        int got = statement_step(catalogue, find, err);
        if (got < 0)
                return -1;
        return got == 0 ? 1 : row_read(catalogue, find, ret, err);
}

/* The room that names targets for everybody lies above this one. */
static const char *engine_name(enum cowherd_target target)
{
        static const char *const names[COWHERD_ENGINES] = {
                [COWHERD_QEMU] = "qemu", [COWHERD_LXD] = "lxd", [COWHERD_NSPAWN] = "nspawn"};

        return (unsigned)target < COWHERD_ENGINES ? names[target] : "any engine";
}

/* COWHERD_ANY is all engines: the first and last target to look at. */
static int first_target(enum cowherd_target target)
{
        return target == COWHERD_ANY ? 0 : (int)target;
}

static int last_target(enum cowherd_target target)
{
        return target == COWHERD_ANY ? COWHERD_ENGINES - 1 : (int)target;
}

static int names_of(struct catalogue *catalogue, enum cowherd_target target, struct strv *names,
                    struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, LIST_NAMES, err);
        int got;

        if (statement == NULL)
                return -1;
        (void)sqlite3_bind_int(statement, 1, first_target(target));
        (void)sqlite3_bind_int(statement, 2, last_target(target));
        while ((got = statement_step(catalogue, statement, err)) > 0)
                strv_add(names, (const char *)sqlite3_column_text(statement, 0));
        return got;
}

static int fail_not_found(struct catalogue *catalogue, enum cowherd_target target, const char *name,
                          struct cowherd_error *err)
{
        struct strv names owned_strv = {0};

        if (names_of(catalogue, target, &names, err) < 0)
                return -1;
        const char *nearest = str_nearest(name, (const char *const *)names.items, names.count);
        if (target == COWHERD_ANY)
                (void)fail(err, COWHERD_NOT_FOUND, "'%s' not found", name);
        else
                (void)fail(err, COWHERD_NOT_FOUND, "'%s' not found on %s", name, engine_name(target));
        return nearest == NULL ? -1 : fail_hint(err, "did you mean '%s'?", nearest);
}

static int fail_several(enum cowherd_target one, enum cowherd_target other, const char *name, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_USAGE, "'%s' is known to both %s and %s", name, engine_name(one), engine_name(other));
        return fail_hint(err, "say which one is meant: %s or %s", engine_name(one), engine_name(other));
}

int catalogue_find(struct catalogue *catalogue, enum cowherd_target target, const char *name, struct catalogue_row *ret,
                   struct cowherd_error *err)
{
        struct catalogue_row found owned_row = {0};
        bool is_found = false;

        for (int at = first_target(target); at <= last_target(target); at++) {
                struct catalogue_row row owned_row = {0};
                int got = find_name(catalogue, (enum cowherd_target)at, name, &row, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        continue;
                if (is_found)
                        return fail_several(found.target, row.target, name, err);
                is_found = true;
                found = row;
                row = (struct catalogue_row){0};
        }
        if (!is_found)
                return fail_not_found(catalogue, target, name, err);
        *ret = found;
        found = (struct catalogue_row){0};
        return 0;
}

int catalogue_get(struct catalogue *catalogue, uint64_t id, struct catalogue_row *ret, struct cowherd_error *err)
{
        sqlite3_stmt *find owned_statement = statement_get(catalogue, FIND_ID, err);

        if (find == NULL)
                return -1;
        bind_number(find, 1, id);
        int got = statement_step(catalogue, find, err);
        if (got < 0)
                return -1;
        return got == 0 ? 1 : row_read(catalogue, find, ret, err);
}

static int list_target(struct catalogue *catalogue, int target, enum catalogue_role role, const char *pattern,
                       struct catalogue_rows *rows, struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_NAMED, err);

        if (list == NULL)
                return -1;
        owned_str char *from = x_strndup(pattern == NULL ? "" : pattern, pattern == NULL ? 0 : strcspn(pattern, "*?"));
        owned_str char *to = x_asprintf("%s" AFTER_ALL_NAMES, from);
        (void)sqlite3_bind_int(list, 1, target);
        bind_text(list, 2, from);
        bind_text(list, 3, to);
        (void)sqlite3_bind_int(list, 4, (int)role);
        return rows_read(catalogue, list, pattern, rows, err);
}

int catalogue_list(struct catalogue *catalogue, enum cowherd_target target, enum catalogue_role role,
                   const char *pattern, struct catalogue_rows *ret, struct cowherd_error *err)
{
        size_t before = ret->count;

        for (int at = first_target(target); at <= last_target(target); at++) {
                if (list_target(catalogue, at, role, pattern, ret, err) < 0) {
                        while (ret->count > before)
                                catalogue_row_free(&ret->items[--ret->count]);
                        return -1;
                }
        }
        return 0;
}

/* Nearly always there is none, and to ask for no more than that is a twelfth of what it costs to prepare the list. */
int catalogue_unfinished(struct catalogue *catalogue, struct catalogue_rows *ret, struct cowherd_error *err)
{
        sqlite3_stmt *any owned_statement = statement_get(catalogue, ANY_UNFINISHED, err);

        int got = any == NULL ? -1 : statement_step(catalogue, any, err);
        if (got <= 0)
                return got;
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_UNFINISHED, err);
        return list == NULL ? -1 : rows_read(catalogue, list, NULL, ret, err);
}

int catalogue_expired(struct catalogue *catalogue, uint64_t now_ms, struct catalogue_rows *ret,
                      struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_EXPIRED, err);

        if (list == NULL)
                return -1;
        bind_number(list, 1, now_ms);
        return rows_read(catalogue, list, NULL, ret, err);
}

int catalogue_count(struct catalogue *catalogue, enum cowherd_target target, uint64_t *ret_bases, uint64_t *ret_clones,
                    struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, COUNT_ROLES, err);
        uint64_t counts[] = {[CATALOGUE_BASE] = 0, [CATALOGUE_CLONE] = 0};
        int got;

        if (statement == NULL)
                return -1;
        (void)sqlite3_bind_int(statement, 1, first_target(target));
        (void)sqlite3_bind_int(statement, 2, last_target(target));
        while ((got = statement_step(catalogue, statement, err)) > 0) {
                uint64_t role = column_number(statement, 0);
                if (role < array_length(counts))
                        counts[role] = column_number(statement, 1);
        }
        if (got < 0)
                return -1;
        *ret_bases = counts[CATALOGUE_BASE];
        *ret_clones = counts[CATALOGUE_CLONE];
        return 0;
}
