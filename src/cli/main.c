/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program. A reader that goes away (`cowherd list | head -1`) must not kill a command half-way: SIGPIPE is caught,
 * not ignored, since what is ignored would stay so in every tool that is started. SQLite is this program's own, and counts no
 * memory for it: the lock of that count is a tenth of what a clone takes the processor.
 */
#include "cli/cli.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_DEFAULT = 80, COLUMNS_MIN = 20 };

static volatile sig_atomic_t reader_gone;

static void note_reader_gone(int signal_number)
{
        (void)signal_number;
        reader_gone = 1;
}

/* The terminal's width, or 80 where stdout is none. */
static size_t columns_of_terminal(void)
{
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return COLUMNS_DEFAULT;
        return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

int main(int argc, char **argv)
{
        struct sigaction action = {.sa_handler = note_reader_gone, .sa_flags = SA_RESTART};
        struct cli_output output = {
                .out = stdout, .err = stderr, .columns = columns_of_terminal(), .colour = cli_wants_colour(STDOUT_FILENO),
                .unicode = cli_is_unicode(), .reader_gone = &reader_gone};

        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        (void)sigaction(SIGPIPE, &action, NULL);
        return cli_main(argc, (const char *const *)argv, &output);
}
