/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands, each with a supervisor (supervisor.c) between it and us, so that ending one ends what it has started, wherever that has
 * gone, and nobody else. Input comes as fast as the command takes it (GUEST_TAKEN); outputs are read as fast as the host takes them.
 * A command has ended when its process has: what holds its outputs open longer, a service that it has started, say, is not waited for,
 * but all that was written until then is sent.
 */
#include "guest/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS 64
#define PIECE_BYTES 32768

struct run {
        struct run *next;
        struct port *port; /* NULL: its session is over, nobody wants to hear of it */
        unsigned channel, number;
        pid_t supervisor; /* 0: has ended */
        struct source input, output, errors, status; /* of a terminal, input is output's */
        struct str text; /* of the input, not taken yet */
        bool is_terminal, input_ends, is_started, timed_out;
        struct launch_report failed;
        int code;
        double deadline_ms; /* 0: none */
};

static struct run *runs;
static unsigned run_count;

static struct run *find(const struct port *port, unsigned channel)
{
        struct run *run = runs;

        while (run != NULL && (run->port != port || run->channel != channel))
                run = run->next;
        return run;
}

static void forget(struct run *run)
{
        struct run **at = &runs;

        while (*at != run)
                at = &(*at)->next;
        *at = run->next;
        run_count--;
        source_close(&run->input);
        source_close(&run->output);
        source_close(&run->errors);
        source_close(&run->status);
        str_free(&run->text);
        free(run);
}

/* ---- Its end ---- */

static bool read_output(struct run *run, struct source *source, enum guest_type type);

static void say_ended(struct run *run)
{
        owned_string struct str payload = {0};

        guest_put_number(&payload, (uint32_t)run->code);
        guest_put_number(&payload, run->timed_out);
        port_say(run->port, GUEST_ENDED, run->channel, payload.data, payload.length);
}

/* When it has ended and all it wrote was sent; where the host is slow, later. */
static void finish_if_over(struct run *run)
{
        if (run->supervisor != 0 || run->status.fd >= 0)
                return;
        while (run->port != NULL && !port_is_full(run->port) &&
               (read_output(run, &run->output, GUEST_OUTPUT) || read_output(run, &run->errors, GUEST_ERRORS)))
                ;
        if (run->port != NULL && (run->output.fd >= 0 || run->errors.fd >= 0) && port_is_full(run->port))
                return; /* runs_go_on comes back */
        if (run->port != NULL && run->failed.failure != 0)
                port_say_failed(run->port, run->channel, (enum guest_failure)run->failed.failure, (int)run->failed.os_errno, "");
        else if (run->port != NULL)
                say_ended(run);
        forget(run);
}

void run_reap(void)
{
        struct run *next;
        int status;

        for (struct run *run = runs; run != NULL; run = next) {
                next = run->next;
                if (run->supervisor == 0 || waitpid(run->supervisor, &status, WNOHANG) != run->supervisor)
                        continue;
                run->supervisor = 0;
                run->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                finish_if_over(run);
        }
}

static void end_tree(struct run *run)
{
        if (run->supervisor != 0)
                (void)kill(run->supervisor, SIGTERM);
}

void runs_end(const struct port *port)
{
        for (struct run *run = runs, *next; run != NULL; run = next) {
                next = run->next;
                if (run->port != port)
                        continue;
                run->port = NULL;
                source_close(&run->input);
                source_close(&run->output);
                source_close(&run->errors);
                end_tree(run);
                finish_if_over(run);
        }
}

int runs_timeout(void)
{
        double now = loop_now_ms(), least = -1;

        for (struct run *run = runs; run != NULL; run = run->next) {
                if (run->deadline_ms == 0)
                        continue;
                if (run->deadline_ms <= now) {
                        run->deadline_ms = 0;
                        run->timed_out = true;
                        end_tree(run);
                } else if (least < 0 || run->deadline_ms - now < least) {
                        least = run->deadline_ms - now;
                }
        }
        return least < 0 ? -1 : least > 1e9 ? 1000000000 : (int)least + 1;
}

/* ---- Its outputs ---- */

/* True where something was read, and more may be there. */
static bool read_output(struct run *run, struct source *source, enum guest_type type)
{
        static char piece[PIECE_BYTES];

        if (source->fd < 0)
                return false;
        ssize_t got = read(source->fd, piece, sizeof piece);
        if (got > 0) {
                port_say(run->port, type, run->channel, piece, (size_t)got);
                return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) { /* EIO: nobody has the terminal open any more */
                if (run->is_terminal && run->supervisor != 0)
                        source_watch(source, 0); /* it may be opened again: the end is its process's */
                else
                        source_close(source);
        }
        return got < 0 && errno == EINTR;
}

/* Not before it is told that it has begun. */
static void watch_outputs(struct run *run, bool watched)
{
        watched = watched && run->is_started;
        source_watch(&run->output, watched ? EPOLLIN | (run->is_terminal && run->text.length > 0 ? EPOLLOUT : 0) : 0);
        source_watch(&run->errors, watched ? EPOLLIN : 0);
}

static void take_input(struct run *run, struct source *source);

static void output_ready(struct source *source, uint32_t events)
{
        struct run *run = source->context;

        if ((events & EPOLLOUT) != 0)
                take_input(run, source);
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                (void)read_output(run, source, source == &run->errors ? GUEST_ERRORS : GUEST_OUTPUT);
        if (port_is_full(run->port))
                watch_outputs(run, false);
}

void runs_go_on(const struct port *port)
{
        for (struct run *run = runs, *next; run != NULL; run = next) {
                next = run->next;
                if (run->port != port)
                        continue;
                watch_outputs(run, true);
                finish_if_over(run);
        }
}

/* ---- Its input ---- */

static void take_input(struct run *run, struct source *source)
{
        owned_string struct str payload = {0};
        size_t taken = 0;

        while (taken < run->text.length) {
                ssize_t done = write(source->fd, run->text.data + taken, run->text.length - taken);
                if (done < 0 && errno == EAGAIN)
                        break;
                if (done < 0 && errno != EINTR)
                        done = (ssize_t)(run->text.length - taken); /* it does not read any more */
                taken += done > 0 ? (size_t)done : 0;
        }
        if (taken > 0) {
                run->text.length -= taken;
                memmove(run->text.data, run->text.data + taken, run->text.length);
                guest_put_number(&payload, (uint32_t)taken);
                port_say(run->port, GUEST_TAKEN, run->channel, payload.data, payload.length);
        }
        if (run->is_terminal)
                watch_outputs(run, !port_is_full(run->port));
        else if (run->text.length == 0 && run->input_ends)
                source_close(source);
        else
                source_watch(source, run->text.length > 0 ? EPOLLOUT : 0);
}

static void input_ready(struct source *source, uint32_t events)
{
        (void)events;
        take_input(source->context, source);
}

static struct source *input_of(struct run *run)
{
        return run->is_terminal ? &run->output : &run->input;
}

void run_input(struct port *port, unsigned channel, const void *bytes, size_t length)
{
        struct run *run = find(port, channel);

        if (run == NULL)
                return; /* it has ended meanwhile */
        if (run->text.length + length > GUEST_INPUT_BYTES) {
                end_tree(run);
                return;
        }
        str_add_bytes(&run->text, bytes, length);
        take_input(run, input_of(run));
}

void run_input_end(struct port *port, unsigned channel)
{
        struct run *run = find(port, channel);

        if (run == NULL)
                return;
        if (run->is_terminal)
                run_input(port, channel, "\x04", 1);
        run->input_ends = true;
        if (!run->is_terminal)
                take_input(run, input_of(run));
}

void run_signal(struct port *port, unsigned channel, uint32_t number)
{
        struct run *run = find(port, channel);

        if (run == NULL || run->supervisor == 0 || number == 0 || number > 64)
                return;
        if (number == SIGKILL)
                end_tree(run);
        else
                (void)sigqueue(run->supervisor, SUPERVISOR_PASS, (union sigval){.sival_int = (int)number});
}

void run_resize(struct port *port, unsigned channel, uint32_t rows, uint32_t columns)
{
        const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
        struct run *run = find(port, channel);

        if (run != NULL && run->is_terminal && run->output.fd >= 0 && rows <= UINT16_MAX && columns <= UINT16_MAX)
                (void)ioctl(run->output.fd, TIOCSWINSZ, &size);
}

/* ---- Its beginning ---- */

static void status_ready(struct source *source, uint32_t events)
{
        struct run *run = source->context;
        struct launch_report report;

        (void)events;
        ssize_t got = read(source->fd, &report, sizeof report);
        if (got == (ssize_t)sizeof report) {
                if (report.failure == 0)
                        run->number = report.pid;
                else
                        run->failed = report;
                return;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        source_close(source); /* by exec, or by failing */
        if (run->failed.failure == 0 && run->port != NULL && !run->is_started) {
                owned_string struct str payload = {0};
                guest_put_number(&payload, run->number);
                port_say(run->port, GUEST_STARTED, run->channel, payload.data, payload.length);
        }
        run->is_started = true;
        watch_outputs(run, run->port != NULL && !port_is_full(run->port));
        finish_if_over(run);
}

static void adopt(struct source *source, int fd, void (*ready)(struct source *, uint32_t), struct run *run)
{
        *source = (struct source){.fd = fd, .ready = ready, .context = run};
        if (fd >= 0)
                (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static struct run *keep(struct port *port, unsigned channel, const struct guest_run *wanted)
{
        struct run *run = x_calloc(1, sizeof *run);

        *run = (struct run){.next = runs,
                            .port = port,
                            .channel = channel,
                            .is_terminal = (wanted->flags & GUEST_RUN_TERMINAL) != 0,
                            .deadline_ms = wanted->timeout_ms == 0 ? 0 : loop_now_ms() + (double)wanted->timeout_ms};
        runs = run;
        run_count++;
        return run;
}

void run_start(struct port *port, unsigned channel, struct guest_run *wanted)
{
        bool terminal = (wanted->flags & GUEST_RUN_TERMINAL) != 0;
        int ours[3] = {-1, -1, -1}, status[2] = {-1, -1};
        struct launch launch = {.run = wanted, .input = -1, .output = -1, .errors = -1, .status = -1};

        if (run_count >= RUNS || find(port, channel) != NULL) {
                port_say_failed(port, channel, GUEST_FAILED_BUSY, 0, "");
                return;
        }
        bool opened = terminal ? launch_open_terminal(wanted, &launch, &ours[1]) : launch_open_pipes(wanted, &launch, ours);
        int problem = errno;
        if (opened && pipe2(status, O_CLOEXEC) < 0) {
                problem = errno;
                opened = false;
        }
        launch.status = status[1];
        pid_t child = opened ? fork() : -1;
        if (child == 0)
                supervise(&launch);
        if (opened && child < 0)
                problem = errno;
        launch_close(&launch);
        if (child < 0) {
                for (size_t i = 0; i < 3; i++)
                        close_at(&ours[i]);
                close_at(&status[0]);
                port_say_failed(port, channel, terminal && !opened ? GUEST_FAILED_TERMINAL : GUEST_FAILED_SYSTEM, problem, "");
                return;
        }
        struct run *run = keep(port, channel, wanted);
        run->supervisor = child;
        adopt(&run->input, ours[0], input_ready, run);
        adopt(&run->output, ours[1], output_ready, run);
        adopt(&run->errors, ours[2], output_ready, run);
        adopt(&run->status, status[0], status_ready, run);
        source_watch(&run->status, EPOLLIN);
}

unsigned runs_of(const struct port *port)
{
        unsigned count = 0;

        for (const struct run *run = runs; run != NULL; run = run->next)
                count += run->port == port;
        return count;
}
