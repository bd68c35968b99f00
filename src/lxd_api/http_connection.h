/* SPDX-License-Identifier: Apache-2.0 */
/* Inside http*.c: a connection and what is at hand of its reply. It is hung up wherever it can't be told what would come next. */
#pragma once

#include "lxd_api/http.h"

#define HTTP_BUFFER_BYTES (16u << 10)

struct http_connection {
        char *socket;
        int fd; /* -1: hung up */
        double deadline_ms;
        bool began;   /* a byte of the reply has come */
        bool refused; /* the request was not taken to its end */
        const struct http_request *streamed; /* its body goes to its `received`, not into the reply */
        size_t from, to; /* what was received and not read yet, in `buffer` */
        char why[128];
        char buffer[HTTP_BUFFER_BYTES];
};

void http_hang_up(struct http_connection *it);
/* HTTP_BROKEN, and why. */
enum http_end http_broken(struct http_connection *it, const char *why);
/* Until one of these events of poll(2); false once the time is over. */
bool http_wait(const struct http_connection *it, short events);

/* The reply to a request that was sent, passing over "100 Continue". Hangs up where no other can follow it. */
enum http_end http_read_reply(struct http_connection *it, const struct http_request *request, size_t limit,
                              struct http_reply *reply);
