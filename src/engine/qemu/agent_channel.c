/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's channel. QEMU serves one client of a socket at a time and lets the others queue in the order in which
 * they came; each holds shared locks on bytes of a file as long as it queues or speaks, so that a long conversation can
 * see that others wait, and so that what QEMU has not read is known to mean that no agent listens, and not that it is
 * not our turn.
 *
 * A client may have been killed in the middle of a question or of an answer. So each begins with a byte that is no
 * JSON, whereupon the agent forgets the half question, and asks for a random number back behind such a byte
 * (guest-sync-delimited): all before it was meant for another.
 */
#include "engine/qemu/agent_bytes.h"

#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DELIMITER '\xff'

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

/* ---- Whose turn it is: a byte of the lock file for those who speak, one for those who hope to ---- */

enum presence { SPEAKING, HOPING };

static int be_present(struct agent *agent, enum presence how, struct cowherd_error *err)
{
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = how, .l_len = 1};

        if (agent->lock >= 0 && fcntl(agent->lock, F_OFD_SETLK, &lock) < 0)
                return fail_errno(err, "cannot lock '%s' of '%s'", AGENT_LOCK, agent->name);
        return 0;
}

static bool others(const struct agent *agent, enum presence first, enum presence last)
{
        struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = 1 + (off_t)last - (off_t)first};

        return agent->lock >= 0 && fcntl(agent->lock, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool agent_is_wanted(const struct agent *agent)
{
        return others(agent, SPEAKING, HOPING);
}

/* ---- Beginning ---- */

static int fail_absent(const struct agent *agent, enum cowherd_code code, struct cowherd_error *err)
{
        (void)fail(err, code, "nothing in '%s' listens on the guest agent's port%s", agent->name,
                   code == COWHERD_BUSY ? " yet" : ": it has no agent, or is still booting");
        return fail_hint(err, agent->windows
                                      ? "install the guest agent and the serial driver of virtio-win in the guest"
                                      : "in the guest: apt install qemu-guest-agent (dnf, apk, zypper likewise), "
                                        "and have it started; while it boots: wait for=ready");
}

/* QEMU has not read what we said: the guest has the port closed (virtio_serial_guest_ready). */
static bool is_unread(const struct agent *agent)
{
        int bytes = 0;

        return ioctl(agent->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* Drops all up to and with the next delimiter; 1 when the time is over. */
static int skip_to_delimiter(struct agent *agent, double until_ms, struct cowherd_error *err)
{
        for (;;) {
                struct str *buffer = &agent->buffer;
                const char *found = buffer->length > 0 ? memchr(buffer->data, DELIMITER, buffer->length) : NULL;
                if (found != NULL) {
                        agent_forget(agent, (size_t)(found - buffer->data) + 1);
                        return 0;
                }
                buffer->length = 0;
                int over = agent_receive(agent, until_ms, err);
                if (over != 0)
                        return over;
        }
}

/* The time is over. */
static int fail_over(const struct agent *agent, enum agent_patience patience, struct cowherd_error *err)
{
        if (is_unread(agent) && !others(agent, SPEAKING, SPEAKING))
                return fail_absent(agent, patience == AGENT_AWAITED ? COWHERD_BUSY : COWHERD_UNAVAILABLE, err);
        return agent_fail_silent(agent, err);
}

/*
 * Waits for the first byte of an answer. Where nothing of ours is read, nobody listens in the guest, or it is not our
 * turn: but who is before us and does not get to speak either is told nothing else.
 */
static int await_sign(struct agent *agent, enum agent_patience patience, double until_ms, struct cowherd_error *err)
{
        double graces[] = {clock_ms() + AGENT_GRACE_MS, clock_ms() + AGENT_QUEUE_GRACE_MS};

        for (int i = 0; patience == AGENT_EXPECTED && i < 2 && graces[i] < until_ms; i++) {
                int over = agent_receive(agent, graces[i], err);
                if (over <= 0)
                        return over;
                if (is_unread(agent) && !others(agent, SPEAKING, i == 0 ? HOPING : SPEAKING))
                        return fail_absent(agent, COWHERD_UNAVAILABLE, err);
        }
        int over = agent_receive(agent, until_ms, err);
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
        if (agent_send(agent, question, strlen(question), until_ms, err) < 0 ||
            await_sign(agent, patience, until_ms, err) < 0)
                return -1;
        for (;;) {
                owned_str char *line = NULL;
                int over = skip_to_delimiter(agent, until_ms, err);
                if (over == 0)
                        over = agent_read_line(agent, AGENT_REPLY_BYTES, until_ms, &line, err);
                if (over != 0)
                        return over < 0 ? -1 : agent_fail_silent(agent, err);
                if (answers(line, id))
                        return 0;
        }
}

static int connect_to(const struct engine_instance *instance, struct agent *agent, double until_ms,
                      struct cowherd_error *err)
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
                        return fail(err, COWHERD_BUSY, "too many others speak to the guest agent of '%s'",
                                    instance->name);
                if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
                        return fail(err, COWHERD_BUSY, "the machine of '%s' does not run", instance->name);
                return fail_errno(err, "cannot reach the guest agent of '%s'", instance->name);
        }
        agent->fd = take_fd(fd);
        return 0;
}

int agent_open(const struct engine_instance *instance, enum agent_patience patience, uint64_t timeout_ms,
               struct agent *ret, struct cowherd_error *err)
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
        agent.lock = openat(folder, AGENT_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (agent.lock < 0)
                return fail_errno(err, "cannot open '%s' of '%s'", AGENT_LOCK, agent.name);
        if (be_present(&agent, HOPING, err) < 0 || connect_to(instance, &agent, until_ms, err) < 0)
                return -1;
        double left_ms = until_ms - clock_ms();
        if (agent_synchronise(&agent, patience, left_ms < 1 ? 1 : (uint64_t)left_ms, err) < 0 ||
            be_present(&agent, SPEAKING, err) < 0)
                return -1;
        *ret = agent;
        agent = AGENT_CLOSED;
        return 0;
}
