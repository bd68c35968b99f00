/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: a comparison under way, and the ways to speak to herds and tools. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "compare/compare.h"
#include "compare/statistics.h"

#include <jansson.h>
#include <sys/types.h>

#define COMPARE_MARK "compare-" /* and twelve hex digits */
#define COMPARE_MARK_BYTES 32
#define COMPARE_LOCK "%s.lock" /* of a mark */
#define COMPARE_RUNS_MAX 60u /* of a figure */

/* ---- site.c: the folder of its own ---- */

struct site {
        char *root;                    /* of the caller's herd, absolute */
        char mark[COMPARE_MARK_BYTES]; /* "compare-HEX": names all that lies outside of the folder, too (LXD, ZFS, /run) */
        char *folder;                  /* ROOT/tmp/MARK */
        char *herd;                    /* in it: the root of a herd of its own */
        char *raw;                     /* in it: what the raw tools make */
        int tmp;                       /* ROOT/tmp, opened */
        int lock;                      /* held: somebody works here */
};
void site_free(struct site *site); /* gives the lock back, removes nothing */
define_owned(struct site, site_free)
#define SITE_NONE {.tmp = -1, .lock = -1}
/* Fills in the paths that a mark below a herd's root stands for. */
void site_fill(struct site *site, const char *root, const char *mark);

/* Makes it, locked. */
int site_make(const char *root, struct site *ret, struct cowherd_error *err) must_check;
/* Writes down what is about to be made outside of the folder: "zfs" and a dataset, "lxd" and nothing. */
int site_note(const struct site *site, const char *what, const char *where, struct cowherd_error *err) must_check;
/* Takes everything away, then the folder. */
int site_remove(struct site *site, struct cowherd_error *err) must_check;

/* ---- processes.c: what runs on this host ---- */

/* The process that has this text among its words, or 0. */
pid_t process_with_word(const char *text);
/* The namespace "pid:[4026531836]" of a process; false where it is gone. */
bool process_namespace(pid_t pid, const char *type, char *ret, size_t size);
/* PID 1 of the PID namespace of this name, as this host numbers it, or 0. */
pid_t process_first_of(const char *namespace);
/* What a process takes in memory, its share of what is shared (Pss), and of all of a PID namespace; 0 where it is gone. */
double process_memory(pid_t pid);
double process_memory_of_all(const char *namespace);
/* The value of a line "NAME:\tvalue" of /proc/PID/status, to be freed, or NULL. */
char *process_status_line(pid_t pid, const char *name);
/* Kills whatever has a root folder with this mark in its path, and waits until it is gone. */
void process_end_below(const char *mark);

/* ---- the session ---- */

struct images;

struct session {
        const struct compare_options *options;
        const struct site *site;
        struct cowherd_herd *herd; /* of its own */
        json_t *document;
        char acceleration[16]; /* of QEMU here */
        char *program;       /* cowherd itself, or NULL where it can't be found */
        int channel;         /* to whoever shows progress */
        double began_ms;
        double planned, behind, done; /* guessed seconds of all pairs, of those that are behind, and of the steps since */
        double last_guess;   /* of the step under way */
        json_t *copies;      /* of an image: the bytes of a full copy of it */
};

/* What is being measured now; `seconds` is a guess of how long that step takes, whereby the one before it is behind. */
void session_step(struct session *session, const char *engine, const char *store, const char *what, double seconds);

/* A pair's guess is behind, measured or not. */
void session_pair_ended(struct session *session, double seconds);

/* Measures everything into a document, the caller's. Runs in a process of its own. */
json_t *session_measure(struct session *session, const struct images *images, struct cowherd_error *err);

/* ---- text.c ---- */

/* The tables of a document, at most 80 columns wide. To be freed. */
char *text_of_document(const json_t *document);

/* ---- say.c: to the herd ---- */

/*
 * Executes a command of words, ended by NULL, in this process. *ret_ms is how long it took; *ret is the answer, the caller's; both may be
 * NULL. What failed is -1 with the answer's error.
 */
int say(struct cowherd_herd *herd, enum cowherd_target target, double *ret_ms, struct cowherd_answer **ret, struct cowherd_error *err,
        const char *verb, ...) must_check __attribute__((sentinel));

#define owned_answer __attribute__((cleanup(answer_free_at_end)))
static inline void answer_free_at_end(struct cowherd_answer **answer)
{
        cowherd_answer_free(*answer);
}
/* "key=value", in one of a few buffers that take turns. */
const char *word(const char *format, ...) format_like(1, 2);
/* A number of an answer, 0 where it has none of that name. */
double answer_value(const struct cowherd_answer *answer, const char *name);

/* ---- tool.c: other programs ---- */

/* From now on, in this process, tools hold this lock and have no time limit. */
void tool_work_for(int lock);
/* Runs a program to its end; fails where its status is not 0. *ret_ms and *ret_output (the caller's) may be NULL. */
int tool(double *ret_ms, char **ret_output, struct cowherd_error *err, const char *program, ...) must_check __attribute__((sentinel));
/* What it says, whatever its status. */
int tool_output(char **ret_output, struct cowherd_error *err, const char *program, ...) must_check __attribute__((sentinel));
/* The program that speaks to LXD ("lxc" or "incus"), or NULL. Static. */
const char *tool_of_lxd(void);
