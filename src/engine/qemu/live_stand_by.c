/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that stands by was woken and given an identity, with its link down, and was stopped then: without KVM nearly all that waking
 * costs is translating what runs for the first time, and that is done. It holds its disk, as any machine that stands still, so whatever
 * ends machines ends it, and it is known by the process that is written down. What belongs to its id was on its line already (MAC,
 * UUID, generation id). What only its clone brings is done when it is taken: the ports, by the monitor; the seed, which lies in its
 * runtime folder for this; and the guest is told its identity once more, as when it woke: hostname, seed, keys and the time are others.
 *
 * One that does not answer, or stands otherwise than it was left, costs the clone its gain and nothing else: it is ended, and whoever
 * wanted it makes another, with a disk of its own, as this one has been written to.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "engine/qemu/life.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "engine/qemu/seed.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define GREETING_TIMEOUT_MS 5000 /* one that was swapped out needs some time */
#define KILL_TIMEOUT_MS 10000
#define MS_PER_SECOND 1000
#define AUTOGROUP_NICE "5" /* a third of what others get where processors are scarce */

struct standing {
        const struct engine_instance *instance;
        struct live_facts facts;
        struct qmp qmp;
        int runtime, pidfd;
        pid_t pid;
};

static void standing_free(struct standing *standing)
{
        live_facts_free(&standing->facts);
        qmp_free(&standing->qmp);
        close_at(&standing->runtime);
        close_at(&standing->pidfd);
}
define_owned(struct standing, standing_free)

/* 1 where none stands as it was left. */
static int find(struct standing *standing, struct cowherd_error *err)
{
        const struct engine_instance *instance = standing->instance;
        struct cowherd_error ignored;
        char status[64] = "";
        int fd = -1;

        if (live_check(instance, err) < 0 || live_facts_read(instance->machine->live, &standing->facts, err) < 0)
                return -1;
        if (qemu_runtime_open(instance, &standing->runtime, &ignored) < 0 ||
            qemu_process_open(standing->runtime, &standing->pidfd, &standing->pid, &ignored) <= 0 ||
            qemu_socket_connect(standing->runtime, QEMU_CONTROL, &fd, &ignored) < 0 ||
            qmp_begin(fd, GREETING_TIMEOUT_MS, &standing->qmp, &ignored) < 0 ||
            qmp_status(&standing->qmp, status, sizeof status, GREETING_TIMEOUT_MS, &ignored) < 0)
                return 1;
        return str_equal(status, "paused") ? 0 : 1;
}

static int add_port(struct qmp *qmp, const struct engine_port *port, struct cowherd_error *err)
{
        owned_str char *line = x_asprintf("hostfwd_add network %s:%s:%u-:%u", port->udp ? "udp" : "tcp",
                                          port->address == NULL ? "127.0.0.1" : port->address, (unsigned)port->host, (unsigned)port->guest);
        json_t *said = NULL;

        if (qmp_execute(qmp, "human-monitor-command", json_pack("{s:s}", "command-line", line), -1, QMP_TIMEOUT_MS, &said, err) < 0)
                return -1;
        size_t length = strcspn(json_string_value(said) == NULL ? "" : json_string_value(said), "\r\n");
        int done = length == 0 ? 0 : fail(err, COWHERD_BUSY, "port %u of this host can't be had: %.*s", (unsigned)port->host, (int)length, json_string_value(said));
        json_decref(said);
        return done;
}

static int add_ports(struct standing *standing, struct cowherd_error *err)
{
        const struct engine_machine *machine = standing->instance->machine;

        for (size_t i = 0; i < machine->port_count && str_equal(standing->facts.network, "user"); i++)
                if (add_port(&standing->qmp, &machine->ports[i], err) < 0)
                        return -1;
        return 0;
}

/* What it reads of it should it boot again by itself. */
static int write_seed(const struct standing *standing, struct cowherd_error *err)
{
        owned_string struct str image = {0};

        if (!standing->facts.seeded)
                return 0;
        qemu_seed_make(standing->instance, (int64_t)(clock_wall_ms() / MS_PER_SECOND), &image);
        owned_fd int fd = openat(standing->runtime, QEMU_SEED, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || write(fd, image.data, image.length) != (ssize_t)image.length)
                return fail_errno(err, "cannot write the seed of '%s'", standing->instance->name);
        return 0;
}

void live_give_way(pid_t pid, bool gives_way)
{
        char path[48];

        (void)snprintf(path, sizeof path, "/proc/%d/autogroup", (int)pid);
        owned_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, gives_way ? AUTOGROUP_NICE : "0", 1) < 0)
                errno = 0; /* then it is as any other */
}

static int wake(struct standing *standing, double since, struct engine_started *ret, struct cowherd_error *err)
{
        live_give_way(standing->pid, false);
        if (write_seed(standing, err) < 0 || add_ports(standing, err) < 0 ||
            live_go_on(standing->instance, &standing->facts, &standing->qmp, since, standing->pid, ret, err) < 0)
                return -1;
        /* Written once more: who waits for the machine sees the file change. */
        return qemu_process_write(standing->runtime, standing->pid, err);
}

int live_take(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err)
{
        struct standing standing owned_by(standing_free) = {.instance = instance, .qmp = {.fd = -1}, .runtime = -1, .pidfd = -1};
        struct engine_started started = {.stood_by = true};
        double began = clock_ms();
        struct cowherd_error ignored;
        bool forced;

        int found = find(&standing, err);
        if (found < 0)
                return -1;
        if (found == 0) {
                double now = clock_ms();
                engine_phase(&started.phases, "spawn", now - began);
                if (wake(&standing, now, &started, &ignored) == 0) {
                        *ret = started;
                        return 0;
                }
        }
        /* Nothing in it is worth a word to it. */
        if (standing.pidfd >= 0 && pidfd_send_signal(standing.pidfd, SIGKILL, NULL, 0) == 0)
                (void)qemu_process_wait(standing.pidfd, KILL_TIMEOUT_MS);
        return qemu_stop(instance, 0, true, &forced, err) < 0 ? -1 : 1;
}

bool qemu_stands_by(const struct engine_instance *instance, uint64_t *ret_private_bytes)
{
        owned_fd int pidfd = -1, runtime = -1;
        struct cowherd_error ignored;
        uint64_t shared;
        pid_t pid = 0;

        if (qemu_runtime_open(instance, &runtime, &ignored) < 0 || qemu_process_open(runtime, &pidfd, &pid, &ignored) <= 0 || qemu_is_running(instance) <= 0)
                return false;
        if (ret_private_bytes != NULL) {
                *ret_private_bytes = 0;
                live_memory_measure(pid, ret_private_bytes, &shared);
        }
        return true;
}
