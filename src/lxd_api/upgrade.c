/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a connection over: a GET with an Upgrade header, whose answer is 101. A refusal is a usual answer of LXD's REST, with
 * its reason in JSON.
 */
#include "lxd_api/upgrade.h"

#include "base/mem.h"
#include "lxd_api/client.h"
#include "lxd_api/socket.h"
#include "sys/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES 65536u

static int connect_to(const char *path, int *ret_fd, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(path) >= sizeof address.sun_path)
                return lxd_socket_explain(path, err);
        memcpy(address.sun_path, path, strlen(path));
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail_errno(err, "cannot make a socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return lxd_socket_explain(path, err);
        *ret_fd = take_fd(fd);
        return 0;
}

static int write_all(int fd, const char *bytes, size_t length, struct cowherd_error *err)
{
        while (length > 0) {
                ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return fail_errno(err, "cannot write to LXD");
                bytes += count;
                length -= (size_t)count;
        }
        return 0;
}

/* Byte by byte up to the empty line: what follows it is the stream's already. */
static int read_head(int fd, double deadline, struct str *head, struct cowherd_error *err)
{
        while (!str_ends(str_text(head), "\r\n\r\n")) {
                struct pollfd waited = {.fd = fd, .events = POLLIN};
                double left = deadline - clock_ms();
                char c;
                if (left <= 0)
                        return fail(err, COWHERD_BUSY, "LXD did not open a stream in time");
                if (poll(&waited, 1, left > INT_MAX - 1 ? INT_MAX : (int)left + 1) <= 0)
                        continue;
                ssize_t count = recv(fd, &c, 1, MSG_DONTWAIT);
                if (count < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (count <= 0 || head->length == ANSWER_BYTES)
                        return fail(err, COWHERD_SYSTEM, "LXD broke off while opening a stream");
                str_add_char(head, c);
        }
        return 0;
}

/* The server's refusal: its sentence is in the body, as much of it as has come by now. */
static int explain_refusal(int fd, const char *head, const char *path, struct cowherd_error *err)
{
        char body[4096];
        long status = strlen(head) > 9 ? strtol(head + 9, NULL, 10) : 0;
        ssize_t length = recv(fd, body, sizeof body, MSG_DONTWAIT);
        owned_json json_t *answer =
                length > 0 ? json_loadb(body, (size_t)length, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
        const char *said = lxd_text(answer, "error");

        said = str_is_empty(said) ? "no reason given" : said;
        return fail(err, lxd_error_code(status, said), "LXD opened no stream at '%s' (HTTP status %ld): %s", path,
                    status, said);
}

int lxd_upgrade(const char *socket, const char *path, const char *protocol, const char *headers, uint64_t timeout_ms,
                int *ret_fd, struct str *ret_head, struct cowherd_error *err)
{
        owned_string struct str head = {0};
        owned_fd int fd = -1;
        owned_str char *request = x_asprintf("GET %s HTTP/1.1\r\nHost: lxd\r\nUpgrade: %s\r\nConnection: Upgrade\r\n%s\r\n",
                                             path, protocol, headers);

        if (connect_to(socket, &fd, err) < 0 || write_all(fd, request, strlen(request), err) < 0 ||
            read_head(fd, clock_ms() + (double)timeout_ms, &head, err) < 0)
                return -1;
        if (!str_starts(str_text(&head), "HTTP/1.1 101 "))
                return explain_refusal(fd, str_text(&head), path, err);
        if (ret_head != NULL) {
                *ret_head = head;
                head = (struct str){0};
        }
        *ret_fd = take_fd(fd);
        return 0;
}
