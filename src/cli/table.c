/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: aligned, in the width of the terminal. A name is never cut, since it is what the next command needs. Where there is
 * no room, wide columns are cut to some letters, then those that can be missed are left out; where columns= asked for more
 * than fits, or names alone are too long, each item is told in lines of its own.
 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2, CUT_TO = 12, CUT_TO_MIN = 6 };

/* What stands in a cell; to be freed. */
static char *cell_of(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field = table_field(answer, item, name);
        char *text = field == NULL || field->value[0] == '\0' ? strdup("-") : cli_readable(field);

        if (text == NULL)
                abort();
        return text;
}

static void measure_column(const struct cowherd_answer *answer, struct column *column, bool *ret_used)
{
        bool found = false;

        column->right = true;
        column->natural = cli_columns_of(column->heading);
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                const struct cowherd_field *field = table_field(answer, item, column->name);
                char *text = cell_of(answer, item, column->name);
                size_t width = cli_columns_of(text);
                column->natural = width > column->natural ? width : column->natural;
                column->right = column->right && (field == NULL || field->type == COWHERD_NUMBER);
                found = found || field != NULL;
                free(text);
        }
        column->right = column->right && found;
        *ret_used = *ret_used || found;
}

/* Measures the columns; one that is empty in every item is left out, unless it was asked for. */
static void measure(const struct cowherd_answer *answer, struct table *table)
{
        size_t kept = 0;

        for (size_t i = 0; i < table->count; i++) {
                struct column column = table->columns[i];
                bool used = table->asked;
                measure_column(answer, &column, &used);
                if (used)
                        table->columns[kept++] = column;
        }
        table->count = kept;
}

static size_t width_of(const struct table *table)
{
        size_t width = 0;

        for (size_t i = 0; i < table->count; i++)
                width += table->columns[i].width + (i > 0 ? GAP : 0);
        return width;
}

/* Cuts the widest columns, but for the first ones, down to `least`. */
static bool cut(struct table *table, size_t columns, size_t least)
{
        for (size_t i = 0; i < table->count; i++)
                table->columns[i].width = table->columns[i].natural;
        while (width_of(table) > columns) {
                struct column *widest = NULL;
                for (size_t i = table->whole; i < table->count; i++)
                        if (!table->columns[i].right && table->columns[i].width > least && (widest == NULL || table->columns[i].width > widest->width))
                                widest = &table->columns[i];
                if (widest == NULL)
                        return false;
                widest->width--;
        }
        return true;
}

static void leave_out(struct table *table, size_t index)
{
        table->count--;
        memmove(&table->columns[index], &table->columns[index + 1], (table->count - index) * sizeof table->columns[0]);
}

/* Leaves out the next column that can be missed. */
static bool drop_one(struct table *table)
{
        while (table->drop != NULL && *table->drop != '\0') {
                size_t length = strcspn(table->drop, " ");
                const char *name = table->drop;
                table->drop += length + strspn(table->drop + length, " ");
                for (size_t i = table->whole; i < table->count; i++)
                        if (strlen(table->columns[i].name) == length && strncmp(table->columns[i].name, name, length) == 0) {
                                leave_out(table, i);
                                return true;
                        }
        }
        if (table->count <= table->whole)
                return false;
        table->count--;
        return true;
}

/* False where not even the columns that are never cut have room. */
static bool fit(struct table *table, size_t columns)
{
        if (table->asked)
                return cut(table, columns, CUT_TO) || cut(table, columns, CUT_TO_MIN);
        while (!cut(table, columns, CUT_TO))
                if (!drop_one(table))
                        return table->whole == 1;
        return true;
}

/* Prints a cell in its column's width, cut with '+' where it is longer. */
static void print_cell(const struct column *column, const char *text, bool last, FILE *out)
{
        size_t width = cli_columns_of(text), shown = 0;

        if (width > column->width) {
                for (; *text != '\0'; text++) {
                        shown += ((unsigned char)*text & 0xc0) != 0x80;
                        if (shown == column->width)
                                break;
                        (void)fputc(*text, out);
                }
                (void)fputc('+', out);
        } else if (column->right) {
                (void)fprintf(out, "%*s%s", (int)(column->width - width), "", text);
        } else {
                (void)fprintf(out, "%s%*s", text, last ? 0 : (int)(column->width - width), "");
        }
        if (!last)
                (void)fprintf(out, "%*s", GAP, "");
}

static void print_row(const struct table *table, const struct cowherd_answer *answer, size_t item, const struct cli_output *output)
{
        for (size_t i = 0; i < table->count; i++) {
                const struct column *column = &table->columns[i];
                char *text = cell_of(answer, item, column->name);
                enum cli_colour colour = strcmp(column->name, "state") == 0 ? cli_colour_of_state(text) : CLI_PLAIN;
                cli_begin_colour(colour, output);
                print_cell(column, text, i + 1 == table->count, output->out);
                cli_end_colour(colour, output);
                free(text);
        }
        (void)fputc('\n', output->out);
}

/* Each item in lines of its own, a blank line between. */
static void print_records(const struct table *table, const struct cowherd_answer *answer, const struct cli_output *output)
{
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                if (item > 0)
                        (void)fputc('\n', output->out);
                for (size_t i = 0; i < table->count; i++) {
                        char *text = cell_of(answer, item, table->columns[i].name);
                        (void)fprintf(output->out, "%s: ", table->columns[i].name);
                        cli_print_wrapped(output->out, text, output->columns, strlen(table->columns[i].name) + 2, 2);
                        free(text);
                }
        }
}

/* A sentence of an item, after its name; nothing where it says what `before` said. */
static const char *print_note(const struct cowherd_answer *answer, size_t item, const char *name, const char *before, bool *any,
                              const struct cli_output *output)
{
        const struct cowherd_field *first = table_field(answer, item, "name"), *note = table_field(answer, item, name);
        bool hint = strcmp(name, "advice") == 0 || strcmp(name, "hint") == 0;
        char line[2048];

        if (first == NULL || first->value[0] == '\0')
                first = cowherd_answer_item_field(answer, item, 0);
        if (note == NULL || note->value[0] == '\0' || strcmp(note->value, before) == 0)
                return before;
        (void)snprintf(line, sizeof line, "%s: %s%s", first->value, hint ? "hint: " : "", note->value);
        if (!*any)
                (void)fputc('\n', output->out);
        *any = true;
        cli_print_wrapped(output->out, line, output->columns, 0, 2);
        return note->value;
}

/* Reasons and advice are sentences: they get lines of their own below the table. */
static void print_notes(const struct cowherd_answer *answer, const char *notes, const struct cli_output *output)
{
        bool any = false;

        for (size_t item = 0; notes != NULL && item < cowherd_answer_items(answer); item++) {
                const char *before = "";
                for (const char *at = notes; *at != '\0'; at += strspn(at, " ")) {
                        char name[64] = {0};
                        size_t length = strcspn(at, " ");
                        memcpy(name, at, length < sizeof name - 1 ? length : sizeof name - 1);
                        at += length;
                        before = print_note(answer, item, name, before, &any, output);
                }
        }
}

void cli_print_table(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                     const struct cli_output *output)
{
        struct table *table = malloc(sizeof *table);

        if (table == NULL)
                abort();
        table_choose(table, answer, verb);
        measure(answer, table);
        if (!fit(table, output->columns)) {
                print_records(table, answer, output);
        } else {
                cli_begin_colour(CLI_BOLD, output);
                for (size_t i = 0; i < table->count; i++)
                        print_cell(&table->columns[i], table->columns[i].heading, i + 1 == table->count, output->out);
                cli_end_colour(CLI_BOLD, output);
                (void)fputc('\n', output->out);
                for (size_t item = 0; item < cowherd_answer_items(answer); item++)
                        print_row(table, answer, item, output);
        }
        print_notes(answer, table->notes, output);
        free(table);
}
