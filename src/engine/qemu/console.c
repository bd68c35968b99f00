/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial console: what it said is in a file of the instance's folder, written by QEMU from its start on, so that it
 * can be read after the machine ended as well. Only the end of that file is read, however long it is.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/qemu/runtime.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_log(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (qemu_folder_open(instance, &folder, err) < 0)
                return -1;
        owned_fd int fd = openat(folder, QEMU_CONSOLE_LOG, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                (void)fail(err, COWHERD_NOT_FOUND, "log of '%s' not found: it was never started", instance->name);
                return fail_hint(err, "start it first");
        }
        if (fd < 0)
                return fail_errno(err, "cannot open the log of '%s'", instance->name);
        *ret_fd = take_fd(fd);
        return 0;
}

/* The end of the file, as a text: what is no text in it (NUL) is left out. */
static int read_end(int fd, struct str *ret, struct cowherd_error *err)
{
        struct stat found;
        char buffer[16384];
        ssize_t got;

        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at the log");
        off_t at = found.st_size > (off_t)ENGINE_LOG_BYTES ? found.st_size - (off_t)ENGINE_LOG_BYTES : 0;
        while (ret->length < ENGINE_LOG_BYTES && (got = pread(fd, buffer, sizeof buffer, at)) != 0) {
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail_errno(err, "cannot read the log");
                for (ssize_t i = 0; i < got; i++)
                        if (buffer[i] != '\0')
                                str_add_char(ret, buffer[i]);
                at += got;
        }
        return 0;
}

int qemu_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err)
{
        owned_string struct str text = {0};
        owned_fd int fd = -1;

        if (open_log(instance, &fd, err) < 0 || read_end(fd, &text, err) < 0)
                return -1;
        size_t start = text.length > 0 && text.data[text.length - 1] == '\n' ? text.length - 1 : text.length;
        for (uint64_t left = lines; left > 0 && start > 0; left--) {
                const char *before = memrchr(text.data, '\n', start);
                start = before == NULL ? 0 : (size_t)(before - text.data);
                if (left == 1 && before != NULL)
                        start++;
        }
        *ret = x_strdup(lines == 0 ? "" : str_text(&text) + start);
        return 0;
}

int qemu_trim_log(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (qemu_folder_open(instance, &folder, err) < 0)
                return -1;
        owned_fd int fd = openat(folder, QEMU_CONSOLE_LOG, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open the log of '%s'", instance->name);
        return file_forget_start(fd, ENGINE_LOG_BYTES, QEMU_CONSOLE_LOG, err);
}
