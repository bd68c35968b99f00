/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw tools, started as the rest of the house starts programs: ours and theirs cost the same to start. LXD's client is told where the
 * daemon is, since a tool gets no environment but what is named.
 */
#include "compare/session.h"

#include "sys/clock.h"
#include "sys/process.h"

#include <stdlib.h>

#define TOOL_TIMEOUT_MS 600000

static int owner = -1; /* the lock of the site that tools work in, while measuring */

void tool_work_for(int lock)
{
        owner = lock;
}

/*
 * While measuring, a tool is of the group that is ended as a whole, and holds the site's lock: should we be killed, nobody takes away what
 * it still works at. Else it has a time limit, and so a group of its own.
 */
static void set_limits(struct process *process)
{
        if (owner < 0) {
                process->timeout_ms = TOOL_TIMEOUT_MS;
                return;
        }
        process->keep[0] = owner;
        process->keep_count = 1;
}

static void add_environment(struct process *process)
{
        static const char *const passed[] = {"LXD_DIR", "LXD_SOCKET", "LXD_CONF", "INCUS_DIR", "INCUS_SOCKET", "INCUS_CONF"};

        for (size_t i = 0; i < array_length(passed); i++)
                if (getenv(passed[i]) != NULL)
                        strv_addf(&process->environment, "%s=%s", passed[i], getenv(passed[i]));
}

/* A program with its words, up to NULL, its environment and its limits. */
static void prepare(struct process *process, const char *program, va_list words)
{
        strv_add(&process->argv, program);
        for (const char *next = va_arg(words, const char *); next != NULL; next = va_arg(words, const char *))
                strv_add(&process->argv, next);
        add_environment(process);
        set_limits(process);
}

int tool(double *ret_ms, char **ret_output, struct cowherd_error *err, const char *program, ...)
{
        struct process process owned_by(process_free) = {0};
        va_list words;

        va_start(words, program);
        prepare(&process, program, words);
        va_end(words);
        double began = clock_ms();
        if (process_check(&process, ret_output, err) < 0)
                return -1;
        if (ret_ms != NULL)
                *ret_ms = clock_ms() - began;
        return 0;
}

const char *tool_of_lxd(void)
{
        return process_exists("lxc") ? "lxc" : process_exists("incus") ? "incus" : NULL;
}

int tool_output(char **ret_output, struct cowherd_error *err, const char *program, ...)
{
        struct process process owned_by(process_free) = {0};
        struct process_result result owned_by(process_result_free) = {0};
        va_list words;

        va_start(words, program);
        prepare(&process, program, words);
        va_end(words);
        if (process_run(&process, &result, err) < 0)
                return -1;
        *ret_output = x_strdup(result.output == NULL ? "" : result.output);
        return 0;
}
