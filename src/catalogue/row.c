/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row between the struct and SQLite. The columns that are handled alike are told once, in ROW_COLUMNS; here a table
 * made of it says where each lies in the struct and of which type it is.
 */
#include "catalogue/connection.h"

#include <string.h>

enum column_type { INT, NUMBER, REAL, BOOL, TEXT };

struct column {
        size_t offset;
        enum column_type type;
};

#define COLUMN(name, kind) {offsetof(struct catalogue_row, name), kind},
static const struct column columns[] = {ROW_COLUMNS(COLUMN)};

/* Where these stand in a FIND_… or LIST_… statement (SELECT_ROWS); `columns` follow. */
enum { AT_ID, AT_PHASE, AT_TARGET, AT_NAME, AT_BASE_ID, AT_CLONES, AT_BASE_NAME, AT_COLUMNS };

_Static_assert(sizeof(enum catalogue_role) == sizeof(int), "INT columns are read and written as int");

static void *slot_of(struct catalogue_row *row, size_t index)
{
        return (char *)row + columns[index].offset;
}

static const void *value_of(const struct catalogue_row *row, size_t index)
{
        return (const char *)row + columns[index].offset;
}

void catalogue_row_free(struct catalogue_row *row)
{
        for (size_t i = 0; i < array_length(columns); i++)
                if (columns[i].type == TEXT)
                        free(*(char **)slot_of(row, i));
        free(row->name);
        free(row->base_name);
        *row = (struct catalogue_row){0};
}

void catalogue_rows_free(struct catalogue_rows *rows)
{
        for (size_t i = 0; i < rows->count; i++)
                catalogue_row_free(&rows->items[i]);
        free(rows->items);
        *rows = (struct catalogue_rows){0};
}

static void bind_column(sqlite3_stmt *statement, int index, enum column_type type, const void *value)
{
        switch (type) {
        case INT:
                (void)sqlite3_bind_int(statement, index, *(const int *)value);
                break;
        case NUMBER:
                bind_number(statement, index, *(const uint64_t *)value);
                break;
        case REAL:
                (void)sqlite3_bind_double(statement, index, *(const double *)value);
                break;
        case BOOL:
                (void)sqlite3_bind_int(statement, index, *(const bool *)value);
                break;
        case TEXT:
                bind_text(statement, index, *(char *const *)value);
                break;
        }
}

int row_bind(sqlite3_stmt *statement, const struct catalogue_row *row)
{
        for (size_t i = 0; i < array_length(columns); i++)
                bind_column(statement, (int)i + 1, columns[i].type, value_of(row, i));
        return (int)array_length(columns) + 1;
}

static void read_column(sqlite3_stmt *statement, int index, enum column_type type, void *slot)
{
        switch (type) {
        case INT:
                *(int *)slot = sqlite3_column_int(statement, index);
                break;
        case NUMBER:
                *(uint64_t *)slot = column_number(statement, index);
                break;
        case REAL:
                *(double *)slot = sqlite3_column_double(statement, index);
                break;
        case BOOL:
                *(bool *)slot = sqlite3_column_int(statement, index) != 0;
                break;
        case TEXT:
                *(char **)slot = column_text(statement, index);
                break;
        }
}

/* Whoever reads a row indexes tables with these: a damaged file must not lead past their ends. */
static bool row_is_ours(const struct catalogue_row *row)
{
        return (unsigned)row->target < COWHERD_ENGINES && (unsigned)row->role <= CATALOGUE_SNAPSHOT &&
               (unsigned)row->phase <= CATALOGUE_DELETING;
}

int row_read(const struct catalogue *catalogue, sqlite3_stmt *statement, struct catalogue_row *ret,
             struct cowherd_error *err)
{
        struct catalogue_row row = {
                .id = column_number(statement, AT_ID),
                .phase = (enum catalogue_phase)sqlite3_column_int(statement, AT_PHASE),
                .target = (enum cowherd_target)sqlite3_column_int(statement, AT_TARGET),
                .name = column_text(statement, AT_NAME),
                .base_id = column_number(statement, AT_BASE_ID),
                .clones = column_number(statement, AT_CLONES),
                .base_name = column_text(statement, AT_BASE_NAME),
        };

        for (size_t i = 0; i < array_length(columns); i++)
                read_column(statement, AT_COLUMNS + (int)i, columns[i].type, slot_of(&row, i));
        if (!row_is_ours(&row)) {
                (void)fail(err, COWHERD_CONFIG, "the catalogue '%s' is damaged: row %llu cannot be understood",
                           catalogue->path, (unsigned long long)row.id);
                catalogue_row_free(&row);
                return -1;
        }
        *ret = row;
        return 0;
}

const char *row_peek_name(sqlite3_stmt *statement)
{
        return (const char *)sqlite3_column_text(statement, AT_NAME);
}

static void make_room(struct catalogue_rows *rows)
{
        if (rows->count < rows->capacity)
                return;
        rows->capacity = rows->capacity < 16 ? 16 : rows->capacity * 2;
        rows->items = x_reallocarray(rows->items, rows->capacity, sizeof *rows->items);
}

/* Steps to the end, appending; what is there already stays, and what was appended before a failure too. */
static int append_rows(struct catalogue *catalogue, sqlite3_stmt *statement, const char *pattern,
                       struct catalogue_rows *rows, struct cowherd_error *err)
{
        for (;;) {
                int got = statement_step(catalogue, statement, err);
                if (got <= 0)
                        return got;
                const char *name = row_peek_name(statement);
                if (pattern != NULL && (name == NULL || !str_matches(pattern, name)))
                        continue;
                make_room(rows);
                if (row_read(catalogue, statement, &rows->items[rows->count], err) < 0)
                        return -1;
                rows->count++;
        }
}

int rows_read(struct catalogue *catalogue, sqlite3_stmt *statement, const char *pattern, struct catalogue_rows *ret,
              struct cowherd_error *err)
{
        size_t before = ret->count;

        if (append_rows(catalogue, statement, pattern, ret, err) < 0) {
                while (ret->count > before)
                        catalogue_row_free(&ret->items[--ret->count]);
                return -1;
        }
        return 0;
}
