/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command to its end, its output kept: one poll(2) on what it reads, what it writes, its end and the clock. What it
 * has written when it ends is read to the last byte; what a daemon of its writes later is not waited for.
 */
#include "engine/nspawn/enter.h"

#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define READ_BYTES 32768u
#define PIPE_READS 80u /* at most at once: more than a pipe can hold */

struct executing {
        const struct engine_command *command;
        struct entered entered;
        int input, output, errors; /* our ends */
        size_t sent;
        struct str out, error_text;
        bool cut, ended, late;
        double deadline; /* 0: none */
};

static void executing_free(struct executing *e)
{
        close_at(&e->input);
        close_at(&e->output);
        close_at(&e->errors);
        enter_drop(&e->entered);
        str_free(&e->out);
        str_free(&e->error_text);
}
define_owned(struct executing, executing_free)

static void close_now(int *fd)
{
        close_at(fd);
        *fd = -1;
}

/* Reads what is there; what goes beyond the limit is thrown away, so that the command can end. */
static void drain(struct executing *e, int *fd, struct str *to)
{
        char buffer[READ_BYTES];

        for (unsigned i = 0; *fd >= 0 && i < PIPE_READS; i++) {
                ssize_t got = read(*fd, buffer, sizeof buffer);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0 && errno == EAGAIN)
                        return;
                if (got <= 0) {
                        close_now(fd);
                        return;
                }
                size_t room = ENGINE_OUTPUT_BYTES - to->length;
                e->cut = e->cut || (size_t)got > room;
                str_add_bytes(to, buffer, (size_t)got < room ? (size_t)got : room);
        }
}

static void feed(struct executing *e)
{
        size_t left = e->command->input_length - e->sent;
        ssize_t put = left == 0 ? 0 : write(e->input, e->command->input + e->sent, left);

        if (put < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (put > 0)
                e->sent += (size_t)put;
        if (put < 0 || e->sent == e->command->input_length)
                close_now(&e->input); /* it has all of it, or reads no more */
}

static int time_left(const struct executing *e)
{
        double left = e->deadline - clock_ms();

        return e->deadline <= 0 ? -1 : left <= 0 ? 0 : left >= INT_MAX ? INT_MAX : (int)left + 1;
}

static int collect(struct executing *e, struct cowherd_error *err)
{
        while (!e->ended) {
                struct pollfd fds[] = {{e->entered.pidfd, POLLIN, 0},
                                       {e->output, POLLIN, 0},
                                       {e->errors, POLLIN, 0},
                                       {e->input, POLLOUT, 0}};
                int ready = poll(fds, array_length(fds), time_left(e));
                if (ready < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for a command");
                if (ready == 0) {
                        e->late = true;
                        e->deadline = 0;
                        if (enter_kill(&e->entered, err) < 0)
                                return -1;
                }
                if (ready <= 0)
                        continue;
                e->ended = fds[0].revents != 0;
                if (fds[1].revents != 0)
                        drain(e, &e->output, &e->out);
                if (fds[2].revents != 0)
                        drain(e, &e->errors, &e->error_text);
                if (fds[3].revents != 0)
                        feed(e);
        }
        drain(e, &e->output, &e->out);
        drain(e, &e->errors, &e->error_text);
        return 0;
}

/* A pipe with one end that does not block, ours. */
static int make_pipe(int *ret_ours, int *ret_theirs, bool to_command, struct cowherd_error *err)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        *ret_ours = ends[to_command ? 1 : 0];
        *ret_theirs = ends[to_command ? 0 : 1];
        return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? fail_errno(err, "cannot set a pipe up") : 0;
}

static int begin(struct executing *e, const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_fd int in = -1, out = -1, errors = -1;

        if (make_pipe(&e->input, &in, true, err) < 0 || make_pipe(&e->output, &out, false, err) < 0 ||
            make_pipe(&e->errors, &errors, false, err) < 0)
                return -1;
        struct enter enter = {.instance = instance, .command = e->command, .streams = {in, out, errors}};
        return enter_start(&enter, &e->entered, err);
}

/* A command that reads nothing of what it gets must not kill us by SIGPIPE. */
static int collect_quietly(struct executing *e, struct cowherd_error *err)
{
        const struct timespec now = {0};
        sigset_t pipe, before;

        (void)sigemptyset(&pipe);
        (void)sigaddset(&pipe, SIGPIPE);
        (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
        int result = collect(e, err);
        if (sigismember(&before, SIGPIPE) == 0)
                (void)sigtimedwait(&pipe, NULL, &now);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return result;
}

int nspawn_execute(const struct engine_instance *instance, const struct engine_command *command,
                   struct engine_output *ret, struct cowherd_error *err)
{
        owned_by(executing_free) struct executing e = {
                .command = command, .input = -1, .output = -1, .errors = -1, .entered = {.pidfd = -1}};
        double began = clock_ms();
        int exit_code;

        if (begin(&e, instance, err) < 0)
                return -1;
        if (command->timeout_ms > 0)
                e.deadline = clock_ms() + (double)command->timeout_ms;
        if (collect_quietly(&e, err) < 0)
                return -1;
        if (enter_finish(&e.entered, &exit_code, err) < 0)
                return -1;
        if (e.late)
                return fail(err, COWHERD_BUSY, "the command did not end in '%s' within %llu ms, and was ended",
                            instance->name, (unsigned long long)command->timeout_ms);
        *ret = (struct engine_output){
                .exit_code = exit_code, .out_length = e.out.length, .errors_length = e.error_text.length, .cut = e.cut};
        ret->out = str_take(&e.out);
        ret->errors = str_take(&e.error_text);
        ret->ms = clock_ms() - began;
        return 0;
}
