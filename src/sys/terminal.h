/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person, or a pipe, on one side; a command in a guest on the other. relay_run moves bytes between both until the
 * command has ended, with the caller's terminal in raw mode meanwhile, its window size and its signals passed on. Bytes
 * are never looked at, but for an escape key where one is asked for.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct winsize;

#define RELAY_ESCAPE_CONSOLE 0x1d /* Ctrl-], as of telnet and virsh */

/*
 * A stream of the guest's side. By itself it is a descriptor: pipe, socket or pty master, which the relay sets
 * non-blocking, takes over and closes. Where more is needed (frames of a protocol), read and write say how, as read(2)
 * and write(2) do: EAGAIN where nothing is to be had now, 0 at the end. Each is called until it answers EAGAIN, so it
 * may keep what it has read beyond a frame.
 */
struct relay_stream {
        int fd; /* polled; -1: there is none */
        ssize_t (*read)(void *context, void *buffer, size_t bytes);
        ssize_t (*write)(void *context, const void *buffer, size_t bytes);
        void (*finish)(void *context); /* of `to`: nothing more will be written. NULL: see relay_run */
        void *context;
};

struct relay {
        int input, output, errors;                 /* the caller's; left as they are. input -1: nothing is read */
        bool terminal;                             /* input and output are a terminal, raw until the end */
        int escape;                                /* a key of that terminal that ends the relay, or 0 */
        struct relay_stream to, from, from_errors; /* of the guest. from_errors.fd is -1 where `from` is all there is */
        int ended; /* readable when the command has ended (a pidfd), or -1: it has when `from` is at its end */
        void (*resize)(void *context, const struct winsize *size); /* NULL: `from` is a pty master, or has no size */
        void (*signal)(void *context,
                       int number); /* INT, TERM, HUP or QUIT came for us and are the command's; or NULL */
        void *context;              /* of these two */
};

enum relay_end {
        RELAY_ENDED,       /* the command, or its side of the streams */
        RELAY_ESCAPED,     /* by the key */
        RELAY_HUNG_UP,     /* the caller's output or terminal is gone: nobody looks any more */
        RELAY_INTERRUPTED, /* by a signal that nobody takes, or TERM or HUP for the second time */
};

/*
 * Relays to the end, *ret_how. Sleeps in poll(2). The end of the caller's input closes `to`; of a socket that is `from`
 * as well, its writing half; a pty gets its end-of-file key; `finish` has the last word. What the guest has written
 * before its command ended arrives whole. Signals that the caller ignores stay ignored; the terminal is as before
 * afterwards whatever happened (but SIGKILL).
 */
int relay_run(struct relay *relay, enum relay_end *ret_how, struct cowherd_error *err) must_check;
