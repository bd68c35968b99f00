/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Colours, on a terminal only, and few: what runs, what waits, what is wrong. Words say the same without them. NO_COLOR
 * (no-color.org) and a terminal that can't do it turn them off. How a terminal draws lines is asked of the locale's name:
 * to load the locale itself would take longer than a list.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool is_set(const char *value)
{
        return value != NULL && value[0] != '\0';
}

bool cli_wants_colour(int fd)
{
        const char *terminal = getenv("TERM");

        return isatty(fd) == 1 && !is_set(getenv("NO_COLOR")) && is_set(terminal) && strcmp(terminal, "dumb") != 0;
}

bool cli_is_unicode(void)
{
        const char *name = getenv("LC_ALL");

        if (!is_set(name))
                name = getenv("LC_CTYPE");
        if (!is_set(name))
                name = getenv("LANG");
        return is_set(name) && (strcasestr(name, "UTF-8") != NULL || strcasestr(name, "UTF8") != NULL);
}

static const char *const sequences[] = {
        [CLI_PLAIN] = "", [CLI_BOLD] = "\033[1m", [CLI_DIM] = "\033[2m", [CLI_GOOD] = "\033[32m", [CLI_SO_SO] = "\033[33m", [CLI_BAD] = "\033[31m"};

void cli_begin_colour(enum cli_colour colour, const struct cli_output *output)
{
        if (output->colour)
                (void)fputs(sequences[colour], output->out);
}

void cli_end_colour(enum cli_colour colour, const struct cli_output *output)
{
        if (output->colour && colour != CLI_PLAIN)
                (void)fputs("\033[0m", output->out);
}

enum cli_colour cli_colour_of_state(const char *state)
{
        static const struct {
                const char *state;
                enum cli_colour colour;
        } colours[] = {{"running", CLI_GOOD}, {"stopped", CLI_DIM},  {"paused", CLI_SO_SO},
                       {"missing", CLI_BAD},  {"unknown", CLI_BAD}, {"removed", CLI_SO_SO}};

        for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
                if (strcmp(colours[i].state, state) == 0)
                        return colours[i].colour;
        return CLI_PLAIN;
}
