/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console. Asking LXD 5.0 for that of a running container hands out what is new in it, once, and moves it to a file in LXD's
 * folder of logs, which its API does not show. So LXD is asked, and then, by whoever may (root), the file is read, which holds
 * all of it; to others what is new is all there is.
 */
#include "engine/lxd/lxd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The beginning of the last `lines` lines; a newline at the very end begins none. */
static const char *last_lines(const char *text, size_t length, uint64_t lines)
{
        const char *at = text + length;

        if (at > text && at[-1] == '\n')
                at--;
        while (at > text) {
                if (at[-1] == '\n' && --lines == 0)
                        break;
                at--;
        }
        return at;
}

/* The folder of an instance's logs by the daemon's socket, to be freed: beside it, or where the packages have it. */
static char *log_file(const char *socket, const char *name)
{
        static const char *const packaged[][2] = {{"/var/lib/lxd/", "/var/log/lxd"}, {"/var/lib/incus/", "/var/log/incus"}};
        const char *slash = strrchr(socket, '/');

        for (size_t i = 0; i < array_length(packaged); i++)
                if (str_starts(socket, packaged[i][0]))
                        return x_asprintf("%s/%s/console.log", packaged[i][1], name);
        return x_asprintf("%.*s/logs/%s/console.log", slash != NULL ? (int)(slash - socket) : 0, socket, name);
}

/* Its end, at most ENGINE_OUTPUT_BYTES, to be freed; NULL where it can't be read. */
static char *read_file(const char *path)
{
        owned_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat info;

        if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
                return NULL;
        off_t from = info.st_size > (off_t)ENGINE_OUTPUT_BYTES ? info.st_size - (off_t)ENGINE_OUTPUT_BYTES : 0;
        size_t length = (size_t)(info.st_size - from), have = 0;
        owned_str char *text = x_malloc(length + 1);
        for (ssize_t count; have < length && (count = pread(fd, text + have, length - have, from + (off_t)have)) > 0;)
                have += (size_t)count;
        text[have] = '\0';
        return take(text);
}

/* What LXD has to say of it that is new, "" where nothing is; 1 where it has none. */
static int ask(const struct lxd_target *target, struct lxd_reply *ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(target->name), *path = x_asprintf("/1.0/instances/%s/console", name);
        const struct lxd_request request = {.method = "GET", .path = path, .is_log = true};
        struct cowherd_error why;

        if (lxd_send(target->client, &request, ret, &why) == 0)
                return 0;
        if (strstr(why.text, "open : no such file") != NULL) /* LXD's way to say that nothing is new */
                return 0;
        if (why.code == COWHERD_NOT_FOUND || strstr(why.text, "no such file") != NULL)
                return 1;
        *err = why;
        return -1;
}

int lxd_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};
        owned_reply struct lxd_reply reply = {0};

        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        int rc = ask(&target, &reply, err);
        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "instance '%s' was never started: it has no console log",
                                     instance->name);
        owned_str char *path = log_file(lxd_client_socket(target.client), target.name), *kept = read_file(path);
        const char *text = kept != NULL ? kept : reply.bytes != NULL ? reply.bytes : "";
        *ret = x_strdup(lines == 0 ? "" : last_lines(text, strlen(text), lines));
        return 0;
}
