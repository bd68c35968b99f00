/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real states of many machines. Running or not is a question to the kernel (runtime.c), 2 µs each; only whether one
 * that runs stands still must be asked of QEMU. All are asked at once, each on a socket that is for short questions
 * alone, and whoever does not answer in time runs: that much is known.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 64
#define ANSWER_MS 250.0
#define QUESTIONS "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\",\"id\":1}\n"

/* A question under way: which machine, and what it answered so far. */
struct question {
        size_t index;
        struct str text;
};

/* The answer in one line of QMP, if it is that. */
static bool read_answer(const json_t *line, enum engine_state *ret)
{
        if (json_integer_value(json_object_get(line, "id")) != 1)
                return false;
        /* Not only when it was told to: a machine whose disk is full stands still as well ("io-error"). */
        if (json_is_false(json_object_get(json_object_get(line, "return"), "running")))
                *ret = ENGINE_PAUSED;
        return true;
}

/* Whether nothing more is to come. */
static bool receive(int fd, struct question *question, enum engine_state *states)
{
        char buffer[4096];
        struct cowherd_error err;
        json_t *line = NULL;
        int taken;

        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (got <= 0)
                return true;
        str_add_bytes(&question->text, buffer, (size_t)got);
        while ((taken = qmp_take_line(&question->text, &line, &err)) > 0) {
                bool answered = read_answer(line, &states[question->index]);
                json_decref(line);
                if (answered)
                        return true;
        }
        return taken < 0;
}

/* Sends the questions to one machine, without waiting for its greeting. -1 where it has no socket. */
static int ask(const struct engine_instance *instance)
{
        owned_fd int runtime = -1, fd = -1;
        struct cowherd_error err;

        if (qemu_runtime_open(instance, &runtime, &err) < 0 ||
            qemu_socket_connect(runtime, QEMU_STATUS, &fd, &err) < 0 ||
            send(fd, QUESTIONS, strlen(QUESTIONS), MSG_NOSIGNAL) != (ssize_t)strlen(QUESTIONS))
                return -1;
        return take_fd(fd);
}

static void collect(struct pollfd *asked, struct question *questions, size_t count, enum engine_state *states)
{
        double deadline = clock_ms() + ANSWER_MS;
        size_t open = count;

        while (open > 0) {
                double left = deadline - clock_ms();
                if (left <= 0 || (poll(asked, count, (int)left + 1) < 0 && errno != EINTR))
                        break;
                for (size_t i = 0; i < count; i++)
                        if (asked[i].fd >= 0 && asked[i].revents != 0 && receive(asked[i].fd, &questions[i], states)) {
                                close_at(&asked[i].fd);
                                asked[i].fd = -1;
                                open--;
                        }
        }
        for (size_t i = 0; i < count; i++) {
                close_at(&asked[i].fd);
                str_free(&questions[i].text);
        }
}

static void find_paused(const struct engine_instance *instances, size_t count, enum engine_state *states)
{
        struct pollfd asked[AT_ONCE];
        struct question questions[AT_ONCE];
        size_t pending = 0;

        for (size_t i = 0; i < count; i++) {
                if (states[i] == ENGINE_RUNNING && instances[i].runtime != NULL) {
                        int fd = ask(&instances[i]);
                        if (fd >= 0) {
                                asked[pending] = (struct pollfd){.fd = fd, .events = POLLIN};
                                questions[pending++] = (struct question){.index = i};
                        }
                }
                if (pending == AT_ONCE || (i + 1 == count && pending > 0)) {
                        collect(asked, questions, pending, states);
                        pending = 0;
                }
        }
}

int qemu_states(const struct engine_instance *instances, size_t count, enum engine_state *ret,
                struct cowherd_error *err)
{
        (void)err; /* what can't be asked is unknown */
        for (size_t i = 0; i < count; i++) {
                int held = qemu_is_running(&instances[i]);
                if (held >= 0)
                        ret[i] = held ? ENGINE_RUNNING : ENGINE_STOPPED;
                else
                        ret[i] = errno == ENOENT || errno == ENOTDIR ? ENGINE_MISSING : ENGINE_UNKNOWN;
        }
        find_paused(instances, count, ret);
        return 0;
}
