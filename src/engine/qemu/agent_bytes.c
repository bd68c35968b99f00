/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to an agent and lines from it, within a time, and never more than was asked for. */
#include "engine/qemu/agent_bytes.h"

#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define PIECE_BYTES 32768
#define QUOTED_BYTES 200

char *agent_quote(const char *text)
{
        char *quoted = x_strndup(text, strnlen(text, QUOTED_BYTES));
        size_t length = strlen(quoted);

        while (length > 0 && !str_is_utf8(quoted, length)) /* cut in the middle of a letter */
                quoted[--length] = '\0';
        for (char *c = quoted; *c != '\0'; c++)
                if ((unsigned char)*c < ' ' || *c == '\x7f')
                        *c = ' ';
        return quoted;
}

int agent_fail_silent(const struct agent *agent, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "the guest agent in '%s' does not answer", agent->name);
        return fail_hint(err, "a paused guest can't; a busy one may need a longer timeout");
}

static int fail_gone(const struct agent *agent, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the connection to the guest agent of '%s' broke off: its machine has ended",
                    agent->name);
}

int agent_fail_nonsense(const struct agent *agent, const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' answered %s", agent->name, what);
}

/* Sleeps until `events` or the time; 1 when it is over. */
static int sleep_until(const struct agent *agent, short events, double until_ms, struct cowherd_error *err)
{
        struct pollfd wanted = {.fd = agent->fd, .events = events};
        double left = until_ms - clock_ms();

        int ready = poll(&wanted, 1, left <= 0 ? 0 : left > 1e9 ? 1000000000 : (int)left + 1);
        if (ready < 0 && errno != EINTR)
                return fail_errno(err, "cannot wait for the guest agent of '%s'", agent->name);
        return ready == 0 && clock_ms() >= until_ms ? 1 : 0;
}

int agent_send(struct agent *agent, const char *bytes, size_t count, double until_ms, struct cowherd_error *err)
{
        while (count > 0) {
                ssize_t sent = send(agent->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent >= 0) {
                        bytes += sent;
                        count -= (size_t)sent;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR)
                        return fail_gone(agent, err);
                int over = sleep_until(agent, POLLOUT, until_ms, err);
                if (over != 0)
                        return over < 0 ? -1 : agent_fail_silent(agent, err);
        }
        return 0;
}

int agent_receive(struct agent *agent, double until_ms, struct cowherd_error *err)
{
        char piece[PIECE_BYTES];

        for (;;) {
                ssize_t got = recv(agent->fd, piece, sizeof piece, MSG_DONTWAIT);
                if (got > 0) {
                        str_add_bytes(&agent->buffer, piece, (size_t)got);
                        return 0;
                }
                if (got == 0 || (errno != EAGAIN && errno != EINTR))
                        return fail_gone(agent, err);
                int over = sleep_until(agent, POLLIN, until_ms, err);
                if (over != 0)
                        return over;
        }
}

void agent_forget(struct agent *agent, size_t count)
{
        agent->buffer.length -= count;
        memmove(agent->buffer.data, agent->buffer.data + count, agent->buffer.length + 1);
}

int agent_read_line(struct agent *agent, size_t limit_bytes, double until_ms, char **ret, struct cowherd_error *err)
{
        size_t seen = 0;

        for (;;) {
                struct str *buffer = &agent->buffer;
                const char *end =
                        buffer->length > seen ? memchr(buffer->data + seen, '\n', buffer->length - seen) : NULL;
                size_t length = end == NULL ? buffer->length : (size_t)(end - buffer->data);
                if (length > limit_bytes)
                        return agent_fail_nonsense(agent, "more than it was asked for", err);
                if (end != NULL) {
                        *ret = x_strndup(buffer->data, length);
                        agent_forget(agent, length + 1);
                        return 0;
                }
                seen = buffer->length;
                int over = agent_receive(agent, until_ms, err);
                if (over != 0)
                        return over;
        }
}
