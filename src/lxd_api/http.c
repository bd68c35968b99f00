/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by hand, since libcurl brings thirty libraries along, which the loader takes 6 ms for: as much as all else that a
 * clone in LXD costs us. What is needed of HTTP is little: the server is Go's, on a Unix socket; there is no name to
 * resolve, no TLS, no proxy, no redirection. Whatever comes is bounded, and what is not understood is an error.
 */
#include "lxd_api/http.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_S 5
#define HEAD_BYTES (64u << 10) /* of a reply */
#define BUFFER_BYTES (16u << 10)
#define FILE_BYTES (64u << 10) /* read and sent at once */

struct http_connection {
        char *socket;
        int fd;
        double deadline_ms;
        bool began;   /* a byte of the reply has come */
        bool refused; /* the request was not taken to its end */
        const struct http_request *streamed; /* its body goes to its `received`, not into the reply */
        size_t from, to;
        char why[128];
        char buffer[BUFFER_BYTES];
};

void http_reply_free(struct http_reply *reply)
{
        free(reply->type);
        str_free(&reply->body);
        *reply = (struct http_reply){0};
}

struct http_connection *http_open(const char *socket)
{
        struct http_connection *connection = x_calloc(1, sizeof *connection);

        connection->socket = x_strdup(socket);
        connection->fd = -1;
        return connection;
}

static void hang_up(struct http_connection *it)
{
        close_at(&it->fd);
        it->fd = -1;
        it->from = it->to = 0;
}

void http_close(struct http_connection *connection)
{
        if (connection == NULL)
                return;
        hang_up(connection);
        free(connection->socket);
        free(connection);
}

const char *http_why(const struct http_connection *connection)
{
        return connection->why;
}

static enum http_end broken(struct http_connection *it, const char *why)
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
                return broken(it, strerror(errno));
        (void)setsockopt(it->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(it->fd, (struct sockaddr *)&address, sizeof address) == 0)
                return HTTP_DONE;
        bool late = errno == EAGAIN;
        hang_up(it);
        return late ? HTTP_TIMED_OUT : HTTP_NO_CONNECTION;
}

/* False once the time is over. */
static bool wait_for(const struct http_connection *it, short events)
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
                        if (!wait_for(it, POLLOUT))
                                return HTTP_TIMED_OUT;
                        continue;
                }
                if (sent < 0) {
                        it->refused = true; /* the reply may tell why */
                        return broken(it, strerror(errno));
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
                                return broken(it, got == 0 ? "the file became shorter while it was sent" : strerror(errno));
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
        if (request->piece_count == 1 && request->pieces[0].bytes != NULL && total <= BUFFER_BYTES) { /* in one */
                str_add_bytes(&head, request->pieces[0].bytes, (size_t)total);
                return send_bytes(it, head.data, head.length);
        }
        enum http_end end = send_bytes(it, head.data, head.length);
        for (size_t i = 0; end == HTTP_DONE && i < request->piece_count; i++)
                end = send_piece(it, request, &request->pieces[i], &done, total);
        return end;
}

/* ---- receiving ---- */

static enum http_end fill(struct http_connection *it)
{
        for (;;) {
                ssize_t got = recv(it->fd, it->buffer, sizeof it->buffer, MSG_DONTWAIT);
                if (got > 0) {
                        it->began = true;
                        it->from = 0;
                        it->to = (size_t)got;
                        return HTTP_DONE;
                }
                if (got == 0)
                        return broken(it, it->began ? "the reply was cut off" : "the server gave no reply");
                if (errno != EAGAIN && errno != EINTR)
                        return broken(it, strerror(errno));
                if (!wait_for(it, POLLIN))
                        return HTTP_TIMED_OUT;
        }
}

/* A line without its end. */
static enum http_end read_line(struct http_connection *it, struct str *line)
{
        line->length = 0;
        for (;;) {
                if (it->from == it->to) {
                        enum http_end end = fill(it);
                        if (end != HTTP_DONE)
                                return end;
                }
                const char *begin = it->buffer + it->from, *stop = memchr(begin, '\n', it->to - it->from);
                size_t length = stop == NULL ? it->to - it->from : (size_t)(stop - begin);
                if (length > HEAD_BYTES - line->length)
                        return broken(it, "a line of the reply is too long");
                str_add_bytes(line, begin, length);
                it->from += length + (stop != NULL);
                if (stop == NULL)
                        continue;
                if (line->length > 0 && line->data[line->length - 1] == '\r')
                        line->data[--line->length] = '\0';
                return HTTP_DONE;
        }
}

/* A part of the body, to whom it is for. */
static enum http_end deliver(struct http_connection *it, struct str *body, size_t count)
{
        const char *bytes = it->buffer + it->from;

        it->from += count;
        if (it->streamed == NULL) {
                str_add_bytes(body, bytes, count);
                return HTTP_DONE;
        }
        if (count == 0 || it->streamed->received(it->streamed->context, bytes, count) == 0)
                return HTTP_DONE;
        return broken(it, "what it brought could not be kept");
}

static enum http_end read_bytes(struct http_connection *it, struct str *body, uint64_t count)
{
        while (count > 0) {
                if (it->from == it->to) {
                        enum http_end end = fill(it);
                        if (end != HTTP_DONE)
                                return end;
                }
                size_t there = it->to - it->from, now = count < there ? (size_t)count : there;
                enum http_end end = deliver(it, body, now);
                if (end != HTTP_DONE)
                        return end;
                count -= now;
        }
        return HTTP_DONE;
}

/* Digits alone, as a length is written. */
static bool parse_length(const char *text, int base, uint64_t *ret)
{
        char *end = NULL;

        if (!(text[0] >= '0' && text[0] <= '9') && !(base == 16 && strchr("abcdefABCDEF", text[0]) != NULL && text[0] != '\0'))
                return false;
        errno = 0;
        *ret = strtoull(text, &end, base);
        return errno == 0 && (*end == '\0' || *end == ';' || *end == ' ');
}

static enum http_end read_chunks(struct http_connection *it, size_t limit, struct str *body)
{
        owned_string struct str line = {0};
        uint64_t length = 1;

        while (length > 0) {
                enum http_end end = read_line(it, &line);
                if (end != HTTP_DONE)
                        return end;
                if (!parse_length(str_text(&line), 16, &length))
                        return broken(it, "a chunk of the reply has no length");
                if (length > limit - body->length && it->streamed == NULL)
                        return HTTP_TOO_LONG;
                if (length == 0)
                        break;
                end = read_bytes(it, body, length);
                if (end == HTTP_DONE)
                        end = read_line(it, &line);
                if (end != HTTP_DONE)
                        return end;
        }
        size_t trailer_bytes = 0;
        do { /* trailers, up to an empty line */
                enum http_end end = read_line(it, &line);
                if (end != HTTP_DONE)
                        return end;
                trailer_bytes += line.length;
        } while (line.length > 0 && trailer_bytes < HEAD_BYTES);
        return line.length == 0 ? HTTP_DONE : broken(it, "the reply's end is too long");
}

static enum http_end read_to_end(struct http_connection *it, size_t limit, struct str *body)
{
        for (;;) {
                if (it->to - it->from > limit - body->length && it->streamed == NULL)
                        return HTTP_TOO_LONG;
                enum http_end end = deliver(it, body, it->to - it->from);
                if (end != HTTP_DONE)
                        return end;
                it->why[0] = '\0';
                ssize_t got = recv(it->fd, it->buffer, sizeof it->buffer, MSG_DONTWAIT);
                if (got == 0)
                        return HTTP_DONE;
                if (got > 0) {
                        it->from = 0;
                        it->to = (size_t)got;
                } else if (errno != EAGAIN && errno != EINTR) {
                        return broken(it, strerror(errno));
                } else if (!wait_for(it, POLLIN)) {
                        return HTTP_TIMED_OUT;
                }
        }
}

/* What a reply's head says of its body. */
struct head {
        bool has_length, chunked, closes;
        uint64_t length;
};

static const char *value_of(const char *line, const char *name)
{
        size_t length = strlen(name);

        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
                return NULL;
        return line + length + 1 + strspn(line + length + 1, " \t");
}

/* The status line and the headers; of several replies the one that is no "100 Continue". */
static enum http_end read_head(struct http_connection *it, struct http_reply *reply, struct head *head)
{
        owned_string struct str line = {0};
        size_t bytes = 0;

        enum http_end end = read_line(it, &line);
        if (end != HTTP_DONE)
                return end;
        const char *text = str_text(&line);
        if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12 || strspn(text + 9, "0123456789") != 3)
                return broken(it, "the reply is not HTTP");
        reply->status = atoi(text + 9);
        head->closes = text[7] == '0';
        while ((end = read_line(it, &line)) == HTTP_DONE && line.length > 0) {
                const char *value;
                bytes += line.length;
                if (bytes > HEAD_BYTES)
                        return broken(it, "the reply's head is too long");
                if ((value = value_of(line.data, "Content-Length")) != NULL) {
                        head->has_length = true;
                        if (!parse_length(value, 10, &head->length))
                                return broken(it, "the reply's length is no number");
                } else if ((value = value_of(line.data, "Transfer-Encoding")) != NULL) {
                        head->chunked = strcasecmp(value, "chunked") == 0;
                        if (!head->chunked)
                                return broken(it, "the reply has an unknown encoding");
                } else if ((value = value_of(line.data, "Connection")) != NULL) {
                        head->closes = head->closes || strcasecmp(value, "close") == 0;
                } else if ((value = value_of(line.data, "X-LXD-type")) != NULL ||
                           (value = value_of(line.data, "X-Incus-type")) != NULL) {
                        x_replace(&reply->type, value);
                } else if ((value = value_of(line.data, "X-LXD-mode")) != NULL ||
                           (value = value_of(line.data, "X-Incus-mode")) != NULL) {
                        reply->mode = (unsigned)strtoul(value, NULL, 8) & 07777u;
                }
        }
        return end;
}

static enum http_end read_reply(struct http_connection *it, const struct http_request *request, size_t limit,
                                struct http_reply *reply)
{
        struct head head;
        enum http_end end;

        do {
                head = (struct head){0};
                end = read_head(it, reply, &head);
                if (end != HTTP_DONE)
                        return end;
        } while (reply->status / 100 == 1);
        bool is_file = reply->status == 200 && reply->type != NULL && strcmp(reply->type, "file") == 0;
        it->streamed = request->received != NULL && is_file ? request : NULL;
        if (reply->status == 204 || reply->status == 304 || request->is_head) {
                end = HTTP_DONE;
        } else if (head.chunked) {
                end = read_chunks(it, limit, &reply->body);
        } else if (!head.has_length) {
                head.closes = true;
                end = read_to_end(it, limit, &reply->body);
        } else {
                end = head.length > limit && it->streamed == NULL ? HTTP_TOO_LONG : read_bytes(it, &reply->body, head.length);
        }
        if (end != HTTP_DONE || head.closes || it->refused || it->from != it->to)
                hang_up(it); /* nothing more can come here that we have asked for */
        return end;
}

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
        return read_reply(it, request, limit, reply);
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
                hang_up(connection);
                end = exchange(connection, request, limit, &reply);
        }
        if (end != HTTP_DONE) {
                hang_up(connection);
                return end;
        }
        *ret = reply;
        reply = (struct http_reply){0};
        return HTTP_DONE;
}
