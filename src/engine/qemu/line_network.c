/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network and shared folders. A machine that woke with a card and is to have no network has it without a link. A user network is QEMU's own (slirp): it needs no privilege, and nothing comes in but by
 * the ports named. romfile= leaves the network's boot ROM out: nobody boots a clone from the network.
 */
#include "engine/qemu/line.h"

#include "base/mem.h"
#include "engine/port.h"

#include <stdlib.h>

static void add_user(struct qemu_line *line, const struct engine_instance *instance)
{
        const struct engine_machine *machine = instance->machine;
        const char *hostname = instance->identity->fresh ? instance->identity->hostname : NULL;
        owned_string struct str value = {0};

        str_add(&value, "user,id=network");
        if (hostname != NULL) {
                owned_str char *quoted = qemu_line_quote(hostname);
                str_addf(&value, ",hostname=%s", quoted);
        }
        for (size_t i = 0; i < machine->port_count; i++) {
                const struct engine_port *port = &machine->ports[i];
                owned_str char *address = qemu_line_quote(engine_port_address(port));
                str_addf(&value, ",hostfwd=%s:%s:%u-:%u", port->udp ? "udp" : "tcp", address, (unsigned)port->host,
                         (unsigned)port->guest);
        }
        qemu_line_add(line, "-netdev", "%s", str_text(&value));
}

void qemu_line_network(struct qemu_line *line, const struct engine_instance *instance, const struct qemu_facts *facts)
{
        static const char *const devices[] = {
                [ENGINE_OS_LINUX] = "virtio-net-pci",
                [ENGINE_OS_WINDOWS] = "e1000e",
                [ENGINE_OS_OTHER] = "e1000",
        };
        const char *mac = instance->identity->fresh ? instance->identity->mac : NULL;

        if (facts->wake == NULL ? instance->machine->network == ENGINE_NETWORK_NONE : !facts->wake->card)
                return;
        if (instance->machine->network == ENGINE_NETWORK_BRIDGE)
                qemu_line_add(line, "-netdev", "tap,id=network,fd=%d", qemu_line_slot(line, QEMU_SLOT_BRIDGE, 0));
        else
                add_user(line, instance);
        owned_str char *address = mac == NULL ? NULL : qemu_line_quote(mac);
        qemu_line_add(line, "-device", "%s,id=nic,netdev=network%s%s,romfile=", devices[instance->machine->os],
                      address == NULL ? "" : ",mac=", address == NULL ? "" : address);
}

/* The tags are those that the agent mounts by (qemu_agent_mount_tag). */
void qemu_line_mounts(struct qemu_line *line, const struct engine_machine *machine)
{
        for (size_t i = 0; i < machine->mount_count; i++) {
                qemu_line_add(line, "-fsdev",
                              "local,id=mount%zu,path=/proc/self/fd/%d,security_model=none,multidevs=remap%s", i,
                              qemu_line_slot(line, QEMU_SLOT_MOUNT, i),
                              machine->mounts[i].read_only ? ",readonly=on" : "");
                qemu_line_add(line, "-device", "virtio-9p-pci,fsdev=mount%zu,mount_tag=cowherd%zu", i, i);
        }
}
