/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benches share: a herd of their own in the fixtures' folder, words to speak to it with, and the way from groups
 * of figures to a table. A bench is a table of groups and a call of bench_main.
 */
#pragma once

#include "measure.h"

#include <cowherd.h>

#define BENCH_FIGURES 6 /* of a group */

extern char bench_folder[96];        /* everything is in it; gone when the fixtures end */
extern char bench_root[160];         /* the herd's root folder */
extern struct cowherd_herd *bench_herd;
extern bool bench_quick;

/*
 * Executes a command in this process and tells how long it took, in ms; its answer's field, copied, where one is asked for.
 * Ends the bench where it fails.
 */
double say_to(struct cowherd_herd *whom, enum cowherd_target target, const char *command, const char *field, char *ret, size_t size);
/* The same to bench_herd, with a format. */
double say(enum cowherd_target target, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same by the program, a process: TARGET VERB and up to three words, NULL where there are fewer. */
double say_whole(const char *target, const char *verb, const char *first, const char *second, const char *third);
/* STEM and a number, in one of a few buffers that take turns. */
const char *numbered(const char *stem, unsigned run);
/* Opens a herd; ends the bench where it can't be. */
struct cowherd_herd *bench_open(const char *root);

struct group {
        void (*set_up)(void);                 /* before its first figure, untimed; may be NULL */
        struct figure figures[BENCH_FIGURES]; /* up to the first without a name */
};
struct bench {
        const struct group *groups; /* the first is always set up: the others stand on it */
        size_t count;
        void (*tear_down)(void);    /* before the herd is emptied; may be NULL */
};
/* The whole of main: words, fixtures (bench/fixtures.sh, which outlives the program), figures, table or --json. */
int bench_main(int argc, char **argv, const struct bench *bench);
