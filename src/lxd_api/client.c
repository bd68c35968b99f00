/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client: one for each thread, which keeps its connection to the socket. A connection is not to be shared by
 * threads, and a lock around it would make parallel clones wait for each other's operations; so each thread that asks
 * has one, released when the thread ends. The transport is http.c.
 *
 * Answers are bounded before they are parsed. jansson takes UTF-8 only, which is what LXD writes.
 */
#include "lxd_api/client.h"

#include "base/mem.h"
#include "base/str.h"
#include "lxd_api/http.h"
#include "lxd_api/socket.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECES_MAX 5 /* two parts, each with what stands before it, and the end */

struct lxd_client {
        struct http_connection *connection;
        char *socket;
        char *wish; /* what lxd_socket_wish said when it was opened */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t client_of_thread;

static void close_client(void *client)
{
        lxd_client_close(client);
}

static void initialise(void)
{
        if (pthread_key_create(&client_of_thread, close_client) != 0)
                abort();
}

void lxd_client_open(const char *socket, struct lxd_client **ret)
{
        struct lxd_client *client = x_calloc(1, sizeof *client);

        client->socket = x_strdup(socket);
        client->connection = http_open(socket);
        *ret = client;
}

void lxd_client_close(struct lxd_client *client)
{
        if (client == NULL)
                return;
        http_close(client->connection);
        free(client->socket);
        free(client->wish);
        free(client);
}

const char *lxd_client_socket(const struct lxd_client *client)
{
        return client->socket;
}

int lxd_client_get(struct lxd_client **ret, struct cowherd_error *err)
{
        owned_str char *socket = NULL, *wish = lxd_socket_wish();

        (void)pthread_once(&once, initialise);
        struct lxd_client *client = pthread_getspecific(client_of_thread);
        if (client != NULL && str_equal(client->wish, wish)) {
                *ret = client;
                return 0;
        }
        if (lxd_socket_find(&socket, err) < 0)
                return -1;
        lxd_client_close(client);
        lxd_client_open(socket, &client);
        client->wish = take(wish);
        (void)pthread_setspecific(client_of_thread, client);
        *ret = client;
        return 0;
}

void lxd_reply_free(struct lxd_reply *reply)
{
        json_decref(reply->metadata);
        free(reply->operation);
        free(reply->file_type);
        free(reply->bytes);
        *reply = (struct lxd_reply){0};
}

/* A request's head and body, while it is under way. */
struct message {
        struct str head;
        char *json;
        char *texts[PIECES_MAX];
        int fds[PIECES_MAX];
        struct http_piece pieces[PIECES_MAX];
        size_t count;
};

static void message_free(struct message *it)
{
        str_free(&it->head);
        free(it->json);
        for (size_t i = 0; i < it->count; i++) {
                free(it->texts[i]);
                close_at(&it->fds[i]);
        }
}
define_owned(struct message, message_free)

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

static int write_message(const struct lxd_request *request, struct message *it, struct cowherd_error *err)
{
        str_addf(&it->head, "%s %s HTTP/1.1\r\nAccept: */*\r\n", request->method, request->path);
        for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
                str_addf(&it->head, "%s\r\n", request->headers[i]);
        return add_body(it, request, err);
}

static int explain(const struct lxd_client *client, const struct lxd_request *request, enum http_end end,
                   struct cowherd_error *err)
{
        if (end == HTTP_TOO_LONG)
                return fail(err, COWHERD_SYSTEM, "LXD's answer to '%s %s' is longer than %u bytes", request->method,
                            request->path, LXD_REPLY_BYTES);
        if (end == HTTP_NO_CONNECTION)
                return lxd_socket_explain(client->socket, err);
        if (end == HTTP_BROKEN) {
                (void)lxd_socket_explain(client->socket, err); /* where the daemon is gone, that says more */
                if (err->code == COWHERD_UNAVAILABLE)
                        return -1;
        }
        if (end == HTTP_TIMED_OUT)
                return fail(err, COWHERD_BUSY, "LXD on '%s' did not answer '%s %s' in time", client->socket,
                            request->method, request->path);
        return fail(err, COWHERD_SYSTEM, "talking to LXD on '%s' failed: %s", client->socket,
                    http_why(client->connection));
}

/* A file's content is no JSON; its type is told by a header, which Incus calls otherwise. */
static void read_file_reply(struct http_reply *answer, const char *type, struct lxd_reply *ret)
{
        ret->file_type = x_strdup(type);
        ret->length = answer->body.length;
        ret->bytes = str_take(&answer->body);
}

static int read_reply(const struct lxd_request *request, const struct http_reply *reply, struct lxd_reply *ret,
                      struct cowherd_error *err)
{
        json_error_t wrong;
        owned_json json_t *answer =
                json_loadb(str_text(&reply->body), reply->body.length, JSON_REJECT_DUPLICATES, &wrong);

        if (!json_is_object(answer))
                return fail(err, COWHERD_SYSTEM, "LXD's answer to '%s %s' is no JSON object (HTTP status %d): %s",
                            request->method, request->path, reply->status, answer == NULL ? wrong.text : "another type");
        const char *kind = lxd_text(answer, "type");
        if (reply->status >= 400 || str_equal(kind, "error")) {
                const char *said = lxd_text(answer, "error");
                said = str_is_empty(said) ? "no reason given" : said;
                return fail(err, lxd_error_code(reply->status, said), "LXD says: %s", said);
        }
        if (str_equal(kind, "async"))
                ret->operation = x_strdup(lxd_text(answer, "operation"));
        ret->metadata = json_incref(json_object_get(answer, "metadata"));
        return 0;
}

static bool is_head(const struct lxd_request *request)
{
        return str_equal(request->method, "HEAD");
}

/* A file, or an object of JSON, by what was asked for and what came. */
static int read_answer(const struct lxd_request *request, struct http_reply *answer, struct lxd_reply *ret,
                       struct cowherd_error *err)
{
        ret->file_mode = answer->mode;
        if (is_head(request)) {
                if (answer->status != 200)
                        return fail(err, lxd_error_code(answer->status, ""), "LXD answers 'HEAD %s' with HTTP status %d",
                                    request->path, answer->status);
                ret->file_type = x_strdup(answer->type);
        } else if (request->is_log && answer->status == 200) {
                read_file_reply(answer, "file", ret);
        } else if (request->is_file && answer->status == 200 && answer->type != NULL &&
                   !str_equal(answer->type, "directory")) {
                read_file_reply(answer, answer->type, ret);
        } else if (read_reply(request, answer, ret, err) < 0) {
                return -1;
        } else if (request->is_file && answer->type != NULL) {
                ret->file_type = x_strdup(answer->type);
        }
        return 0;
}

int lxd_send(struct lxd_client *client, const struct lxd_request *request, struct lxd_reply *ret,
             struct cowherd_error *err)
{
        owned_by(message_free) struct message message = {0};
        owned_by(http_reply_free) struct http_reply answer = {0};
        struct lxd_reply reply = {0};

        if (write_message(request, &message, err) < 0)
                return -1;
        const struct http_request exchange = {
                .head = str_text(&message.head),
                .pieces = message.pieces,
                .piece_count = message.count,
                .has_body = message.count > 0 || !(str_equal(request->method, "GET") || is_head(request)),
                .timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : LXD_REQUEST_MS,
                .sent = request->sent,
                .received = request->received,
                .context = request->context,
                .is_head = is_head(request),
        };
        enum http_end end = http_exchange(client->connection, &exchange, LXD_REPLY_BYTES, &answer);
        if (end != HTTP_DONE)
                return explain(client, request, end, err);
        if (read_answer(request, &answer, &reply, err) < 0)
                return -1;
        *ret = reply;
        return 0;
}

int lxd_get(struct lxd_client *client, const char *path, json_t **ret, struct cowherd_error *err)
{
        const struct lxd_request request = {.method = "GET", .path = path};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error why;

        if (lxd_send(client, &request, &reply, &why) < 0) {
                if (why.code == COWHERD_NOT_FOUND)
                        return 1;
                *err = why;
                return -1;
        }
        *ret = take(reply.metadata);
        return 0;
}
