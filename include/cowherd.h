/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd: copy-on-write clones of machines, by one command language over QEMU, LXD and systemd-nspawn.
 *
 * This is the whole public interface, and all that the program and the REXX host include. Open a herd, execute a
 * command, read the answer:
 *
 *     struct cowherd_error err;
 *     struct cowherd_herd *herd;
 *     if (cowherd_open(NULL, &herd, &err) < 0)
 *             return err.code;
 *     struct cowherd_answer *answer = cowherd_execute(herd, COWHERD_QEMU, "clone base=b name=vm-1", NULL);
 *     puts(cowherd_answer_text(answer));
 *     cowherd_answer_free(answer);
 *     cowherd_close(herd);
 *
 * Units: sizes are bytes, times are milliseconds, in every name that ends so. Text is UTF-8. A herd may be used by one
 * thread at a time; different herds, and different processes on one herd, may work at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* all else in the library is hidden */

#define COWHERD_VERSION "0.1.0"

/* What an answer's `code` can be: the numbers of sysexits.h. */
enum cowherd_code {
        COWHERD_DONE = 0,
        COWHERD_USAGE = 64,       /* bad verb, key or value */
        COWHERD_DATA = 65,        /* bad image or data */
        COWHERD_NOT_FOUND = 66,   /* no such base, clone, file */
        COWHERD_UNAVAILABLE = 69, /* engine or feature not available here */
        COWHERD_INTERNAL = 70,    /* our own bug */
        COWHERD_SYSTEM = 71,      /* a system call or a tool failed */
        COWHERD_EXISTS = 73,      /* already exists */
        COWHERD_IO = 74,          /* input/output error, or no space */
        COWHERD_BUSY = 75,        /* busy, in use, or timed out: try again */
        COWHERD_DENIED = 77,      /* not permitted, or refused by policy */
        COWHERD_CONFIG = 78,      /* bad configuration */
};

#define COWHERD_ERROR_TEXT_BYTES 1024
#define COWHERD_ERROR_HINT_BYTES 512

/* Why something failed. The caller's, of fixed size: nothing to free. */
struct cowherd_error {
        int code;      /* enum cowherd_code */
        int os_errno;  /* errno where a system call failed, else 0 */
        char text[COWHERD_ERROR_TEXT_BYTES]; /* one sentence, lower case, names in quotes */
        char hint[COWHERD_ERROR_HINT_BYTES]; /* what to do about it, or empty */
};

/* Whom a command is spoken to. */
enum cowherd_target {
        COWHERD_QEMU,
        COWHERD_LXD,
        COWHERD_NSPAWN,
        COWHERD_SELF, /* verbs of no engine: doctor, help … */
        COWHERD_ANY,  /* not said: found by the name, or all of them for a list */
};
#define COWHERD_ENGINES 3 /* QEMU, LXD and NSPAWN come first, so that they index arrays */

/* The target of a name such as "qemu" (case never matters), into *ret. False where there is none of that name. */
bool cowherd_target_parse(const char *name, enum cowherd_target *ret_target);
/* "qemu", "lxd", "nspawn", "cowherd" or "any". */
const char *cowherd_target_name(enum cowherd_target target);

struct cowherd_herd;
struct cowherd_answer;

struct cowherd_options {
        const char *root;          /* the herd's root folder; NULL: $COWHERD_ROOT, else the default for this user */
        const char *script_folder; /* where a relative image= is looked for after the current folder, or NULL */
};

/*
 * Opens the herd of a root folder; nothing is made on disk until a command has something to keep. `options` may be NULL.
 * On success *ret_herd is the caller's, to be given to cowherd_close. Fails with 77 or 78 where the root cannot be used.
 * @return 0, or -1 and *err.
 */
int cowherd_open(const struct cowherd_options *options, struct cowherd_herd **ret_herd, struct cowherd_error *err)
        __attribute__((warn_unused_result));
void cowherd_close(struct cowherd_herd *herd);

/*
 * Gives the value of a variable for {{name}} in a value, malloc'ed and then ours, or NULL where it is not set. It is asked
 * after the words were split, so that a value can never add a parameter.
 */
struct cowherd_resolver {
        char *(*value)(void *context, const char *name);
        void *context;
};

/*
 * Executes one command given as text (`VERB key=value …`). `resolver` may be NULL: then `{{` is left as it is.
 * Never NULL: what failed is an answer as well. The answer is the caller's.
 */
struct cowherd_answer *cowherd_execute(struct cowherd_herd *herd, enum cowherd_target target, const char *command,
                                       const struct cowherd_resolver *resolver);

/*
 * Executes one command given as words, as a shell has split them: `VERB`, then `key=value`, `--key value`, `--key=value`
 * or `--flag`, in which `-` may stand for `_`; the first bare word is the verb's `name`, and what follows `--` its
 * `command`. The answer is the caller's, never NULL.
 */
struct cowherd_answer *cowherd_execute_words(struct cowherd_herd *herd, enum cowherd_target target, size_t count,
                                             const char *const *words);

/*
 * Progress on long work (an import, a bootstrap): called with a sentence such as "copying 'debian.qcow2'" and with how
 * much is done of how much, in bytes (total 0: not known). NULL turns it off, which is how a herd begins.
 */
typedef void cowherd_progress_fn(void *context, const char *what, unsigned long long done, unsigned long long total);
void cowherd_set_progress(struct cowherd_herd *herd, cowherd_progress_fn *progress, void *context);

/*
 * Descriptors of the caller's for `execute` and `shell`: the guest's command then reads and writes them as it runs, and the
 * answer has no stdout and stderr. NULL turns it off, which is how a herd begins: output is kept in the answer.
 */
struct cowherd_streams {
        int input, output, errors;
        bool terminal; /* input and output are a terminal: the guest's command gets one, of the same size */
};
void cowherd_set_streams(struct cowherd_herd *herd, const struct cowherd_streams *streams);

/* ---- Answers: an ordered list of fields, and for a list its items, each a list of fields again. ---- */

enum cowherd_type { COWHERD_TEXT, COWHERD_NUMBER, COWHERD_BOOLEAN };

struct cowherd_field {
        const char *name;
        const char *value;      /* a number in decimal; a boolean as "1" or "0" */
        enum cowherd_type type;
        bool also;              /* another spelling of a field before it, for old scripts: not shown to people */
};

void cowherd_answer_free(struct cowherd_answer *answer);
/* 0 or the code of the failure; for a command that ran in a guest, that command's own exit code. */
int cowherd_answer_code(const struct cowherd_answer *answer);
bool cowherd_answer_success(const struct cowherd_answer *answer);
/* The one sentence for people: `output`, or `error` where it failed. Borrowed. */
const char *cowherd_answer_text(const struct cowherd_answer *answer);
/* The value of a field, or NULL. Borrowed. */
const char *cowherd_answer_get(const struct cowherd_answer *answer, const char *name);
/* Field `index` of the answer, or NULL past the last one. Borrowed. */
const struct cowherd_field *cowherd_answer_field(const struct cowherd_answer *answer, size_t index);
bool cowherd_answer_is_list(const struct cowherd_answer *answer);
size_t cowherd_answer_items(const struct cowherd_answer *answer);
/* Field `index` of item `item` (both from 0), or NULL. Borrowed. */
const struct cowherd_field *cowherd_answer_item_field(const struct cowherd_answer *answer, size_t item, size_t index);
const char *cowherd_answer_item_get(const struct cowherd_answer *answer, size_t item, const char *name);
/* What the command's `stem=` said ("out."), or NULL: for a host that has variables to fill. Borrowed. */
const char *cowherd_answer_stem(const struct cowherd_answer *answer);
/* What a list's format= ("csv") and columns= ("name,state") said, or NULL: for a face that prints. Borrowed. */
const char *cowherd_answer_format(const struct cowherd_answer *answer);
const char *cowherd_answer_columns(const struct cowherd_answer *answer);
/* The whole answer as one line of JSON, items under "items". To be free()d. */
char *cowherd_answer_json(const struct cowherd_answer *answer);

/* ---- The verb table, for help, completion and documentation. ---- */

struct cowherd_parameter {
        const char *name;
        const char *aliases;     /* apart by blanks, or NULL */
        const char *type;        /* "name", "pattern" (a name, or with * and ?), "size", "duration", "boolean", "count", "path",
                                  * "text", "stem" or "a|b|c" */
        const char *range;       /* "1..1024", or NULL */
        const char *fallback;    /* what it is where it is not given, or NULL */
        const char *help;        /* one sentence */
        bool required;
};

struct cowherd_verb {
        const char *name;
        const char *aliases;     /* apart by blanks, or NULL */
        const char *summary;     /* one line */
        const char *description; /* a paragraph, or NULL */
        const char *example;     /* one command, or NULL */
        const char *bare;        /* the parameters that a shell's bare words fill in turn, apart by blanks, or NULL */
        const char *columns;     /* the fields that columns= can name, apart by blanks, or NULL */
        bool of_self;            /* belongs to the shell and to ADDRESS COWHERD, not to an engine */
        bool available;          /* false: known, and answered with 69 in this version */
        const struct cowherd_parameter *parameters; /* ends with a NULL name */
        const char *example_engine; /* the engine that the example is for, or NULL where it is for any */
};

/* Verb `index` of the table, or NULL past the last one. Static. */
const struct cowherd_verb *cowherd_verb_at(size_t index);
/* The verb of a name or alias, or NULL. Static. */
const struct cowherd_verb *cowherd_verb_find(const char *name);
/* The verb's name or alias that is nearest to a misspelt one, or NULL where none is near. Static. */
const char *cowherd_verb_suggest(const char *name);
/*
 * Help as text of at most 80 columns: on a verb, a target or a topic, or the overview for NULL. *ret_text is to be
 * free()d. 64 for what is none of them, with the nearest one. @return 0, or -1 and *err.
 */
int cowherd_help(const char *topic, char **ret_text, struct cowherd_error *err) __attribute__((warn_unused_result));

/* ---- Names, for completion. ---- */

enum cowherd_names { COWHERD_NAMES_BASES = 1, COWHERD_NAMES_CLONES = 2, COWHERD_NAMES_SNAPSHOTS = 4 /* of the clone `of` */ };

/*
 * Calls `each` for the names of this herd that begin with `prefix` (NULL: all), with some words about each ("clone of deb on
 * qemu"), both borrowed for the call. `what` is enum cowherd_names, or-ed; `of` may be NULL. No engine is asked and nothing
 * is made; a herd that is not there has no names. @return 0, or -1 and *err.
 */
int cowherd_names(struct cowherd_herd *herd, enum cowherd_target target, unsigned what, const char *of, const char *prefix,
                  void (*each)(void *context, const char *name, const char *about), void *context, struct cowherd_error *err)
        __attribute__((warn_unused_result));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
