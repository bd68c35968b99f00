/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: the columns that matter of a verb's list, aligned, in the width of the terminal. A name is never cut, since
 * it is what the next command needs; other columns are, the widest first.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 12, GAP = 2, WIDTH_MIN = 6 };

struct layout {
        const char *verb;
        const char *columns; /* field names, apart by blanks */
        const char *notes;   /* fields that get lines of their own below, after the first column's value */
};

static const struct layout layouts[] = {
        {"list", "name engine base state store clone_ms", NULL},
        {"info", "name engine base state store clone_ms", NULL},
        {"list_bases", "name engine format store size_bytes clones", NULL},
        {"status", "engine available version store acceleration bases clones running", "reason advice store_reason"},
        {"usage", "name engine store unique_bytes shared_bytes apparent_bytes", NULL},
        {"clone_from_base", "name engine store state clone_ms start_ms wait_ms", "error hint"},
        {"create", "name engine store state clone_ms start_ms", "error hint"},
        {"delete", "name engine", "error hint"},
        {"start", "name engine state start_ms wait_ms", "note error hint"},
        {"start_if_stopped", "name engine state skipped start_ms wait_ms", "note error hint"},
        {"stop", "name engine state stop_ms forced", "error hint"},
        {"stop_if_running", "name engine state skipped stop_ms forced", "error hint"},
        {"restart", "name engine state stop_ms forced start_ms wait_ms", "note error hint"},
        {"pause", "name engine state", "error hint"},
        {"resume", "name engine state", "error hint"},
        {"wait", "name engine state wait_ms address", "error hint"},
        {"extend", "name engine state expires", "error hint"},
        {"security_audit", "at engine operation name code", "error"},
};

struct column {
        char name[64];
        char heading[64];
        size_t width;
        bool right; /* numbers stand right */
};

struct table {
        struct column columns[COLUMNS_MAX];
        size_t count;
};

static const struct layout *layout_of(const struct cowherd_verb *verb)
{
        for (size_t i = 0; verb != NULL && i < sizeof layouts / sizeof layouts[0]; i++)
                if (strcmp(layouts[i].verb, verb->name) == 0)
                        return &layouts[i];
        return NULL;
}

static const struct cowherd_field *field_of(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_item_field(answer, item, i)) != NULL; i++)
                if (strcmp(field->name, name) == 0)
                        return field;
        return NULL;
}

/* "SIZE" of size_bytes: the values have their units with them. */
static void add_column(struct table *table, const char *name, size_t length)
{
        struct column *column = &table->columns[table->count];

        if (table->count == COLUMNS_MAX || length == 0 || length >= sizeof column->name)
                return;
        *column = (struct column){0};
        memcpy(column->name, name, length);
        memcpy(column->heading, name, length);
        if (length > 6 && strcmp(column->heading + length - 6, "_bytes") == 0)
                column->heading[length - 6] = '\0';
        for (char *at = column->heading; *at != '\0'; at++)
                if (*at >= 'a' && *at <= 'z')
                        *at = (char)(*at - 'a' + 'A');
        column->width = strlen(column->heading);
        table->count++;
}

static void choose_columns(const struct cowherd_answer *answer, const struct layout *layout, struct table *table)
{
        const struct cowherd_field *field;

        for (const char *at = layout == NULL ? "" : layout->columns; *at != '\0'; at += strspn(at, " ")) {
                size_t length = strcspn(at, " ");
                add_column(table, at, length);
                at += length;
        }
        for (size_t i = 0; layout == NULL && (field = cowherd_answer_item_field(answer, 0, i)) != NULL; i++)
                if (!field->also)
                        add_column(table, field->name, strlen(field->name));
}

/* What stands in a cell; to be freed. */
static char *cell_of(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field = field_of(answer, item, name);
        char *text = field == NULL || field->value[0] == '\0' ? strdup("-") : cli_readable(field);

        if (text == NULL)
                abort();
        return text;
}

/* Measures the columns; one that is empty in every item is left out. */
static void measure(const struct cowherd_answer *answer, struct table *table)
{
        size_t kept = 0;

        for (size_t i = 0; i < table->count; i++) {
                struct column *column = &table->columns[i];
                bool used = false;
                column->right = true;
                for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                        const struct cowherd_field *field = field_of(answer, item, column->name);
                        char *text = cell_of(answer, item, column->name);
                        size_t width = cli_columns_of(text);
                        column->width = width > column->width ? width : column->width;
                        column->right = column->right && (field == NULL || field->type == COWHERD_NUMBER);
                        used = used || field != NULL;
                        free(text);
                }
                if (used)
                        table->columns[kept++] = *column;
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

/* Narrows the widest columns, the first one (the name) aside, then leaves out the last ones, until it fits. */
static void fit(struct table *table, size_t columns)
{
        while (width_of(table) > columns) {
                struct column *widest = NULL;
                for (size_t i = 1; i < table->count; i++)
                        if (table->columns[i].width > WIDTH_MIN &&
                            (widest == NULL || table->columns[i].width > widest->width))
                                widest = &table->columns[i];
                if (widest != NULL)
                        widest->width--;
                else if (table->count > 1)
                        table->count--;
                else
                        return;
        }
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

/* Reasons and advice are sentences: they get lines of their own below the table. */
static void print_notes(const struct cowherd_answer *answer, const struct layout *layout,
                        const struct cli_output *output)
{
        bool any = false;

        for (size_t item = 0; layout != NULL && layout->notes != NULL && item < cowherd_answer_items(answer); item++) {
                const struct cowherd_field *first = field_of(answer, item, "name");
                if (first == NULL || first->value[0] == '\0')
                        first = cowherd_answer_item_field(answer, item, 0);
                const char *before = "";
                for (const char *at = layout->notes; *at != '\0'; at += strspn(at, " ")) {
                        char name[64] = {0};
                        size_t length = strcspn(at, " ");
                        memcpy(name, at, length < sizeof name - 1 ? length : sizeof name - 1);
                        at += length;
                        const struct cowherd_field *note = field_of(answer, item, name);
                        if (note == NULL || note->value[0] == '\0' || strcmp(note->value, before) == 0)
                                continue;
                        before = note->value;
                        char line[2048];
                        (void)snprintf(line, sizeof line, "%s: %s%s", first->value,
                                       strcmp(name, "advice") == 0 || strcmp(name, "hint") == 0 ? "hint: " : "",
                                       note->value);
                        if (!any)
                                (void)fputc('\n', output->out);
                        any = true;
                        cli_print_wrapped(output->out, line, output->columns, 0, 2);
                }
        }
}

void cli_print_table(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                     const struct cli_output *output)
{
        const struct layout *layout = layout_of(verb);
        struct table table = {0};

        choose_columns(answer, layout, &table);
        measure(answer, &table);
        fit(&table, output->columns);
        for (size_t i = 0; i < table.count; i++)
                print_cell(&table.columns[i], table.columns[i].heading, i + 1 == table.count, output->out);
        (void)fputc('\n', output->out);
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                for (size_t i = 0; i < table.count; i++) {
                        char *text = cell_of(answer, item, table.columns[i].name);
                        print_cell(&table.columns[i], text, i + 1 == table.count, output->out);
                        free(text);
                }
                (void)fputc('\n', output->out);
        }
        print_notes(answer, layout, output);
}
