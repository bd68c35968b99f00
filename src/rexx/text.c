/* SPDX-License-Identifier: Apache-2.0 */
/* The little text handling of this room, which may include nothing of the house but cowherd.h. */
#include "rexx/host.h"

#include <stdarg.h>
#include <string.h>

static void *or_abort(void *memory)
{
        if (memory == NULL) {
                (void)fputs("cowherd: out of memory\n", stderr);
                abort();
        }
        return memory;
}

char *text_format(const char *format, ...)
{
        char *text = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        va_end(args);
        return or_abort(text);
}

char *text_copy(const char *text, size_t length)
{
        char *copy = or_abort(malloc(length + 1));

        if (length > 0)
                memcpy(copy, text, length);
        copy[length] = '\0';
        return copy;
}

void *text_room(void *old, size_t count, size_t bytes)
{
        return or_abort(reallocarray(old, count, bytes));
}

bool text_is(const char *a, size_t length, const char *b)
{
        if (length != strlen(b))
                return false;
        for (size_t i = 0; i < length; i++) {
                char x = a[i], y = b[i];
                if (x >= 'A' && x <= 'Z')
                        x = (char)(x - 'A' + 'a');
                if (y >= 'A' && y <= 'Z')
                        y = (char)(y - 'A' + 'a');
                if (x != y)
                        return false;
        }
        return true;
}

void text_upper(char *text)
{
        for (; *text != '\0'; text++)
                if (*text >= 'a' && *text <= 'z')
                        *text = (char)(*text - 'a' + 'A');
}
