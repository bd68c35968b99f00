/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share while a script runs. Nothing here is for other rooms: they call rexx.h. */
#pragma once

#include "rexx/rexx.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define INCL_RXSHV
#define INCL_RXSYSEXIT
#define INCL_RXFUNC
#define INCL_RXARI
#include <rexxsaa.h>

/* ---- regina.c ---- */

/* libregina's functions, once regina_open has found them. */
extern struct regina {
        __typeof__(&RexxStart) start;
        __typeof__(&RexxSetHalt) set_halt;
        __typeof__(&RexxVariablePool) variable_pool;
        __typeof__(&RexxFreeMemory) free_memory;
        __typeof__(&RexxRegisterExitExe) register_exit;
        __typeof__(&RexxDeregisterExit) deregister_exit;
        __typeof__(&RexxRegisterFunctionExe) register_function;
        __typeof__(&RexxDeregisterFunction) deregister_function;
        __typeof__(&ReginaCleanup) clean_up;
} regina;
/* False where there is no libregina, or not all of it. It stays open. */
bool regina_open(void);

static inline void rexx_free_at(void *slot)
{
        free(*(void **)slot);
}
#define owned_text __attribute__((cleanup(rexx_free_at)))

/* asprintf and strndup that abort where memory is out, as the rest of the house does. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *text_copy(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
void *text_room(void *old, size_t count, size_t bytes) __attribute__((returns_nonnull));
/* Whether `length` bytes at `a` are the word `b`, without regard to ASCII case. */
bool text_is(const char *a, size_t length, const char *b);
/* Makes ASCII letters large, in place. */
void text_upper(char *text);

/* ---- variables.c: the script's variables, in whatever PROCEDURE it is now. ---- */

/* Sets a variable; the name in upper case, exactly as REXX keeps it ("RESULT.1.NAME"). False where REXX refuses it. */
bool variable_set(const char *name, const char *value);
/* Drops a variable, or with a name that ends in a period the whole stem. */
void variable_drop(const char *name);
/*
 * The value of a symbol as the script would write it (any case; compound names are resolved), into *ret_value, which is
 * the caller's, with its length (it may hold any bytes). False where the variable is not set or the name is no symbol.
 */
bool variable_get(const char *symbol, char **ret_value, size_t *ret_length);

/* ---- answers ---- */

/* What a command came to: an answer of the herd, or a few fields of our own. */
struct outcome {
        int code;
        bool success;
        struct cowherd_answer *answer; /* owned, or NULL: then it is the fields below */
        const char *operation;
        char *text; /* output or error; owned */
        char *hint; /* owned, or NULL */
        char code_text[16];
};

/* An outcome of our own: code 0 is success. */
struct outcome outcome_of(int code, const char *operation, char *text, char *hint);
struct outcome outcome_of_answer(struct cowherd_answer *answer);
void outcome_free(struct outcome *outcome);

struct names { /* of variables once set, each without its prefix */
        char **items;
        size_t count;
};

struct alias {
        char *name;
        enum cowherd_target target;
        struct alias *next;
};

struct host {
        const char *file; /* the script, as it was named */
        struct cowherd_herd *herd;
        struct alias *aliases;
        struct names published[COWHERD_ENGINES];
        char *unpassable; /* the variable of a {{name}} whose value no command can carry, or NULL */
        /* tracing */
        char *failed; /* the message of the last failed command, until it is traced */
        char *clause; /* a traced clause that waits for the line after it */
        /* the interpreter's errors */
        char *error;      /* "Error 42 running …", which waits for the line that explains it */
        const char *text; /* the program, to see what stands in a line that cannot be parsed */
        /* standard error while the program is parsed */
        int captured, saved_stderr;
        volatile sig_atomic_t signal; /* that wants the script to halt, or 0 */
};

/* ---- publish.c ---- */

/* Clears what the command before left behind. `target` is whose variables are cleared as well as RESULT. */
void publish_clear(struct host *host, enum cowherd_target target);
/* Sets RESULT, the stems and the target's variables. False where REXX refuses one of them. */
bool publish(struct host *host, enum cowherd_target target, const struct outcome *outcome);

/* ---- command.c ---- */

/* The exit that gets each command whose environment is not REXX's own. */
void command_run(struct host *host, RXCMDHST_PARM *command);

/* ---- require.c ---- */

/* Whether the command is `REQUIRE …`. */
bool require_is(const char *command);
/* Answers it; with AS it adds an environment to the host. */
struct outcome require_run(struct host *host, const char *command);

/* ---- messages.c: what the interpreter says, in our words, on standard error ---- */

/* One line that REXX wants traced, an error message included. */
void message_trace(struct host *host, const char *line, size_t length);
/* What is still waiting for an explanation that did not come. */
void message_flush(struct host *host);
/* Between these two, what is written to standard error is kept, and then said in our words. Both may be repeated. */
void message_capture(struct host *host);
void message_release(struct host *host);

/* ---- script.c ---- */

/*
 * Reads a script, without its byte-order mark. *ret_empty: there is no clause in it, which REXX must not be given.
 * 0, or the exit status after a message on standard error. *ret_text is the caller's, ended by a NUL.
 */
int script_read(const char *file, char **ret_text, size_t *ret_length, bool *ret_empty);

/* ---- halt.c ---- */

/* Keeps the signal handlers of before: to be called before the first call of REXX, which installs its own. */
void halt_prepare(void);
/* From here on INT, TERM and HUP make the script's HALT condition; a signal that was ignored stays ignored. */
void halt_install(struct host *host);
/* Puts the handlers of before back. */
void halt_restore(void);
