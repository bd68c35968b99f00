/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation for a short-lived program: where memory is out there is nothing sensible left to do, and an abort between
 * two system calls is a case that crash safety covers anyway (it is kill -9 by another name).
 */
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *or_abort(void *memory)
{
        if (memory == NULL) {
                (void)fputs("cowherd: out of memory\n", stderr);
                abort();
        }
        return memory;
}

void *x_malloc(size_t bytes)
{
        return or_abort(malloc(bytes == 0 ? 1 : bytes));
}

void *x_calloc(size_t count, size_t bytes)
{
        return or_abort(calloc(count == 0 ? 1 : count, bytes == 0 ? 1 : bytes));
}

void *x_reallocarray(void *old, size_t count, size_t bytes)
{
        return or_abort(reallocarray(old, count == 0 ? 1 : count, bytes == 0 ? 1 : bytes));
}

char *x_strdup(const char *text)
{
        return text == NULL ? NULL : or_abort(strdup(text));
}

char *x_strndup(const char *text, size_t length)
{
        return or_abort(strndup(text, length));
}

char *x_vasprintf(const char *format, va_list args)
{
        char *text = NULL;

        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        return or_abort(text);
}

char *x_asprintf(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        char *text = x_vasprintf(format, args);
        va_end(args);
        return text;
}

void x_replace(char **text, const char *value)
{
        char *copy = x_strdup(value);

        free(*text);
        *text = copy;
}

void close_at(const int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                (void)close(*fd);
        errno = saved;
}
