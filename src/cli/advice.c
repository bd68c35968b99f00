/* SPDX-License-Identifier: Apache-2.0 */
/* Advice for people: places with their reasons as paragraphs, the commands to begin below the first, and what is out of the question. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { INDENT = 4, DEEPER = 6 };

/* A command as it can be typed: where it is too long for a line, that ends in a backslash. */
static void print_command(const char *text, const struct cli_output *output)
{
        size_t column = DEEPER;

        (void)fprintf(output->out, "%*s$ ", INDENT, "");
        while (*text != '\0') {
                size_t length = strcspn(text, " ");
                bool last = text[length] == '\0';
                if (column > DEEPER && column + 1 + length + (last ? 0 : 2) > output->columns) {
                        (void)fprintf(output->out, " \\\n%*s", DEEPER + 2, "");
                        column = DEEPER + 2;
                } else if (column > DEEPER) {
                        (void)fputc(' ', output->out);
                        column++;
                }
                (void)fprintf(output->out, "%.*s", (int)length, text);
                column += length;
                text += length + !last;
        }
        (void)fputc('\n', output->out);
}

static void print_reason(const char *text, const struct cli_output *output)
{
        (void)fprintf(output->out, "%*s", INDENT, "");
        cli_print_wrapped(output->out, text, output->columns, INDENT, DEEPER);
}

/* Prints each line of a text. */
static void print_lines(const char *text, void (*print)(const char *line, const struct cli_output *output), const struct cli_output *output)
{
        while (*text != '\0') {
                size_t length = strcspn(text, "\n");
                char *line = strndup(text, length);
                if (line == NULL)
                        abort();
                print(line, output);
                free(line);
                text += length + (text[length] == '\n');
        }
}

static const char *value_of(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const char *value = cowherd_answer_item_get(answer, item, name);

        return value == NULL ? "" : value;
}

/* " 1. nspawn on overlay, ready: 9.5 of 10", or what it lacks. */
static void print_place(const struct cowherd_answer *answer, size_t item, const struct cli_output *output)
{
        const char *state = value_of(answer, item, "state"), *lacking = value_of(answer, item, "lacking");
        char line[1024];

        (void)fprintf(output->out, "%2s. ", value_of(answer, item, "place"));
        (void)snprintf(line, sizeof line, "%s on %s: %s of 10, %s%s", value_of(answer, item, "engine"), value_of(answer, item, "store"),
                       value_of(answer, item, "mark"), strcmp(state, "ready") == 0 ? "ready" : strcmp(state, "setup") == 0 ? "to be set up: " : "wanting: ",
                       lacking);
        cli_print_wrapped(output->out, line, output->columns, INDENT, INDENT);
        print_lines(value_of(answer, item, "reasons"), print_reason, output);
}

void cli_print_advice(const struct cowherd_answer *answer, const struct cli_output *output)
{
        const char *note = cowherd_answer_get(answer, "note");
        bool others = false;

        if (note != NULL)
                cli_print_wrapped(output->out, note, output->columns, 0, 2);
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                if (value_of(answer, item, "place")[0] == '\0')
                        continue;
                (void)fputc('\n', output->out);
                print_place(answer, item, output);
                if (item == 0)
                        print_lines(value_of(answer, item, "commands"), print_command, output);
        }
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                char line[1024];
                if (value_of(answer, item, "place")[0] != '\0')
                        continue;
                (void)fputs(others ? "" : "\nNot for this:\n", output->out);
                others = true;
                (void)snprintf(line, sizeof line, "%s on %s: %s", value_of(answer, item, "engine"), value_of(answer, item, "store"), value_of(answer, item, "reasons"));
                (void)fprintf(output->out, "%*s", INDENT, "");
                cli_print_wrapped(output->out, line, output->columns, INDENT, DEEPER);
        }
}
