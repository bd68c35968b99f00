/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of an answer's items: which they are (layout.c), for tables (table.c) and for other programs (format.c). */
#pragma once

#include "cli/cli.h"

enum { TABLE_COLUMNS_MAX = 48 };

struct column {
        char name[64];
        char heading[64];
        size_t natural; /* what its widest value takes */
        size_t width;   /* what it is given */
        bool right;     /* numbers stand right */
};

struct table {
        struct column columns[TABLE_COLUMNS_MAX];
        size_t count;
        size_t whole;     /* how many of the first columns are never cut */
        bool asked;       /* by columns=: none is left out */
        const char *drop; /* which are left out first where there is no room, apart by blanks */
        const char *notes; /* fields that get lines of their own below, after the first column's value; or NULL */
};

/* The columns that were asked for, or those that matter of the verb's list. */
void table_choose(struct table *table, const struct cowherd_answer *answer, const struct cowherd_verb *verb);
/* The columns that were asked for, or all that any item has. */
void table_choose_all(struct table *table, const struct cowherd_answer *answer);
/* A field of an item, without regard to case; or NULL. */
const struct cowherd_field *table_field(const struct cowherd_answer *answer, size_t item, const char *name);
