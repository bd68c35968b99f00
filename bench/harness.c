/* SPDX-License-Identifier: Apache-2.0 */
/* What the benches share. See harness.h. */
#include "harness.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX 32

char bench_folder[96], bench_root[160];
struct cowherd_herd *bench_herd;
bool bench_quick;

/* ---- speaking to cowherd ---- */

double say_to(struct cowherd_herd *whom, enum cowherd_target target, const char *command, const char *field, char *ret, size_t size)
{
        double began = measure_now_ms();
        struct cowherd_answer *answer = cowherd_execute(whom, target, command, NULL);
        double ms = measure_now_ms() - began;

        if (!cowherd_answer_success(answer))
                measure_die("%s %s: %s", cowherd_target_name(target), command, cowherd_answer_text(answer));
        if (field != NULL)
                (void)snprintf(ret, size, "%s", cowherd_answer_get(answer, field) == NULL ? "" : cowherd_answer_get(answer, field));
        cowherd_answer_free(answer);
        return ms;
}

double say(enum cowherd_target target, const char *format, ...)
{
        char command[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(command, sizeof command, format, args);
        va_end(args);
        return say_to(bench_herd, target, command, NULL, NULL, 0);
}

double say_whole(const char *target, const char *verb, const char *first, const char *second, const char *third)
{
        const char *argv[] = {COWHERD_PROGRAM, "--root", bench_root, target, verb, first, second, third, NULL};

        return measure_program(argv);
}

const char *numbered(const char *stem, unsigned run)
{
        static char texts[4][320];
        static unsigned next;
        char *text = texts[next++ % 4];

        (void)snprintf(text, sizeof texts[0], "%s%u", stem, run);
        return text;
}

struct cowherd_herd *bench_open(const char *root)
{
        const struct cowherd_options options = {.root = root};
        struct cowherd_error err;
        struct cowherd_herd *opened = NULL;

        if (cowherd_open(&options, &opened, &err) < 0)
                measure_die("%s", err.text);
        return opened;
}

/* The program runs itself inside its fixtures, which outlive it and so can be taken away whatever becomes of it. */
static int run_in_fixtures(int argc, char **argv)
{
        const char **words = calloc((size_t)argc + 4, sizeof *words);
        size_t count = 0;

        if (words == NULL)
                measure_die("out of memory");
        words[count++] = "bash";
        words[count++] = COWHERD_BENCH_FIXTURES;
        char self[4096];
        ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
        if (length < 0)
                measure_die("cannot find this program");
        self[length] = '\0';
        words[count++] = self;
        for (int i = 1; i < argc; i++)
                words[count++] = argv[i];
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        measure_die("cannot run bash");
}

/* Leaves the places that setup made: the pools must be empty and unmounted before the fixtures go. */
static void empty_herd(void)
{
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                cowherd_answer_free(cowherd_execute(bench_herd, (enum cowherd_target)target, "delete name=* force=true", NULL));
                struct cowherd_answer *bases = cowherd_execute(bench_herd, (enum cowherd_target)target, "list_bases", NULL);
                for (size_t i = 0; i < cowherd_answer_items(bases); i++) {
                        char command[128];
                        (void)snprintf(command, sizeof command, "remove_base name=%s", cowherd_answer_item_get(bases, i, "name"));
                        cowherd_answer_free(cowherd_execute(bench_herd, (enum cowherd_target)target, command, NULL));
                }
                cowherd_answer_free(bases);
                cowherd_answer_free(cowherd_execute(bench_herd, (enum cowherd_target)target, "teardown", NULL));
        }
        cowherd_close(bench_herd);
}

static bool is_wanted(const struct figure *figure, const char *only)
{
        return figure->name != NULL && (only == NULL || strcasestr(figure->name, only) != NULL);
}

static size_t take_group(const struct group *group, bool first, const char *only, bool json, struct row *rows)
{
        size_t count = 0;
        bool wanted = first;

        for (size_t i = 0; i < BENCH_FIGURES; i++)
                wanted = wanted || is_wanted(&group->figures[i], only);
        if (!wanted)
                return 0;
        if (group->set_up != NULL)
                group->set_up();
        for (size_t i = 0; i < BENCH_FIGURES; i++) {
                struct figure figure = group->figures[i];
                if (!is_wanted(&figure, only))
                        continue;
                if (bench_quick && figure.runs > 5)
                        figure.runs = 5;
                if (isatty(STDERR_FILENO))
                        (void)fprintf(stderr, "\r\033[K%s …", figure.name);
                rows[count] = measure_take(&figure);
                if (isatty(STDERR_FILENO))
                        (void)fprintf(stderr, "\r\033[K");
                if (!json)
                        measure_print_row(&rows[count]);
                count++;
        }
        return count;
}

int bench_main(int argc, char **argv, const struct bench *bench)
{
        struct row rows[ROWS_MAX];
        size_t count = 0;
        bool json = false;
        const char *only = NULL;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--json") == 0)
                        json = true;
                else if (strcmp(argv[i], "--quick") == 0)
                        bench_quick = true;
                else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
                        only = argv[++i];
                else
                        return (void)fprintf(stderr, "usage: %s [--json] [--quick] [--only TEXT]\n", argv[0]), 64;
        }
        if (geteuid() != 0)
                return (void)fprintf(stderr, "bench: needs root: it mounts, and starts LXD\n"), 77;
        if (getenv("COWHERD_BENCH_DIR") == NULL)
                return run_in_fixtures(argc, argv);
        (void)snprintf(bench_folder, sizeof bench_folder, "%.95s", getenv("COWHERD_BENCH_DIR"));
        (void)snprintf(bench_root, sizeof bench_root, "%s/herd", bench_folder);
        bench_herd = bench_open(bench_root);
        if (!json)
                measure_print_heading();
        for (size_t i = 0; i < bench->count; i++)
                count += take_group(&bench->groups[i], i == 0, only, json, rows + count);
        if (bench->tear_down != NULL)
                bench->tear_down();
        empty_herd();
        if (json)
                measure_print_json(rows, count);
        return 0;
}
