/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to cowherd-guest. A machine has a few ports for it, each a socket in its runtime folder that QEMU serves to one client at a
 * time. A byte of "guest.lock" for each tells which are in use, so that two take two; where all are, the end of whoever has one is
 * told by that file's being closed (inotify), were it by a kill. Whether anybody listens inside is known from the first answer of this boot on (the lock file then has a byte), and before
 * that asked of QEMU, which knows who has a port open: a guest without the helper costs that one question, and no waiting.
 */
#include "engine/qemu/guest_channel.h"

#include "engine/qemu/agent_channel.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define KNOWN_MS 300.0 /* for one that has answered before */
#define TOLD_BYTES 256

void guest_close(struct guest *guest)
{
        close_at(&guest->fd);
        close_at(&guest->lock);
        guest_decoder_free(&guest->decoder);
        str_free(&guest->received);
        *guest = GUEST_CLOSED;
}

/* ---- Failures ---- */

int guest_fail_lost(const struct guest *guest, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the connection to cowherd-guest in '%s' broke off: it, or its machine, has ended",
                    guest->instance->name);
}

int guest_fail_nonsense(const struct guest *guest, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "cowherd-guest in '%s' answered what was not asked", guest->instance->name);
}

static int fail_silent(const struct guest *guest, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "cowherd-guest in '%s' does not answer", guest->instance->name);
        return fail_hint(err, "a paused guest can't; a busy one may need a longer timeout");
}

static int fail_busy(const struct engine_instance *instance, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "all ways into '%s' are in use", instance->name);
        return fail_hint(err, "it runs %d commands and terminals at once; wait for one to end", GUEST_PORTS - 1);
}

static int fail_command(const char *name, const struct engine_command *command, uint32_t failure, int os_errno, struct cowherd_error *err)
{
        const char *word = command->argv == NULL ? "the login shell" : command->argv[0];

        if (failure == GUEST_FAILED_USER)
                return fail(err, COWHERD_NOT_FOUND, "user '%s' not found in '%s'", command->user, name);
        if (failure == GUEST_FAILED_FOLDER)
                return fail(err, COWHERD_NOT_FOUND, "working_dir '%s' not found in '%s'",
                            command->working_dir == NULL ? "/" : command->working_dir, name);
        if (os_errno == ENOENT)
                return fail(err, COWHERD_NOT_FOUND, "command '%s' not found in '%s'", word, name);
        return fail(err, os_errno == EACCES || os_errno == EPERM ? COWHERD_DENIED : COWHERD_SYSTEM,
                    "command '%s' can't be run in '%s': %s", word, name, strerror(os_errno));
}

int guest_failed(const struct guest *guest, const struct guest_frame *frame, const struct engine_command *command,
                 struct cowherd_error *err)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};
        uint32_t failure = guest_get_number(&reader);
        int os_errno = (int)(guest_get_number(&reader) & 0xfff);
        owned_str char *raw = guest_get_text(&reader, TOLD_BYTES), *text = agent_quote(raw);
        const char *name = guest->instance->name;

        if (!guest_get_end(&reader))
                return guest_fail_nonsense(guest, err);
        if (command != NULL &&
            (failure == GUEST_FAILED_USER || failure == GUEST_FAILED_FOLDER || failure == GUEST_FAILED_COMMAND))
                return fail_command(name, command, failure, os_errno, err);
        if (failure == GUEST_FAILED_FROZEN)
                return fail(err, COWHERD_BUSY, "the filesystems of '%s' are frozen for a snapshot", name);
        if (failure == GUEST_FAILED_TERMINAL)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' has no pseudo-terminal to give (is devpts mounted in it?): %s", name,
                            strerror(os_errno));
        if (failure == GUEST_FAILED_BUSY)
                return fail(err, COWHERD_BUSY, "cowherd-guest in '%s' runs as many commands as it can", name);
        if (failure == GUEST_FAILED_GRAMMAR)
                return fail(err, COWHERD_USAGE, "cowherd-guest in '%s' refuses the %s", name, text);
        if (failure == GUEST_FAILED_UNKNOWN) {
                (void)fail(err, COWHERD_UNAVAILABLE, "cowherd-guest in '%s' is too old for this", name);
                return fail_hint(err, "replace it in the guest by the one of this version");
        }
        return fail(err, COWHERD_SYSTEM, "'%s' refuses%s%s: %s", name, text[0] == '\0' ? "" : " the ", text, strerror(os_errno));
}

/* ---- Bytes ---- */

/* 1 when the time is over. */
static int sleep_until(struct guest *guest, short events, double until_ms, struct cowherd_error *err)
{
        struct pollfd wanted = {.fd = guest->fd, .events = events};
        double left = until_ms - clock_ms();

        int ready = poll(&wanted, 1, left <= 0 ? 0 : left > 1e9 ? 1000000000 : (int)left + 1);
        if (ready < 0 && errno != EINTR)
                return fail_errno(err, "cannot wait for cowherd-guest in '%s'", guest->instance->name);
        return ready == 0 && clock_ms() >= until_ms ? 1 : 0;
}

int guest_send(struct guest *guest, const struct str *bytes, double until_ms, struct cowherd_error *err)
{
        for (size_t sent = 0; sent < bytes->length;) {
                ssize_t done = send(guest->fd, bytes->data + sent, bytes->length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (done > 0) {
                        sent += (size_t)done;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR)
                        return guest_fail_lost(guest, err);
                int over = sleep_until(guest, POLLOUT, until_ms, err);
                if (over != 0)
                        return over < 0 ? -1 : fail_silent(guest, err);
        }
        return 0;
}

/* A frame of what was received; what is used up is let go of. */
static bool decode(struct guest *guest, struct guest_frame *ret)
{
        const uint8_t *at = (const uint8_t *)guest->received.data + guest->at;
        size_t left = guest->received.length - guest->at;

        bool found = left > 0 && guest_decode(&guest->decoder, &at, &left, ret);
        guest->at = guest->received.length - left;
        if (left == 0)
                guest->received.length = guest->at = 0;
        return found;
}

int guest_next_here(struct guest *guest, struct guest_frame *ret, struct cowherd_error *err)
{
        for (;;) {
                char piece[PIECE_BYTES / 2];
                if (decode(guest, ret))
                        return 0;
                ssize_t got = recv(guest->fd, piece, sizeof piece, MSG_DONTWAIT);
                if (got < 0 && errno == EAGAIN)
                        return 1;
                if (got == 0 || (got < 0 && errno != EINTR))
                        return guest_fail_lost(guest, err);
                if (got > 0)
                        str_add_bytes(&guest->received, piece, (size_t)got);
        }
}

int guest_next(struct guest *guest, double until_ms, struct guest_frame *ret, struct cowherd_error *err)
{
        for (;;) {
                int none = guest_next_here(guest, ret, err);
                if (none <= 0)
                        return none;
                int over = sleep_until(guest, POLLIN, until_ms, err);
                if (over != 0)
                        return over;
        }
}

int guest_ask(struct guest *guest, enum guest_type type, const struct str *request, enum guest_type expected, uint64_t timeout_ms,
              struct guest_frame *ret, struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms;
        unsigned channel = guest->channel = guest->channel % 0xffff + 1;
        owned_string struct str out = {0};

        guest_message_add(&out, type, channel, request == NULL ? NULL : request->data, request == NULL ? 0 : request->length);
        if (guest_send(guest, &out, until_ms, err) < 0)
                return -1;
        for (;;) {
                int over = guest_next(guest, until_ms, ret, err);
                if (over != 0)
                        return over < 0 ? -1 : fail_silent(guest, err);
                if (ret->channel != channel)
                        continue;
                if (ret->type == GUEST_FAILED)
                        return guest_failed(guest, ret, NULL, err);
                return ret->type == (unsigned)expected ? 0 : guest_fail_nonsense(guest, err);
        }
}

void guest_ping_add(struct str *out)
{
        guest_frame_add(out, GUEST_PING, GUEST_CHANNEL_PING, NULL, 0);
}

bool guest_is_lost(const struct guest_frame *frame)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};

        return frame->type == GUEST_DONE && frame->channel == GUEST_CHANNEL_PING && guest_get_long(&reader) == 0;
}

/* ---- Beginning ---- */

int guest_greet(const struct engine_instance *instance, int fd, struct guest *ret, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        owned_string struct str hello = {0}, out = {0};
        uint8_t nonce[GUEST_NONCE_BYTES];

        guest.fd = fd;
        guest.instance = instance;
        random_bytes(nonce, sizeof nonce);
        memcpy(guest.nonce, nonce, sizeof nonce); /* until the guest's own has come */
        guest_put_number(&hello, GUEST_VERSION);
        str_add_bytes(&hello, nonce, sizeof nonce);
        guest_frame_reset(&out);
        guest_frame_add(&out, GUEST_HELLO, 0, hello.data, hello.length);
        if (guest_send(&guest, &out, clock_ms() + GUEST_ANSWER_MS, err) < 0)
                return -1;
        *ret = guest;
        guest = GUEST_CLOSED;
        return 0;
}

/* From now on it is known that there is one. */
static void note_answer(const struct guest *guest)
{
        if (guest->lock >= 0 && pwrite(guest->lock, "1", 1, 0) < 0)
                return; /* it is asked of QEMU again */
}

int guest_welcome(struct guest *guest, double until_ms, struct cowherd_error *err)
{
        struct guest_frame frame;
        int over;

        while ((over = guest_next(guest, until_ms, &frame, err)) == 0) {
                struct guest_reader reader = {.at = frame.payload, .left = frame.length};
                if (frame.type != GUEST_WELCOME)
                        continue; /* another session's */
                uint32_t version = guest_get_number(&reader);
                const uint8_t *back = guest_get_raw(&reader, GUEST_NONCE_BYTES), *own = guest_get_raw(&reader, GUEST_NONCE_BYTES);
                uint32_t flags = guest_get_number(&reader);
                if (reader.bad || memcmp(back, guest->nonce, GUEST_NONCE_BYTES) != 0)
                        continue;
                if (version < GUEST_VERSION)
                        return fail(err, COWHERD_UNAVAILABLE, "cowherd-guest in '%s' is too old", guest->instance->name);
                memcpy(guest->nonce, own, GUEST_NONCE_BYTES);
                guest->flags = flags;
                note_answer(guest);
                return 0;
        }
        return over;
}

static bool take_port(int lock, size_t port)
{
        struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)port, .l_len = 1};

        return fcntl(lock, F_OFD_SETLK, &wanted) == 0;
}

static bool take_some_port(int lock, bool lasting, size_t *ret)
{
        for (size_t port = lasting ? 1 : 0; port < GUEST_PORTS; port++)
                if (take_port(lock, port)) {
                        *ret = port;
                        return true;
                }
        return false;
}

/* Takes a port as soon as there is one; 1 when the time is over. */
static int await_port(int runtime, int lock, bool lasting, double until_ms, size_t *ret, struct cowherd_error *err)
{
        owned_fd int changes = -1;
        char path[64], events[4096];

        while (!take_some_port(lock, lasting, ret)) {
                struct pollfd closed = {.fd = changes, .events = POLLIN};
                double left = until_ms - clock_ms();
                if (changes < 0) { /* and try again: somebody may have ended meanwhile */
                        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" QEMU_GUEST_LOCK, runtime);
                        changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
                        if (changes < 0 || inotify_add_watch(changes, path, IN_CLOSE_WRITE) < 0)
                                return fail_errno(err, "cannot wait for a way into the guest");
                        continue;
                }
                if (left <= 0)
                        return 1;
                (void)poll(&closed, 1, left > 1e9 ? 1000000000 : (int)left + 1);
                while (read(changes, events, sizeof events) > 0)
                        ;
        }
        return 0;
}

int guest_connect(const struct engine_instance *instance, bool lasting, double until_ms, struct guest *ret,
                  struct cowherd_error *err)
{
        size_t port = 0;

        owned_fd int runtime = -1, fd = -1;
        char name[32];

        if (qemu_runtime_open(instance, &runtime, err) < 0)
                return -1;
        owned_fd int lock = openat(runtime, QEMU_GUEST_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0)
                return fail_errno(err, "cannot open '%s' of '%s'", QEMU_GUEST_LOCK, instance->name);
        (void)snprintf(name, sizeof name, QEMU_GUEST, port);
        if (faccessat(runtime, name, F_OK, 0) < 0)
                return fail(err, COWHERD_UNAVAILABLE, "the machine of '%s' has no port for cowherd-guest", instance->name);
        int over = await_port(runtime, lock, lasting, until_ms, &port, err);
        if (over != 0)
                return over;
        (void)snprintf(name, sizeof name, QEMU_GUEST, port);
        if (qemu_socket_connect(runtime, name, &fd, err) < 0 || guest_greet(instance, take_fd(fd), ret, err) < 0)
                return -1;
        ret->lock = take_fd(lock);
        return 0;
}

static bool has_port_open(const json_t *devices, const char *prefix)
{
        const json_t *device;
        size_t index;

        json_array_foreach (devices, index, device)
                if (str_starts(json_string_value(json_object_get(device, "label")) == NULL
                                       ? ""
                                       : json_string_value(json_object_get(device, "label")),
                               prefix) &&
                    json_is_true(json_object_get(device, "frontend-open")))
                        return true;
        return false;
}

static int is_there(const struct engine_instance *instance, const char *prefix)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        struct cowherd_error ignored;
        json_t *devices = NULL;

        if (qemu_speak(instance, QEMU_STATUS, &qmp, &ignored) < 0 ||
            qmp_execute(&qmp, "query-chardev", NULL, -1, QMP_TIMEOUT_MS, &devices, &ignored) < 0)
                return -1;
        bool open = has_port_open(devices, prefix);
        json_decref(devices);
        return open;
}

int guest_is_there(const struct engine_instance *instance)
{
        return is_there(instance, "guest");
}

int guest_agent_is_there(const struct engine_instance *instance)
{
        return is_there(instance, "agent");
}

int guest_begin(const struct engine_instance *instance, bool lasting, uint64_t timeout_ms, struct guest *ret, struct cowherd_error *err)
{
        double begin_ms = clock_ms(), until_ms = begin_ms + (double)timeout_ms;
        owned_guest struct guest guest = GUEST_CLOSED;
        struct cowherd_error ignored;
        char known;

        int busy = guest_connect(instance, lasting, begin_ms, &guest, &ignored);
        if (busy > 0 && guest_agent_is_there(instance) != 1)
                busy = guest_connect(instance, lasting, until_ms, &guest, &ignored);
        else if (busy > 0)
                return 1;
        if (busy < 0)
                return 1; /* a machine without such ports, or none that runs: the agent's client tells which */
        if (busy > 0)
                return fail_busy(instance, err);
        bool answered = pread(guest.lock, &known, 1, 0) == 1;
        int over = answered ? guest_welcome(&guest, begin_ms + KNOWN_MS, err) : 1;
        if (over > 0) {
                int there = guest_is_there(instance);
                if (there == 0)
                        return 1;
                bool unknown = there < 0 && !answered;
                over = guest_welcome(&guest, unknown ? begin_ms + KNOWN_MS : until_ms, err);
                if (over > 0 && unknown)
                        return 1;
        }
        if (over != 0)
                return over < 0 ? -1 : fail_silent(&guest, err);
        *ret = guest;
        guest = GUEST_CLOSED;
        return 0;
}
