/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw mode (termios(3)) and signals. Instead of handlers that would put a terminal back, the signals are blocked and
 * read (signalfd(2)): between begin and end nothing but SIGKILL and SIGSTOP can stop this thread, so the terminal is
 * put back on every way out. SIGPIPE is blocked too, and one that came is taken away before it could strike.
 */
#include "sys/terminal_state.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static int make_raw(const struct terminal_state *state)
{
        struct termios raw = state->before;

        cfmakeraw(&raw);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        return tcsetattr(state->fd, TCSADRAIN, &raw);
}

static void block_signals(struct terminal_state *state)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
        sigset_t blocked;

        (void)sigemptyset(&state->watched);
        for (size_t i = 0; i < array_length(numbers); i++) {
                struct sigaction action;
                if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        (void)sigaddset(&state->watched, numbers[i]);
        }
        blocked = state->watched;
        (void)sigaddset(&blocked, SIGPIPE);
        (void)sigaddset(&blocked, SIGTTOU); /* what runs in the background may give its terminal back all the same */
        state->blocked = pthread_sigmask(SIG_BLOCK, &blocked, &state->mask_before) == 0;
}

int terminal_state_begin(struct terminal_state *state, int fd, struct cowherd_error *err)
{
        *state = (struct terminal_state){.fd = -1, .signals = -1};
        (void)sigemptyset(&state->seen);
        block_signals(state);
        state->signals = signalfd(-1, &state->watched, SFD_CLOEXEC | SFD_NONBLOCK);
        if (state->signals < 0)
                return fail_errno(err, "cannot watch for signals");
        if (fd < 0)
                return 0;
        if (tcgetattr(fd, &state->before) < 0)
                return fail_errno(err, "the input is no terminal");
        state->fd = fd;
        return make_raw(state) < 0 ? fail_errno(err, "cannot set the terminal's mode") : 0;
}

void terminal_state_end(struct terminal_state *state)
{
        sigset_t pipe;

        if (state->fd >= 0)
                (void)tcsetattr(state->fd, TCSADRAIN, &state->before);
        if (state->signals >= 0)
                (void)close(state->signals);
        if (state->blocked) {
                (void)sigemptyset(&pipe);
                (void)sigaddset(&pipe, SIGPIPE);
                if (sigismember(&state->mask_before, SIGPIPE) == 0)
                        (void)sigtimedwait(&pipe, NULL, &(struct timespec){0});
                (void)pthread_sigmask(SIG_SETMASK, &state->mask_before, NULL);
        }
        *state = (struct terminal_state){.fd = -1, .signals = -1};
}

int terminal_state_signal(struct terminal_state *state)
{
        struct signalfd_siginfo info;

        if (read(state->signals, &info, sizeof info) != (ssize_t)sizeof info)
                return 0;
        if (info.ssi_signo == SIGCONT && state->fd >= 0)
                (void)make_raw(state);
        return (int)info.ssi_signo;
}

bool terminal_state_seen(struct terminal_state *state, int number)
{
        bool seen = sigismember(&state->seen, number) == 1;

        (void)sigaddset(&state->seen, number);
        return seen;
}
