/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a script. REXX ignores a first line that begins with `#!` and takes lines that end in CR LF; a byte-order mark
 * it does not know, and a program without any clause crashes Regina 3.6, so both are dealt with here.
 */
#include "rexx/host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SCRIPT_BYTES_MAX = 16 << 20, CTRL_Z = 0x1a };

/* Past a comment that begins here (they nest); the end of the text where it is never closed. */
static const char *skip_comment(const char *at, const char *end)
{
        unsigned depth = 0;

        do {
                if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
                        depth++;
                        at += 2;
                } else if (end - at >= 2 && at[0] == '*' && at[1] == '/') {
                        depth--;
                        at += 2;
                } else {
                        at++;
                }
        } while (depth > 0 && at < end);
        return depth > 0 ? NULL : at;
}

/* Whether there is nothing but comments, blanks and null clauses. A comment that is never closed is REXX's to report.
 */
static bool has_no_clause(const char *text, size_t length)
{
        const char *at = text, *end = text + length;

        if (length >= 2 && memcmp(at, "#!", 2) == 0) {
                const char *line = memchr(at, '\n', length);
                at = line == NULL ? end : line;
        }
        while (at != NULL && at < end) {
                if (end - at >= 2 && at[0] == '/' && at[1] == '*')
                        at = skip_comment(at, end);
                else if (end - at >= 2 && at[0] == '-' && at[1] == '-')
                        at = memchr(at, '\n', (size_t)(end - at)) ?: end;
                else if (*at == CTRL_Z)
                        at = end;
                else if (strchr(" \t\r\n\f\v;", *at) != NULL)
                        at++;
                else
                        return false;
        }
        return at == end;
}

/* Everything up to the end, into *text, at most one byte more than a script may have. -1 with errno set. */
static int read_all(int fd, char **text, size_t *ret_length)
{
        size_t length = 0, capacity = 0;

        while (length <= SCRIPT_BYTES_MAX) {
                if (capacity - length < 4096) {
                        capacity = capacity == 0 ? 16384 : capacity * 2;
                        *text = text_room(*text, capacity, 1);
                }
                ssize_t got = read(fd, *text + length, capacity - length - 1);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -1;
                if (got == 0)
                        break;
                length += (size_t)got;
        }
        (*text)[length] = '\0';
        *ret_length = length;
        return 0;
}

static int complain(int status, const char *file, const char *why)
{
        (void)fprintf(stderr, "cowherd: cannot run '%s': %s\n", file, why);
        return status;
}

int script_read(const char *file, char **ret_text, size_t *ret_length, bool *ret_empty)
{
        owned_text char *text = NULL;
        size_t length = 0;
        int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return complain(COWHERD_NOT_FOUND, file, errno == ENOENT ? "file not found" : strerror(errno));
        int got = read_all(fd, &text, &length), os_errno = errno;
        (void)close(fd);
        if (got < 0)
                return complain(COWHERD_NOT_FOUND, file, os_errno == EISDIR ? "it is a folder" : strerror(os_errno));
        if (length > SCRIPT_BYTES_MAX)
                return complain(COWHERD_DATA, file, "it is longer than 16 MiB, the most that a script may have");
        if (memchr(text, '\0', length) != NULL)
                return complain(COWHERD_DATA, file, "it is no text (there is a NUL byte in it)");

        if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
                length -= 3;
                memmove(text, text + 3, length + 1);
        }
        *ret_empty = has_no_clause(text, length);
        *ret_length = length;
        *ret_text = text;
        text = NULL;
        return 0;
}
