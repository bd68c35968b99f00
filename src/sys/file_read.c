/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: read within a limit, and replaced so that a reader sees the old text or the new, never half. */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"
#include "sys/file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int file_read(int at, const char *path, size_t limit_bytes, char **ret_text, size_t *ret_length,
              struct cowherd_error *err)
{
        owned_string struct str text = {0};
        owned_fd int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return fail_errno(err, "cannot open '%s'", path);
        for (;;) {
                char buffer[16384];
                ssize_t got = read(fd, buffer, sizeof buffer);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail_errno(err, "cannot read '%s'", path);
                if (got == 0)
                        break;
                if ((size_t)got > limit_bytes - text.length)
                        return fail(err, COWHERD_DATA, "'%s' is longer than the %zu bytes it may have", path,
                                    limit_bytes);
                str_add_bytes(&text, buffer, (size_t)got);
        }
        if (ret_length != NULL)
                *ret_length = text.length;
        *ret_text = str_take(&text);
        return 0;
}

int file_write_all(int fd, const char *text, struct cowherd_error *err)
{
        size_t left = strlen(text);

        while (left > 0) {
                ssize_t put = write(fd, text, left);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return fail_errno(err, "cannot write a file");
                text += put;
                left -= (size_t)put;
        }
        return 0;
}

int file_write_beside(int folder, const char *text, mode_t mode, char *beside, int *ret_fd, struct cowherd_error *err)
{
        char hex[17];

        if (beside[0] == '\0')
                (void)snprintf(beside, FILE_BESIDE_BYTES, ".cowherd-%s", random_hex(8, hex));
        else
                (void)unlinkat(folder, beside, 0);
        owned_fd int fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(err, "cannot make a file");
        if (file_write_all(fd, text, err) < 0) {
                (void)unlinkat(folder, beside, 0);
                return -1;
        }
        if (fchmod(fd, mode) < 0) {
                (void)fail_errno(err, "cannot set a file's mode");
                (void)unlinkat(folder, beside, 0);
                return -1;
        }
        *ret_fd = take_fd(fd);
        return 0;
}

int file_sync(int fd, const char *what, struct cowherd_error *err)
{
        if (fsync(fd) < 0)
                return fail_errno(err, "cannot sync '%s' to its disk", what);
        return 0;
}

static int put_in_place(int folder, const char *beside, int fd, const char *name, bool durable,
                        struct cowherd_error *err)
{
        if (durable && file_sync(fd, name, err) < 0)
                return -1;
        if (renameat(folder, beside, folder, name) < 0)
                return fail_errno(err, "cannot replace '%s'", name);
        return 0;
}

int file_replace(int at, const char *path, const char *text, mode_t mode, bool durable, struct cowherd_error *err)
{
        const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
        owned_str char *above = slash == NULL ? x_strdup(".") : x_strndup(path, (size_t)(slash - path) + 1);
        char beside[FILE_BESIDE_BYTES] = "";
        owned_fd int folder = -1, fd = -1;

        if (file_open_folder(at, above, &folder, err) < 0)
                return -1;
        if (file_write_beside(folder, text, mode, beside, &fd, err) < 0)
                return fail_while(err, "writing '%s'", path);
        if (put_in_place(folder, beside, fd, name, durable, err) < 0) {
                (void)unlinkat(folder, beside, 0);
                return -1;
        }
        return durable ? file_sync(folder, above, err) : 0;
}
