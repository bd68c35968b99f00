/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by hand, since libcurl brings thirty libraries along, which the loader takes 6 ms for: as much as all else that a
 * clone in LXD costs us. What is needed of HTTP is little: the server is Go's, on a Unix socket; there is no name to
 * resolve, no TLS, no proxy, no redirection. Here a request is said; what comes back is read in http_reply.c.
 */
#include "lxd_api/http_connection.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_S 5
#define FILE_BYTES (64u << 10) /* read and sent at once */

struct http_connection *http_open(const char *socket)
{
        struct http_connection *connection = x_calloc(1, sizeof *connection);

        connection->socket = x_strdup(socket);
        connection->fd = -1;
        return connection;
}

void http_hang_up(struct http_connection *it)
{
        close_at(&it->fd);
        it->fd = -1;
        it->from = it->to = 0;
}

void http_close(struct http_connection *connection)
{
        if (connection == NULL)
                return;
        http_hang_up(connection);
        free(connection->socket);
        free(connection);
}

const char *http_why(const struct http_connection *connection)
{
        return connection->why;
}

enum http_end http_broken(struct http_connection *it, const char *why)
{
        (void)snprintf(it->why, sizeof it->why, "%s", why);
        return HTTP_BROKEN;
}

static enum http_end call(struct http_connection *it)
{
        const struct timeval patience = {.tv_sec = CONNECT_S}; /* connect(2) waits where too many wait already */
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = strlen(it->socket);

        if (length >= sizeof address.sun_path)
                return HTTP_NO_CONNECTION;
        memcpy(address.sun_path, it->socket, length);
        it->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (it->fd < 0)
                return http_broken(it, strerror(errno));
        (void)setsockopt(it->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(it->fd, (struct sockaddr *)&address, sizeof address) == 0)
                return HTTP_DONE;
        bool late = errno == EAGAIN;
        http_hang_up(it);
        return late ? HTTP_TIMED_OUT : HTTP_NO_CONNECTION;
}

bool http_wait(const struct http_connection *it, short events)
{
        for (;;) {
                double left = it->deadline_ms - clock_ms();
                struct pollfd poll_fd = {.fd = it->fd, .events = events};
                if (left <= 0)
                        return false;
                int got = poll(&poll_fd, 1, left > 3600000 ? 3600000 : (int)left + 1);
                if (got > 0 || (got < 0 && errno != EINTR))
                        return true;
        }
}

/* ---- sending ---- */

static enum http_end send_bytes(struct http_connection *it, const char *bytes, size_t length)
{
        while (length > 0) {
                ssize_t sent = send(it->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
                        if (!http_wait(it, POLLOUT))
                                return HTTP_TIMED_OUT;
                        continue;
                }
                if (sent < 0) {
                        it->refused = true; /* the reply may tell why */
                        return http_broken(it, strerror(errno));
                }
                bytes += sent;
                length -= (size_t)sent;
        }
        return HTTP_DONE;
}

static enum http_end send_piece(struct http_connection *it, const struct http_request *request,
                                const struct http_piece *piece, uint64_t *done, uint64_t total)
{
        owned_mem char *room = piece->bytes == NULL ? x_malloc(FILE_BYTES) : NULL;

        for (uint64_t at = 0; at < piece->length;) {
                uint64_t left = piece->length - at;
                size_t now = left < FILE_BYTES ? (size_t)left : FILE_BYTES;
                const char *bytes = piece->bytes == NULL ? room : piece->bytes + at;
                if (piece->bytes == NULL) {
                        ssize_t got = pread(piece->fd, room, now, (off_t)at);
                        if (got <= 0)
                                return http_broken(it, got == 0 ? "the file became shorter while it was sent" : strerror(errno));
                        now = (size_t)got;
                }
                enum http_end end = send_bytes(it, bytes, now);
                if (end != HTTP_DONE)
                        return end;
                at += now;
                *done += now;
                if (request->sent != NULL)
                        request->sent(request->context, *done, total);
        }
        return HTTP_DONE;
}

static enum http_end send_request(struct http_connection *it, const struct http_request *request)
{
        owned_string struct str head = {0};
        uint64_t total = 0, done = 0;

        for (size_t i = 0; i < request->piece_count; i++)
                total += request->pieces[i].length;
        str_add(&head, request->head);
        str_add(&head, "Host: lxd\r\n");
        if (request->has_body)
                str_addf(&head, "Content-Length: %llu\r\n", (unsigned long long)total);
        str_add(&head, "\r\n");
        if (request->piece_count == 1 && request->pieces[0].bytes != NULL && total <= HTTP_BUFFER_BYTES) { /* in one */
                str_add_bytes(&head, request->pieces[0].bytes, (size_t)total);
                return send_bytes(it, head.data, head.length);
        }
        enum http_end end = send_bytes(it, head.data, head.length);
        for (size_t i = 0; end == HTTP_DONE && i < request->piece_count; i++)
                end = send_piece(it, request, &request->pieces[i], &done, total);
        return end;
}

/* ---- both ---- */

static enum http_end exchange(struct http_connection *it, const struct http_request *request, size_t limit,
                              struct http_reply *reply)
{
        it->began = it->refused = false;
        enum http_end end = it->fd < 0 ? call(it) : HTTP_DONE;
        if (end != HTTP_DONE)
                return end;
        end = send_request(it, request);
        if (end != HTTP_DONE && !it->refused)
                return end;
        return http_read_reply(it, request, limit, reply);
}

enum http_end http_exchange(struct http_connection *connection, const struct http_request *request, size_t limit,
                            struct http_reply *ret)
{
        struct http_reply reply owned_by(http_reply_free) = {0};
        bool was_kept = connection->fd >= 0;

        connection->why[0] = '\0';
        connection->deadline_ms = clock_ms() + (double)request->timeout_ms;
        enum http_end end = exchange(connection, request, limit, &reply);
        if (end == HTTP_BROKEN && was_kept && !connection->began) {
                http_hang_up(connection);
                end = exchange(connection, request, limit, &reply);
        }
        if (end != HTTP_DONE) {
                http_hang_up(connection);
                return end;
        }
        *ret = reply;
        reply = (struct http_reply){0};
        return HTTP_DONE;
}
