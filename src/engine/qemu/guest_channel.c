/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and answers of a session with cowherd-guest, and what its refusals mean. */
#include "engine/qemu/guest_channel.h"

#include "engine/qemu/agent_channel.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define TOLD_BYTES 256

void guest_close(struct guest *guest)
{
        close_at(&guest->fd);
        close_at(&guest->lock);
        guest_decoder_free(&guest->decoder);
        str_free(&guest->received);
        *guest = GUEST_CLOSED;
}

/* ---- Failures ---- */

int guest_fail_lost(const struct guest *guest, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the connection to cowherd-guest in '%s' broke off: it, or its machine, has ended",
                    guest->instance->name);
}

int guest_fail_nonsense(const struct guest *guest, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "cowherd-guest in '%s' answered what was not asked", guest->instance->name);
}

int guest_fail_silent(const struct guest *guest, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "cowherd-guest in '%s' does not answer", guest->instance->name);
        return fail_hint(err, "a paused guest can't; a busy one may need a longer timeout");
}

static int fail_command(const char *name, const struct engine_command *command, uint32_t failure, int os_errno, struct cowherd_error *err)
{
        const char *word = command->argv == NULL ? "the login shell" : command->argv[0];

        if (failure == GUEST_FAILED_USER)
                return fail(err, COWHERD_NOT_FOUND, "user '%s' not found in '%s'", command->user, name);
        if (failure == GUEST_FAILED_FOLDER)
                return fail(err, COWHERD_NOT_FOUND, "working_dir '%s' not found in '%s'",
                            command->working_dir == NULL ? "/" : command->working_dir, name);
        if (os_errno == ENOENT)
                return fail(err, COWHERD_NOT_FOUND, "command '%s' not found in '%s'", word, name);
        return fail(err, os_errno == EACCES || os_errno == EPERM ? COWHERD_DENIED : COWHERD_SYSTEM,
                    "command '%s' can't be run in '%s': %s", word, name, strerror(os_errno));
}

int guest_failed(const struct guest *guest, const struct guest_frame *frame, const struct engine_command *command,
                 struct cowherd_error *err)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};
        uint32_t failure = guest_get_number(&reader);
        int os_errno = (int)(guest_get_number(&reader) & 0xfff);
        owned_str char *raw = guest_get_text(&reader, TOLD_BYTES), *text = agent_quote(raw);
        const char *name = guest->instance->name;

        if (!guest_get_end(&reader))
                return guest_fail_nonsense(guest, err);
        if (command != NULL &&
            (failure == GUEST_FAILED_USER || failure == GUEST_FAILED_FOLDER || failure == GUEST_FAILED_COMMAND))
                return fail_command(name, command, failure, os_errno, err);
        if (failure == GUEST_FAILED_FROZEN)
                return fail(err, COWHERD_BUSY, "the filesystems of '%s' are frozen for a snapshot", name);
        if (failure == GUEST_FAILED_TERMINAL)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' has no pseudo-terminal to give (is devpts mounted in it?): %s", name,
                            strerror(os_errno));
        if (failure == GUEST_FAILED_BUSY)
                return fail(err, COWHERD_BUSY, "cowherd-guest in '%s' runs as many commands as it can", name);
        if (failure == GUEST_FAILED_GRAMMAR)
                return fail(err, COWHERD_USAGE, "cowherd-guest in '%s' refuses the %s", name, text);
        if (failure == GUEST_FAILED_UNKNOWN) {
                (void)fail(err, COWHERD_UNAVAILABLE, "cowherd-guest in '%s' is too old for this", name);
                return fail_hint(err, "replace it in the guest by the one of this version");
        }
        return fail(err, COWHERD_SYSTEM, "'%s' refuses%s%s: %s", name, text[0] == '\0' ? "" : " the ", text, strerror(os_errno));
}

/* ---- Bytes ---- */

/* 1 when the time is over. */
static int sleep_until(struct guest *guest, short events, double until_ms, struct cowherd_error *err)
{
        struct pollfd wanted = {.fd = guest->fd, .events = events};
        double left = until_ms - clock_ms();

        int ready = poll(&wanted, 1, left <= 0 ? 0 : left > 1e9 ? 1000000000 : (int)left + 1);
        if (ready < 0 && errno != EINTR)
                return fail_errno(err, "cannot wait for cowherd-guest in '%s'", guest->instance->name);
        return ready == 0 && clock_ms() >= until_ms ? 1 : 0;
}

int guest_send(struct guest *guest, const struct str *bytes, double until_ms, struct cowherd_error *err)
{
        for (size_t sent = 0; sent < bytes->length;) {
                ssize_t done = send(guest->fd, bytes->data + sent, bytes->length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (done > 0) {
                        sent += (size_t)done;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR)
                        return guest_fail_lost(guest, err);
                int over = sleep_until(guest, POLLOUT, until_ms, err);
                if (over != 0)
                        return over < 0 ? -1 : guest_fail_silent(guest, err);
        }
        return 0;
}

/* A frame of what was received; what is used up is let go of. */
static bool decode(struct guest *guest, struct guest_frame *ret)
{
        const uint8_t *at = (const uint8_t *)guest->received.data + guest->at;
        size_t left = guest->received.length - guest->at;

        bool found = left > 0 && guest_decode(&guest->decoder, &at, &left, ret);
        guest->at = guest->received.length - left;
        if (left == 0)
                guest->received.length = guest->at = 0;
        return found;
}

int guest_next_here(struct guest *guest, struct guest_frame *ret, struct cowherd_error *err)
{
        for (;;) {
                char piece[PIECE_BYTES / 2];
                if (decode(guest, ret))
                        return 0;
                ssize_t got = recv(guest->fd, piece, sizeof piece, MSG_DONTWAIT);
                if (got < 0 && errno == EAGAIN)
                        return 1;
                if (got == 0 || (got < 0 && errno != EINTR))
                        return guest_fail_lost(guest, err);
                if (got > 0)
                        str_add_bytes(&guest->received, piece, (size_t)got);
        }
}

int guest_next(struct guest *guest, double until_ms, struct guest_frame *ret, struct cowherd_error *err)
{
        for (;;) {
                int none = guest_next_here(guest, ret, err);
                if (none <= 0)
                        return none;
                int over = sleep_until(guest, POLLIN, until_ms, err);
                if (over != 0)
                        return over;
        }
}

int guest_ask(struct guest *guest, enum guest_type type, const struct str *request, enum guest_type expected, uint64_t timeout_ms,
              struct guest_frame *ret, struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms;
        unsigned channel = guest->channel = guest->channel % 0xffff + 1;
        owned_string struct str out = {0};

        guest_message_add(&out, type, channel, request == NULL ? NULL : request->data, request == NULL ? 0 : request->length);
        if (guest_send(guest, &out, until_ms, err) < 0)
                return -1;
        for (;;) {
                int over = guest_next(guest, until_ms, ret, err);
                if (over != 0)
                        return over < 0 ? -1 : guest_fail_silent(guest, err);
                if (ret->channel != channel)
                        continue;
                if (ret->type == GUEST_FAILED)
                        return guest_failed(guest, ret, NULL, err);
                return ret->type == (unsigned)expected ? 0 : guest_fail_nonsense(guest, err);
        }
}

void guest_ping_add(struct str *out)
{
        guest_frame_add(out, GUEST_PING, GUEST_CHANNEL_PING, NULL, 0);
}

bool guest_is_lost(const struct guest_frame *frame)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};

        return frame->type == GUEST_DONE && frame->channel == GUEST_CHANNEL_PING && guest_get_long(&reader) == 0;
}
