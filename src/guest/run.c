/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands, each with a supervisor (supervisor.c) between it and us, so that ending one ends what it has started, wherever that has
 * gone, and nobody else. What it reads and writes is run_streams.c's.
 * A command has ended when its process has: what holds its outputs open longer, a service that it has started, say, is not waited for,
 * but all that was written until then is sent.
 */
#include "guest/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS 64

static struct run *runs;
static unsigned run_count;

struct run *run_find(const struct port *port, unsigned channel)
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
        run_close_streams(run);
        source_close(&run->status);
        str_free(&run->text);
        free(run);
}

/* ---- Its end ---- */

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
        if (run->port != NULL && !run_send_rest(run))
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
                run_bound_outputs(run);
                run->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                finish_if_over(run);
        }
}

void run_end_tree(struct run *run)
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
                run_close_streams(run);
                run_end_tree(run);
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
                        run_end_tree(run);
                } else if (least < 0 || run->deadline_ms - now < least) {
                        least = run->deadline_ms - now;
                }
        }
        return least < 0 ? -1 : least > 1e9 ? 1000000000 : (int)least + 1;
}

/* ---- While it runs ---- */

void run_signal(struct port *port, unsigned channel, uint32_t number)
{
        struct run *run = run_find(port, channel);

        if (run == NULL || run->supervisor == 0 || number == 0 || number > 64)
                return;
        if (number == SIGKILL)
                run_end_tree(run);
        else
                (void)sigqueue(run->supervisor, SUPERVISOR_PASS, (union sigval){.sival_int = (int)number});
}

void runs_go_on(const struct port *port)
{
        for (struct run *run = runs, *next; run != NULL; run = next) {
                next = run->next;
                if (run->port != port)
                        continue;
                run_watch_outputs(run, true);
                finish_if_over(run);
        }
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
        run_watch_outputs(run, run->port != NULL && !port_is_full(run->port));
        finish_if_over(run);
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

        if (run_count >= RUNS || run_find(port, channel) != NULL) {
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
        run_adopt_streams(run, ours);
        run_adopt(run, &run->status, status[0], status_ready);
        source_watch(&run->status, EPOLLIN);
}

unsigned runs_of(const struct port *port)
{
        unsigned count = 0;

        for (const struct run *run = runs; run != NULL; run = run->next)
                count += run->port == port;
        return count;
}
