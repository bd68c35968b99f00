/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One poll(2) carries all the streams of a command: its input from a descriptor or from memory, its output to whoever wants it,
 * and LXD's own pings. LXD ends each stream with an empty text message, and takes such a one for the end of the input.
 */
#include "lxd_api/exec_session.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define END_MS 10000u /* for what is left to read, after a kill */
#define CHUNK_BYTES 65536u
#define STREAMS LXD_SESSION_STREAMS
#define CONTROL LXD_SESSION_CONTROL

/* Sends on what there is of the input; its end is an empty text message. A terminal's is never said. */
static int feed(struct lxd_session *it, struct cowherd_error *err)
{
        const struct lxd_exec *exec = it->exec;
        char chunk[CHUNK_BYTES / 2];
        size_t length = exec->input >= 0 ? 0 : exec->length - it->sent;

        length = length < sizeof chunk ? length : sizeof chunk;
        if (exec->input >= 0) {
                ssize_t count = read(exec->input, chunk, sizeof chunk);
                if (count < 0 && (errno == EINTR || errno == EAGAIN))
                        return 0;
                length = count > 0 ? (size_t)count : 0; /* EIO of a terminal that hung up is an end too */
        } else if (length > 0) {
                memcpy(chunk, exec->bytes + it->sent, length);
        }
        it->sent += length;
        if (exec->fed != NULL && length > 0)
                exec->fed(exec->context, it->sent);
        if (length > 0)
                return websocket_send(it->streams[0], WEBSOCKET_BINARY, chunk, length, err);
        it->input_ended = true;
        return exec->terminal ? 0 : websocket_send(it->streams[0], WEBSOCKET_TEXT, "", 0, err);
}

/* Hands out all that has come on a stream. */
static int drain(struct lxd_session *it, size_t stream, struct cowherd_error *err)
{
        struct websocket_message message;
        int rc;

        while ((rc = websocket_receive(it->streams[stream], &message, err)) == 0) {
                bool is_end = message.kind == WEBSOCKET_CLOSE || (message.kind == WEBSOCKET_TEXT && message.length == 0);
                if (is_end) {
                        it->ended[stream] = true;
                        return 0;
                }
                if (stream != CONTROL && it->exec->wrote != NULL &&
                    it->exec->wrote(it->exec->context, stream == 2 ? 2 : 1, message.bytes, message.length, err) < 0)
                        return -1;
        }
        return rc < 0 ? -1 : 0;
}

static bool output_ended(const struct lxd_session *it)
{
        return it->exec->terminal ? it->ended[0] : it->ended[1] && it->ended[2];
}

static int time_left(const struct lxd_session *it)
{
        double left = it->deadline - clock_ms();

        return it->deadline <= 0 ? -1 : left <= 0 ? 0 : left > INT_MAX - 1 ? INT_MAX : (int)left + 1;
}

#define INPUT_SLOT STREAMS
#define WAKE_SLOT (STREAMS + 1)
#define SLOTS (STREAMS + 2)

static void choose_waits(const struct lxd_session *it, struct pollfd *waits)
{
        bool hungry = !it->input_ended && !it->ended[0] && websocket_queued(it->streams[0]) < CHUNK_BYTES;

        for (size_t i = 0; i < STREAMS; i++)
                waits[i] = it->ended[i] ? (struct pollfd){.fd = -1}
                                        : (struct pollfd){.fd = websocket_fd(it->streams[i]),
                                                          .events = websocket_events(it->streams[i])};
        waits[INPUT_SLOT] = (struct pollfd){.fd = hungry ? it->exec->input : -1, .events = POLLIN};
        waits[WAKE_SLOT] = (struct pollfd){.fd = it->exec->wake, .events = POLLIN};
        if (hungry && it->exec->input < 0) /* bytes are always there: when the socket takes them */
                waits[0].events |= POLLOUT;
}

static int serve(struct lxd_session *it, const struct pollfd *waits, struct cowherd_error *err)
{
        for (size_t i = 0; i < STREAMS; i++) {
                if (waits[i].fd < 0 || waits[i].revents == 0)
                        continue;
                if (websocket_flush(it->streams[i], err) < 0 || drain(it, i, err) < 0)
                        return -1;
        }
        bool can_feed = it->exec->input >= 0 ? waits[INPUT_SLOT].revents != 0 : (waits[0].revents & POLLOUT) != 0;
        if (can_feed && !it->input_ended && !it->ended[0] && feed(it, err) < 0)
                return -1;
        if (waits[WAKE_SLOT].revents != 0)
                return it->exec->woken(it->exec->context, it, err);
        return 0;
}

int lxd_session_carry(struct lxd_session *it, struct cowherd_error *err)
{
        struct pollfd waits[SLOTS];

        while (!output_ended(it)) {
                choose_waits(it, waits);
                if (poll(waits, SLOTS, time_left(it)) < 0) {
                        if (errno == EINTR)
                                continue;
                        return fail_errno(err, "cannot wait for the command in '%s'", it->instance);
                }
                if (serve(it, waits, err) < 0)
                        return -1;
                if (time_left(it) != 0)
                        continue;
                if (it->killed)
                        return 1;
                it->killed = true;
                it->deadline = clock_ms() + END_MS;
                if (lxd_session_kill(it, err) < 0)
                        return -1;
        }
        return 0;
}
