/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a machine can be had here, asked before anything is made. What is true now may not be at its start: that says
 * so again. */
#include "engine/qemu/host.h"
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "base/number.h"
#include "engine/port.h"
#include "engine/qemu/seed.h"
#include "sys/file.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CPUS_MAX 255 /* q35 and pc without an IOMMU */
#define FIRST_FREE_PORT 1024
#define FIRST_PORT_FILE "/proc/sys/net/ipv4/ip_unprivileged_port_start"

static int check_limits(const struct engine_machine *machine, struct cowherd_error *err)
{
        char asked[NUMBER_TEXT_BYTES], have[NUMBER_TEXT_BYTES];
        struct sysinfo host;

        if (sysinfo(&host) < 0)
                return fail_errno(err, "cannot ask how much memory this host has");
        uint64_t total = (uint64_t)host.totalram * host.mem_unit;
        if (machine->memory_bytes > total) {
                (void)fail(err, COWHERD_UNAVAILABLE, "memory=%s is more than this host has: %s",
                           number_format_size(machine->memory_bytes, asked), number_format_size(total, have));
                return fail_hint(err, "ask for less memory");
        }
        if (machine->cpus > CPUS_MAX)
                return fail(err, COWHERD_UNAVAILABLE, "cpus=%llu is more than the %d that a machine may have",
                            (unsigned long long)machine->cpus, CPUS_MAX);
        return 0;
}

static unsigned first_free_port(void)
{
        owned_str char *text = NULL;
        struct cowherd_error err;

        if (file_read(AT_FDCWD, FIRST_PORT_FILE, 64, &text, NULL, &err) < 0)
                return FIRST_FREE_PORT;
        return (unsigned)strtoul(text, NULL, 10);
}

static int check_port(const struct engine_port *port, struct cowherd_error *err)
{
        if (port->host < first_free_port()) {
                (void)fail(err, COWHERD_DENIED, "ports= can't listen on port %u: a machine runs without privileges", (unsigned)port->host);
                return fail_hint(err, "take a host port from %u on, or lower the sysctl net.ipv4.ip_unprivileged_port_start",
                                 first_free_port());
        }
        return engine_port_check(port, err);
}

static int check_network(const struct engine_machine *machine, struct cowherd_error *err)
{
        if (machine->network == ENGINE_NETWORK_HOST) {
                (void)fail(err, COWHERD_UNAVAILABLE,
                           "network=host is not for a virtual machine: it has a network card of its own");
                return fail_hint(err, "take network=user with ports=, or network=bridge:NAME");
        }
        if (machine->network == ENGINE_NETWORK_BRIDGE) {
                if (qemu_bridge_check(machine->bridge, err) < 0)
                        return -1;
                if (machine->port_count == 0)
                        return 0;
                (void)fail(err, COWHERD_UNAVAILABLE,
                           "ports= is for network=user: on a bridge the guest has an address of its own");
                return fail_hint(err, "leave ports= out, and reach the guest at its address (wait for=address)");
        }
        for (size_t i = 0; i < machine->port_count; i++)
                if (check_port(&machine->ports[i], err) < 0)
                        return -1;
        return 0;
}

static int check_mount(const struct engine_mount *mount, struct cowherd_error *err)
{
        struct stat found;

        if (stat(mount->host, &found) < 0)
                return fail_errno(err, "cannot share '%s'", mount->host);
        if (!S_ISDIR(found.st_mode))
                return fail(err, COWHERD_NOT_FOUND, "cannot share '%s': it is no folder", mount->host);
        return 0;
}

static int check_mounts(const struct engine_machine *machine, struct cowherd_error *err)
{
        if (machine->mount_count > 0 && machine->os != ENGINE_OS_LINUX) {
                (void)fail(err, COWHERD_UNAVAILABLE,
                           "mount= needs a Linux guest: others have no driver for 9p folders");
                return fail_hint(err, "use copy_to and copy_from, or os=linux");
        }
        for (size_t i = 0; i < machine->mount_count; i++)
                if (check_mount(&machine->mounts[i], err) < 0)
                        return -1;
        return 0;
}

int qemu_check(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_str char *program = qemu_program();
        const char *code, *variables;
        struct qemu_facts facts = {0};

        if (!process_exists(program)) {
                (void)fail(err, COWHERD_UNAVAILABLE, "%s is not installed", program);
                return fail_hint(err, "install it, on Debian: apt install qemu-system qemu-utils");
        }
        if (!str_equal(program, "qemu-system-x86_64"))
                return fail(err, COWHERD_UNAVAILABLE,
                            "machines are started on x86-64 hosts only, and %s is this host's", program);
        if (qemu_users_check(err) < 0 || check_limits(instance->machine, err) < 0 || check_network(instance->machine, err) < 0 ||
            check_mounts(instance->machine, err) < 0)
                return -1;
        if (instance->machine->live != NULL && live_check(instance, err) < 0)
                return -1;
        if (instance->machine->firmware == ENGINE_FIRMWARE_UEFI && qemu_firmware_find(&code, &variables, err) < 0)
                return -1;
        if (instance->machine->acceleration == NULL)
                return 0;
        if (qemu_facts_find(instance, &facts, err) < 0)
                return -1;
        free((char *)(uintptr_t)facts.program);
        return 0;
}
