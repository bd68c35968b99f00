/* SPDX-License-Identifier: Apache-2.0 */
/* What a container can't be here, said before anything is made. */
#include "engine/nspawn/nspawn.h"

#include "base/number.h"
#include "engine/nspawn/user_net.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static int check_limits(const struct engine_machine *machine, struct cowherd_error *err)
{
        char asked[NUMBER_TEXT_BYTES], there[NUMBER_TEXT_BYTES];
        struct sysinfo host;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        if (sysinfo(&host) == 0 && machine->memory_bytes > (uint64_t)host.totalram * host.mem_unit)
                return fail(err, COWHERD_UNAVAILABLE, "memory=%s is more than this host has: %s",
                            number_format_size(machine->memory_bytes, asked),
                            number_format_size((uint64_t)host.totalram * host.mem_unit, there));
        if (cpus > 0 && machine->cpus > (uint64_t)cpus)
                return fail(err, COWHERD_UNAVAILABLE, "cpus=%llu is more than this host has: %ld",
                            (unsigned long long)machine->cpus, cpus);
        return 0;
}

/* The interface's driver tells. Asked of the network, and not of /sys, which may show another. */
static bool is_bridge(const char *name)
{
        struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
        struct ifreq request = {.ifr_data = (char *)&driver};

        (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
        owned_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && str_equal(driver.driver, "bridge");
}

static int check_network(const struct engine_machine *machine, struct cowherd_error *err)
{
        if (machine->network == ENGINE_NETWORK_USER)
                return user_net_check(machine, err);
        if (machine->port_count > 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "ports= is for network=user with nspawn");
                return fail_hint(err, machine->network == ENGINE_NETWORK_BRIDGE
                                              ? "on the bridge its own address has all its ports: leave ports= out"
                                              : "take network=user; with the host's network its ports are the host's");
        }
        if (machine->network != ENGINE_NETWORK_BRIDGE || is_bridge(machine->bridge))
                return 0;
        (void)fail(err, COWHERD_NOT_FOUND, "bridge '%s' not found", machine->bridge);
        return fail_hint(err, "make it: ip link add %s type bridge && ip link set %s up", machine->bridge,
                         machine->bridge);
}

static int check_mounts(const struct engine_machine *machine, struct cowherd_error *err)
{
        struct stat found;

        for (size_t i = 0; i < machine->mount_count; i++)
                if (stat(machine->mounts[i].host, &found) < 0)
                        return fail_errno(err, "cannot mount '%s'", machine->mounts[i].host);
        return 0;
}

int nspawn_check(const struct engine_instance *instance, struct cowherd_error *err)
{
        if (geteuid() != 0) {
                (void)fail(err, COWHERD_DENIED, "only root can run containers by nspawn");
                return fail_hint(err, "run cowherd as root (sudo cowherd …)");
        }
        if (cgroup_check(err) < 0)
                return -1;
        if (instance->machine == NULL)
                return 0;
        if (check_limits(instance->machine, err) < 0 || check_network(instance->machine, err) < 0)
                return -1;
        return check_mounts(instance->machine, err);
}
