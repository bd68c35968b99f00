/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a request to LXD: what it sends is put together in pieces, so that an image of gigabytes is read from its file as it goes out. */
#include "lxd_api/message.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void message_free(struct message *it)
{
        str_free(&it->head);
        free(it->json);
        for (size_t i = 0; i < it->count; i++) {
                free(it->texts[i]);
                close_at(&it->fds[i]);
        }
}

static void add_bytes(struct message *it, const char *bytes)
{
        it->fds[it->count] = -1;
        it->pieces[it->count++] = (struct http_piece){.bytes = bytes, .length = strlen(bytes)};
}

static void add_text(struct message *it, char *text)
{
        it->texts[it->count] = text;
        add_bytes(it, text);
}

static int add_file(struct message *it, const char *path, struct cowherd_error *err)
{
        struct stat info;
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fstat(fd, &info) < 0)
                return fail_errno(err, "cannot open '%s'", path);
        it->pieces[it->count] = (struct http_piece){.fd = fd, .length = (uint64_t)info.st_size};
        it->fds[it->count++] = take_fd(fd);
        return 0;
}

/* RFC 7578. The boundary is random: no image holds it. */
static int add_parts(struct message *it, const struct lxd_request *request, struct cowherd_error *err)
{
        char boundary[33];
        const char *before = "";

        (void)random_hex(16, boundary);
        str_addf(&it->head, "Content-Type: multipart/form-data; boundary=%s\r\n", boundary);
        for (size_t i = 0; i < array_length(request->parts) && request->parts[i][0] != NULL; i++) {
                const char *name = request->parts[i][0];
                add_text(it, x_asprintf("%s--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
                                        "Content-Type: application/octet-stream\r\n\r\n",
                                        before, boundary, name, name));
                if (add_file(it, request->parts[i][1], err) < 0)
                        return -1;
                before = "\r\n";
        }
        add_text(it, x_asprintf("\r\n--%s--\r\n", boundary));
        return 0;
}

static int add_body(struct message *it, const struct lxd_request *request, struct cowherd_error *err)
{
        if (request->parts[0][0] != NULL)
                return add_parts(it, request, err);
        if (request->json == NULL) {
                str_add(&it->head, "Content-Type: application/octet-stream\r\n");
                if (request->bytes != NULL)
                        add_bytes(it, request->bytes);
                return request->file != NULL ? add_file(it, request->file, err) : 0;
        }
        it->json = json_dumps(request->json, JSON_COMPACT);
        if (it->json == NULL)
                return fail(err, COWHERD_INTERNAL, "a request to LXD can't be written as JSON");
        str_add(&it->head, "Content-Type: application/json\r\n");
        add_bytes(it, it->json);
        return 0;
}

int message_write(const struct lxd_request *request, struct message *it, struct cowherd_error *err)
{
        str_addf(&it->head, "%s %s HTTP/1.1\r\nAccept: */*\r\n", request->method, request->path);
        for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
                str_addf(&it->head, "%s\r\n", request->headers[i]);
        return add_body(it, request, err);
}
