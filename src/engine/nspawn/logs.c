/* SPDX-License-Identifier: Apache-2.0 */
/* The console of a container since its start, as nspawn wrote it down, terminal line ends made plain. */
#include "engine/nspawn/nspawn.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads the end of an open log. */
static int read_end(int fd, char **ret, size_t *ret_length, struct cowherd_error *err)
{
        struct stat found;

        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at the log");
        off_t start = found.st_size > (off_t)ENGINE_LOG_BYTES ? found.st_size - (off_t)ENGINE_LOG_BYTES : 0;
        owned_str char *text = x_malloc(ENGINE_LOG_BYTES + 1);
        size_t length = 0;
        for (ssize_t got = 1; got > 0 && length < ENGINE_LOG_BYTES; length += (size_t)got) {
                got = pread(fd, text + length, ENGINE_LOG_BYTES - length, start + (off_t)length);
                if (got < 0)
                        return fail_errno(err, "cannot read the log");
        }
        text[length] = '\0';
        *ret = take(text);
        *ret_length = length;
        return 0;
}

/* A terminal ends its lines by CR LF; a NUL would end our text. */
static size_t make_plain(char *text, size_t length)
{
        size_t to = 0;

        for (size_t at = 0; at < length; at++)
                if (text[at] != '\0' &&
                    !(text[at] == '\r' && at + 1 < length && (text[at + 1] == '\n' || text[at + 1] == '\r')))
                        text[to++] = text[at];
        text[to] = '\0';
        return to;
}

/* Where the last `lines` lines begin. */
static const char *last_lines(const char *text, size_t length, uint64_t lines)
{
        const char *at = text + length;

        if (at > text && at[-1] == '\n')
                at--;
        while (at > text && lines > 0) {
                at--;
                if (*at == '\n' && --lines == 0)
                        return at + 1;
        }
        return at;
}

int nspawn_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(instance, "console"), *text = NULL;
        size_t length = 0;

        owned_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                (void)fail(err, COWHERD_NOT_FOUND, "container '%s' has no log: it was not started", instance->name);
                return fail_hint(err, "the log is kept from a start until the stop");
        }
        if (fd < 0)
                return fail_errno(err, "cannot open '%s'", path);
        if (read_end(fd, &text, &length, err) < 0)
                return fail_while(err, "reading the log of '%s'", instance->name);
        length = make_plain(text, length);
        *ret = x_strdup(last_lines(text, length, lines));
        return 0;
}

int nspawn_trim_log(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(instance, "console");
        owned_fd int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s'", path);
        return file_forget_start(fd, ENGINE_LOG_BYTES, path, err);
}
