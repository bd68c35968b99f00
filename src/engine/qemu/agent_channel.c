/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's channel. QEMU serves one client of a socket at a time and lets the others queue in the order in which they
 * came; each holds a shared lock on one byte of a file as long as it speaks or queues, so that a long conversation can see that
 * others wait, and so that what QEMU has not read is known to mean that no agent listens, and not that it is not our turn.
 *
 * A client may have been killed in the middle of a question or of an answer. So each begins with a byte that is no JSON,
 * whereupon the agent forgets the half question, and asks for a random number back behind such a byte
 * (guest-sync-delimited): all before it was meant for another.
 */
#include "engine/qemu/agent_channel.h"

#include "base/str.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DELIMITER '\xff'
#define PIECE_BYTES 65536
#define QUOTED_BYTES 200
#define TOLD_MS 2000

void agent_close(struct agent *agent)
{
        if (agent->fd >= 0)
                (void)close(agent->fd);
        if (agent->lock >= 0)
                (void)close(agent->lock);
        free(agent->name);
        str_free(&agent->buffer);
        *agent = AGENT_CLOSED;
}

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

/* ---- Whose turn it is ---- */

static struct flock presence(short type)
{
        return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
}

static int be_present(int folder, struct agent *agent, struct cowherd_error *err)
{
        struct flock lock = presence(F_RDLCK);

        owned_fd int fd = openat(folder, AGENT_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return fail_errno(err, "cannot open '%s' of '%s'", AGENT_LOCK, agent->name);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return fail_errno(err, "cannot lock '%s' of '%s'", AGENT_LOCK, agent->name);
        agent->lock = take_fd(fd);
        return 0;
}

bool agent_is_wanted(const struct agent *agent)
{
        struct flock lock = presence(F_WRLCK);

        return agent->lock >= 0 && fcntl(agent->lock, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- Failures ---- */

static int fail_absent(const struct agent *agent, enum cowherd_code code, struct cowherd_error *err)
{
        (void)fail(err, code, "nothing in '%s' listens on the guest agent's port%s", agent->name,
                   code == COWHERD_BUSY ? " yet" : ": it has no agent, or is still booting");
        return fail_hint(err, agent->windows ? "install the guest agent and the serial driver of virtio-win in the guest"
                                             : "in the guest: apt install qemu-guest-agent (dnf, apk, zypper likewise), "
                                               "and have it started; while it boots: wait for=ready");
}

static int fail_silent(const struct agent *agent, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "the guest agent in '%s' does not answer", agent->name);
        return fail_hint(err, "a paused guest can't; a busy one may need a longer timeout");
}

static int fail_gone(const struct agent *agent, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the connection to the guest agent of '%s' broke off: its machine has ended",
                    agent->name);
}

static int fail_nonsense(const struct agent *agent, const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' answered %s", agent->name, what);
}

/* QEMU has not read what we said: the guest has the port closed (virtio_serial_guest_ready). */
static bool is_unread(const struct agent *agent)
{
        int bytes = 0;

        return ioctl(agent->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* ---- Bytes ---- */

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

static int send_all(struct agent *agent, const char *bytes, size_t count, double until_ms, struct cowherd_error *err)
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
                        return over < 0 ? -1 : fail_silent(agent, err);
        }
        return 0;
}

/* Adds what has come to the buffer, sleeping until there is something; 1 when the time is over. */
static int receive(struct agent *agent, double until_ms, struct cowherd_error *err)
{
        char piece[PIECE_BYTES / 2];

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

/* Removes the first bytes of the buffer. */
static void forget(struct agent *agent, size_t count)
{
        agent->buffer.length -= count;
        memmove(agent->buffer.data, agent->buffer.data + count, agent->buffer.length + 1);
}

/* A line of at most limit_bytes without its end, *ret the caller's; 1 when the time is over. */
static int read_line(struct agent *agent, size_t limit_bytes, double until_ms, char **ret, struct cowherd_error *err)
{
        size_t seen = 0;

        for (;;) {
                struct str *buffer = &agent->buffer;
                const char *end = buffer->length > seen ? memchr(buffer->data + seen, '\n', buffer->length - seen) : NULL;
                size_t length = end == NULL ? buffer->length : (size_t)(end - buffer->data);
                if (length > limit_bytes)
                        return fail_nonsense(agent, "more than it was asked for", err);
                if (end != NULL) {
                        *ret = x_strndup(buffer->data, length);
                        forget(agent, length + 1);
                        return 0;
                }
                seen = buffer->length;
                int over = receive(agent, until_ms, err);
                if (over != 0)
                        return over;
        }
}

/* Drops all up to and with the next delimiter; 1 when the time is over. */
static int skip_to_delimiter(struct agent *agent, double until_ms, struct cowherd_error *err)
{
        for (;;) {
                struct str *buffer = &agent->buffer;
                const char *found = buffer->length > 0 ? memchr(buffer->data, DELIMITER, buffer->length) : NULL;
                if (found != NULL) {
                        forget(agent, (size_t)(found - buffer->data) + 1);
                        return 0;
                }
                buffer->length = 0;
                int over = receive(agent, until_ms, err);
                if (over != 0)
                        return over;
        }
}

/* ---- Beginning ---- */

static int fail_over(const struct agent *agent, enum agent_patience patience, struct cowherd_error *err)
{
        if (is_unread(agent) && !agent_is_wanted(agent))
                return fail_absent(agent, patience == AGENT_AWAITED ? COWHERD_BUSY : COWHERD_UNAVAILABLE, err);
        return fail_silent(agent, err);
}

/* Waits for the first byte of an answer. */
static int await_sign(struct agent *agent, enum agent_patience patience, double until_ms, struct cowherd_error *err)
{
        double grace = clock_ms() + AGENT_GRACE_MS;

        if (patience == AGENT_EXPECTED && grace < until_ms) {
                int over = receive(agent, grace, err);
                if (over <= 0)
                        return over;
                if (is_unread(agent) && !agent_is_wanted(agent))
                        return fail_absent(agent, COWHERD_UNAVAILABLE, err);
        }
        int over = receive(agent, until_ms, err);
        return over <= 0 ? over : fail_over(agent, patience, err);
}

static bool answers(const char *line, json_int_t id)
{
        json_t *reply = json_loads(line, 0, NULL);
        const json_t *value = json_object_get(reply, "return");
        bool ours = json_is_integer(value) && json_integer_value(value) == id;

        json_decref(reply);
        return ours;
}

int agent_synchronise(struct agent *agent, enum agent_patience patience, uint64_t timeout_ms, struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms;
        json_int_t id = 0;

        random_bytes(&id, sizeof id);
        id &= INT64_MAX;
        owned_str char *question =
                x_asprintf("%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" JSON_INTEGER_FORMAT "}}\n",
                           DELIMITER, id);
        if (send_all(agent, question, strlen(question), until_ms, err) < 0 ||
            await_sign(agent, patience, until_ms, err) < 0)
                return -1;
        for (;;) {
                owned_str char *line = NULL;
                int over = skip_to_delimiter(agent, until_ms, err);
                if (over == 0)
                        over = read_line(agent, AGENT_REPLY_BYTES, until_ms, &line, err);
                if (over != 0)
                        return over < 0 ? -1 : fail_silent(agent, err);
                if (answers(line, id))
                        return 0;
        }
}

static int connect_to(const struct engine_instance *instance, struct agent *agent, double until_ms, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        double left_ms = until_ms - clock_ms();
        struct timeval patience = {.tv_sec = (time_t)(left_ms / 1000), .tv_usec = 1000};

        int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/" AGENT_SOCKET, instance->runtime);
        if (length < 0 || (size_t)length >= sizeof address.sun_path)
                return fail(err, COWHERD_CONFIG, "the path '%s/" AGENT_SOCKET "' is longer than a socket's may be",
                            instance->runtime);
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* The queue of those who wait for QEMU may be full: connect(2) sleeps for a place in it, so long. */
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
                return fail_errno(err, "cannot make a socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
                if (errno == EAGAIN || errno == EINPROGRESS)
                        return fail(err, COWHERD_BUSY, "too many others speak to the guest agent of '%s'", instance->name);
                if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
                        return fail(err, COWHERD_BUSY, "the machine of '%s' does not run", instance->name);
                return fail_errno(err, "cannot reach the guest agent of '%s'", instance->name);
        }
        agent->fd = take_fd(fd);
        return 0;
}

int agent_open(const struct engine_instance *instance, enum agent_patience patience, uint64_t timeout_ms, struct agent *ret,
               struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms;
        owned_agent struct agent agent = AGENT_CLOSED;

        if (str_is_empty(instance->runtime))
                return fail(err, COWHERD_INTERNAL, "'%s' has no runtime folder", instance->name);
        agent.name = x_strdup(instance->name);
        agent.windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;
        owned_fd int folder = open(instance->runtime, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0 && errno == ENOENT)
                return fail(err, COWHERD_BUSY, "the machine of '%s' does not run", instance->name);
        if (folder < 0)
                return fail_errno(err, "cannot open '%s'", instance->runtime);
        if (be_present(folder, &agent, err) < 0 || connect_to(instance, &agent, until_ms, err) < 0)
                return -1;
        double left_ms = until_ms - clock_ms();
        if (agent_synchronise(&agent, patience, left_ms < 1 ? 1 : (uint64_t)left_ms, err) < 0)
                return -1;
        *ret = agent;
        agent = AGENT_CLOSED;
        return 0;
}

/* ---- Asking ---- */

/* What the agent says where it refuses. */
static int fail_refused(const struct agent *agent, const char *command, const json_t *error, struct cowherd_error *err)
{
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *description = json_string_value(json_object_get(error, "desc"));
        owned_str char *words = agent_quote(description == NULL ? "no reason given" : description);

        if (strstr(words, "frozen") != NULL)
                return fail(err, COWHERD_BUSY, "the filesystems of '%s' are frozen: its agent takes no '%s' now", agent->name,
                            command);
        if (!str_equal(class, "CommandNotFound"))
                return fail(err, COWHERD_SYSTEM, "the guest agent in '%s' says: %s", agent->name, words);
        (void)fail(err, COWHERD_UNAVAILABLE, "the guest agent in '%s' does not do '%s': %s", agent->name, command, words);
        return fail_hint(err,
                         "in the guest: take '%s' off the list of what is blocked (BLACKLIST_RPC in /etc/sysconfig/qemu-ga, "
                         "block-rpcs in /etc/qemu/qemu-ga.conf), and restart the agent; or install a newer one",
                         command);
}

/* Takes the answer apart. */
static int read_reply(const struct agent *agent, const char *command, const char *line, json_type type, json_t **ret,
                      struct cowherd_error *err)
{
        json_t *reply = json_loads(line, 0, NULL);
        json_t *error = json_object_get(reply, "error"), *value = json_object_get(reply, "return");
        int result = 0;

        if (json_is_object(error))
                result = fail_refused(agent, command, error, err);
        else if (value == NULL || json_typeof(value) != type)
                result = fail_nonsense(agent, "what can't be read", err);
        else if (ret != NULL)
                *ret = json_incref(value);
        json_decref(reply);
        return result;
}

/* Sends one question. */
static int send_question(struct agent *agent, const char *command, json_t *arguments, double until_ms, struct cowherd_error *err)
{
        json_t *question = json_pack("{s:s, s:o}", "execute", command, "arguments", arguments);
        owned_str char *text = question == NULL ? NULL : json_dumps(question, JSON_COMPACT);

        json_decref(question);
        if (text == NULL)
                return fail(err, COWHERD_USAGE, "a word for the guest '%s' is not UTF-8, which its agent needs", agent->name);
        owned_str char *line = x_asprintf("%s\n", text);
        return send_all(agent, line, strlen(line), until_ms, err);
}

int agent_ask(struct agent *agent, const char *command, json_t *arguments, json_type type, size_t limit_bytes, json_t **ret,
              struct cowherd_error *err)
{
        double until_ms = clock_ms() + AGENT_ANSWER_MS;
        owned_str char *line = NULL;

        agent->buffer.length = 0;
        if (send_question(agent, command, arguments, until_ms, err) < 0)
                return -1;
        int over = read_line(agent, limit_bytes, until_ms, &line, err);
        if (over != 0)
                return over < 0 ? -1 : fail_silent(agent, err);
        return read_reply(agent, command, line, type, ret, err);
}

int agent_tell(struct agent *agent, const char *command, json_t *arguments, struct cowherd_error *err)
{
        double until_ms = clock_ms() + TOLD_MS;
        struct cowherd_error ended;
        owned_str char *line = NULL;

        agent->buffer.length = 0;
        if (send_question(agent, command, arguments, until_ms, err) < 0)
                return -1;
        /* A second question, whose answer tells that the first was done; where it has ended the agent, there is none. */
        if (send_question(agent, "guest-ping", json_object(), until_ms, &ended) < 0 ||
            read_line(agent, AGENT_REPLY_BYTES, until_ms, &line, &ended) != 0)
                return 0;
        return read_reply(agent, command, line, JSON_OBJECT, NULL, err);
}
