/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_herd.h"

#include "rexx/rexx.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fake fake;

struct cowherd_herd {
        int nothing;
};
static struct cowherd_herd herd;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
        size_t used = strlen(fake.asked);
        va_list args;

        va_start(args, format);
        (void)vsnprintf(fake.asked + used, sizeof fake.asked - used, format, args);
        va_end(args);
}

void fake_reset(void)
{
        cowherd_answer_free(fake.answer);
        fake = (struct fake){0};
}

int cowherd_open(const struct cowherd_options *options, struct cowherd_herd **ret_herd, struct cowherd_error *err)
{
        if (fake.open_error.code != 0) {
                *err = fake.open_error;
                return -1;
        }
        note("open %s;", options->root == NULL ? "-" : options->root);
        *ret_herd = &herd;
        return 0;
}

void cowherd_close(struct cowherd_herd *closed)
{
        (void)closed;
        note(" close");
}

void cowherd_set_progress(struct cowherd_herd *set, cowherd_progress_fn *progress, void *context)
{
        (void)set, (void)progress, (void)context;
}

void cowherd_set_streams(struct cowherd_herd *set, const struct cowherd_streams *streams)
{
        (void)set, (void)streams;
        note(" streams");
}

int cowherd_names(struct cowherd_herd *asked, enum cowherd_target target, unsigned what, const char *of, const char *prefix,
                  void (*each)(void *context, const char *name, const char *about), void *context, struct cowherd_error *err)
{
        (void)asked, (void)err;
        note(" names %s %u %s %s", cowherd_target_name(target), what, of == NULL ? "-" : of, prefix);
        if ((what & COWHERD_NAMES_BASES) != 0)
                each(context, "deb", "base on qemu");
        if ((what & COWHERD_NAMES_CLONES) != 0)
                each(context, "web-1", "clone of deb on qemu");
        if ((what & COWHERD_NAMES_SNAPSHOTS) != 0)
                each(context, "clean", "snapshot on qemu");
        return 0;
}

struct cowherd_answer *cowherd_execute_words(struct cowherd_herd *asked, enum cowherd_target target, size_t count,
                                             const char *const *words)
{
        struct cowherd_answer *answer = fake.answer;

        (void)asked;
        note(" %s", cowherd_target_name(target));
        for (size_t i = 0; i < count; i++)
                note(" [%s]", words[i]);
        fake.answer = NULL;
        if (answer != NULL)
                return answer;
        answer = answer_new(words[0]);
        answer_done(answer, "done");
        return answer;
}

int cowherd_rexx_run(const struct cowherd_rexx_options *options)
{
        note("rexx %s%s", options->safe ? "safe " : "", options->file);
        for (int i = 0; i < options->argc; i++)
                note(" [%s]", options->argv[i]);
        if (options->root != NULL)
                note(" root %s", options->root);
        return fake.script_status;
}
