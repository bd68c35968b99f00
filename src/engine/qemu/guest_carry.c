/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread between the relay's pipes and the session's frames. It has as much in its hands as a frame holds, so that whoever is slow
 * slows the other, and reads no more of the input than the guest has room for. It is the one writer of frames: signals and sizes
 * come to it by a pipe too.
 */
#include "engine/qemu/guest_carry.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define PIECE_BYTES 16384

static size_t waiting(const struct carry_tank *tank)
{
        return tank->bytes.length - tank->gone;
}

/* Gives what the descriptor takes. False where nobody takes any more. */
static bool pour(struct carry_tank *tank, int fd)
{
        while (waiting(tank) > 0) {
                const char *at = tank->bytes.data + tank->gone;
                ssize_t done = write(fd, at, waiting(tank));
                if (done < 0 && errno == EAGAIN)
                        return true;
                if (done < 0 && errno != EINTR) {
                        tank->bytes.length = tank->gone = 0;
                        return false;
                }
                tank->gone += done > 0 ? (size_t)done : 0;
        }
        tank->bytes.length = tank->gone = 0;
        return true;
}

/* ---- From the guest ---- */

static void end_with(struct carrier *carrier, int result, const struct cowherd_error *err)
{
        carrier->ended = true;
        carrier->failed = result < 0;
        if (result < 0)
                carrier->err = *err;
}

static void take_ended(struct carrier *carrier, const struct guest_frame *frame)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};
        uint32_t code = guest_get_number(&reader), timed_out = guest_get_number(&reader);
        struct cowherd_error err;

        if (!guest_get_end(&reader) || code > 255) {
                end_with(carrier, guest_fail_nonsense(carrier->guest, &err), &err);
                return;
        }
        carrier->code = (int)code;
        int result = timed_out == 0 ? 0
                                    : fail(&err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms; it was ended",
                                           carrier->guest->instance->name, (unsigned long long)carrier->command->timeout_ms);
        end_with(carrier, result, &err);
}

static void take_frame(struct carrier *carrier, const struct guest_frame *frame)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};
        struct cowherd_error err;

        if (guest_is_lost(frame))
                end_with(carrier, guest_fail_lost(carrier->guest, &err), &err);
        if (frame->channel != carrier->channel)
                return;
        if (frame->type == GUEST_OUTPUT)
                str_add_bytes(&carrier->output.bytes, frame->payload, frame->length);
        else if (frame->type == GUEST_ERRORS)
                str_add_bytes(&carrier->errors.bytes, frame->payload, frame->length);
        else if (frame->type == GUEST_TAKEN)
                carrier->window += guest_get_number(&reader) % (GUEST_INPUT_BYTES + 1);
        else if (frame->type == GUEST_FAILED)
                end_with(carrier, guest_failed(carrier->guest, frame, carrier->command, &err), &err);
        else if (frame->type == GUEST_ENDED)
                take_ended(carrier, frame);
}

static bool is_full(const struct carrier *carrier)
{
        return waiting(&carrier->output) > GUEST_PAYLOAD_BYTES || waiting(&carrier->errors) > GUEST_PAYLOAD_BYTES;
}

static void hear(struct carrier *carrier)
{
        struct guest_frame frame;
        struct cowherd_error err;

        while (!carrier->ended && !is_full(carrier)) {
                int none = guest_next_here(carrier->guest, &frame, &err);
                if (none < 0)
                        end_with(carrier, -1, &err);
                else if (none == 0)
                        take_frame(carrier, &frame);
                else
                        return;
        }
}

/* ---- To the guest ---- */

static void take_input(struct carrier *carrier)
{
        char piece[PIECE_BYTES];
        size_t most = carrier->window < sizeof piece ? carrier->window : sizeof piece;

        ssize_t got = read(carrier->fds[CARRY_INPUT], piece, most);
        if (got > 0) {
                carrier->window -= (size_t)got;
                guest_frame_add(&carrier->to_guest.bytes, GUEST_INPUT, carrier->channel, piece, (size_t)got);
        } else if (got == 0) {
                guest_frame_add(&carrier->to_guest.bytes, GUEST_INPUT_END, carrier->channel, NULL, 0);
                close_at(&carrier->fds[CARRY_INPUT]);
                carrier->fds[CARRY_INPUT] = -1;
        }
}

/* False when the relay is done. */
static bool take_order(struct carrier *carrier)
{
        owned_string struct str payload = {0};
        struct carry_order order;

        ssize_t got = read(carrier->fds[CARRY_CONTROL], &order, sizeof order);
        if (got != (ssize_t)sizeof order)
                return got < 0 && (errno == EAGAIN || errno == EINTR);
        guest_put_number(&payload, order.first);
        if (order.type == GUEST_RESIZE)
                guest_put_number(&payload, order.second);
        guest_frame_add(&carrier->to_guest.bytes, (enum guest_type)order.type, carrier->channel, payload.data, payload.length);
        return true;
}

/* ---- The thread ---- */

static short events_of(const struct carrier *carrier, int way)
{
        bool quiet = waiting(&carrier->to_guest) < GUEST_PAYLOAD_BYTES;

        if (way == CARRY_SOCKET)
                return (short)((is_full(carrier) || carrier->ended ? 0 : POLLIN) | (waiting(&carrier->to_guest) > 0 ? POLLOUT : 0));
        if (way == CARRY_INPUT)
                return quiet && carrier->window > 0 ? POLLIN : 0;
        if (way == CARRY_CONTROL)
                return quiet ? POLLIN : 0;
        return waiting(way == CARRY_OUTPUT ? &carrier->output : &carrier->errors) > 0 ? POLLOUT : 0;
}

static void close_output(struct carrier *carrier, int way)
{
        close_at(&carrier->fds[way]);
        carrier->fds[way] = -1;
}

static void pour_out(struct carrier *carrier)
{
        for (int way = CARRY_OUTPUT; way <= CARRY_ERRORS; way++) {
                struct carry_tank *tank = way == CARRY_OUTPUT ? &carrier->output : &carrier->errors;
                if (carrier->fds[way] < 0)
                        tank->bytes.length = tank->gone = 0;
                else if (!pour(tank, carrier->fds[way]) || (carrier->ended && waiting(tank) == 0))
                        close_output(carrier, way);
        }
}

/* A helper that was killed says nothing. */
static void look_into_silence(struct carrier *carrier)
{
        struct cowherd_error err;

        if (guest_is_there(carrier->guest->instance) == 0)
                end_with(carrier, guest_fail_lost(carrier->guest, &err), &err);
        else if (waiting(&carrier->to_guest) == 0)
                guest_ping_add(&carrier->to_guest.bytes);
}

static bool carry(struct carrier *carrier)
{
        struct pollfd ways[CARRY_WAYS];

        for (int way = 0; way < CARRY_WAYS; way++) {
                short events = events_of(carrier, way);
                bool polled = events != 0 || way == CARRY_CONTROL; /* else a hang-up would not let us sleep */
                ways[way] = (struct pollfd){.fd = polled ? carrier->fds[way] : -1, .events = events};
        }
        int ready = poll(ways, CARRY_WAYS, GUEST_SILENCE_MS);
        if (ready == 0)
                look_into_silence(carrier);
        if (ways[CARRY_SOCKET].revents != 0) {
                hear(carrier);
                if (!pour(&carrier->to_guest, carrier->fds[CARRY_SOCKET]) && !carrier->ended)
                        look_into_silence(carrier);
        }
        if (ways[CARRY_INPUT].revents != 0)
                take_input(carrier);
        if (ways[CARRY_CONTROL].revents != 0 && !take_order(carrier))
                return false;
        pour_out(carrier);
        return !carrier->ended || carrier->fds[CARRY_OUTPUT] >= 0 || carrier->fds[CARRY_ERRORS] >= 0;
}

void *guest_carry(void *context)
{
        struct carrier *carrier = context;

        hear(carrier); /* what came with the answer to the request */
        pour_out(carrier);
        while (carry(carrier))
                ;
        for (int way = CARRY_INPUT; way < CARRY_WAYS; way++)
                close_output(carrier, way);
        return NULL;
}
