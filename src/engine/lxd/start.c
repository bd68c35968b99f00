/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting. All that an instance is to be is in place before: files first, then configuration and devices, then the start.
 * LXD undoes a start that fails by itself, but takes 7 s over a port that is in use; so that is looked at before.
 */
#include "engine/lxd/lxd.h"

#include "sys/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_PAUSE_MS 3200L

/* ---- what can be had ---- */

static int check_bridge(const char *bridge, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/sys/class/net/%s/bridge", bridge), *card = x_asprintf("/sys/class/net/%s", bridge);

        if (access(path, F_OK) == 0)
                return 0;
        (void)fail(err, COWHERD_NOT_FOUND, access(card, F_OK) == 0 ? "network interface '%s' is no bridge" : "bridge '%s' not found", bridge);
        return fail_hint(err, "'ip link show type bridge' lists those there are");
}

/* A bridge that LXD itself manages, to be freed; NULL where there is none. */
static int find_managed_bridge(struct lxd_client *client, char **ret, struct cowherd_error *err)
{
        owned_json json_t *networks = NULL;

        if (lxd_get(client, "/1.0/networks?recursion=1", &networks, err) < 0)
                return -1;
        for (size_t i = 0; *ret == NULL && i < json_array_size(networks); i++) {
                const json_t *network = json_array_get(networks, i);
                if (json_is_true(json_object_get(network, "managed")) && str_equal(lxd_text(network, "type"), "bridge"))
                        *ret = x_strdup(lxd_text(network, "name"));
        }
        if (*ret != NULL)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "LXD has no network of its own for network=user");
        return fail_hint(err, "'lxc network create lxdbr0' makes one; or take network=bridge:NAME or network=none");
}

static int check_network(const struct engine_machine *machine, struct cowherd_error *err)
{
        owned_str char *bridge = NULL;
        struct lxd_client *client = NULL;

        if (machine->network == ENGINE_NETWORK_BRIDGE)
                return check_bridge(machine->bridge, err);
        if (machine->network == ENGINE_NETWORK_USER)
                return lxd_client_get(&client, err) < 0 ? -1 : find_managed_bridge(client, &bridge, err);
        if (machine->network != ENGINE_NETWORK_HOST)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "LXD has no network=host: its containers have a network of their own");
        return fail_hint(err, "take network=bridge:NAME, or ports= for single ones");
}

static int check_mounts(const struct engine_machine *machine, struct cowherd_error *err)
{
        for (size_t i = 0; i < machine->mount_count; i++) {
                struct stat info;
                if (stat(machine->mounts[i].host, &info) < 0)
                        return fail_errno(err, "cannot mount '%s' into the instance", machine->mounts[i].host);
        }
        return 0;
}

int lxd_check(const struct engine_instance *instance, struct cowherd_error *err)
{
        const struct engine_machine *machine = instance->machine;
        struct sysinfo host;

        if (machine == NULL)
                return 0;
        if (sysinfo(&host) == 0 && machine->memory_bytes > (uint64_t)host.totalram * host.mem_unit)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' is to have %llu MiB of memory, and this host has %llu",
                            instance->name, (unsigned long long)(machine->memory_bytes >> 20),
                            (unsigned long long)((uint64_t)host.totalram * host.mem_unit >> 20));
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        if (cpus > 0 && machine->cpus > (uint64_t)cpus)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' is to have %llu processors, and this host has %ld",
                            instance->name, (unsigned long long)machine->cpus, cpus);
        return check_network(machine, err) < 0 ? -1 : check_mounts(machine, err);
}

/* Whether a port of the host is free, by binding it for a moment. What can't be tried is left to LXD. */
static int check_port(const struct engine_port *port, struct cowherd_error *err)
{
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port->host)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port->host)};
        const char *address = port->address != NULL ? port->address : "127.0.0.1";
        bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;

        if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
                return fail(err, COWHERD_USAGE, "'%s' is no address of a port", address);
        owned_fd int fd = socket(is_v4 ? AF_INET : AF_INET6, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        int yes = 1;
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
                return 0;
        const struct sockaddr *place = is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
        if (bind(fd, place, is_v4 ? sizeof v4 : sizeof v6) == 0 || errno != EADDRINUSE)
                return 0;
        (void)fail(err, COWHERD_BUSY, "port %u of %s is in use on this host", port->host, address);
        return fail_hint(err, "'ss -ltnp' shows by what");
}

static int check_ports(const struct engine_machine *machine, struct cowherd_error *err)
{
        for (size_t i = 0; machine != NULL && i < machine->port_count; i++)
                if (check_port(&machine->ports[i], err) < 0)
                        return -1;
        return 0;
}

/* ---- the start itself ---- */

/* What stopped a moment ago is still being tidied up by LXD, which then says that it is busy; no operation shows that. */
static int start_again(struct lxd_target *target, struct cowherd_error *err)
{
        struct cowherd_error why;

        for (long pause_ms = 25; lxd_instance_change(target->client, target->name, "start", &why) < 0; pause_ms *= 2) {
                if (strstr(why.text, "is busy running") == NULL || pause_ms > LONGEST_PAUSE_MS) {
                        *err = why;
                        return -1;
                }
                const struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

static int apply(const struct engine_instance *instance, struct lxd_target *target, bool shifted, struct cowherd_error *err)
{
        owned_changes struct lxd_changes changes = {0};
        owned_str char *bridge = NULL;

        if (instance->machine != NULL && instance->machine->network == ENGINE_NETWORK_USER &&
            find_managed_bridge(target->client, &bridge, err) < 0)
                return -1;
        lxd_machine_changes(instance, target->instance, bridge, shifted, &changes);
        return lxd_machine_apply(target, &changes, err);
}

/* Whether the devices that LXD has for our mounts shift owners already; true where there are none yet. */
static bool mounts_shift(const struct lxd_target *target)
{
        const json_t *first = json_object_get(json_object_get(target->instance, "devices"), "cowherd-mount-1");

        return first == NULL || str_equal(lxd_text(first, "shift"), "true");
}

/* LXD keeps a file of its own on the instance's disk, and writes it at each start and change: a full one does neither. */
static int hint_full(const struct lxd_target *target, struct cowherd_error *err)
{
        if (strstr(err->text, "disk quota exceeded") == NULL)
                return -1;
        return fail_hint(err, "its disk is full: 'lxc config device set %s root size=SIZE' gives it a larger one", target->name);
}

static int explain(const struct lxd_target *target, struct cowherd_error *err)
{
        owned_str char *complaint = lxd_instance_complaint(target->client, target->name);

        if (strstr(err->text, "address already in use") != NULL)
                err->code = COWHERD_BUSY;
        (void)hint_full(target, err);
        if (complaint != NULL && err->hint[0] == '\0')
                (void)fail_hint(err, "the container's log ends: %s", complaint);
        return -1;
}

/* Where the host's filesystem can't shift owners (LXD finds out when it mounts), the mounts are made without. */
static int start_machine(const struct engine_instance *instance, struct lxd_target *target, struct engine_started *ret,
                         struct cowherd_error *err)
{
        bool has_mounts = instance->machine != NULL && instance->machine->mount_count > 0;
        bool shifted = mounts_shift(target);

        if (start_again(target, err) < 0) {
                if (!has_mounts || !shifted || strstr(err->text, "idmapping") == NULL)
                        return explain(target, err);
                shifted = false;
                if (lxd_target_refresh(target, err) < 0 || apply(instance, target, false, err) < 0)
                        return -1;
                if (start_again(target, err) < 0)
                        return explain(target, err);
        }
        if (has_mounts && !shifted)
                (void)snprintf(ret->note, sizeof ret->note,
                               "the filesystem of '%.100s' can't shift owners: its files belong to nobody in the instance",
                               instance->machine->mounts[0].host);
        return 0;
}

int lxd_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};
        struct engine_started started = {.identity_applied = true};
        bool wrote = false;
        double began = clock_ms();

        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        if (lxd_state_of(target.instance) != ENGINE_STOPPED)
                return fail(err, COWHERD_BUSY, "instance '%s' is not stopped: LXD says it is %s", instance->name,
                            lxd_text(target.instance, "status"));
        if (check_ports(instance->machine, err) < 0 || lxd_identity_write(instance, &target, &wrote, err) < 0)
                return -1;
        if (wrote)
                engine_phase(&started.phases, "identity", clock_ms() - began);
        double configuring = clock_ms();
        if (apply(instance, &target, mounts_shift(&target), err) < 0) {
                (void)hint_full(&target, err);
                return fail_while(err, "configuring '%s'", instance->name);
        }
        engine_phase(&started.phases, "configure", clock_ms() - configuring);
        double starting = clock_ms();
        if (start_machine(instance, &target, &started, err) < 0)
                return fail_while(err, "starting '%s'", instance->name);
        engine_phase(&started.phases, "start", clock_ms() - starting);
        *ret = started;
        return 0;
}
