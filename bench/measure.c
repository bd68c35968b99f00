/* SPDX-License-Identifier: Apache-2.0 */
/* The clockwork of the benches: spawn, time, print. Medians are compare's. */
#include "measure.h"

#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

double measure_now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void measure_die(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)fputs("bench: ", stderr);
        (void)vfprintf(stderr, format, args);
        (void)fputc('\n', stderr);
        va_end(args);
        exit(1); /* the caller's exit handler takes its fixtures away */
}

/* Runs it; its exit status, or -1 where it did not run. */
static int run(const char *const *argv, double *ret_ms)
{
        posix_spawn_file_actions_t actions;
        pid_t child;
        int status = 0;

        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        double began = measure_now_ms();
        int failed = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (failed != 0)
                return -1;
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return -1;
        *ret_ms = measure_now_ms() - began;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

double measure_program(const char *const *argv)
{
        double ms = 0;
        int status = run(argv, &ms);

        if (status != 0)
                measure_die("'%s %s %s %s …' ended with %d", argv[0], argv[1], argv[2] ? argv[2] : "", argv[2] && argv[3] ? argv[3] : "", status);
        return ms;
}

bool measure_try(const char *const *argv)
{
        double ms;

        return run(argv, &ms) == 0;
}

/* What the one before set going in the kernel is over then, and either side begins alike. */
static double after_rest(const struct figure *figure, double (*side)(unsigned), unsigned run)
{
        (void)usleep(figure->rest_ms * 1000);
        return side(run);
}

struct row measure_take(const struct figure *figure)
{
        struct series ours = {0}, raw = {0};
        struct row row = {.figure = figure->name, .compared = figure->compared, .unit = figure->unit, .runs = figure->runs,
                          .compares = figure->raw != NULL};

        if (figure->runs > 1) {
                (void)figure->ours(figure->runs);
                if (row.compares)
                        (void)figure->raw(figure->runs);
        }
        for (unsigned i = 0; i < figure->runs; i++) {
                series_add(&ours, after_rest(figure, figure->ours, i));
                if (row.compares)
                        series_add(&raw, after_rest(figure, figure->raw, i));
        }
        row.ours_median = series_median(&ours);
        row.ours_p95 = series_quantile(&ours, 0.95);
        if (row.compares) {
                row.raw_median = series_median(&raw);
                row.raw_p95 = series_quantile(&raw, 0.95);
                row.ratio = row.raw_median > 0 ? row.ours_median / row.raw_median : 0;
        }
        series_free(&ours);
        series_free(&raw);
        return row;
}

static void print_number(double value, const char *unit, int width)
{
        if (strcmp(unit, "bytes") == 0)
                (void)printf("%*.0f", width, value);
        else
                (void)printf("%*.*f", width, value < 1 ? 3 : value < 100 ? 2 : 1, value);
}

void measure_print_heading(void)
{
        (void)printf("%-38s %9s %9s %9s %6s  %s\n", "FIGURE", "OURS", "P95", "RAW", "RATIO", "UNIT");
        (void)fflush(stdout);
}

void measure_print_row(const struct row *row)
{
        (void)printf("%-38s ", row->figure);
        print_number(row->ours_median, row->unit, 9);
        (void)putchar(' ');
        print_number(row->ours_p95, row->unit, 9);
        (void)putchar(' ');
        if (row->compares) {
                print_number(row->raw_median, row->unit, 9);
                (void)printf(" %6.3f", row->ratio);
        } else {
                (void)printf("%9s %6s", "-", "-");
        }
        (void)printf("  %s\n    %s, n=%u\n", row->unit, row->compared, row->runs);
        (void)fflush(stdout);
}

void measure_print_json(const struct row *rows, size_t count)
{
        (void)putchar('[');
        for (size_t i = 0; i < count; i++) {
                const struct row *row = &rows[i];
                (void)printf("%s\n  {\"figure\": \"%s\", \"compared\": \"%s\", \"unit\": \"%s\", \"runs\": %u, \"ours_median\": %.4f, \"ours_p95\": %.4f",
                             i > 0 ? "," : "", row->figure, row->compared, row->unit, row->runs, row->ours_median, row->ours_p95);
                if (row->compares)
                        (void)printf(", \"raw_median\": %.4f, \"raw_p95\": %.4f, \"ratio\": %.4f}", row->raw_median, row->raw_p95, row->ratio);
                else
                        (void)printf(", \"raw_median\": null, \"raw_p95\": null, \"ratio\": null}");
        }
        (void)printf("\n]\n");
}
