/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reply of HTTP/1.1, read as it comes: its head, and its body by a length, in chunks, or to the connection's end. Whatever comes is
 * bounded, and what is not understood is an error.
 */
#include "lxd_api/http_connection.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEAD_BYTES (64u << 10) /* of a reply */

void http_reply_free(struct http_reply *reply)
{
        free(reply->type);
        str_free(&reply->body);
        *reply = (struct http_reply){0};
}

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
                        return http_broken(it, it->began ? "the reply was cut off" : "the server gave no reply");
                if (errno != EAGAIN && errno != EINTR)
                        return http_broken(it, strerror(errno));
                if (!http_wait(it, POLLIN))
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
                        return http_broken(it, "a line of the reply is too long");
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
        return http_broken(it, "what it brought could not be kept");
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
                        return http_broken(it, "a chunk of the reply has no length");
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
        return line.length == 0 ? HTTP_DONE : http_broken(it, "the reply's end is too long");
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
                        return http_broken(it, strerror(errno));
                } else if (!http_wait(it, POLLIN)) {
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
                return http_broken(it, "the reply is not HTTP");
        reply->status = (int)strtol(text + 9, NULL, 10); /* three digits */
        head->closes = text[7] == '0';
        while ((end = read_line(it, &line)) == HTTP_DONE && line.length > 0) {
                const char *value;
                bytes += line.length;
                if (bytes > HEAD_BYTES)
                        return http_broken(it, "the reply's head is too long");
                if ((value = value_of(line.data, "Content-Length")) != NULL) {
                        head->has_length = true;
                        if (!parse_length(value, 10, &head->length))
                                return http_broken(it, "the reply's length is no number");
                } else if ((value = value_of(line.data, "Transfer-Encoding")) != NULL) {
                        head->chunked = strcasecmp(value, "chunked") == 0;
                        if (!head->chunked)
                                return http_broken(it, "the reply has an unknown encoding");
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

enum http_end http_read_reply(struct http_connection *it, const struct http_request *request, size_t limit,
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
                http_hang_up(it); /* nothing more can come here that we have asked for */
        return end;
}
