/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring is done by a process apart, in a process group of its own, so that it can be ended at any moment with whatever tool it runs: a
 * herd survives that by design, so there is one way to clean up and not two. It speaks through a pipe: lines of progress ("P…"), and at the
 * end the document ("D…") or why there is none ("E" code, a blank, the sentence). Signals that are meant for us are read from a descriptor
 * meanwhile; Ctrl-C on a terminal does not reach the other group.
 */
#include "compare/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 65536
#define DOCUMENT_BYTES (64u << 20)

struct worker {
        const struct compare_options *options;
        pid_t pid;
        int pipe;
        struct str said; /* what is not yet a whole line */
        json_t *document;
        bool failed;
};

/* ---- the process apart ---- */

static void write_all(int fd, const char *text, size_t length)
{
        while (length > 0) {
                ssize_t done = write(fd, text, length);
                if (done < 0 && errno != EINTR)
                        return;
                if (done > 0) {
                        text += done;
                        length -= (size_t)done;
                }
        }
}

static void reset_signals(const sigset_t *mask)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD};
        struct sigaction usual = {.sa_handler = SIG_DFL};

        for (size_t i = 0; i < array_length(numbers); i++)
                (void)sigaction(numbers[i], &usual, NULL);
        (void)sigprocmask(SIG_SETMASK, mask, NULL);
}

static void work(const struct compare_options *options, const struct site *site, const struct images *images, int channel, pid_t parent, const sigset_t *mask)
{
        struct session session = {.options = options, .site = site, .channel = channel};
        struct cowherd_error err = {0};

        (void)setpgid(0, 0);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
                _exit(1);
        reset_signals(mask);
        json_t *document = session_measure(&session, images, &err);
        owned_str char *text = document == NULL ? x_asprintf("%d %s", err.code, err.text) : json_dumps(document, JSON_COMPACT);
        owned_str char *line = x_asprintf("%c%s\n", document == NULL ? 'E' : 'D', text);
        write_all(channel, line, strlen(line));
        _exit(0);
}

/* ---- ours ---- */

static void take_line(struct worker *worker, char *line, struct cowherd_error *err)
{
        const struct compare_options *options = worker->options;

        if (line[0] == 'P' && options->progress != NULL) {
                options->progress(options->progress_context, line + 1, 0, 0);
        } else if (line[0] == 'D') {
                worker->document = json_loads(line + 1, 0, NULL);
        } else if (line[0] == 'E') {
                char *end = NULL;
                long code = strtol(line + 1, &end, 10);
                (void)fail(err, (enum cowherd_code)code, "%s", end + (*end == ' '));
                worker->failed = true;
        }
}

/* 1: it has nothing more to say. */
static int take_said(struct worker *worker, struct cowherd_error *err)
{
        owned_mem char *buffer = x_malloc(READ_BYTES);
        ssize_t got = read(worker->pipe, buffer, READ_BYTES);

        if (got < 0)
                return errno == EINTR ? 0 : fail_errno(err, "cannot read what is measured");
        if (got == 0)
                return 1;
        if (worker->said.length + (size_t)got > DOCUMENT_BYTES)
                return fail(err, COWHERD_INTERNAL, "the measurements are longer than %u bytes", DOCUMENT_BYTES);
        str_add_bytes(&worker->said, buffer, (size_t)got);
        for (char *end; (end = memchr(worker->said.data, '\n', worker->said.length)) != NULL;) {
                *end = '\0';
                take_line(worker, worker->said.data, err);
                size_t used = (size_t)(end - worker->said.data) + 1;
                memmove(worker->said.data, worker->said.data + used, worker->said.length - used + 1);
                worker->said.length -= used;
        }
        return 0;
}

static void drain(int signals)
{
        struct signalfd_siginfo taken;

        while (signals >= 0 && read(signals, &taken, sizeof taken) > 0)
                continue;
}

/* Until it has ended, or a signal for us has come. */
static int listen_to(struct worker *worker, int signals, struct cowherd_error *err)
{
        struct pollfd ready[2] = {{.fd = worker->pipe, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

        for (;;) {
                if (poll(ready, array_length(ready), -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return fail_errno(err, "cannot wait for what is measured");
                }
                if (ready[1].revents != 0) {
                        drain(signals); /* or it would end the tools that clean up, too */
                        return fail(err, COWHERD_BUSY, "interrupted while it was measured");
                }
                int got = take_said(worker, err);
                if (got != 0)
                        return got < 0 ? -1 : 0;
        }
}

static void end(struct worker *worker)
{
        (void)kill(-worker->pid, SIGKILL);
        (void)kill(worker->pid, SIGKILL); /* it may not yet have its group */
        while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        close_at(&worker->pipe);
        str_free(&worker->said);
}

static int start(struct worker *worker, const struct site *site, const struct images *images, const sigset_t *mask, struct cowherd_error *err)
{
        pid_t parent = getpid();
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        worker->pid = fork();
        if (worker->pid == 0) {
                close_at(&ends[0]);
                work(worker->options, site, images, ends[1], parent, mask);
        }
        close_at(&ends[1]);
        if (worker->pid < 0) {
                close_at(&ends[0]);
                return fail_errno(err, "cannot start a process to measure in");
        }
        worker->pipe = ends[0];
        return 0;
}

void interrupts_begin(struct interrupts *interrupts)
{
        sigset_t ours;

        (void)sigemptyset(&ours);
        (void)sigaddset(&ours, SIGINT);
        (void)sigaddset(&ours, SIGTERM);
        (void)sigaddset(&ours, SIGHUP);
        (void)pthread_sigmask(SIG_BLOCK, &ours, &interrupts->before);
        interrupts->fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

void interrupts_end(struct interrupts *interrupts)
{
        drain(interrupts->fd);
        close_at(&interrupts->fd);
        (void)pthread_sigmask(SIG_SETMASK, &interrupts->before, NULL);
}

int worker_run(const struct compare_options *options, const struct site *site, const struct images *images, const struct interrupts *interrupts,
               json_t **ret_document, struct cowherd_error *err)
{
        struct worker worker = {.options = options, .pipe = -1};

        if (interrupts->fd < 0)
                return fail(err, COWHERD_SYSTEM, "cannot wait for signals");
        if (start(&worker, site, images, &interrupts->before, err) < 0)
                return -1;
        int done = listen_to(&worker, interrupts->fd, err);
        end(&worker);
        if (done == 0 && worker.document == NULL)
                done = worker.failed ? -1 : fail(err, COWHERD_INTERNAL, "the process that measures ended before it was done");
        if (done == 0)
                *ret_document = worker.document;
        return done;
}
