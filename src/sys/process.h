/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that starts other programs: never a shell, an argv array, a fixed PATH, LC_ALL=C, close-on-exec for all
 * but what is named, a time and an output limit. The error of a tool that fails carries its name, its status and its
 * last line. The runner can be replaced, so that golden tests record the exact command line instead of running it.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define PROCESS_OUTPUT_BYTES (4u << 20) /* more than this from a tool is an error */
#define PROCESS_DESCRIPTORS 4

struct process {
        struct strv argv;              /* argv.items[0]: absolute, or looked for in {/usr/local,/usr,}/{sbin,bin} */
        struct strv environment;       /* NAME=value, besides PATH, LC_ALL, HOME, TERM and the proxies' */
        uint64_t timeout_ms;           /* 0: none. After it TERM, then KILL to its whole group, and 75 */
        int keep[PROCESS_DESCRIPTORS]; /* descriptors it inherits under their own numbers (a lock, say) */
        unsigned keep_count;
        bool lines_to_progress; /* its stderr lines go to `on_line` as they come */
        bool output_to_progress; /* its stdout lines do (a '\r' ends one too), and are not kept */
        void (*on_line)(void *context, const char *line);
        void *on_line_context;
};
void process_free(struct process *process);
define_owned(struct process, process_free)
#define owned_process owned_by(process_free)

struct process_result {
        int status;   /* its exit status, or 128 + the signal that ended it */
        char *output; /* its stdout, NUL added; the caller's */
        size_t output_length;
        char *errors; /* its stderr, the last 8 KiB */
};
void process_result_free(struct process_result *result);
define_owned(struct process_result, process_result_free)
#define owned_process_result owned_by(process_result_free)

/* Adds the words of a NULL-terminated list. */
void process_add(struct process *process, const char *first, ...) __attribute__((sentinel));

/* Runs it to its end whatever its status. Fails with 69 where there is no such program, 75 on timeout, 71 otherwise. */
int process_run(const struct process *process, struct process_result *ret, struct cowherd_error *err) must_check;
/* Runs it; a status other than 0 is 71 with its last line. *ret_output (may be NULL) is its stdout, the caller's. */
int process_check(const struct process *process, char **ret_output, struct cowherd_error *err) must_check;
/* Whether a program of this name is installed (in the fixed PATH). */
bool process_exists(const char *program);
/* The file that a program's name stands for in the fixed PATH, to be freed, or NULL. */
char *process_find(const char *program);

/* Has this process open `count` files beside its usual few, as far as the limits on it allow; what it may is never lowered. */
void process_allow_files(size_t count);

/* A runner that replaces the real one for this thread: for golden tests. NULL is the real one again. */
struct process_runner {
        int (*run)(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err);
        void *context;
};
void process_set_runner(const struct process_runner *runner);
