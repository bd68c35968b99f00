/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to cowherd-guest. A machine has a few ports for it, each a socket in its runtime folder that QEMU serves to one client at a
 * time. A byte of "guest.lock" for each tells which are in use, so that two take two; where all are, the end of whoever has one is
 * told by that file's being closed (inotify), were it by a kill. Whether anybody listens inside is known from the first answer of this
 * boot on (the lock file then has a byte), and before that asked of QEMU, which knows who has a port open: a guest without the helper
 * costs that one question, and no waiting.
 */
#include "engine/qemu/guest_channel.h"

#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define KNOWN_MS 300.0 /* for one that has answered before */

static int fail_busy(const struct engine_instance *instance, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "all ways into '%s' are in use", instance->name);
        return fail_hint(err, "it runs %d commands and terminals at once; wait for one to end", GUEST_PORTS - 1);
}

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

bool guest_can_be_there(const struct engine_instance *instance)
{
        return instance->machine == NULL || instance->machine->os == ENGINE_OS_LINUX;
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
                return over < 0 ? -1 : guest_fail_silent(&guest, err);
        *ret = guest;
        guest = GUEST_CLOSED;
        return 0;
}
