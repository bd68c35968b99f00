/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 over a Unix socket, as far as LXD and Incus speak it (RFC 9112): one request at a time on a connection that is kept. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* A part of a request's body. */
struct http_piece {
        const char *bytes; /* NULL: what the file holds, from its beginning */
        int fd;
        uint64_t length;
};

struct http_request {
        const char *head; /* the request line and the headers, each ended by CR LF; Host and Content-Length are added */
        const struct http_piece *pieces;
        size_t piece_count;
        bool has_body;
        uint64_t timeout_ms; /* for all of it */
        void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
        /* Gets the content of a regular file (status 200, of type "file") as it comes, instead of the reply; -1 breaks off. May be NULL. */
        int (*received)(void *context, const char *bytes, size_t length);
        void *context; /* of both */
        bool is_head;  /* no body follows, whatever the head says */
};

struct http_reply {
        int status;
        char *type;    /* the header X-LXD-type or X-Incus-type, or NULL; owned */
        unsigned mode; /* X-LXD-mode or X-Incus-mode, or 0 */
        struct str body;
};
void http_reply_free(struct http_reply *reply);
define_owned(struct http_reply, http_reply_free)

enum http_end {
        HTTP_DONE,
        HTTP_NO_CONNECTION,
        HTTP_TIMED_OUT,
        HTTP_TOO_LONG,
        HTTP_BROKEN, /* cut off, or not HTTP: http_why tells */
};

struct http_connection;
struct http_connection *http_open(const char *socket);
void http_close(struct http_connection *connection);
/* Why the last exchange came to HTTP_BROKEN. Borrowed. */
const char *http_why(const struct http_connection *connection);
/*
 * Sends a request and reads the reply, whose body may have `limit` bytes. It connects where there is no connection, and
 * once more where one that was kept turns out to be closed before a byte of the reply has come.
 */
enum http_end http_exchange(struct http_connection *connection, const struct http_request *request, size_t limit,
                            struct http_reply *ret);
