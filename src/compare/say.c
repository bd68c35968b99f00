/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speaking to herds as any program would: words in, an answer out. What is timed is the call alone, not the making of its words.
 */
#include "compare/session.h"

#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 16
#define BUFFERS 16
#define WORD_BYTES 4400 /* a path and its key */

static int fail_as(const struct cowherd_answer *answer, struct cowherd_error *err)
{
        const char *hint = cowherd_answer_get(answer, "hint");

        *err = (struct cowherd_error){.code = cowherd_answer_code(answer)};
        (void)snprintf(err->text, sizeof err->text, "%s", cowherd_answer_text(answer));
        (void)snprintf(err->hint, sizeof err->hint, "%s", hint == NULL ? "" : hint);
        return -1;
}

int say(struct cowherd_herd *herd, enum cowherd_target target, double *ret_ms, struct cowherd_answer **ret, struct cowherd_error *err,
        const char *verb, ...)
{
        const char *words[WORDS_MAX] = {verb};
        size_t count = 1;
        va_list args;

        va_start(args, verb);
        for (const char *next = va_arg(args, const char *); next != NULL && count < WORDS_MAX; next = va_arg(args, const char *))
                words[count++] = next;
        va_end(args);
        double began = clock_ms();
        struct cowherd_answer *answer = cowherd_execute_words(herd, target, count, words);
        double ms = clock_ms() - began;
        int done = cowherd_answer_success(answer) ? 0 : fail_as(answer, err);
        if (done == 0 && ret_ms != NULL)
                *ret_ms = ms;
        if (done == 0 && ret != NULL)
                *ret = answer;
        else
                cowherd_answer_free(answer);
        return done;
}

const char *word(const char *format, ...)
{
        static char texts[BUFFERS][WORD_BYTES];
        static unsigned next;
        char *text = texts[next++ % BUFFERS];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, WORD_BYTES, format, args);
        va_end(args);
        return text;
}

double answer_value(const struct cowherd_answer *answer, const char *name)
{
        const char *text = cowherd_answer_get(answer, name);

        return text == NULL ? 0 : strtod(text, NULL);
}
