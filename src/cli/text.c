/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: values as they read them, and lines that fit. What a tool or a guest wrote cannot drive the
 * terminal. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static bool is_control(char c)
{
        return (unsigned char)c < ' ' || c == 0x7f;
}

size_t cli_columns_of(const char *text)
{
        size_t columns = 0;

        for (; *text != '\0'; text++)
                columns += ((unsigned char)*text & 0xc0) != 0x80;
        return columns;
}

static bool ends_in(const char *text, const char *end)
{
        size_t length = strlen(text), tail = strlen(end);

        return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* "1.5 GiB" of a number of bytes. */
static void format_size(const char *bytes, char *buffer, size_t size)
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
        double value = strtod(bytes, NULL);
        size_t unit = 0;

        for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
                value /= 1024;
        (void)snprintf(buffer, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

char *cli_readable(const struct cowherd_field *field)
{
        char size[40];
        const char *value = field->value;

        if (field->type == COWHERD_NUMBER && (ends_in(field->name, "_bytes") || strcmp(field->name, "bytes") == 0)) {
                format_size(value, size, sizeof size);
                value = size;
        } else if (field->type == COWHERD_BOOLEAN) {
                value = strcmp(value, "1") == 0 ? "yes" : "no";
        }
        char *text = strdup(value);
        if (text == NULL)
                abort();
        for (char *at = text; *at != '\0'; at++)
                if (is_control(*at))
                        *at = *at == '\n' || *at == '\t' ? ' ' : '?';
        return text;
}

void cli_print_line(FILE *out, const char *text)
{
        for (; *text != '\0'; text++)
                (void)fputc(is_control(*text) ? '?' : *text, out);
        (void)fputc('\n', out);
}

void cli_print_wrapped(FILE *out, const char *text, size_t columns, size_t column, size_t indent)
{
        bool begins_line = true;

        for (text += strspn(text, " \n"); *text != '\0'; text += strspn(text, " \n")) {
                size_t bytes = strcspn(text, " \n"), width = 0;
                for (size_t i = 0; i < bytes; i++)
                        width += ((unsigned char)text[i] & 0xc0) != 0x80;
                if (!begins_line && column + 1 + width > columns) {
                        (void)fprintf(out, "\n%*s", (int)indent, "");
                        column = indent;
                } else if (!begins_line) {
                        (void)fputc(' ', out);
                        column++;
                }
                for (size_t i = 0; i < bytes; i++)
                        (void)fputc(is_control(text[i]) ? '?' : text[i], out);
                column += width;
                text += bytes;
                begins_line = false;
        }
        (void)fputc('\n', out);
}
