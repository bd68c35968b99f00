/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell face: command-line words in, tables and sentences out. Everything it knows of cowherd it has from cowherd.h
 * (and the REXX face from rexx/rexx.h).
 */
#pragma once

#include "cowherd.h"

#include <signal.h>
#include <stdio.h>

/* Where it prints: files, so that the tests can read it. */
struct cli_output {
        FILE *out;
        FILE *err;
        size_t columns; /* width that tables keep to */
        bool colour;    /* tables may be coloured */
        bool unicode;   /* lines may be drawn with Unicode's box drawing */
        const volatile sig_atomic_t *reader_gone; /* set where SIGPIPE came; NULL: nobody watches */
};

/* The whole program; the exit status is returned. */
int cli_main(int argc, const char *const *argv, const struct cli_output *output);

/* What the last of these words could become, for the shells' completion scripts; 0. */
int cli_complete(int count, const char *const *words, const struct cli_output *output);

enum cli_action { CLI_EXECUTE, CLI_RUN, CLI_HELP, CLI_VERSION, CLI_NOTHING /* no words at all */ };

/* A command line, understood. Its texts are argv's. */
struct cli_command {
        enum cli_action action;
        const char *root;
        bool json;
        bool dry_run;
        bool safe;
        enum cowherd_target target;
        const char **words;   /* of EXECUTE: the verb and what follows; of RUN: the file and its arguments */
        size_t word_count;
        const char *topic;    /* of HELP, or NULL */
        const struct cowherd_verb *verb; /* of EXECUTE, where it is known */
};
/*
 * Understands a command line; opens nothing. -1 and *err (64) where it cannot be: ret->json and ret->words are set
 * then, too. ret->words is to be free()d in any case.
 */
int cli_parse(int argc, const char *const *argv, struct cli_command *ret, struct cowherd_error *err)
        __attribute__((warn_unused_result));

/* Prints an answer for people: its sentence, its table or its fields; a failure's sentence and hint on stderr. */
void cli_print_answer(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                      const struct cli_output *output);
/* "cowherd: sentence" and "hint: …" on stderr; with `json`, the same as a line of JSON on stdout. */
void cli_print_failure(const struct cowherd_error *err, const char *operation, bool json,
                       const struct cli_output *output);

/* A table of an answer's items, as wide as output->columns at most. */
void cli_print_table(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                     const struct cli_output *output);
/* Prints a list as its format= says, for other programs; false where it says nothing of the kind. */
bool cli_print_format(const struct cowherd_answer *answer, const struct cowherd_verb *verb, const struct cli_output *output);
/* An answer of parents and what hangs under them (`depth`), drawn. */
void cli_print_tree(const struct cowherd_answer *answer, const struct cli_output *output);
/* The fields of an answer (item -1) or of one of its items as `name: value` lines. */
void cli_print_fields(const struct cowherd_answer *answer, long item, FILE *out);

/* What advise answers: places with their reasons, and what to type. */
void cli_print_advice(const struct cowherd_answer *answer, const struct cli_output *output);

/* Prints text from `column` on in lines of at most `columns`, later ones indented; control characters as '?'. */
void cli_print_wrapped(FILE *out, const char *text, size_t columns, size_t column, size_t indent);
/* Prints text and a newline; control characters in it as '?'. */
void cli_print_line(FILE *out, const char *text);
/* A copy of a value as people read it: sizes with units, yes or no, control characters as '?'. To be free()d. */
char *cli_readable(const struct cowherd_field *field);
/* Columns that a text takes on a terminal: its characters, not its bytes. */
size_t cli_columns_of(const char *text);

/* Whether a descriptor is a terminal that shows colours, and the user wants them. */
bool cli_wants_colour(int fd);
/* Whether the locale's name says UTF-8. */
bool cli_is_unicode(void);
enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_GOOD, CLI_SO_SO, CLI_BAD };
/* Begins and ends a colour on stdout, where the output has colours. */
void cli_begin_colour(enum cli_colour colour, const struct cli_output *output);
void cli_end_colour(enum cli_colour colour, const struct cli_output *output);
enum cli_colour cli_colour_of_state(const char *state);

/* Draws progress on a terminal, in one line. */
struct cli_progress {
        const struct cli_output *output;
        double drawn_ms; /* when it was drawn last, 0: never */
        bool begun;      /* the rest is about the work that `what` names */
        char what[64];
        double begun_ms, rated_ms, rate; /* bytes in a ms, 0: not known yet */
        unsigned long long begun_bytes, rated_bytes, done, total;
};
/* The line that is drawn at a time, at most columns - 1 wide. */
void cli_format_progress(struct cli_progress *progress, const char *what, unsigned long long done, unsigned long long total, double now,
                         size_t columns, char *line, size_t size);
cowherd_progress_fn cli_draw_progress;
/* Erases the line, if one was drawn. */
void cli_end_progress(struct cli_progress *progress);
