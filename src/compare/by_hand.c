/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd-nspawn tells its notify socket, and a guest's agent on its channel. Both are waited for by events; only guest-exec has none for its
 * end, and must be asked.
 */
#include "compare/by_hand.h"

#include "base/error.h"
#include "base/mem.h"
#include "sys/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define TOLD_BYTES 4096
#define ANSWER_BYTES 4096
#define ASK_NS 2000000 /* between two questions whether the command has ended */

/* ---- systemd-nspawn ---- */

int by_hand_listen(const char *name, int *ret_fd, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        owned_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1))) < 0)
                return fail_errno(err, "cannot make a socket for systemd-nspawn");
        *ret_fd = take_fd(fd);
        return 0;
}

int by_hand_await(int fd, const char *line, char *ret, size_t size, struct cowherd_error *err)
{
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char told[TOLD_BYTES];

        for (;;) {
                if (poll(&ready, 1, PATIENCE_MS) <= 0)
                        return fail(err, COWHERD_UNAVAILABLE, "systemd-nspawn, run by hand, never said '%s'", line);
                ssize_t got = recv(fd, told, sizeof told - 1, 0);
                if (got <= 0)
                        continue;
                told[got] = '\0';
                const char *at = strstr(told, line);
                if (at == NULL)
                        continue;
                at += strlen(line);
                (void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
                return 0;
        }
}

/* ---- a guest's agent ---- */

/* Says a line and gets one, within the time that is left. 69 where there is no answer. */
static int ask(int fd, const char *question, double deadline, char *ret, struct cowherd_error *err)
{
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        size_t length = 0;

        if (send(fd, question, strlen(question), MSG_NOSIGNAL) < 0)
                return fail_errno(err, "cannot speak to the guest agent of a machine run by hand");
        while (length == 0 || ret[length - 1] != '\n') {
                double left = deadline - clock_ms();
                if (left <= 0 || length + 1 >= ANSWER_BYTES || poll(&ready, 1, (int)left) <= 0)
                        return fail(err, COWHERD_UNAVAILABLE, "the guest agent of a machine run by hand does not answer");
                ssize_t got = read(fd, ret + length, ANSWER_BYTES - 1 - length);
                if (got <= 0)
                        return fail(err, COWHERD_UNAVAILABLE, "a machine run by hand ended at once");
                length += (size_t)got;
        }
        ret[length] = '\0';
        return 0;
}

int by_hand_synchronise(int fd, double deadline, struct cowherd_error *err)
{
        char answer[ANSWER_BYTES];

        return ask(fd, "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":1}}\n", deadline, answer, err);
}

int by_hand_run_true(int fd, double deadline, struct cowherd_error *err)
{
        const struct timespec pause = {.tv_nsec = ASK_NS};
        char answer[ANSWER_BYTES], question[160];

        if (ask(fd, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/true\"}}\n", deadline, answer, err) < 0)
                return -1;
        const char *pid = strstr(answer, "\"pid\"");
        if (pid == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "the guest agent of a machine run by hand runs no commands");
        (void)snprintf(question, sizeof question, "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%ld}}\n", strtol(pid + strcspn(pid, "0123456789"), NULL, 10));
        for (;;) {
                if (ask(fd, question, deadline, answer, err) < 0)
                        return -1;
                if (strstr(answer, "\"exited\": true") != NULL)
                        return 0;
                (void)nanosleep(&pause, NULL);
        }
}
