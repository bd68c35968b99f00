/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slirp4netns is started as a process of the container's pid namespace, and of nothing else of it: so the kernel ends it with the
 * container's PID 1, whoever ends that, and a process in the container can't signal it, which is another user's. It is in the container's
 * control group, told to drop what it can (its sandbox and seccomp filter), and does not lead to the host's own loopback. It
 * says by a pipe that the card is there; ports are asked for at its socket, and a refused one fails the start.
 */
#include "engine/nspawn/user_net.h"

#include "base/mem.h"
#include "engine/nspawn/spawn.h"
#include "engine/port.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM "slirp4netns"
#define TUN "/dev/net/tun"
#define PATIENCE_MS 10000 /* for its card: 5 ms where nothing is wrong */
#define LARGEST_PACKET "65520"
#define ANSWER_BYTES 4096
#define LOG_BYTES (64u << 10)
#define SUPERVISOR "supervisor" /* nspawn's group for what is not the container's own */

int user_net_check(const struct engine_machine *machine, struct cowherd_error *err)
{
        owned_str char *program = process_find(PROGRAM);

        if (program == NULL) {
                (void)fail(err, COWHERD_UNAVAILABLE, "network=user needs the program '" PROGRAM "', which is not installed");
                return fail_hint(err, "apt install " PROGRAM);
        }
        if (access(TUN, R_OK | W_OK) < 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "network=user needs '" TUN "', which can't be opened here");
                return fail_hint(err, "modprobe tun");
        }
        for (size_t i = 0; i < machine->port_count; i++)
                if (engine_port_check(&machine->ports[i], err) < 0)
                        return -1;
        return 0;
}

/* The last line that it wrote, for a sentence. */
static int fail_said(const struct engine_instance *instance, const char *log, struct cowherd_error *err)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        const char *said = "it does not say why";

        if (file_read(AT_FDCWD, log, LOG_BYTES, &text, NULL, &ignored) == 0 && text[0] != '\0') {
                if (str_ends(text, "\n"))
                        text[strlen(text) - 1] = '\0';
                const char *last = strrchr(text, '\n');
                said = last == NULL ? text : last + 1;
        }
        return fail(err, COWHERD_SYSTEM, "'" PROGRAM "' could not give '%s' a network: %s", instance->name, said);
}

static int wait_ready(const struct engine_instance *instance, const char *log, int ready, struct cowherd_error *err)
{
        struct pollfd told = {.fd = ready, .events = POLLIN};
        char one;
        int got;

        do {
                got = poll(&told, 1, PATIENCE_MS);
        } while (got < 0 && errno == EINTR);
        if (got == 0)
                return fail(err, COWHERD_BUSY, "'" PROGRAM "' gave '%s' no network within %d s", instance->name, PATIENCE_MS / 1000);
        if (got < 0 || read(ready, &one, 1) != 1)
                return fail_said(instance, log, err);
        return 0;
}

static void arguments(const struct engine_instance *instance, const struct nspawn_leader *leader, const char *socket, struct strv *argv)
{
        const struct engine_identity *identity = instance->identity;

        strv_add(argv, "--configure");
        strv_add(argv, "--mtu=" LARGEST_PACKET);
        strv_add(argv, "--disable-host-loopback");
        strv_add(argv, "--enable-sandbox");
        strv_add(argv, "--enable-seccomp");
        if (identity != NULL && identity->fresh && identity->mac != NULL)
                strv_addf(argv, "--macaddress=%s", identity->mac);
        strv_addf(argv, "--ready-fd=%d", SPAWN_KEPT);
        strv_addf(argv, "--api-socket=%s", socket);
        strv_add(argv, "--netns-type=path");
        strv_addf(argv, "/proc/%d/ns/net", leader->pid);
        strv_add(argv, USER_NET_CARD);
}

static int begin(const struct engine_instance *instance, const struct nspawn_leader *leader, const char *socket, const char *log,
                 struct cowherd_error *err)
{
        char group[CGROUP_PATH_BYTES];
        struct cgroup_entry entry = {0};
        char *environment[] = {NULL};
        owned_strv struct strv argv = {0};
        owned_fd int pidfd = -1, words = open(log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        int ready[2];
        pid_t pid;

        if (words < 0)
                return fail_errno(err, "cannot make '%s'", log);
        strv_take(&argv, process_find(PROGRAM));
        arguments(instance, leader, socket, &argv);
        if (cgroup_make_below(nspawn_cgroup(instance, group), SUPERVISOR, "network", &entry, err) < 0)
                return -1;
        if (pipe2(ready, O_CLOEXEC) < 0) {
                cgroup_entry_close(&entry);
                return fail_errno(err, "cannot make a pipe");
        }
        const struct spawn spawn = {.argv = argv.items, .environment = environment, .output = words, .errors = words, .entry = &entry,
                                    .kept = ready[1], .pids_of = leader->pidfd};
        int result = spawn_detached(&spawn, &pid, &pidfd, err);
        (void)close(ready[1]);
        cgroup_entry_close(&entry);
        if (result == 0)
                result = wait_ready(instance, log, ready[0], err);
        (void)close(ready[0]);
        return result;
}

/* One question and its answer: it takes one a connection. */
static int ask(const char *path, const char *question, char *ret_answer, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
        size_t length = 0;
        ssize_t got;

        if (strlen(path) >= sizeof address.sun_path)
                return fail(err, COWHERD_SYSTEM, "the path of a socket is too long: '%s'", path);
        memcpy(address.sun_path, path, strlen(path));
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
            send(fd, question, strlen(question), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
                return fail_errno(err, "cannot ask '" PROGRAM "' for a port");
        while ((got = recv(fd, ret_answer + length, ANSWER_BYTES - 1 - length, 0)) > 0)
                length += (size_t)got;
        if (got < 0)
                return fail_errno(err, "'" PROGRAM "' does not answer");
        ret_answer[length] = '\0';
        return 0;
}

static int forward(const char *socket, const struct engine_port *port, struct cowherd_error *err)
{
        char answer[ANSWER_BYTES];
        owned_str char *question = x_asprintf("{\"execute\":\"add_hostfwd\",\"arguments\":{\"proto\":\"%s\",\"host_addr\":\"%s\","
                                              "\"host_port\":%u,\"guest_port\":%u}}",
                                              port->udp ? "udp" : "tcp", engine_port_address(port), (unsigned)port->host, (unsigned)port->guest);

        if (ask(socket, question, answer, err) < 0)
                return -1;
        json_t *said = json_loads(answer, 0, NULL);
        bool done = json_object_get(said, "return") != NULL;
        json_decref(said);
        if (done)
                return 0;
        /* Its own words tell of a failed add_hostfwd and not why: mostly somebody was quicker. */
        return engine_port_check(port, err) < 0 ? -1 : fail(err, COWHERD_SYSTEM, "'" PROGRAM "' can't listen on port %u", (unsigned)port->host);
}

int user_net_start(const struct engine_instance *instance, const struct nspawn_leader *leader, struct cowherd_error *err)
{
        owned_str char *socket = nspawn_runtime_file(instance, "network.sock"), *log = nspawn_runtime_file(instance, "network.log");

        if (begin(instance, leader, socket, log, err) < 0)
                return -1;
        for (size_t i = 0; i < instance->machine->port_count; i++)
                if (forward(socket, &instance->machine->ports[i], err) < 0)
                        return -1;
        return 0;
}
