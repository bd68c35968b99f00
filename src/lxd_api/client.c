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
#include "lxd_api/message.h"
#include "lxd_api/socket.h"

#include <pthread.h>

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

        if (message_write(request, &message, err) < 0)
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
