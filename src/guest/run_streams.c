/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command reads and writes. Its input waits here until it takes it, and the host hears how much it took (GUEST_TAKEN), so that it
 * never has more on the way than there is room for; its outputs are read as fast as the host takes them: where the port is full they are
 * not watched, and the command waits, as before any full pipe. When it ends the kernel is asked how much lies in its pipes (FIONREAD): that is
 * sent, and what others write there later is not. A terminal is one descriptor for both ways, which is watched for both.
 */
#include "guest/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECE_BYTES 32768

/* ---- Its outputs ---- */

/* True where something was read, and more may be there. */
static bool read_output(struct run *run, struct source *source, enum guest_type type)
{
        static char piece[PIECE_BYTES];
        size_t *left = source == &run->errors ? &run->errors_left : &run->output_left;
        bool is_bounded = run->supervisor == 0 && !run->is_terminal;
        size_t wanted = is_bounded && *left < sizeof piece ? *left : sizeof piece;

        if (source->fd < 0)
                return false;
        ssize_t got = wanted == 0 ? 0 : read(source->fd, piece, wanted);
        if (got > 0) {
                *left -= is_bounded ? (size_t)got : 0;
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

void run_watch_outputs(struct run *run, bool watched)
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
                run_watch_outputs(run, false);
}

static size_t bytes_in(const struct source *source)
{
        int count = 0;

        return source->fd >= 0 && ioctl(source->fd, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

/* A terminal needs no bound: it is taken from all others when its session's first process ends. */
void run_bound_outputs(struct run *run)
{
        run->output_left = bytes_in(&run->output);
        run->errors_left = bytes_in(&run->errors);
}

bool run_send_rest(struct run *run)
{
        while (!port_is_full(run->port) &&
               (read_output(run, &run->output, GUEST_OUTPUT) || read_output(run, &run->errors, GUEST_ERRORS)))
                ;
        return !port_is_full(run->port) || (run->output.fd < 0 && run->errors.fd < 0);
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
                run_watch_outputs(run, !port_is_full(run->port));
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
        struct run *run = run_find(port, channel);

        if (run == NULL)
                return; /* it has ended meanwhile */
        if (run->text.length + length > GUEST_INPUT_BYTES) {
                run_end_tree(run);
                return;
        }
        str_add_bytes(&run->text, bytes, length);
        take_input(run, input_of(run));
}

void run_input_end(struct port *port, unsigned channel)
{
        struct run *run = run_find(port, channel);

        if (run == NULL)
                return;
        if (run->is_terminal)
                run_input(port, channel, "\x04", 1);
        run->input_ends = true;
        if (!run->is_terminal)
                take_input(run, input_of(run));
}

void run_resize(struct port *port, unsigned channel, uint32_t rows, uint32_t columns)
{
        const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
        struct run *run = run_find(port, channel);

        if (run != NULL && run->is_terminal && run->output.fd >= 0 && rows <= UINT16_MAX && columns <= UINT16_MAX)
                (void)ioctl(run->output.fd, TIOCSWINSZ, &size);
}

/* ---- Both ---- */

void run_adopt(struct run *run, struct source *source, int fd, void (*ready)(struct source *, uint32_t))
{
        *source = (struct source){.fd = fd, .ready = ready, .context = run};
        if (fd >= 0)
                (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void run_adopt_streams(struct run *run, const int ours[3])
{
        run_adopt(run, &run->input, ours[0], input_ready);
        run_adopt(run, &run->output, ours[1], output_ready);
        run_adopt(run, &run->errors, ours[2], output_ready);
}

void run_close_streams(struct run *run)
{
        source_close(&run->input);
        source_close(&run->output);
        source_close(&run->errors);
}
