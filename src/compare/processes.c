/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of running instances, by /proc alone: which processes belong to a container (all of its PID namespace), what they
 * take, under what they live. So ours and the raw tool's are looked at in one way.
 */
#include "compare/session.h"

#include "base/number.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define TEXT_BYTES (256u << 10)
#define END_MS 10000

/* A file of /proc/PID, to be freed, or NULL. */
static char *text_of(pid_t pid, const char *file, size_t *ret_length)
{
        owned_str char *path = x_asprintf("/proc/%d/%s", (int)pid, file), *text = NULL;
        struct cowherd_error ignored;

        return file_read(AT_FDCWD, path, TEXT_BYTES, &text, ret_length, &ignored) < 0 ? NULL : take(text);
}

/* Calls `each` with every process until it returns true; that process, or 0. */
static pid_t find(bool (*each)(pid_t pid, void *context), void *context)
{
        DIR *processes = opendir("/proc");
        pid_t found = 0;

        for (const struct dirent *entry = NULL; processes != NULL && found == 0 && (entry = readdir(processes)) != NULL;) {
                uint64_t pid = 0;
                if (number_parse(entry->d_name, &pid) && each((pid_t)pid, context))
                        found = (pid_t)pid;
        }
        if (processes != NULL)
                (void)closedir(processes);
        return found;
}

static bool has_word(pid_t pid, void *context)
{
        size_t length = 0;
        owned_str char *text = text_of(pid, "cmdline", &length);

        for (size_t at = 0; text != NULL && at < length; at += strlen(text + at) + 1)
                if (str_equal(text + at, context))
                        return true;
        return false;
}

pid_t process_with_word(const char *text)
{
        owned_str char *copy = x_strdup(text);

        return find(has_word, copy);
}

bool process_namespace(pid_t pid, const char *type, char *ret, size_t size)
{
        owned_str char *path = x_asprintf("/proc/%d/ns/%s", (int)pid, type);
        ssize_t length = readlink(path, ret, size - 1);

        if (length < 0)
                return false;
        ret[length] = '\0';
        return true;
}

char *process_status_line(pid_t pid, const char *name)
{
        owned_str char *text = text_of(pid, "status", NULL), *wanted = x_asprintf("\n%s:", name);
        const char *found = text == NULL ? NULL : strstr(text, wanted), *at = found == NULL ? NULL : found + strlen(wanted);

        if (text != NULL && str_starts(text, wanted + 1)) /* the first line */
                at = text + strlen(wanted) - 1;
        if (at == NULL)
                return NULL;
        at += strspn(at, " \t");
        return x_strndup(at, strcspn(at, "\n"));
}

struct wanted {
        const char *namespace;
        double memory;
};

static bool is_first(pid_t pid, void *context)
{
        const struct wanted *wanted = context;
        char namespace[64];

        if (!process_namespace(pid, "pid", namespace, sizeof namespace) || !str_equal(namespace, wanted->namespace))
                return false;
        owned_str char *pids = process_status_line(pid, "NSpid");
        return pids != NULL && str_ends(pids, "\t1");
}

pid_t process_first_of(const char *namespace)
{
        struct wanted wanted = {.namespace = namespace};

        return find(is_first, &wanted);
}

double process_memory(pid_t pid)
{
        owned_str char *text = text_of(pid, "smaps_rollup", NULL);
        const char *at = text == NULL ? NULL : strstr(text, "\nPss:");

        return at == NULL ? 0 : strtod(at + strlen("\nPss:"), NULL) * 1024;
}

static bool add_memory(pid_t pid, void *context)
{
        struct wanted *wanted = context;
        char namespace[64];

        if (process_namespace(pid, "pid", namespace, sizeof namespace) && str_equal(namespace, wanted->namespace))
                wanted->memory += process_memory(pid);
        return false;
}

double process_memory_of_all(const char *namespace)
{
        struct wanted wanted = {.namespace = namespace};

        (void)find(add_memory, &wanted);
        return wanted.memory;
}

/* ---- ending what is left ---- */

/* Whether what is mounted at its root has the mark in its place; and its root isn't ours. */
static bool lives_below(pid_t pid, void *context)
{
        owned_str char *mounts = text_of(pid, "mountinfo", NULL);
        char *rest = NULL;

        for (char *line = mounts == NULL ? NULL : strtok_r(mounts, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
                if (strstr(line, " / ") != NULL && strstr(line, context) != NULL) {
                        char point[8] = "";
                        if (sscanf(line, "%*s %*s %*s %*s %7s", point) == 1 && str_equal(point, "/"))
                                return true;
                }
        return false;
}

void process_end_below(const char *mark)
{
        owned_str char *copy = x_strdup(mark);

        for (pid_t pid = find(lives_below, copy); pid != 0; pid = find(lives_below, copy)) {
                owned_fd int pidfd = pidfd_open(pid, 0);
                struct pollfd ended = {.fd = pidfd, .events = POLLIN};
                if (pidfd < 0)
                        continue;
                if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 || poll(&ended, 1, END_MS) <= 0)
                        return; /* it can't be ended: what it holds will say so */
        }
}
