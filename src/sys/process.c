/* SPDX-License-Identifier: Apache-2.0 */
/* A program to be run, as a caller describes it, and the ways to run it: for its result, or for its success. */
#include "sys/process.h"

#include "base/mem.h"
#include "sys/process_run.h"
#include "sys/process_spawn.h"

#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#define USUAL_FILES 256

static _Thread_local struct process_runner replacement;

void process_free(struct process *process)
{
        strv_free(&process->argv);
        strv_free(&process->environment);
        *process = (struct process){0};
}

void process_result_free(struct process_result *result)
{
        free(result->output);
        free(result->errors);
        *result = (struct process_result){0};
}

void process_add(struct process *process, const char *first, ...)
{
        va_list args;

        va_start(args, first);
        for (const char *word = first; word != NULL; word = va_arg(args, const char *))
                strv_add(&process->argv, word);
        va_end(args);
}

void process_set_runner(const struct process_runner *runner)
{
        replacement = runner == NULL ? (struct process_runner){0} : *runner;
}

void process_allow_files(size_t count)
{
        struct rlimit limit;
        rlim_t wanted = USUAL_FILES + (rlim_t)count;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
                return;
        const struct rlimit beyond = {.rlim_cur = wanted, .rlim_max = wanted};
        if (wanted > limit.rlim_max && setrlimit(RLIMIT_NOFILE, &beyond) == 0)
                return; /* as root may */
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what then does not fit is told where it is opened */
}

bool process_exists(const char *program)
{
        owned_str char *path = process_find(program);

        return path != NULL;
}

int process_run(const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        if (process->argv.count == 0)
                return fail(err, COWHERD_INTERNAL, "a program without a name was to be run");
        if (replacement.run != NULL)
                return replacement.run(replacement.context, process, ret, err);
        return process_run_really(process, ret, err);
}

/* The last line of a text that says anything, cut out of it; NULL where there is none. */
static char *last_line(const char *text)
{
        static const char blank[] = " \t\r\n";
        size_t end = text == NULL ? 0 : strlen(text);

        while (end > 0 && strchr(blank, text[end - 1]) != NULL)
                end--;
        size_t start = end;
        while (start > 0 && text[start - 1] != '\n' && text[start - 1] != '\r')
                start--;
        start += strspn(text == NULL ? "" : text + start, blank);
        return start >= end ? NULL : x_strndup(text + start, end - start);
}

/* A tool that failed says why in its last line: on stderr, or where that is empty, on stdout. */
static int fail_status(const struct process *process, const struct process_result *result, struct cowherd_error *err)
{
        const char *program = strrchr(process->argv.items[0], '/');
        owned_str char *line = last_line(result->errors);

        program = program == NULL ? process->argv.items[0] : program + 1;
        if (line == NULL)
                line = last_line(result->output);
        enum cowherd_code code =
                line != NULL && strstr(line, "No space left on device") != NULL ? COWHERD_IO : COWHERD_SYSTEM;
        const char *what = result->status > 128 ? "was ended by signal" : "failed with status";
        int number = result->status > 128 ? result->status - 128 : result->status;
        return fail(err, code, "'%s' %s %d%s%s", program, what, number, line == NULL ? "" : ": ",
                    line == NULL ? "" : line);
}

int process_check(const struct process *process, char **ret_output, struct cowherd_error *err)
{
        owned_process_result struct process_result result = {0};

        if (process_run(process, &result, err) < 0)
                return -1;
        if (result.status != 0)
                return fail_status(process, &result, err);
        if (ret_output != NULL)
                *ret_output = result.output == NULL ? x_strdup("") : take(result.output);
        return 0;
}
