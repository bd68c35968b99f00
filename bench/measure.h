/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring: ours and the raw tool's in turn, A B A B, so that a machine whose speed drifts is fair to both; medians with
 * their spread, never a single time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

double measure_now_ms(void);
/* Runs a program to its end, its output thrown away, and returns how long that took in ms; ends the bench where it fails. */
double measure_program(const char *const *argv);
/* The same, quietly true or false, untimed. */
bool measure_try(const char *const *argv);
/* Ends the bench with a message. */
void measure_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One figure: two ways to the same thing, each of which measures itself and cleans up after itself, untimed. */
struct figure {
        const char *name;
        const char *compared;            /* what is set against what */
        const char *unit;                /* "ms" or "bytes" */
        unsigned runs;
        double (*ours)(unsigned run);
        double (*raw)(unsigned run);     /* NULL: nothing to compare with */
        unsigned rest_ms; /* before each, of either side */
};

struct row {
        const char *figure, *compared, *unit;
        unsigned runs;
        double ours_median, ours_p95, raw_median, raw_p95, ratio;
        bool compares;
};

/* Takes a figure: one run of each that isn't counted (not where one run is all), then `runs` in turn. */
struct row measure_take(const struct figure *figure);
/* On stdout: a table, row by row as they are measured, or an array when all are. */
void measure_print_heading(void);
void measure_print_row(const struct row *row);
void measure_print_json(const struct row *rows, size_t count);
