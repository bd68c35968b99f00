/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of RFC 6455 over LXD's Unix socket, as much of it as LXD speaks: for the event stream, and for the
 * input and output of commands. Debian 12's libcurl has none.
 *
 * Nothing blocks once it is open: what is to be sent is queued and goes out when the socket takes it, so that whoever
 * carries several streams at once (a command's input and output) can wait for all of them in one poll(2).
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_MESSAGE_BYTES (4u << 20) /* a longer message is an error */

struct websocket;

enum websocket_kind { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2, WEBSOCKET_CLOSE = 8 };

struct websocket_message {
        enum websocket_kind kind;
        const char *bytes; /* borrowed, until the next call */
        size_t length;
};

/*
 * Connects to the socket and asks for `path` to become a websocket. 69 or 77 as lxd_send has it where nobody listens; 66
 * where there is no such path; 75 where no answer comes in `timeout_ms`. *ret is the caller's.
 */
int websocket_open(const char *socket, const char *path, uint64_t timeout_ms, struct websocket **ret,
                   struct cowherd_error *err) must_check;
/* One that is open already, on a stream socket that is taken over. *ret is the caller's. */
void websocket_adopt(int fd, struct websocket **ret);
/* Closes without a word. */
void websocket_free(struct websocket *websocket);
static inline void websocket_free_at(struct websocket **slot)
{
        websocket_free(*slot);
}
#define owned_websocket __attribute__((cleanup(websocket_free_at)))

/* For poll(2), and what to wait for there: POLLIN, and POLLOUT while something is queued. */
int websocket_fd(const struct websocket *websocket);
short websocket_events(const struct websocket *websocket);
/* How much is queued and not yet sent. */
size_t websocket_queued(const struct websocket *websocket);

/* Queues a message, and sends what the socket takes of the queue. Sending to one that was closed is no error. */
int websocket_send(struct websocket *websocket, enum websocket_kind kind, const void *bytes, size_t length,
                   struct cowherd_error *err) must_check;
/* Sends what the socket takes of the queue. */
int websocket_flush(struct websocket *websocket, struct cowherd_error *err) must_check;
/*
 * The next whole message, or 1 where none has come yet. Pings are answered here. The end of the stream, with or without a
 * word, is WEBSOCKET_CLOSE, again and again. What RFC 6455 forbids is 71.
 */
int websocket_receive(struct websocket *websocket, struct websocket_message *ret, struct cowherd_error *err) must_check;
/* Waits for it, at most `timeout_ms` (UINT64_MAX: for ever), then 1. */
int websocket_wait(struct websocket *websocket, uint64_t timeout_ms, struct websocket_message *ret,
                   struct cowherd_error *err) must_check;
