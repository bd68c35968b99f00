/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with the caller's own streams. A person gets a terminal of the container's devpts, so that `tty` and job
 * control work in there; else three pipes. The caller's descriptors themselves never go inside: through /proc they
 * would lead out.
 */
#include "engine/nspawn/enter.h"

#include "sys/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define GRACE_MS 3000 /* after a hang-up, before what is left of the command is killed */

struct attaching {
        struct entered entered;
        struct relay relay;
        int guest[3]; /* the command's ends */
        int ended;    /* an epoll of its end and its time */
        int timer;
};

static void attaching_free(struct attaching *a)
{
        int *all[] = {&a->ended, &a->timer, &a->guest[0], &a->guest[1], &a->guest[2]};

        enter_drop(&a->entered);
        for (size_t i = 0; i < array_length(all); i++)
                close_at(all[i]);
        close_at(&a->relay.to.fd);
        if (a->relay.from.fd != a->relay.to.fd)
                close_at(&a->relay.from.fd);
        close_at(&a->relay.from_errors.fd);
}
define_owned(struct attaching, attaching_free)

static int open_terminal(struct attaching *a, const struct engine_instance *instance, const char *user,
                         struct cowherd_error *err)
{
        int master = -1, slave = -1;
        struct winsize size;

        if (enter_terminal(instance, user, &master, &slave, err) < 0)
                return -1;
        if (ioctl(a->relay.output, TIOCGWINSZ, &size) == 0)
                (void)ioctl(master, TIOCSWINSZ, &size); /* before the command can look */
        a->relay.to.fd = a->relay.from.fd = master;
        a->guest[0] = slave;
        a->guest[1] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
        a->guest[2] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
        return a->guest[1] < 0 || a->guest[2] < 0 ? fail_errno(err, "cannot set a terminal up") : 0;
}

static int open_pipes(struct attaching *a, struct cowherd_error *err)
{
        int in[2], out[2];

        if (pipe2(in, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        a->guest[0] = in[0];
        a->relay.to.fd = in[1];
        if (pipe2(out, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        a->guest[1] = out[1];
        a->relay.from.fd = out[0];
        if (pipe2(out, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        a->guest[2] = out[1];
        a->relay.from_errors.fd = out[0];
        return 0;
}

static int watch(int epoll, int fd, struct cowherd_error *err)
{
        struct epoll_event event = {.events = EPOLLIN};

        return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? fail_errno(err, "cannot watch a command") : 0;
}

/* One descriptor that is readable when the command has ended, or its time is over. */
static int watch_end(struct attaching *a, uint64_t timeout_ms, struct cowherd_error *err)
{
        struct itimerspec when = {
                .it_value = {.tv_sec = (time_t)(timeout_ms / 1000), .tv_nsec = (long)(timeout_ms % 1000) * 1000000}};

        a->ended = epoll_create1(EPOLL_CLOEXEC);
        a->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (a->ended < 0 || a->timer < 0 || timerfd_settime(a->timer, 0, &when, NULL) < 0)
                return fail_errno(err, "cannot set a timer");
        if (watch(a->ended, a->entered.pidfd, err) < 0)
                return -1;
        a->relay.ended = a->ended;
        return watch(a->ended, a->timer, err);
}

/* To the command and what runs in its foreground with it. */
static void pass_signal(void *context, int number)
{
        const struct attaching *a = context;

        (void)kill(-a->entered.pid, number); /* leader of its group, and not waited for yet */
}

static int begin(struct attaching *a, const struct engine_instance *instance, const struct engine_command *command,
                 const struct engine_streams *streams, struct cowherd_error *err)
{
        if ((streams->terminal ? open_terminal(a, instance, command->user, err) : open_pipes(a, err)) < 0)
                return -1;
        struct enter enter = {.instance = instance,
                              .command = command,
                              .streams = {a->guest[0], a->guest[1], a->guest[2]},
                              .terminal = streams->terminal,
                              .term = streams->terminal ? getenv("TERM") : NULL};
        if (enter_start(&enter, &a->entered, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(a->guest); i++) {
                close_at(&a->guest[i]);
                a->guest[i] = -1;
        }
        return watch_end(a, command->timeout_ms, err);
}

static bool has_ended(int fd, int timeout_ms)
{
        struct pollfd polled = {.fd = fd, .events = POLLIN};

        return poll(&polled, 1, timeout_ms) > 0;
}

/* The relay is over. What still runs has lost its terminal or its pipes, and is told so; then it is ended. */
static int settle(const struct attaching *a, bool late, struct cowherd_error *err)
{
        if (has_ended(a->entered.pidfd, 0))
                return 0;
        if (!late) {
                (void)kill(-a->entered.pid, SIGHUP);
                if (has_ended(a->entered.pidfd, GRACE_MS))
                        return 0;
        }
        return enter_kill(&a->entered, err);
}

int nspawn_attach(const struct engine_instance *instance, const struct engine_command *command,
                  const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err)
{
        owned_by(attaching_free) struct attaching a = {
                .entered = {.pidfd = -1}, .guest = {-1, -1, -1}, .ended = -1, .timer = -1};
        enum relay_end how;

        a.relay = (struct relay){.input = streams->input,
                                 .output = streams->output,
                                 .errors = streams->errors,
                                 .terminal = streams->terminal,
                                 .to = {.fd = -1},
                                 .from = {.fd = -1},
                                 .from_errors = {.fd = -1},
                                 .signal = pass_signal,
                                 .context = &a};
        if (begin(&a, instance, command, streams, err) < 0)
                return -1;
        int result = relay_run(&a.relay, &how, err);
        bool late = a.timer >= 0 && has_ended(a.timer, 0) && !has_ended(a.entered.pidfd, 0);
        struct cowherd_error second = {0};
        if (settle(&a, late, &second) < 0 || enter_finish(&a.entered, ret_exit_code, &second) < 0) {
                if (result == 0)
                        *err = second;
                return -1;
        }
        if (result == 0 && late)
                return fail(err, COWHERD_BUSY, "the command did not end in '%s' within %llu ms, and was ended",
                            instance->name, (unsigned long long)command->timeout_ms);
        return result;
}
