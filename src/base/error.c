/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors are filled in place, in a struct of fixed size that the caller owns, so that failing can itself not fail. Text
 * that does not fit is cut; control characters (a file name may hold a newline) are shown as '?', so that an error stays
 * one line wherever it is printed.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text)
{
        for (char *at = text; *at != '\0'; at++)
                if ((unsigned char)*at < ' ' || *at == 0x7f)
                        *at = '?';
}

/* Adds text to a buffer of COWHERD_ERROR_TEXT_BYTES, cut where it does not fit. */
static void append(char *buffer, const char *text)
{
        size_t used = strlen(buffer), length = strnlen(text, COWHERD_ERROR_TEXT_BYTES - 1 - used);

        memcpy(buffer + used, text, length);
        buffer[used + length] = '\0';
}

format_like(4, 0) static void set_text(struct cowherd_error *err, enum cowherd_code code, int os_errno, const char *format, va_list args)
{
        char text[COWHERD_ERROR_TEXT_BYTES]; /* apart from *err: an argument may point into it */

        (void)vsnprintf(text, sizeof text, format, args);
        make_printable(text);
        *err = (struct cowherd_error){.code = (int)code, .os_errno = os_errno};
        memcpy(err->text, text, sizeof text);
}

int fail(struct cowherd_error *err, enum cowherd_code code, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        set_text(err, code, 0, format, args);
        va_end(args);
        return -1;
}

int fail_errno(struct cowherd_error *err, const char *format, ...)
{
        int os_errno = errno;
        va_list args;

        va_start(args, format);
        set_text(err, error_code_of_errno(os_errno), os_errno, format, args);
        va_end(args);

        append(err->text, ": ");
        append(err->text, strerror(os_errno));
        return -1;
}

int fail_while(struct cowherd_error *err, const char *format, ...)
{
        char text[COWHERD_ERROR_TEXT_BYTES];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args);
        va_end(args);
        make_printable(text);

        append(text, ": ");
        if (strncmp(err->text, text, strlen(text)) == 0)
                return -1; /* said already, by who was called */
        append(text, err->text);
        memcpy(err->text, text, sizeof text);
        return -1;
}

int fail_hint(struct cowherd_error *err, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(err->hint, sizeof err->hint, format, args);
        va_end(args);
        make_printable(err->hint);
        return -1;
}

enum cowherd_code error_code_of_errno(int os_errno)
{
        switch (os_errno) {
        case ENOSPC:
        case EDQUOT:
        case EIO:
        case EROFS:
                return COWHERD_IO;
        case EACCES:
        case EPERM:
                return COWHERD_DENIED;
        case EBUSY:
        case EAGAIN:
        case ETXTBSY:
                return COWHERD_BUSY;
        case ENOENT:
                return COWHERD_NOT_FOUND;
        case EEXIST:
                return COWHERD_EXISTS;
        default:
                return COWHERD_SYSTEM;
        }
}
