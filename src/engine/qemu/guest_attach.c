/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with the caller's descriptors, a terminal among them. The relay (sys/terminal.h) knows pipes, and the session frames; between
 * both a thread carries bytes, with as much of them in its hands as a frame holds, so that whoever is slow slows the other. It ends when the
 * command has and all was passed on, or when the relay is done. Signals and sizes come to it by a pipe too: one writer of frames.
 */
#include "engine/qemu/guest.h"

#include "sys/clock.h"
#include "sys/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES 16384

enum { SOCKET, INPUT, CONTROL, OUTPUT, ERRORS, WAYS };

struct order {
        uint32_t type, first, second; /* GUEST_SIGNAL, GUEST_RESIZE */
};

/* What waits to go out by a descriptor. */
struct tank {
        struct str bytes;
        size_t gone;
};

struct carrier {
        struct guest *guest;
        const struct engine_command *command;
        unsigned channel;
        int fds[WAYS]; /* the thread's ends; -1: closed */
        struct tank to_guest, output, errors;
        size_t window;
        bool ended, failed;
        int code;
        struct cowherd_error err;
};

static size_t waiting(const struct tank *tank)
{
        return tank->bytes.length - tank->gone;
}

/* Gives what the descriptor takes. False where nobody takes any more. */
static bool pour(struct tank *tank, int fd)
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

        ssize_t got = read(carrier->fds[INPUT], piece, most);
        if (got > 0) {
                carrier->window -= (size_t)got;
                guest_frame_add(&carrier->to_guest.bytes, GUEST_INPUT, carrier->channel, piece, (size_t)got);
        } else if (got == 0) {
                guest_frame_add(&carrier->to_guest.bytes, GUEST_INPUT_END, carrier->channel, NULL, 0);
                close_at(&carrier->fds[INPUT]);
                carrier->fds[INPUT] = -1;
        }
}

/* False when the relay is done. */
static bool take_order(struct carrier *carrier)
{
        owned_string struct str payload = {0};
        struct order order;

        ssize_t got = read(carrier->fds[CONTROL], &order, sizeof order);
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

        if (way == SOCKET)
                return (short)((is_full(carrier) || carrier->ended ? 0 : POLLIN) | (waiting(&carrier->to_guest) > 0 ? POLLOUT : 0));
        if (way == INPUT)
                return quiet && carrier->window > 0 ? POLLIN : 0;
        if (way == CONTROL)
                return quiet ? POLLIN : 0;
        return waiting(way == OUTPUT ? &carrier->output : &carrier->errors) > 0 ? POLLOUT : 0;
}

static void close_output(struct carrier *carrier, int way)
{
        close_at(&carrier->fds[way]);
        carrier->fds[way] = -1;
}

static void pour_out(struct carrier *carrier)
{
        for (int way = OUTPUT; way <= ERRORS; way++) {
                struct tank *tank = way == OUTPUT ? &carrier->output : &carrier->errors;
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
        struct pollfd ways[WAYS];

        for (int way = 0; way < WAYS; way++) {
                short events = events_of(carrier, way);
                bool polled = events != 0 || way == CONTROL; /* else a hang-up would not let us sleep */
                ways[way] = (struct pollfd){.fd = polled ? carrier->fds[way] : -1, .events = events};
        }
        int ready = poll(ways, WAYS, GUEST_SILENCE_MS);
        if (ready == 0)
                look_into_silence(carrier);
        if (ways[SOCKET].revents != 0) {
                hear(carrier);
                if (!pour(&carrier->to_guest, carrier->fds[SOCKET]) && !carrier->ended)
                        look_into_silence(carrier);
        }
        if (ways[INPUT].revents != 0)
                take_input(carrier);
        if (ways[CONTROL].revents != 0 && !take_order(carrier))
                return false;
        pour_out(carrier);
        return !carrier->ended || carrier->fds[OUTPUT] >= 0 || carrier->fds[ERRORS] >= 0;
}

static void *carry_all(void *context)
{
        struct carrier *carrier = context;

        hear(carrier); /* what came with the answer to the request */
        pour_out(carrier);
        while (carry(carrier))
                ;
        for (int way = INPUT; way < WAYS; way++)
                close_output(carrier, way);
        return NULL;
}

/* ---- The relay's side ---- */

static void order(int fd, uint32_t type, uint32_t first, uint32_t second)
{
        const struct order said = {type, first, second};

        if (write(fd, &said, sizeof said) < 0)
                return; /* the command has ended */
}

static void pass_size(void *context, const struct winsize *size)
{
        order(*(const int *)context, GUEST_RESIZE, size->ws_row, size->ws_col);
}

static void pass_signal(void *context, int number)
{
        order(*(const int *)context, GUEST_SIGNAL, (uint32_t)number, 0);
}

struct pipes {
        int to[2], from[2], errors[2], control[2];
};

static void pipes_free(struct pipes *pipes)
{
        for (int i = 0; i < 2; i++) {
                close_at(&pipes->to[i]);
                close_at(&pipes->from[i]);
                close_at(&pipes->errors[i]);
                close_at(&pipes->control[i]);
        }
}
define_owned(struct pipes, pipes_free)

static int open_pipes(bool terminal, struct pipes *ret, struct cowherd_error *err)
{
        if (pipe2(ret->to, O_CLOEXEC) < 0 || pipe2(ret->from, O_CLOEXEC) < 0 || pipe2(ret->control, O_CLOEXEC) < 0 ||
            (!terminal && pipe2(ret->errors, O_CLOEXEC) < 0))
                return fail_errno(err, "cannot make pipes");
        int ours[] = {ret->to[0], ret->from[1], ret->errors[1], ret->control[0]};
        for (size_t i = 0; i < array_length(ours); i++)
                if (ours[i] >= 0 && fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
                        return fail_errno(err, "cannot use pipes");
        return 0;
}

/* All signals are the relay's; SIGPIPE too, which is an error of write(2) here. */
static int begin_thread(struct carrier *carrier, pthread_t *ret, struct cowherd_error *err)
{
        sigset_t all, before;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        int failed = pthread_create(ret, NULL, carry_all, carrier);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = failed;
        return failed == 0 ? 0 : fail_errno(err, "cannot make a thread");
}

static int give_descriptor(int *from)
{
        int fd = *from;

        *from = -1;
        return fd;
}

static int run_relay(const struct engine_streams *streams, struct pipes *pipes, struct carrier *carrier, enum relay_end *ret_how,
                     struct cowherd_error *err)
{
        int control = pipes->control[1];
        struct relay relay = {.input = streams->input,
                              .output = streams->output,
                              .errors = streams->errors,
                              .terminal = streams->terminal,
                              .to = {.fd = -1},
                              .from = {.fd = -1},
                              .from_errors = {.fd = -1},
                              .ended = -1,
                              .resize = pass_size,
                              .signal = pass_signal,
                              .context = &control};
        pthread_t thread;

        carrier->fds[SOCKET] = carrier->guest->fd;
        carrier->fds[INPUT] = give_descriptor(&pipes->to[0]);
        carrier->fds[CONTROL] = give_descriptor(&pipes->control[0]);
        carrier->fds[OUTPUT] = give_descriptor(&pipes->from[1]);
        carrier->fds[ERRORS] = give_descriptor(&pipes->errors[1]);
        if (begin_thread(carrier, &thread, err) < 0)
                return -1;
        relay.to.fd = give_descriptor(&pipes->to[1]);
        relay.from.fd = give_descriptor(&pipes->from[0]);
        relay.from_errors.fd = give_descriptor(&pipes->errors[0]);
        int result = relay_run(&relay, ret_how, err);
        close_at(&pipes->control[1]); /* the thread's sign to end, if it has not */
        pipes->control[1] = -1;
        (void)pthread_join(thread, NULL);
        return result;
}

/* ---- The beginning ---- */

/* Says the request, and waits until the command runs or can't be. */
static int start(struct carrier *carrier, const struct engine_streams *streams, struct cowherd_error *err)
{
        owned_string struct str request = {0}, out = {0};
        struct guest_frame frame;
        struct winsize size;

        if (guest_run_request(carrier->command, streams, &request, err) < 0)
                return -1;
        carrier->channel = carrier->guest->channel = carrier->guest->channel % 0xffff + 1;
        guest_message_add(&out, GUEST_RUN, carrier->channel, request.data, request.length);
        if (streams->terminal && ioctl(streams->input, TIOCGWINSZ, &size) == 0) {
                owned_string struct str sizes = {0};
                guest_put_number(&sizes, size.ws_row);
                guest_put_number(&sizes, size.ws_col);
                guest_frame_add(&out, GUEST_RESIZE, carrier->channel, sizes.data, sizes.length);
        }
        if (guest_send(carrier->guest, &out, clock_ms() + GUEST_ANSWER_MS, err) < 0)
                return -1;
        for (;;) {
                int over = guest_next(carrier->guest, clock_ms() + GUEST_ANSWER_MS, &frame, err);
                if (over > 0)
                        return fail(err, COWHERD_BUSY, "cowherd-guest in '%s' does not answer", carrier->guest->instance->name);
                if (over < 0)
                        return -1;
                if (frame.channel == carrier->channel && frame.type == GUEST_FAILED)
                        return guest_failed(carrier->guest, &frame, carrier->command, err);
                if (frame.channel == carrier->channel && frame.type == GUEST_STARTED)
                        return 0;
        }
}

static void carrier_free(struct carrier *carrier)
{
        str_free(&carrier->to_guest.bytes);
        str_free(&carrier->output.bytes);
        str_free(&carrier->errors.bytes);
        for (int way = INPUT; way < WAYS; way++)
                close_at(&carrier->fds[way]);
}
define_owned(struct carrier, carrier_free)

int guest_attach(struct guest *guest, const struct engine_command *command, const struct engine_streams *streams,
                 int *ret_exit_code, struct cowherd_error *err)
{
        struct carrier carrier owned_by(carrier_free) = {
                .guest = guest, .command = command, .fds = {-1, -1, -1, -1, -1}, .window = GUEST_INPUT_BYTES};
        struct pipes pipes owned_by(pipes_free) = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
        enum relay_end how = RELAY_ENDED;

        if (open_pipes(streams->terminal, &pipes, err) < 0 || start(&carrier, streams, err) < 0 ||
            run_relay(streams, &pipes, &carrier, &how, err) < 0)
                return -1;
        if (carrier.failed) {
                *err = carrier.err;
                return -1;
        }
        *ret_exit_code = carrier.ended ? carrier.code : how == RELAY_INTERRUPTED ? 130 : 129;
        return 0;
}
