/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a script: reads it, opens its herd, and gives it to libregina with three exits. RXCMD gets the commands, RXSIO
 * what is traced, RXINI marks the end of parsing. There is one script at a time in a process, so the exits, which are
 * given no argument of ours, find the host in a static pointer.
 *
 * Before the first call REGINA_OPTIONS is set for as long as that call takes: otherwise a misspelt function name would
 * run as a shell command. `//T` alone as the argument would make Regina check the syntax and do nothing else; a blank
 * after it takes that meaning away.
 */
#include "rexx/host.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

static const char exit_name[] = "COWHERD_HOST";
static struct host *current;

/* What the variables of `REQUIRE "x" AS Y` are without a value, so that SIGNAL ON NOVALUE finds them set. */
static void preset_words(void)
{
        (void)variable_set("REQUIRE", "REQUIRE");
        (void)variable_set("AS", "AS");
}

static LONG on_exit_call(LONG function, LONG subfunction, PEXIT parameters)
{
        if (function == RXCMD && subfunction == RXCMDHST) {
                command_run(current, (RXCMDHST_PARM *)(void *)parameters);
                return RXEXIT_HANDLED;
        }
        if (function == RXSIO && subfunction == RXSIOTRC) {
                const RXSIOTRC_PARM *trace = (const RXSIOTRC_PARM *)(void *)parameters;
                message_trace(current, trace->rxsio_string.strptr, trace->rxsio_string.strlength);
                return RXEXIT_HANDLED;
        }
        if (function == RXINI && subfunction == RXINIEXT) {
                message_release(current);
                preset_words();
                return RXEXIT_HANDLED;
        }
        return RXEXIT_NOT_HANDLED;
}

/* Regina's "safe" mode forgets these: they open files for writing, fork, reach into memory, or undo this very list. */
static const char *const forbidden[] = {
        "OPEN",    "FORK",       "EXPORT",    "IMPORT",       "GETSPACE", "FREESPACE",
        "STORAGE", "RXFUNCDROP", "RXFUNCADD", "RXFUNCDEFINE", "RXQUEUE",
};
enum { FORBIDDEN = sizeof forbidden / sizeof forbidden[0] };

static APIRET on_forbidden(PCSZ name, ULONG argc, PRXSTRING argv, PCSZ queue, PRXSTRING result)
{
        (void)argc, (void)argv, (void)queue, (void)result;
        (void)fprintf(stderr, "%s: function '%s' is refused by --safe\n", current->file, name);
        return 1; /* which REXX makes into error 40, incorrect call to routine */
}

/* The first call of REXX, with its options in the environment and its signal handlers out of it. */
static bool register_exits(struct host *host, bool safe)
{
        const char *options = getenv("REGINA_OPTIONS");
        owned_text char *before = options == NULL ? NULL : text_format("%s", options);
        owned_text char *with = text_format("%s NOEXT_COMMANDS_AS_FUNCS", options == NULL ? "" : options);
        bool well = setenv("REGINA_OPTIONS", with, 1) == 0;

        halt_prepare();
        APIRET told = regina.register_exit(exit_name, on_exit_call, NULL);
        well = well && (told == RXEXIT_OK || told == RXEXIT_DUP);
        for (unsigned i = 0; safe && i < FORBIDDEN; i++) {
                told = regina.register_function(forbidden[i], on_forbidden);
                well = well && (told == RXFUNC_OK || told == RXFUNC_DEFINED);
        }
        halt_install(host);
        if (before == NULL)
                (void)unsetenv("REGINA_OPTIONS");
        else
                (void)setenv("REGINA_OPTIONS", before, 1);
        return well;
}

static void deregister_exits(bool safe)
{
        for (unsigned i = 0; safe && i < FORBIDDEN; i++)
                (void)regina.deregister_function(forbidden[i]);
        (void)regina.deregister_exit(exit_name, NULL);
        (void)regina.clean_up(); /* otherwise an error in INTERPRET leaves its line behind for the next program */
        halt_restore();
}

/* The words after the script's name as one string, as PARSE ARG expects; NULL where there are none. */
static char *join(int argc, const char *const *argv)
{
        char *line = NULL;

        for (int i = 0; i < argc; i++) {
                char *longer = text_format("%s%s%s", line == NULL ? "" : line, line == NULL ? "" : " ", argv[i]);
                free(line);
                line = longer;
        }
        if (line != NULL && strcmp(line, "//T") == 0) {
                free(line);
                line = text_format("//T ");
        }
        return line;
}

/* The status of a script that came to its end: what its EXIT or RETURN said. */
static int status_of_result(const struct host *host, const RXSTRING *result)
{
        if (result->strptr == NULL || result->strlength == 0)
                return 0;
        owned_text char *text = text_copy(result->strptr, result->strlength);
        char *end = text;
        double value = strtod(text, &end);
        bool number = end != text && end[strspn(end, " \t")] == '\0' &&
                      strspn(text, " \t+-.0123456789eE") ==
                              result->strlength; /* strtod takes hexadecimal and "nan" as well */
        if (number && (value < 0 || value > 255))
                return 255; /* not cut to eight bits: 256 is no success */
        if (number && value <= (int)value)
                return (int)value;
        (void)fprintf(stderr,
                      "%s: the script ended with '%.200s', which is no exit status "
                      "(expected a whole number from 0 to 255)\n",
                      host->file, text);
        return COWHERD_USAGE;
}

/* Whether a halt came so late that no clause was left to be interrupted by it: it then waits for the next program. */
static bool halt_is_waiting(struct host *host)
{
        char text[] = "NOP; NOP";
        RXSTRING instore[2] = {{.strlength = strlen(text), .strptr = text}, {0}}, result = {0};
        RXSYSEXIT exits[] = {{.sysexit_name = (char *)(uintptr_t)exit_name, .sysexit_code = RXSIO},
                             {.sysexit_code = RXENDLST}};
        SHORT number = 0;

        message_capture(host);
        LONG told = (LONG)regina.start(0, NULL, host->file, instore, "COWHERD", RXCOMMAND, exits, &number, &result);
        if (instore[1].strptr != NULL)
                (void)regina.free_memory(instore[1].strptr);
        if (result.strptr != NULL)
                (void)regina.free_memory(result.strptr);
        message_release(host);
        return told < 0;
}

static int status_of(struct host *host, LONG told, const RXSTRING *result)
{
        static const LONG error_halt = -4;

        if (told == error_halt && host->signal != 0)
                return 128 + host->signal;
        if (told < 0)
                return COWHERD_DATA;
        if (told > 0) {
                (void)fprintf(stderr, "%s: REXX did not start (it says %ld)\n", host->file, told);
                return COWHERD_INTERNAL;
        }
        if (host->signal != 0 && halt_is_waiting(host))
                return 128 + host->signal;
        return status_of_result(host, result);
}

static int interpret(struct host *host, const struct cowherd_rexx_options *options, char *text, size_t length)
{
        owned_text char *words = join(options->argc, options->argv);
        RXSTRING argument = {.strlength = words == NULL ? 0 : strlen(words), .strptr = words};
        RXSTRING instore[2] = {{.strlength = length, .strptr = text}, {0}}, result = {0};
        char *name = (char *)(uintptr_t)exit_name;
        RXSYSEXIT exits[] = {{name, RXCMD}, {name, RXSIO}, {name, RXINI}, {NULL, RXENDLST}};
        LONG mode = options->safe ? RXCOMMAND | RXRESTRICTED : RXCOMMAND;
        SHORT number = 0; /* of no use: it has 16 bits, and 0 for what is no number */

        message_capture(host);
        LONG told = (LONG)regina.start(words != NULL, &argument, options->file, instore, "COWHERD", mode, exits, &number,
                                    &result);
        message_release(host);
        message_flush(host);
        (void)fflush(stdout);

        int status = status_of(host, told, &result);
        if (instore[1].strptr != NULL)
                (void)regina.free_memory(instore[1].strptr);
        if (result.strptr != NULL)
                (void)regina.free_memory(result.strptr);
        return status;
}

static void host_free(struct host *host)
{
        for (struct alias *alias = host->aliases, *next; alias != NULL; alias = next) {
                next = alias->next;
                free(alias->name);
                free(alias);
        }
        for (unsigned target = 0; target < COWHERD_ENGINES; target++) {
                for (size_t i = 0; i < host->published[target].count; i++)
                        free(host->published[target].items[i]);
                free(host->published[target].items);
        }
        free(host->unpassable);
        free(host->failed);
        free(host->clause);
        free(host->error);
        cowherd_close(host->herd);
}

/* The folder that a script stands in, links to it followed: what it names beside itself lies beside the file. */
static char *folder_of(const char *file)
{
        owned_text char *real = realpath(file, NULL);
        const char *path = real == NULL ? file : real, *slash = strrchr(path, '/');

        if (slash == NULL)
                return text_format(".");
        return text_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

static int open_herd(const struct cowherd_rexx_options *options, struct cowherd_herd **ret)
{
        owned_text char *folder = folder_of(options->file);
        const struct cowherd_options herd = {.root = options->root, .script_folder = folder};
        struct cowherd_error err;

        if (cowherd_open(&herd, ret, &err) < 0) {
                bool hint = err.hint[0] != '\0';
                (void)fprintf(stderr, "cowherd: %s%s%s%s\n", err.text, hint ? " (" : "", err.hint, hint ? ")" : "");
                return err.code;
        }
        return 0;
}

int cowherd_rexx_run(const struct cowherd_rexx_options *options)
{
        owned_text char *text = NULL;
        size_t length = 0;
        bool empty = false;
        struct host host = {.file = options->file, .captured = -1, .saved_stderr = -1};

        if (options->file == NULL || options->file[0] == '\0') {
                (void)fputs("cowherd: no script is named (cowherd run FILE.rexx)\n", stderr);
                return COWHERD_USAGE;
        }
        int status = script_read(options->file, &text, &length, &empty);
        if (status != 0 || empty)
                return status;
        if (!regina_open()) {
                const char *why = dlerror();
                (void)fprintf(stderr, "cowherd: cannot open REXX: %s (apt install libregina3)\n", why != NULL ? why : "no reason given");
                return COWHERD_UNAVAILABLE;
        }
        status = open_herd(options, &host.herd);
        if (status != 0)
                return status;
        cowherd_set_progress(host.herd, options->progress, options->progress_context);

        host.text = text;
        current = &host;
        if (register_exits(&host, options->safe)) {
                status = interpret(&host, options, text, length);
        } else {
                (void)fprintf(stderr, "%s: REXX does not take the host's exits\n", host.file);
                status = COWHERD_INTERNAL;
        }
        deregister_exits(options->safe);
        current = NULL;
        host_free(&host);
        return status;
}
