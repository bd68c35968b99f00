/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program does with a command line that was understood: opens a herd, has the command executed, prints the
 * answer, and makes its code the exit status. Output that could not be written is a failure too, unless its reader went
 * away.
 */
#include "cli/cli.h"

#include "rexx/rexx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXECUTE_FAILED = 125 }; /* podman's and docker's: an error of ours, not of the guest's command */

/* Progress is for eyes: a terminal that can erase a line. */
static bool wants_progress(const struct cli_output *output)
{
        const char *terminal = getenv("TERM");

        return isatty(fileno(output->err)) == 1 && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static int print_help(const struct cli_command *command, const struct cli_output *output)
{
        struct cowherd_error err;
        char *text = NULL;

        if (cowherd_help(command->topic, &text, &err) < 0) {
                cli_print_failure(&err, "help", command->json, output);
                return err.code;
        }
        (void)fputs(text, output->out);
        free(text);
        return 0;
}

static int print_usage(const struct cli_output *output)
{
        (void)fputs("cowherd: copy-on-write clones of machines, over QEMU, LXD and systemd-nspawn\n"
                    "\n"
                    "  cowherd [--root DIR] [--json] [--dry-run] [TARGET] VERB [key=value ...]\n"
                    "  cowherd run FILE.rexx [ARGUMENT ...]\n"
                    "\n"
                    "  cowherd help      the verbs, and the first steps\n"
                    "  cowherd doctor    what works on this host\n",
                    output->err);
        return COWHERD_USAGE;
}

static int print_script_plan(const char *file, const struct cli_output *output)
{
        struct cowherd_error err = {.code = COWHERD_NOT_FOUND};

        if (access(file, R_OK) == 0) {
                (void)fprintf(output->out, "  1. run the script '%s'\n", file);
                return 0;
        }
        if (errno != ENOENT && errno != ENOTDIR)
                err.code = COWHERD_DENIED;
        (void)snprintf(err.text, sizeof err.text, "script '%.200s' cannot be read: %s", file, strerror(errno));
        cli_print_failure(&err, "run", false, output);
        return err.code;
}

static int run_script(const struct cli_command *command, const struct cli_output *output)
{
        struct cli_progress progress = {.output = output};
        struct cowherd_rexx_options options = {
                .file = command->words[0],
                .argc = (int)command->word_count - 1,
                .argv = command->words + 1,
                .root = command->root,
                .safe = command->safe,
        };

        if (command->json) {
                static const struct cowherd_error err = {.code = COWHERD_USAGE,
                                                         .text = "'run' takes no --json",
                                                         .hint = "the script itself says what is printed"};
                cli_print_failure(&err, "run", true, output);
                return err.code;
        }
        if (command->dry_run)
                return print_script_plan(command->words[0], output);
        if (wants_progress(output)) {
                options.progress = cli_draw_progress;
                options.progress_context = &progress;
        }
        (void)fflush(output->out);
        int status = cowherd_rexx_run(&options);
        cli_end_progress(&progress);
        return status;
}

/* execute and shell: a command of the guest, whose exit status ours is. */
static bool is_in_guest(const struct cli_command *command)
{
        const struct cowherd_verb *verb = command->verb;

        return verb != NULL && verb->available && (strcmp(verb->name, "execute") == 0 || strcmp(verb->name, "shell") == 0);
}

static int exit_status(const struct cli_command *command, const struct cowherd_answer *answer)
{
        return is_in_guest(command) && !cowherd_answer_success(answer) ? EXECUTE_FAILED : cowherd_answer_code(answer);
}

/* What runs in the guest reads and writes what we were given, as it runs. */
static void hand_over_streams(struct cowherd_herd *herd, const struct cli_output *output)
{
        const struct cowherd_streams streams = {
                .input = STDIN_FILENO,
                .output = fileno(output->out),
                .errors = fileno(output->err),
                .terminal = isatty(STDIN_FILENO) == 1 && isatty(fileno(output->out)) == 1,
        };

        if (streams.output < 0 || streams.errors < 0)
                return;
        (void)fflush(output->out);
        cowherd_set_streams(herd, &streams);
}

static int execute(const struct cli_command *command, const struct cli_output *output)
{
        struct cowherd_options options = {.root = command->root};
        struct cli_progress progress = {.output = output};
        struct cowherd_herd *herd = NULL;
        struct cowherd_error err = {0};

        if (cowherd_open(&options, &herd, &err) < 0) {
                cli_print_failure(&err, command->verb == NULL ? "" : command->verb->name, command->json, output);
                return err.code;
        }
        if (wants_progress(output))
                cowherd_set_progress(herd, cli_draw_progress, &progress);
        if (is_in_guest(command) && !command->json)
                hand_over_streams(herd, output);
        struct cowherd_answer *answer =
                cowherd_execute_words(herd, command->target, command->word_count, command->words);
        cli_end_progress(&progress);
        const char *format = cowherd_answer_format(answer);
        if (command->json || (format != NULL && strcmp(format, "json") == 0)) {
                char *json = cowherd_answer_json(answer);
                (void)fprintf(output->out, "%s\n", json);
                free(json);
        } else {
                cli_print_answer(answer, command->verb, output);
        }
        int status = exit_status(command, answer);
        cowherd_answer_free(answer);
        cowherd_close(herd);
        return status;
}

/* What was printed must have arrived. A reader that went away had what it wanted. */
static int finish(int status, const struct cli_output *output)
{
        errno = 0;
        bool failed = fflush(output->out) != 0 || ferror(output->out) != 0;
        bool reader_gone = errno == EPIPE || (output->reader_gone != NULL && *output->reader_gone != 0);

        if (!failed || reader_gone || status != 0)
                return status;
        (void)fprintf(output->err, "cowherd: cannot write the output%s%s\n", errno != 0 ? ": " : "",
                      errno != 0 ? strerror(errno) : "");
        return COWHERD_IO;
}

static int perform(const struct cli_command *command, const struct cli_output *output)
{
        switch (command->action) {
        case CLI_EXECUTE:
                return execute(command, output);
        case CLI_RUN:
                return run_script(command, output);
        case CLI_HELP:
                return print_help(command, output);
        case CLI_VERSION:
                (void)fputs("cowherd " COWHERD_VERSION "\n", output->out);
                return 0;
        case CLI_NOTHING:
                break;
        }
        return print_usage(output);
}

int cli_main(int argc, const char *const *argv, const struct cli_output *output)
{
        struct cli_command command;
        struct cowherd_error err = {0};
        int status;

        if (argc > 1 && strcmp(argv[1], "__complete") == 0)
                return cli_complete(argc - 2, argv + 2, output);
        if (cli_parse(argc, argv, &command, &err) < 0) {
                cli_print_failure(&err, command.verb == NULL ? "" : command.verb->name, command.json, output);
                status = err.code;
        } else {
                status = perform(&command, output);
        }
        free(command.words);
        return finish(status, output);
}
