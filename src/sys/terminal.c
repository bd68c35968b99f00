/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's loop: one poll(2) on the streams of both sides, signals (signalfd) and the command's end (pidfd) among
 * them.
 *
 * The caller's descriptors are shared with his shell, so they are not made non-blocking: what poll(2) calls writable
 * takes PIPE_BUF bytes without waiting, and no more is written at once. The guest's are ours, and are.
 */
#include "sys/terminal.h"

#include "base/mem.h"
#include "sys/terminal_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_BYTES 65536u
#define FLUSH_BYTES                                                                                                    \
        (2u << 20) /* more than a pipe can hold: what goes on writing after its command's end is not waited for */

/* One direction. What was read waits in `bytes` until it is written; only then is more read. */
struct channel {
        struct relay_stream *guest;
        int caller;
        bool to_guest, done;
        bool more; /* a stream with frames may have read beyond one, which poll(2) does not show */
        char last; /* byte that the guest got */
        size_t start, length;
        char *bytes;
};

enum { TO_GUEST, FROM_GUEST, FROM_ERRORS, CHANNELS, SIGNALS = 2 * CHANNELS, COMMAND, POLLED };

struct relaying {
        struct relay *relay;
        struct channel channels[CHANNELS];
        struct terminal_state state;
        bool over, command_ended;
        enum relay_end how;
        int write_errno; /* of the caller's output, but EPIPE */
};

static ssize_t channel_read(const struct channel *channel)
{
        if (channel->to_guest)
                return read(channel->caller, channel->bytes, CHANNEL_BYTES);
        if (channel->guest->read != NULL)
                return channel->guest->read(channel->guest->context, channel->bytes, CHANNEL_BYTES);
        return read(channel->guest->fd, channel->bytes, CHANNEL_BYTES);
}

static ssize_t channel_write(const struct channel *channel)
{
        const char *bytes = channel->bytes + channel->start;

        if (!channel->to_guest)
                return write(channel->caller, bytes, channel->length < PIPE_BUF ? channel->length : PIPE_BUF);
        if (channel->guest->write != NULL)
                return channel->guest->write(channel->guest->context, bytes, channel->length);
        return write(channel->guest->fd, bytes, channel->length);
}

static void finish(struct relaying *r, enum relay_end how)
{
        if (!r->over)
                r->how = how;
        r->over = true;
}

static void close_stream(struct relay_stream *stream)
{
        if (stream->fd >= 0)
                (void)close(stream->fd);
        stream->fd = -1;
}

static bool is_one_stream(const struct relay *relay)
{
        return relay->to.fd == relay->from.fd;
}

/* A terminal takes a key for the end of its input: at the beginning of a line; else it first ends what was begun of
 * one. */
static void send_end_of_file(int master, char last, const struct termios *settings)
{
        cc_t keys[2] = {settings->c_cc[VEOF], settings->c_cc[VEOF]};

        (void)!write(master, keys, last == '\n' || last == '\0' ? 1 : 2);
}

/* The caller's input is at its end, and the guest has all of it. */
static void end_input(struct relaying *r, struct channel *channel)
{
        struct termios settings;

        if (r->relay->terminal)
                finish(r, RELAY_HUNG_UP);
        else if (channel->guest->finish != NULL)
                channel->guest->finish(channel->guest->context);
        else if (!is_one_stream(r->relay))
                close_stream(channel->guest);
        else if (tcgetattr(channel->guest->fd, &settings) == 0)
                send_end_of_file(channel->guest->fd, channel->last, &settings);
        else
                (void)shutdown(channel->guest->fd, SHUT_WR);
}

/* Sends what came before the escape key, which ends the relay. */
static void cut_at_escape(struct relaying *r, struct channel *channel)
{
        const char *found = NULL;

        if (channel->to_guest && r->relay->terminal && r->relay->escape != 0)
                found = memchr(channel->bytes, r->relay->escape, channel->length);
        if (found == NULL)
                return;
        channel->length = (size_t)(found - channel->bytes);
        if (channel->length > 0)
                (void)!channel_write(channel);
        channel->length = 0;
        finish(r, RELAY_ESCAPED);
}

/* Reads once. */
static void channel_fill(struct relaying *r, struct channel *channel)
{
        if (channel->done || channel->length > 0)
                return;
        ssize_t got = channel_read(channel);
        channel->more = got > 0 && !channel->to_guest && channel->guest->read != NULL;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (got <= 0) { /* a pty's master fails with EIO once its last user has gone */
                channel->done = true;
                if (channel->to_guest)
                        end_input(r, channel);
                return;
        }
        channel->start = 0;
        channel->length = (size_t)got;
        channel->last = channel->bytes[got - 1];
        cut_at_escape(r, channel);
}

/* Nobody takes what this channel carries any more. */
static void channel_broken(struct relaying *r, struct channel *channel)
{
        channel->length = 0;
        channel->done = true;
        if (channel->to_guest)
                return; /* the command reads no more; what it writes still comes */
        if (errno != EPIPE)
                r->write_errno = errno;
        if (is_one_stream(r->relay) || channel->guest->read != NULL)
                finish(r, RELAY_HUNG_UP);
        else
                close_stream(channel->guest); /* so that the command's next write tells it */
}

/* Writes once. */
static void channel_drain(struct relaying *r, struct channel *channel)
{
        if (channel->length == 0)
                return;
        ssize_t put = channel_write(channel);
        if (put < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (put < 0) {
                channel_broken(r, channel);
                return;
        }
        channel->start += (size_t)put;
        channel->length -= (size_t)put;
}

static void set_size(const struct relay *relay)
{
        struct winsize size;

        if (!relay->terminal || ioctl(relay->output, TIOCGWINSZ, &size) < 0)
                return;
        if (relay->resize != NULL)
                relay->resize(relay->context, &size);
        else if (relay->from.fd >= 0)
                (void)ioctl(relay->from.fd, TIOCSWINSZ, &size); /* a socket has none: nothing is lost */
}

static void take_signal(struct relaying *r)
{
        int number = terminal_state_signal(&r->state);

        if (number == SIGWINCH || number == SIGCONT) {
                set_size(r->relay);
        } else if (number > 0) {
                bool again = terminal_state_seen(&r->state, number) && (number == SIGTERM || number == SIGHUP);
                if (r->relay->signal != NULL && !again)
                        r->relay->signal(r->relay->context, number);
                else
                        finish(r, RELAY_INTERRUPTED);
        }
}

/* What poll(2) is asked of a channel: either its reading or its writing side. Whether it must not wait. */
static bool ask_channel(const struct channel *channel, struct pollfd *reading, struct pollfd *writing)
{
        bool reads = !channel->done && channel->length == 0, writes = channel->length > 0;
        int guest = channel->guest->fd;

        *reading = (struct pollfd){.fd = !reads ? -1 : channel->to_guest ? channel->caller : guest, .events = POLLIN};
        *writing = (struct pollfd){.fd = !writes ? -1 : channel->to_guest ? guest : channel->caller, .events = POLLOUT};
        return reads && channel->more;
}

static int turn(struct relaying *r, struct cowherd_error *err)
{
        struct pollfd fds[POLLED];
        bool at_once = false;

        for (size_t i = 0; i < CHANNELS; i++)
                at_once |= ask_channel(&r->channels[i], &fds[2 * i], &fds[2 * i + 1]);
        fds[SIGNALS] = (struct pollfd){.fd = r->state.signals, .events = POLLIN};
        fds[COMMAND] = (struct pollfd){.fd = r->command_ended ? -1 : r->relay->ended, .events = POLLIN};
        if (poll(fds, POLLED, at_once ? 0 : -1) < 0)
                return errno == EINTR ? 0 : fail_errno(err, "cannot wait for input");
        for (size_t i = 0; i < CHANNELS && !r->over; i++) {
                struct channel *channel = &r->channels[i];
                if (fds[2 * i].revents != 0 || channel->more)
                        channel_fill(r, channel);
                if (fds[2 * i + 1].revents != 0 || channel->to_guest)
                        channel_drain(r, channel);
        }
        if (fds[SIGNALS].revents != 0)
                take_signal(r);
        r->command_ended = r->command_ended || fds[COMMAND].revents != 0;
        return 0;
}

/* After the command's end: writes all that it has written. */
static int flush(struct relaying *r, struct channel *channel, struct cowherd_error *err)
{
        size_t done = 0;

        while (!r->over && done < FLUSH_BYTES) {
                channel_fill(r, channel);
                if (channel->length == 0)
                        return 0;
                struct pollfd fds[] = {{channel->caller, POLLOUT, 0}, {r->state.signals, POLLIN, 0}};
                if (poll(fds, array_length(fds), -1) < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for output");
                if (fds[1].revents != 0 && terminal_state_signal(&r->state) != SIGWINCH)
                        finish(r, RELAY_INTERRUPTED);
                if (fds[0].revents == 0)
                        continue;
                size_t before = channel->length;
                channel_drain(r, channel);
                done += before - channel->length;
        }
        return 0;
}

static int loop(struct relaying *r, struct cowherd_error *err)
{
        set_size(r->relay);
        while (!r->over && !r->command_ended) {
                if (r->relay->ended < 0 && r->channels[FROM_GUEST].done && r->channels[FROM_ERRORS].done)
                        break;
                if (turn(r, err) < 0)
                        return -1;
        }
        for (size_t i = FROM_GUEST; i < CHANNELS && !r->over; i++)
                if (flush(r, &r->channels[i], err) < 0)
                        return -1;
        finish(r, RELAY_ENDED);
        return 0;
}

static struct channel channel_of(struct relay_stream *guest, int caller, bool to_guest)
{
        int flags = guest->fd < 0 ? -1 : fcntl(guest->fd, F_GETFL);

        if (flags >= 0)
                (void)fcntl(guest->fd, F_SETFL, flags | O_NONBLOCK);
        return (struct channel){.guest = guest,
                                .caller = caller,
                                .to_guest = to_guest,
                                .done = guest->fd < 0 || caller < 0,
                                .bytes = x_malloc(CHANNEL_BYTES)};
}

int relay_run(struct relay *relay, enum relay_end *ret_how, struct cowherd_error *err)
{
        struct relaying r = {.relay = relay};

        r.channels[TO_GUEST] = channel_of(&relay->to, relay->input, true);
        r.channels[FROM_GUEST] = channel_of(&relay->from, relay->output, false);
        r.channels[FROM_ERRORS] = channel_of(&relay->from_errors, relay->errors, false);
        int result = terminal_state_begin(&r.state, relay->terminal ? relay->input : -1, err);
        if (result == 0)
                result = loop(&r, err);
        terminal_state_end(&r.state);
        for (size_t i = 0; i < CHANNELS; i++)
                free(r.channels[i].bytes);
        if (is_one_stream(relay))
                relay->to.fd = -1;
        close_stream(&relay->to);
        close_stream(&relay->from);
        close_stream(&relay->from_errors);
        if (result < 0)
                return -1;
        errno = r.write_errno;
        if (errno != 0)
                return fail_errno(err, "cannot write the command's output");
        *ret_how = r.how;
        return 0;
}
