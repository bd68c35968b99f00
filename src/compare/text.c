/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as tables for people, at most 80 columns wide: what it costs, what it takes, what isolates it, how it shares, what is missing.
 * What was not measured is a dash, and is told at the end.
 */
#include "compare/session.h"

#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 80
#define CELL_BYTES 32

/* ---- words ---- */

static size_t width_of(const char *text, size_t bytes)
{
        size_t width = 0;

        for (size_t i = 0; i < bytes; i++)
                width += ((unsigned char)text[i] & 0xc0) != 0x80;
        return width;
}

/* Adds text from `column` on, in lines of 80 columns, later ones indented. */
static void add_wrapped(struct str *out, size_t column, size_t indent, const char *text)
{
        bool begins = true;

        for (text += strspn(text, " \n"); *text != '\0'; text += strspn(text, " \n")) {
                size_t bytes = strcspn(text, " \n"), width = width_of(text, bytes);
                if (!begins && column + 1 + width > COLUMNS) {
                        str_addf(out, "\n%*s", (int)indent, "");
                        column = indent;
                } else if (!begins) {
                        str_add_char(out, ' ');
                        column++;
                }
                str_add_bytes(out, text, bytes);
                column += width;
                text += bytes;
                begins = false;
        }
        str_add_char(out, '\n');
}

static void add_paragraph(struct str *out, size_t indent, const char *format, ...) format_like(3, 4);

static void add_paragraph(struct str *out, size_t indent, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *text = x_vasprintf(format, args);
        va_end(args);
        str_addf(out, "%*s", (int)indent, "");
        add_wrapped(out, indent, indent + 2, text);
}

static const char *text_in(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text == NULL ? "" : text;
}

/* "0.31 ms", "15.3 s", "12.0 KiB", or a dash where there is no number. */
static const char *cell(const json_t *value, bool bytes, char *buffer)
{
        char text[NUMBER_TEXT_BYTES];
        double number = json_number_value(value);

        if (!json_is_number(value))
                (void)snprintf(buffer, CELL_BYTES, "-");
        else if (bytes)
                (void)snprintf(buffer, CELL_BYTES, "%s", number_format_size((uint64_t)llround(fmax(number, 0)), text));
        else if (number >= 10000)
                (void)snprintf(buffer, CELL_BYTES, "%.1f s", number / 1000);
        else
                (void)snprintf(buffer, CELL_BYTES, "%s ms", number_format_ms(number, text));
        return buffer;
}

static const char *ratio_cell(const json_t *value, char *buffer)
{
        double ratio = json_number_value(value);

        if (!json_is_number(value))
                (void)snprintf(buffer, CELL_BYTES, "-");
        else
                (void)snprintf(buffer, CELL_BYTES, "%.*f", ratio < 0.1 ? 3 : ratio < 10 ? 2 : 0, ratio);
        return buffer;
}

/* ---- the tables ---- */

static const char *short_title(const json_t *figure, char *buffer)
{
        static const char *const titles[][2] = {{"clone", "clone, in-process"}, {"clone_process", "clone, whole process"}, {"start", "start"}, {"ready", "start until ready"},
                                                {"first_command", "first command done"}, {"memory", "memory"}, {"live_clone", "live clone, a command"},
                                                {"job", "command in a new clone"}, {"throwaway", "command, clone gone"}};

        for (size_t i = 0; i < array_length(titles); i++)
                if (str_equal(text_in(figure, "figure"), titles[i][0]))
                        return titles[i][1];
        (void)snprintf(buffer, CELL_BYTES, "burst of %lld, each", (long long)json_integer_value(json_object_get(figure, "burst_count")));
        return str_equal(text_in(figure, "figure"), "burst") ? buffer : NULL;
}

static void add_performance(struct str *out, const json_t *document)
{
        size_t index;
        json_t *figure;

        str_addf(out, "PERFORMANCE\n%-6s %-8s %-23s %9s %9s %9s %6s %3s\n", "ENGINE", "STORE", "FIGURE", "OURS", "P95", "RAW", "RATIO", "N");
        json_array_foreach(json_object_get(document, "figures"), index, figure) {
                char title[CELL_BYTES], ours[CELL_BYTES], p95[CELL_BYTES], raw[CELL_BYTES], ratio[CELL_BYTES];
                const char *name = short_title(figure, title);
                bool bytes = str_equal(text_in(figure, "unit"), "bytes");
                const json_t *of_ours = json_object_get(figure, "ours");
                if (name == NULL)
                        continue; /* bytes of a clone have a table of their own */
                str_addf(out, "%-6s %-8s %-23s %9s %9s %9s %6s %3lld\n", text_in(figure, "engine"), text_in(figure, "store"), name,
                         cell(json_object_get(of_ours, "median"), bytes, ours), cell(json_object_get(of_ours, "p95"), bytes, p95),
                         cell(json_object_get(json_object_get(figure, "raw"), "median"), bytes, raw), ratio_cell(json_object_get(figure, "ratio"), ratio),
                         (long long)json_integer_value(json_object_get(figure, "n")));
        }
        str_add(out, "Medians; ratio: ours to the raw tool's, taken in turn. What is compared with\nwhat stands in the JSON and in docs/comparison.md.\n");
}

static void add_space(struct str *out, const json_t *document)
{
        size_t index;
        json_t *space;

        str_addf(out, "\nSPACE\n%-6s %-8s %12s %12s %12s %12s %9s\n", "ENGINE", "STORE", "BASE", "CLONE", "APPARENT", "FULL COPY", "SAVED");
        json_array_foreach(json_object_get(document, "space"), index, space) {
                char base[CELL_BYTES], clone[CELL_BYTES], apparent[CELL_BYTES], copy[CELL_BYTES], saved[CELL_BYTES] = "-";
                const json_t *percent = json_object_get(space, "saved_percent");
                if (json_is_number(percent))
                        (void)snprintf(saved, sizeof saved, "%.2f %%", floor(json_number_value(percent) * 100) / 100); /* never more than it is */
                str_addf(out, "%-6s %-8s %12s %12s %12s %12s %9s\n", text_in(space, "engine"), text_in(space, "store"), cell(json_object_get(space, "base_bytes"), true, base),
                         cell(json_object_get(space, "clone_bytes"), true, clone), cell(json_object_get(space, "apparent_bytes"), true, apparent),
                         cell(json_object_get(space, "full_copy_bytes"), true, copy), saved);
        }
        str_add(out, "Saved is measured against a full copy that was really made.\n");
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Whether two texts are the same but for their numbers. */
static bool is_alike(const char *a, const char *b)
{
        while (*a != '\0' && *b != '\0') {
                if (is_digit(*a) && is_digit(*b)) {
                        a += strspn(a, "0123456789");
                        b += strspn(b, "0123456789");
                } else if (*a++ != *b++) {
                        return false;
                }
        }
        return *a == *b;
}

/* Whether two lists tell the same, but for which number a user has: each instance has another. */
static bool are_alike(const json_t *one, const json_t *other)
{
        size_t index;
        json_t *fact;

        if (json_array_size(one) != json_array_size(other))
                return false;
        json_array_foreach(one, index, fact) {
                const json_t *beside = json_array_get(other, index);
                if (!str_equal(text_in(fact, "name"), text_in(beside, "name")) || !is_alike(text_in(fact, "value"), text_in(beside, "value")))
                        return false;
        }
        return true;
}

/* An engine's stores have the same facts most often: then they are told once. */
static void add_isolation(struct str *out, const json_t *document)
{
        const json_t *list = json_object_get(document, "isolation"), *before = NULL;
        size_t index, position;
        json_t *entry, *fact;

        if (json_array_size(list) > 0)
                str_add(out, "\nISOLATION, read from running instances\n");
        json_array_foreach(list, index, entry) {
                const json_t *facts = json_object_get(entry, "facts");
                bool same = before != NULL && str_equal(text_in(before, "engine"), text_in(entry, "engine")) && are_alike(json_object_get(before, "facts"), facts);
                str_addf(out, "%s on %s%s\n", text_in(entry, "engine"), text_in(entry, "store"), same ? ": the same" : "");
                json_array_foreach(facts, position, fact) {
                        if (!same)
                                add_paragraph(out, 2, "%s: %s", text_in(fact, "name"), text_in(fact, "value"));
                }
                before = entry;
        }
}

static void add_technology(struct str *out, const json_t *document)
{
        size_t index;
        json_t *row;

        str_add(out, "\nCOPY-ON-WRITE\n");
        json_array_foreach(json_object_get(document, "rows"), index, row) {
                const char *detail = text_in(row, "detail");
                if (!json_is_true(json_object_get(row, "works")))
                        continue;
                str_addf(out, "%-6s %-8s ", text_in(row, "engine"), text_in(row, "store"));
                owned_str char *text = x_asprintf("%s; %s%s%s", text_in(row, "technology"), text_in(row, "granularity"), detail[0] == '\0' ? "" : "; ", detail);
                add_wrapped(out, 16, 16, text);
        }
}

static void add_setup(struct str *out, const json_t *document)
{
        size_t index;
        json_t *entry;

        str_add(out, "\nSET-UP\n");
        json_array_foreach(json_object_get(document, "setup"), index, entry) {
                const char *detail = text_in(entry, "detail"), *command = text_in(entry, "command");
                str_addf(out, "%-8s", text_in(entry, "state"));
                owned_str char *text = x_asprintf("%s %s%s%s", text_in(entry, "engine"), text_in(entry, "what"), detail[0] == '\0' ? "" : ": ", detail);
                add_wrapped(out, 8, 8, text);
                if (command[0] != '\0')
                        add_paragraph(out, 8, "hint: %s", command);
        }
}

static void add_notes(struct str *out, const json_t *document, const char *list, const char *heading, const char *text)
{
        const json_t *notes = json_object_get(document, list);
        size_t index;
        json_t *note;

        if (json_array_size(notes) == 0)
                return;
        str_addf(out, "\n%s\n", heading);
        json_array_foreach(notes, index, note) {
                add_paragraph(out, 0, "%s on %s, %s: %s", text_in(note, "engine"), text_in(note, "store"), text_in(note, "figure"), text_in(note, text));
        }
}

static void add_conditions(struct str *out, const json_t *document)
{
        const json_t *machine = json_object_get(document, "machine");
        size_t index;
        json_t *image;

        str_add(out, "\nMEASURED\n");
        add_paragraph(out, 0, "%s, %s; %s; %lld cores; %s; load %.1f before, %.1f after", text_in(document, "started"), text_in(machine, "os"), text_in(machine, "kernel"),
                      (long long)json_integer_value(json_object_get(machine, "cores")), text_in(machine, "filesystem"), json_number_value(json_object_get(machine, "load_before")),
                      json_number_value(json_object_get(machine, "load_after")));
        json_array_foreach(json_object_get(document, "images"), index, image) {
                char size[CELL_BYTES];
                const char *path = text_in(image, "path");
                add_paragraph(out, 0, "%s: %s%s%s, %s", text_in(image, "engine"), path, path[0] == '\0' ? "" : ", ", text_in(image, "note"),
                              cell(json_object_get(image, "size_bytes"), true, size));
        }
}

char *text_of_document(const json_t *document)
{
        owned_string struct str out = {0};

        add_performance(&out, document);
        add_space(&out, document);
        add_isolation(&out, document);
        add_technology(&out, document);
        add_setup(&out, document);
        add_notes(&out, document, "failed", "FAILED", "error");
        add_notes(&out, document, "left_out", "LEFT OUT", "why");
        add_conditions(&out, document);
        return str_take(&out);
}
