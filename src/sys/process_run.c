/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a program in one poll(2) on its stdout, its stderr, its end (a pidfd) and the clock.
 *
 * A program without a time limit stays in our process group: a Ctrl-C reaches it as it reaches us. One with a limit
 * gets a group of its own, so that all it started can be ended with it; the signals that a terminal or a user would
 * have sent to the whole group are then read here (signalfd), passed on, and raised again for ourselves once it has
 * ended. When the program itself has ended, what it wrote is read to the end of what is there, and not to the end of
 * the pipe: a daemon that it left behind may keep that open.
 */
#include "sys/process_run.h"

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/process_spawn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRORS_BYTES 8192u     /* of stderr are kept */
#define LINE_BYTES 4096u       /* a longer line is given in parts */
#define GRACE_MS 2000.0        /* between TERM and KILL */
#define INTERRUPTED_MS 10000.0 /* to clean up in, after an interrupt */
#define PIPE_READS 80          /* at most at once: more than a pipe can hold */

struct run {
        const struct process *process;
        struct child child;
        bool grouped;
        int signals; /* signalfd, or -1 */
        sigset_t passed_on;
        double deadline; /* clock_ms, 0: none */
        bool ending;     /* TERM was sent; the deadline is KILL's */
        bool timed_out, too_much, interrupted, ended;
        struct str output, errors, line;
};

static void run_free(struct run *run)
{
        close_at(&run->child.pidfd);
        close_at(&run->child.output);
        close_at(&run->child.errors);
        close_at(&run->signals);
        str_free(&run->output);
        str_free(&run->errors);
        str_free(&run->line);
}
define_owned(struct run, run_free)

static void send(const struct run *run, int number)
{
        (void)kill(run->grouped ? -run->child.pid : run->child.pid, number); /* not reaped yet: the number is its own */
}

static void end(struct run *run, double now)
{
        send(run, run->ending ? SIGKILL : SIGTERM);
        run->deadline = run->ending ? 0 : now + GRACE_MS;
        run->ending = true;
}

static void give_line(struct run *run)
{
        if (run->line.length > 0)
                run->process->on_line(run->process->on_line_context, str_text(&run->line));
        str_free(&run->line);
}

static void give_lines(struct run *run, const char *bytes, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (bytes[i] == '\n' || bytes[i] == '\r' || run->line.length >= LINE_BYTES)
                        give_line(run);
                if (bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0')
                        str_add_char(&run->line, bytes[i]);
        }
}

static void add_errors(struct run *run, const char *bytes, size_t count)
{
        if (run->process->lines_to_progress && run->process->on_line != NULL)
                give_lines(run, bytes, count);
        str_add_bytes(&run->errors, bytes, count);
        if (run->errors.length > 4 * ERRORS_BYTES) {
                memmove(run->errors.data, run->errors.data + run->errors.length - ERRORS_BYTES, ERRORS_BYTES + 1);
                run->errors.length = ERRORS_BYTES;
        }
}

static void add_output(struct run *run, const char *bytes, size_t count)
{
        size_t room = PROCESS_OUTPUT_BYTES - run->output.length;

        if (run->process->output_to_progress) {
                if (run->process->on_line != NULL)
                        give_lines(run, bytes, count);
                return;
        }
        if (count > room && !run->too_much) {
                run->too_much = true;
                if (!run->ended && !run->ending)
                        end(run, clock_ms());
        }
        str_add_bytes(&run->output, bytes, count < room ? count : room);
}

/* Reads what a pipe holds now; closes it at its end. A daemon left behind must not keep us reading for ever. */
static void drain(struct run *run, int *fd, void (*add)(struct run *, const char *, size_t))
{
        char buffer[16384];

        for (int i = 0; *fd >= 0 && i < PIPE_READS; i++) {
                ssize_t got = read(*fd, buffer, sizeof buffer);
                if (got > 0) {
                        add(run, buffer, (size_t)got);
                        continue;
                }
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0 && errno == EAGAIN)
                        return;
                close_at(fd);
                *fd = -1;
        }
}

static void pass_on(struct run *run)
{
        struct signalfd_siginfo info;

        if (read(run->signals, &info, sizeof info) != (ssize_t)sizeof info)
                return;
        (void)sigaddset(&run->passed_on, (int)info.ssi_signo);
        send(run, (int)info.ssi_signo);
        double latest = clock_ms() + INTERRUPTED_MS;
        if (!run->ending && run->deadline > latest) {
                run->deadline = latest; /* whoever pressed Ctrl-C does not want to wait for the limit */
                run->interrupted = true;
        }
}

static int timeout_of(const struct run *run)
{
        if (run->deadline <= 0)
                return -1;
        double left = run->deadline - clock_ms();
        return left <= 0 ? 0 : left >= INT_MAX ? INT_MAX : (int)left + 1;
}

static int wait_for_end(struct run *run, struct cowherd_error *err)
{
        while (!run->ended) {
                struct pollfd fds[] = {{run->child.pidfd, POLLIN, 0},
                                       {run->child.output, POLLIN, 0},
                                       {run->child.errors, POLLIN, 0},
                                       {run->signals, POLLIN, 0}};
                int ready = poll(fds, array_length(fds), timeout_of(run));
                if (ready < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for '%s'", run->process->argv.items[0]);
                if (ready == 0) {
                        run->timed_out = run->timed_out || !run->too_much;
                        end(run, clock_ms());
                }
                if (ready <= 0)
                        continue;
                run->ended = fds[0].revents != 0;
                if (fds[1].revents != 0)
                        drain(run, &run->child.output, add_output);
                if (fds[2].revents != 0)
                        drain(run, &run->child.errors, add_errors);
                if (fds[3].revents != 0)
                        pass_on(run);
        }
        drain(run, &run->child.output, add_output);
        drain(run, &run->child.errors, add_errors);
        return 0;
}

/* Reads the status and lets the kernel forget the child. */
static int reap(const struct run *run, int *ret_status, struct cowherd_error *err)
{
        siginfo_t info = {0};

        while (waitid(P_PIDFD, (id_t)run->child.pidfd, &info, WEXITED) < 0)
                if (errno != EINTR)
                        return fail_errno(err, "cannot learn how '%s' ended", run->process->argv.items[0]);
        *ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        return 0;
}

/* With a group of its own: the signals for the group come to us alone. They wait in `signals` while it runs. */
static void watch_signals(struct run *run, sigset_t *ret_before)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
        sigset_t watched;

        (void)sigemptyset(&watched);
        (void)sigemptyset(&run->passed_on);
        for (size_t i = 0; i < array_length(numbers); i++) {
                struct sigaction action;
                if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        (void)sigaddset(&watched, numbers[i]);
        }
        (void)pthread_sigmask(SIG_BLOCK, &watched, ret_before);
        run->signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK); /* -1: they just wait until it has ended */
}

static void restore_signals(const struct run *run, const sigset_t *before)
{
        for (int number = 1; number < NSIG; number++)
                if (sigismember(&run->passed_on, number) == 1)
                        (void)raise(number);
        (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int run_child(struct run *run, int *ret_status, struct cowherd_error *err)
{
        if (process_spawn(run->process, run->grouped, &run->child, err) < 0)
                return -1;
        if (run->process->timeout_ms > 0)
                run->deadline = clock_ms() + (double)run->process->timeout_ms;
        if (wait_for_end(run, err) < 0) {
                send(run, SIGKILL);
                int status;
                struct cowherd_error ignored;
                (void)!reap(run, &status, &ignored);
                return -1;
        }
        return reap(run, ret_status, err);
}

static int give_result(struct run *run, int status, struct process_result *ret, struct cowherd_error *err)
{
        const char *program = run->process->argv.items[0];

        if (run->line.length > 0)
                give_line(run);
        if (run->timed_out && run->interrupted)
                return fail(err, COWHERD_BUSY, "'%s' was interrupted", program);
        if (run->timed_out)
                return fail(err, COWHERD_BUSY, "'%s' did not end within %llu ms", program,
                            (unsigned long long)run->process->timeout_ms);
        if (run->too_much)
                return fail(err, COWHERD_SYSTEM, "'%s' printed more than the %u bytes it may", program,
                            PROCESS_OUTPUT_BYTES);
        if (run->errors.length > ERRORS_BYTES)
                memmove(run->errors.data, run->errors.data + run->errors.length - ERRORS_BYTES, ERRORS_BYTES + 1);
        *ret = (struct process_result){.status = status, .output_length = run->output.length};
        ret->output = str_take(&run->output);
        ret->errors = str_take(&run->errors);
        return 0;
}

int process_run_really(const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        owned_by(run_free) struct run run = {.process = process,
                                             .grouped = process->timeout_ms > 0,
                                             .signals = -1,
                                             .child = {.pidfd = -1, .output = -1, .errors = -1}};
        sigset_t before;
        int status;

        if (run.grouped)
                watch_signals(&run, &before);
        int result = run_child(&run, &status, err);
        if (run.grouped)
                restore_signals(&run, &before);
        return result < 0 ? -1 : give_result(&run, status, ret, err);
}
