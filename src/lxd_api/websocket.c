/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames (RFC 6455, section 5). Each direction has one buffer: bytes that came and are not yet a whole frame, and bytes
 * that wait for the socket. A message's fragments are put together in a third. All three are bounded: a frame's length
 * is looked at before a byte of it is kept.
 *
 * The masking that the protocol asks of clients is against proxies that take a stream for HTTP; there are none on a Unix
 * socket, but the server refuses a frame without. Its key need not be secret here: one random number is counted up.
 */
#include "lxd_api/websocket.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536u
#define HEAD_BYTES 14u /* two, a length of eight, a mask of four */
#define CONTROL_BYTES 125u
#define FRAME_CONTINUED 0u
#define FRAME_PING 9u
#define FRAME_PONG 10u
#define FIRST_FINAL 0x80u
#define FIRST_RESERVED 0x70u
#define SECOND_MASKED 0x80u

struct websocket {
        int fd;
        bool closed;         /* the other end has gone, or said that it goes */
        uint32_t mask;
        struct str in, out;  /* out.data + sent is what still goes out */
        size_t taken, sent;  /* of in: what was used up already */
        struct str message;  /* fragments so far */
        unsigned kind;       /* of that message; 0: none has begun */
        bool given;          /* `message` was handed out and is to be emptied */
};

void websocket_adopt(int fd, struct websocket **ret)
{
        struct websocket *it = x_calloc(1, sizeof *it);

        it->fd = fd;
        random_bytes(&it->mask, sizeof it->mask);
        *ret = it;
}

void websocket_free(struct websocket *it)
{
        if (it == NULL)
                return;
        close_at(&it->fd);
        str_free(&it->in);
        str_free(&it->out);
        str_free(&it->message);
        free(it);
}

int websocket_fd(const struct websocket *it)
{
        return it->fd;
}

size_t websocket_queued(const struct websocket *it)
{
        return it->closed ? 0 : it->out.length - it->sent;
}

short websocket_events(const struct websocket *it)
{
        return (short)(websocket_queued(it) > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* Takes what was used up off the beginning of a buffer. */
static void drop(struct str *buffer, size_t *used)
{
        if (*used == 0)
                return;
        buffer->length -= *used;
        memmove(buffer->data, buffer->data + *used, buffer->length);
        *used = 0;
}

/* ---- sending ---- */

int websocket_flush(struct websocket *it, struct cowherd_error *err)
{
        while (websocket_queued(it) > 0) {
                ssize_t count = send(it->fd, it->out.data + it->sent, it->out.length - it->sent,
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
                if (count < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) {
                        it->closed = true; /* what it said before is still to be read */
                        return 0;
                }
                if (count < 0)
                        return fail_errno(err, "cannot write to LXD");
                it->sent += (size_t)count;
        }
        drop(&it->out, &it->sent);
        return 0;
}

static void queue_frame(struct websocket *it, unsigned code, const char *bytes, size_t length)
{
        unsigned char head[HEAD_BYTES] = {(unsigned char)(FIRST_FINAL | code)}, mask[4];
        size_t used = 2;
        uint32_t key = it->mask += 0x9e3779b9u;

        head[1] = (unsigned char)(SECOND_MASKED | (length < 126 ? length : length <= 0xffff ? 126u : 127u));
        if (length >= 126)
                for (unsigned shift = length <= 0xffff ? 16 : 64; shift > 0; shift -= 8)
                        head[used++] = (unsigned char)((uint64_t)length >> (shift - 8));
        for (size_t i = 0; i < sizeof mask; i++)
                head[used++] = mask[i] = (unsigned char)(key >> (8 * i));
        drop(&it->out, &it->sent);
        str_add_bytes(&it->out, head, used);
        str_add_bytes(&it->out, bytes, length);
        for (size_t i = 0, at = it->out.length - length; i < length; i++)
                it->out.data[at + i] = (char)(it->out.data[at + i] ^ (char)mask[i % sizeof mask]);
}

int websocket_send(struct websocket *it, enum websocket_kind kind, const void *bytes, size_t length,
                   struct cowherd_error *err)
{
        if (it->closed)
                return 0;
        queue_frame(it, kind, bytes, length);
        return websocket_flush(it, err);
}

/* ---- receiving ---- */

struct frame {
        unsigned code;
        bool final;
        const char *bytes;
        size_t length;
};

static int forbidden(const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "LXD's websocket sent %s, which the protocol (RFC 6455) forbids", what);
}

static int check_head(unsigned first, unsigned second, uint64_t length, struct cowherd_error *err)
{
        unsigned code = first & 0x0fu;

        if ((first & FIRST_RESERVED) != 0)
                return forbidden("a frame with reserved bits", err);
        if ((second & SECOND_MASKED) != 0)
                return forbidden("a masked frame", err);
        if (code > WEBSOCKET_BINARY && code != WEBSOCKET_CLOSE && code != FRAME_PING && code != FRAME_PONG)
                return forbidden("a frame of an unknown kind", err);
        if (code >= WEBSOCKET_CLOSE && (length > CONTROL_BYTES || (first & FIRST_FINAL) == 0))
                return forbidden("a control frame that is long or in pieces", err);
        if (length > WEBSOCKET_MESSAGE_BYTES)
                return fail(err, COWHERD_SYSTEM, "LXD's websocket sent a message of more than %u bytes",
                            WEBSOCKET_MESSAGE_BYTES);
        return 0;
}

/* The first whole frame of what has come, or 1 where there is none yet. */
static int next_frame(struct websocket *it, struct frame *ret, struct cowherd_error *err)
{
        const unsigned char *bytes = (const unsigned char *)str_text(&it->in) + it->taken;
        size_t have = it->in.length - it->taken, head = 2;

        if (have < head)
                return 1;
        uint64_t length = bytes[1] & 0x7fu;
        size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
        head += more;
        if (have < head)
                return 1;
        for (size_t i = 0; i < more; i++)
                length = (i == 0 ? 0 : length << 8) | bytes[2 + i];
        if (check_head(bytes[0], bytes[1], length, err) < 0)
                return -1;
        if (have - head < length)
                return 1;
        *ret = (struct frame){.code = bytes[0] & 0x0fu,
                              .final = (bytes[0] & FIRST_FINAL) != 0,
                              .bytes = (const char *)bytes + head,
                              .length = (size_t)length};
        it->taken += head + (size_t)length;
        return 0;
}

/* Adds a frame to the message in the making. */
static int add_fragment(struct websocket *it, const struct frame *frame, struct cowherd_error *err)
{
        if ((frame->code == FRAME_CONTINUED) != (it->kind != 0))
                return forbidden(it->kind != 0 ? "a message within another" : "a continuation of nothing", err);
        if (frame->length > WEBSOCKET_MESSAGE_BYTES - it->message.length)
                return fail(err, COWHERD_SYSTEM, "LXD's websocket sent a message of more than %u bytes",
                            WEBSOCKET_MESSAGE_BYTES);
        if (frame->code != FRAME_CONTINUED)
                it->kind = frame->code;
        str_add_bytes(&it->message, frame->bytes, frame->length);
        return 0;
}

/* The next message among the frames that have come, or 1 where none is whole. */
static int next_message(struct websocket *it, struct websocket_message *ret, struct cowherd_error *err)
{
        struct frame frame;
        int rc;

        if (it->given)
                it->message.length = 0;
        it->given = false;
        while ((rc = next_frame(it, &frame, err)) == 0) {
                if (frame.code == FRAME_PING) {
                        queue_frame(it, FRAME_PONG, frame.bytes, frame.length);
                        if (websocket_flush(it, err) < 0)
                                return -1;
                        continue;
                }
                if (frame.code == FRAME_PONG)
                        continue;
                if (frame.code == WEBSOCKET_CLOSE) {
                        it->closed = true;
                        break;
                }
                if (add_fragment(it, &frame, err) < 0)
                        return -1;
                if (!frame.final)
                        continue;
                *ret = (struct websocket_message){.kind = it->kind == WEBSOCKET_TEXT ? WEBSOCKET_TEXT : WEBSOCKET_BINARY,
                                                  .bytes = str_text(&it->message),
                                                  .length = it->message.length};
                it->kind = 0;
                it->given = true;
                return 0;
        }
        return rc == 0 ? 1 : rc;
}

/* Reads once: 0 for bytes, 1 for none yet; the end of the stream closes. */
static int read_more(struct websocket *it, struct cowherd_error *err)
{
        char chunk[READ_BYTES / 2];

        drop(&it->in, &it->taken);
        ssize_t count = recv(it->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
                return 1;
        if (count < 0 && errno != ECONNRESET)
                return fail_errno(err, "cannot read from LXD");
        if (count <= 0)
                it->closed = true;
        else
                str_add_bytes(&it->in, chunk, (size_t)count);
        return count <= 0 ? 1 : 0;
}

int websocket_receive(struct websocket *it, struct websocket_message *ret, struct cowherd_error *err)
{
        for (;;) {
                int rc = next_message(it, ret, err);
                if (rc <= 0)
                        return rc;
                rc = read_more(it, err);
                if (rc < 0)
                        return -1;
                if (rc > 0 && it->closed) {
                        *ret = (struct websocket_message){.kind = WEBSOCKET_CLOSE, .bytes = ""};
                        return 0;
                }
                if (rc > 0)
                        return 1;
        }
}

int websocket_wait(struct websocket *it, uint64_t timeout_ms, struct websocket_message *ret, struct cowherd_error *err)
{
        double begun = clock_ms();

        for (;;) {
                int rc = websocket_receive(it, ret, err);
                if (rc <= 0)
                        return rc;
                double left = timeout_ms == UINT64_MAX ? -1 : (double)timeout_ms - (clock_ms() - begun);
                if (timeout_ms != UINT64_MAX && left <= 0)
                        return 1;
                struct pollfd waited = {.fd = it->fd, .events = websocket_events(it)};
                if (poll(&waited, 1, left < 0 ? -1 : left > INT_MAX - 1 ? INT_MAX : (int)left + 1) < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for LXD");
                if (websocket_flush(it, err) < 0)
                        return -1;
        }
}
