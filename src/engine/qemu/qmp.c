/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of QMP. A command's reply is found by its id; events that arrive before it are kept for whoever
 * asks. One client at a time is served by each of QEMU's sockets, others queue for it, so nobody keeps one longer than
 * a command takes; what is asked of many machines at once has a socket of its own.
 */
#include "engine/qemu/qmp.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 16384

void qmp_free(struct qmp *qmp)
{
        if (qmp->fd > 0)
                close_at(&qmp->fd);
        str_free(&qmp->text);
        json_decref(qmp->events);
        *qmp = (struct qmp){.fd = -1};
}

static int remaining_ms(double deadline)
{
        double left = deadline - clock_ms();

        return left <= 0 ? 0 : left >= INT_MAX ? INT_MAX : (int)left + 1;
}

static int fail_ended(struct cowherd_error *err)
{
        return fail(err, COWHERD_BUSY, "qemu ended while it was asked something");
}

int qmp_take_line(struct str *text, json_t **ret, struct cowherd_error *err)
{
        const char *end = text->length == 0 ? NULL : memchr(text->data, '\n', text->length);
        json_error_t wrong;

        if (end == NULL && text->length > QMP_LINE_BYTES)
                return fail(err, COWHERD_SYSTEM, "qemu answered with more than %u bytes", QMP_LINE_BYTES);
        if (end == NULL)
                return 0;
        size_t length = (size_t)(end - text->data), rest = text->length - length - 1;
        json_t *line = json_loadb(text->data, length, JSON_REJECT_DUPLICATES, &wrong);
        memmove(text->data, end + 1, rest);
        text->data[rest] = '\0';
        text->length = rest;
        if (!json_is_object(line)) {
                json_decref(line);
                return fail(err, COWHERD_SYSTEM, "qemu answered with what is no QMP: %.100s", wrong.text);
        }
        *ret = line;
        return 1;
}

static int receive(struct qmp *qmp, double deadline, struct cowherd_error *err)
{
        struct pollfd ready = {.fd = qmp->fd, .events = POLLIN};
        char buffer[READ_BYTES];

        int found = poll(&ready, 1, remaining_ms(deadline));
        if (found < 0 && errno == EINTR)
                return 0;
        if (found < 0)
                return fail_errno(err, "cannot wait for qemu");
        if (found == 0)
                return fail(err, COWHERD_BUSY, "qemu did not answer in time");
        ssize_t got = recv(qmp->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (got == 0 || (got < 0 && errno == ECONNRESET))
                return fail_ended(err);
        if (got < 0)
                return fail_errno(err, "cannot read from qemu");
        str_add_bytes(&qmp->text, buffer, (size_t)got);
        return 0;
}

static int next_line(struct qmp *qmp, double deadline, json_t **ret, struct cowherd_error *err)
{
        for (;;) {
                int taken = qmp_take_line(&qmp->text, ret, err);
                if (taken != 0)
                        return taken < 0 ? -1 : 0;
                if (receive(qmp, deadline, err) < 0)
                        return -1;
        }
}

/* One sendmsg for text and descriptor: QEMU takes the descriptor with the first byte. */
static int send_text(struct qmp *qmp, const char *text, int fd, struct cowherd_error *err)
{
        size_t length = strlen(text), sent = 0;

        while (sent < length) {
                union {
                        struct cmsghdr header;
                        char space[CMSG_SPACE(sizeof(int))];
                } control = {0};
                struct iovec bytes = {.iov_base = (void *)(uintptr_t)(text + sent), .iov_len = length - sent};
                struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
                if (fd >= 0 && sent == 0) {
                        control.header = (struct cmsghdr){
                                .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
                        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
                        message.msg_control = &control;
                        message.msg_controllen = sizeof control.space;
                }
                ssize_t put = sendmsg(qmp->fd, &message, MSG_NOSIGNAL);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0 && (errno == EPIPE || errno == ECONNRESET))
                        return fail_ended(err);
                if (put < 0)
                        return fail_errno(err, "cannot write to qemu");
                sent += (size_t)put;
        }
        return 0;
}

static void keep_event(struct qmp *qmp, json_t *line)
{
        if (json_object_get(line, "event") == NULL) {
                json_decref(line);
                return;
        }
        if (json_array_size(qmp->events) >= QMP_EVENTS)
                (void)json_array_remove(qmp->events, 0);
        (void)json_array_append_new(qmp->events, line);
}

int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, int fd, uint64_t timeout_ms,
                json_t **ret_value, struct cowherd_error *err)
{
        uint64_t id = ++qmp->commands;
        double deadline = clock_ms() + (double)timeout_ms;
        json_t *asked = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)id);
        json_t *line = NULL;

        if (arguments != NULL)
                (void)json_object_set_new(asked, "arguments", arguments);
        owned_str char *text = json_dumps(asked, JSON_COMPACT);
        json_decref(asked);
        if (text == NULL)
                return fail(err, COWHERD_INTERNAL, "'%s' has arguments that are no JSON", command);
        if (send_text(qmp, text, fd, err) < 0)
                return -1;
        for (;;) {
                if (next_line(qmp, deadline, &line, err) < 0)
                        return fail_while(err, "asking qemu for '%s'", command);
                if ((uint64_t)json_integer_value(json_object_get(line, "id")) == id)
                        break;
                keep_event(qmp, line);
        }
        const json_t *wrong = json_object_get(line, "error");
        const char *why = json_string_value(json_object_get(wrong, "desc"));
        int done = wrong == NULL ? 0
                                 : fail(err, COWHERD_SYSTEM, "qemu refused '%s': %s", command, why == NULL ? "?" : why);
        if (done == 0 && ret_value != NULL)
                *ret_value = json_incref(json_object_get(line, "return"));
        json_decref(line);
        return done;
}

int qmp_command(struct qmp *qmp, const char *command, struct cowherd_error *err)
{
        return qmp_execute(qmp, command, NULL, -1, QMP_TIMEOUT_MS, NULL, err);
}

int qmp_begin(int fd, uint64_t timeout_ms, struct qmp *ret, struct cowherd_error *err)
{
        struct qmp qmp owned_by(qmp_free) = {.fd = fd, .events = json_array()};
        double deadline = clock_ms() + (double)timeout_ms;
        json_t *greeting = NULL;

        if (next_line(&qmp, deadline, &greeting, err) < 0)
                return -1;
        bool greeted = json_object_get(greeting, "QMP") != NULL;
        json_decref(greeting);
        if (!greeted)
                return fail(err, COWHERD_SYSTEM, "what answers on qemu's socket is no QMP");
        if (qmp_execute(&qmp, "qmp_capabilities", NULL, -1, (uint64_t)remaining_ms(deadline), NULL, err) < 0)
                return -1;
        *ret = qmp;
        qmp = (struct qmp){.fd = -1};
        return 0;
}

int qmp_event(struct qmp *qmp, uint64_t timeout_ms, json_t **ret, struct cowherd_error *err)
{
        double deadline = clock_ms() + (double)timeout_ms;
        json_t *line = NULL;

        while (json_array_size(qmp->events) == 0) {
                if (next_line(qmp, deadline, &line, err) < 0)
                        return -1;
                keep_event(qmp, line);
        }
        *ret = json_incref(json_array_get(qmp->events, 0));
        (void)json_array_remove(qmp->events, 0);
        return 0;
}

int qmp_status(struct qmp *qmp, char *status, size_t bytes, uint64_t timeout_ms, struct cowherd_error *err)
{
        json_t *value = NULL;

        if (qmp_execute(qmp, "query-status", NULL, -1, timeout_ms, &value, err) < 0)
                return -1;
        const char *word = json_string_value(json_object_get(value, "status"));
        (void)snprintf(status, bytes, "%s", word == NULL ? "" : word);
        json_decref(value);
        return 0;
}
