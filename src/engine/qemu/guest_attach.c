/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with the caller's descriptors, a terminal among them. The relay (sys/terminal.h) knows pipes, and the session frames; between
 * both a thread carries bytes (guest_carry.c). It ends when the command has and all was passed on, or when the relay is done.
 */
#include "engine/qemu/guest_carry.h"

#include "sys/clock.h"
#include "sys/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- The relay's side ---- */

static void order(int fd, uint32_t type, uint32_t first, uint32_t second)
{
        const struct carry_order said = {type, first, second};

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
        int failed = pthread_create(ret, NULL, guest_carry, carrier);
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

        carrier->fds[CARRY_SOCKET] = carrier->guest->fd;
        carrier->fds[CARRY_INPUT] = give_descriptor(&pipes->to[0]);
        carrier->fds[CARRY_CONTROL] = give_descriptor(&pipes->control[0]);
        carrier->fds[CARRY_OUTPUT] = give_descriptor(&pipes->from[1]);
        carrier->fds[CARRY_ERRORS] = give_descriptor(&pipes->errors[1]);
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
        for (int way = CARRY_INPUT; way < CARRY_WAYS; way++)
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
