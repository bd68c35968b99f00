/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the interpreter tells on standard error, in the form that all compilers share: `file:line: message`.
 *
 * Three things arrive as lines to be traced. An error is `Error 42 running "f", line 3: TEXT`, and mostly a second line
 * `Error 42.3: TEXT` that says more, so the first waits for the second. A clause that is traced is `     3 *-* clause`,
 * without the number where it stands in the same line as the one before. And after a command that failed comes
 * `+++ RC=1 +++`, whose number is only a flag: for our own commands the message and the true code stand there instead,
 * and the clause before it, which TRACE NORMAL prints for nothing else, is left out. TRACE OFF silences them, as ever.
 *
 * While the program is parsed there is no exit yet: errors go straight to descriptor 2. That is turned into a file in
 * memory until the RXINI exit says that parsing is over.
 */
#include "rexx/host.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Of the clause that was traced last; 0: none was. Not the host's: Regina leaves the number out where it is that of the
 * line traced before, also if that was in another program of this process.
 */
static unsigned traced_line;

struct complaint {
        char number[16];  /* "42" or "42.3" */
        const char *file; /* NULL: not said */
        int file_length;
        unsigned line; /* 0: not said */
        const char *text;
};

/* `Error N[.M][ running "FILE"][, line L]: TEXT`. */
static bool read_complaint(const char *line, struct complaint *ret)
{
        struct complaint found = {0};
        int used = 0;

        if (sscanf(line, "Error %15[0-9.]%n", found.number, &used) != 1)
                return false;
        line += used;
        if (strncmp(line, " running \"", 10) == 0) {
                const char *quote = strstr(line + 10, "\":") ?: strstr(line + 10, "\", line ");
                if (quote == NULL)
                        return false;
                const char *numbered = strstr(line + 10, "\", line ");
                if (numbered != NULL && numbered < quote)
                        quote = numbered;
                found.file = line + 10;
                found.file_length = (int)(quote - found.file);
                line = quote + 1;
                if (sscanf(line, ", line %u%n", &found.line, &used) == 1)
                        line += used;
        }
        if (line[0] != ':')
                return false;
        found.text = line + 1 + strspn(line + 1, " ");
        *ret = found;
        return true;
}

/* Line `number` of the program, or NULL. */
static const char *program_line(const char *program, unsigned number, size_t *ret_length)
{
        const char *at = program;

        for (unsigned line = 1; at != NULL && line < number; line++) {
                at = strchr(at, '\n');
                at = at == NULL ? NULL : at + 1;
        }
        if (at != NULL)
                *ret_length = strcspn(at, "\r\n");
        return number == 0 ? NULL : at;
}

/* What people who come from RexxJS or from other languages write, and REXX has not. "" where nothing is known. */
static const char *hint_for(const char *program, unsigned number)
{
        static const struct {
                const char *written, *hint;
        } hints[] = {
                {"//", " (a comment is written /* … */ in REXX)"},
                {"+=", " (there is no += in REXX: x = x + 1)"},
                {"-=", " (there is no -= in REXX: x = x - 1)"},
                {"==>", " (there are no arrow functions in REXX)"},
                {"=>", " (there are no arrow functions in classic REXX)"},
                {"{", " (blocks are DO … END in REXX)"},
                {"[", " (lists are stems in REXX: list.1)"},
        };
        size_t length = 0;
        const char *text = program == NULL ? NULL : program_line(program, number, &length);

        if (text == NULL)
                return "";
        for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
                if (memmem(text, length, hints[i].written, strlen(hints[i].written)) != NULL)
                        return hints[i].hint;
        return "";
}

/* Without the brackets that Regina puts around messages of its own, and small where it begins a sentence. */
static char *plain(const char *text)
{
        size_t length = strlen(text);
        bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';
        char *copy = text_copy(text + brackets, length - 2u * brackets);

        if (isupper((unsigned char)copy[0]) && islower((unsigned char)copy[1]))
                copy[0] = (char)tolower((unsigned char)copy[0]);
        return copy;
}

static void say_error(const struct host *host, const struct complaint *at, const struct complaint *more)
{
        owned_text char *text = plain(more == NULL ? at->text : more->text);
        unsigned line = at->line;
        char place[16] = "";

        if (sscanf(text, "syntax error at line %u", &line) == 1) {
                free(text);
                text = text_format("syntax error");
        }
        if (line != 0)
                (void)snprintf(place, sizeof place, "%u:", line);
        bool ours = at->file != NULL && text_is(at->file, (size_t)at->file_length, host->file);
        const char *hint = ours ? hint_for(host->text, line) : "";
        if (host->signal != 0 && strcmp(at->number, "4") == 0)
                (void)fprintf(stderr, "%.*s:%s stopped by SIG%s\n", at->file_length, at->file, place,
                              sigabbrev_np(host->signal) ?: "?");
        else
                (void)fprintf(stderr, "%.*s:%s %s%s (REXX error %s)\n", at->file_length, at->file, place, text, hint,
                              more == NULL ? at->number : more->number);
}

static void flush_error(struct host *host, const struct complaint *more)
{
        struct complaint first;

        if (host->error != NULL && read_complaint(host->error, &first))
                say_error(host, &first, more);
        free(host->error);
        host->error = NULL;
}

/* The two lines of an error. False for a line that is none of them. */
static bool take_error(struct host *host, const char *line)
{
        struct complaint found;

        if (!read_complaint(line, &found))
                return false;
        if (found.file != NULL) {
                flush_error(host, NULL);
                host->error = text_copy(line, strlen(line));
        } else if (host->error == NULL) {
                return false;
        } else {
                flush_error(host, &found);
        }
        return true;
}

static void flush_clause(struct host *host)
{
        if (host->clause != NULL)
                (void)fprintf(stderr, "%s\n", host->clause);
        free(host->clause);
        host->clause = NULL;
}

/* A clause: its line is remembered. It waits only where a command of ours has failed, lest the order change. */
static bool take_clause(struct host *host, const char *line)
{
        const char *at = line + strspn(line, " ");
        size_t digits = strspn(at, "0123456789");
        const char *mark = at + digits + strspn(at + digits, " ");

        if (strncmp(mark, "*-*", 3) != 0)
                return false;
        if (digits > 0)
                traced_line = (unsigned)strtoul(at, NULL, 10);
        if (host->failed == NULL) {
                (void)fprintf(stderr, "%s\n", line);
                return true;
        }
        flush_clause(host);
        host->clause = text_copy(line, strlen(line));
        return true;
}

static bool take_failure(struct host *host, const char *line)
{
        if (host->failed == NULL || strncmp(line + strspn(line, " "), "+++ RC=", 7) != 0)
                return false;
        if (traced_line != 0)
                (void)fprintf(stderr, "%s:%u: %s\n", host->file, traced_line, host->failed);
        else
                (void)fprintf(stderr, "%s: %s\n", host->file, host->failed);
        free(host->clause);
        host->clause = NULL;
        free(host->failed);
        host->failed = NULL;
        return true;
}

void message_trace(struct host *host, const char *line, size_t length)
{
        owned_text char *text = text_copy(line, length);

        (void)fflush(stdout); /* what was said before stands before, where both go to one place */
        if (take_failure(host, text) || take_error(host, text) || take_clause(host, text))
                return;
        message_flush(host);
        (void)fprintf(stderr, "%s\n", text);
}

void message_flush(struct host *host)
{
        flush_clause(host);
        flush_error(host, NULL);
}

void message_capture(struct host *host)
{
        if (host->captured >= 0)
                return;
        int memory = memfd_create("cowherd-stderr", MFD_CLOEXEC);
        int saved = memory < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        if (saved < 0 || dup2(memory, STDERR_FILENO) < 0) { /* then Regina's own words must do */
                if (memory >= 0)
                        (void)close(memory);
                if (saved >= 0)
                        (void)close(saved);
                return;
        }
        host->captured = memory;
        host->saved_stderr = saved;
}

void message_release(struct host *host)
{
        if (host->captured < 0)
                return;
        (void)fflush(stderr);
        (void)dup2(host->saved_stderr, STDERR_FILENO);
        (void)close(host->saved_stderr);
        FILE *lines = fdopen(host->captured, "r");
        host->captured = -1;
        if (lines == NULL)
                return;
        rewind(lines);
        owned_text char *line = NULL;
        size_t room = 0;
        for (ssize_t length; (length = getline(&line, &room, lines)) > 0;)
                message_trace(host, line, (size_t)length - (line[length - 1] == '\n'));
        message_flush(host);
        (void)fclose(lines);
}
