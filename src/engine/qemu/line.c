/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line, in the order in which a person would describe the machine. Choices that are not plain:
 *
 * RAM is always a shared mapping of a memory file that we made: its contents can be kept and mapped by another machine
 * without copying them out of a process. No balloon, then: what a guest gives back is punched out of that file, under
 * everybody who maps it. A machine that wakes has a private mapping of a file that nobody can write, and stands still
 * (-S) until its state is there and its link is down.
 *
 * graphics=off has SeaBIOS speak on the serial console, and whatever prints by the BIOS behind it; a machine for
 * Windows or an unknown system has a screen instead, or as well.
 *
 * An unknown system gets what every system of thirty years has a driver for: PIIX with IDE and an e1000, no virtio, and
 * its agent, if it has one, on the second serial port; Windows AHCI and an e1000e, which its installer knows.
 */
#include "engine/qemu/line.h"

#include "base/mem.h"
#include "guest/protocol.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void qemu_line_free(struct qemu_line *line)
{
        strv_free(&line->argv);
        free(line->slots);
        *line = (struct qemu_line){0};
}

int qemu_line_slot(struct qemu_line *line, enum qemu_slot_kind kind, size_t index)
{
        line->slots = x_reallocarray(line->slots, line->slot_count + 1, sizeof *line->slots);
        line->slots[line->slot_count] = (struct qemu_slot){kind, index};
        return QEMU_FIRST_DESCRIPTOR + (int)line->slot_count++;
}

char *qemu_line_quote(const char *text)
{
        struct str quoted = {0};

        for (; *text != '\0'; text++) {
                str_add_char(&quoted, *text);
                if (*text == ',')
                        str_add_char(&quoted, ',');
        }
        return str_take(&quoted);
}

void qemu_line_add(struct qemu_line *line, const char *option, const char *format, ...)
{
        va_list args;

        strv_add(&line->argv, option);
        va_start(args, format);
        strv_take(&line->argv, x_vasprintf(format, args));
        va_end(args);
}

static void add_machine(struct qemu_line *line, const struct engine_machine *machine, const struct qemu_facts *facts)
{
        static const char *const types[] = {
                [ENGINE_OS_LINUX] = "q35,graphics=off,sata=off,smbus=off",
                [ENGINE_OS_WINDOWS] = "q35",
                [ENGINE_OS_OTHER] = "pc",
        };
        bool kvm = str_equal(facts->acceleration, "kvm");
        const char *for_windows = kvm && machine->os == ENGINE_OS_WINDOWS
                                          ? ",hv_relaxed=on,hv_vapic=on,hv_spinlocks=0x1fff,hv_time=on"
                                          : "";

        qemu_line_add(line, "-machine", "%s,usb=off,vmport=off,dump-guest-core=off,memory-backend=ram%s%s",
                      types[machine->os],
                      machine->firmware == ENGINE_FIRMWARE_UEFI ? ",pflash0=firmware,pflash1=variables" : "",
                      facts->wake != NULL ? ",suppress-vmdesc=on" : "");
        qemu_line_add(line, "-accel", "%s", facts->acceleration);
        qemu_line_add(line, "-cpu", "%s%s", kvm ? "host" : QEMU_TCG_PROCESSOR, for_windows);
        qemu_line_add(line, "-smp", "cpus=%" PRIu64 ",sockets=1", facts->cpus);
        qemu_line_add(line, "-m", "size=%" PRIu64 "B", facts->memory_bytes);
        qemu_line_add(line, "-object",
                      "memory-backend-file,id=ram,size=%" PRIu64 "B,mem-path=/proc/self/fd/%d,share=%s",
                      facts->memory_bytes, qemu_line_slot(line, QEMU_SLOT_MEMORY, 0), facts->wake == NULL ? "on" : "off");
        qemu_line_add(line, "-rtc", "base=%s", machine->os == ENGINE_OS_WINDOWS ? "localtime" : "utc");
}

/* identity=keep says nothing: a machine that is to be what its base was takes QEMU's own values, as that did. */
static void add_identity(struct qemu_line *line, const struct engine_instance *instance, const struct qemu_facts *facts)
{
        const struct engine_identity *identity = instance->identity;
        const char *generation_id = identity->fresh ? identity->generation_id : NULL;

        if (identity->fresh && identity->uuid != NULL) {
                owned_str char *uuid = qemu_line_quote(identity->uuid);
                qemu_line_add(line, "-uuid", "%s", identity->uuid);
                qemu_line_add(line, "-smbios", "type=1,uuid=%s,serial=%s", uuid, uuid);
        }
        if (facts->wake == NULL ? generation_id != NULL : facts->wake->generation) {
                owned_str char *id = qemu_line_quote(generation_id == NULL ? "auto" : generation_id);
                qemu_line_add(line, "-device", "vmgenid,guid=%s", id);
        }
}

static void add_socket(struct qemu_line *line, const char *name, enum qemu_slot_kind kind)
{
        qemu_line_add(line, "-chardev", "socket,id=%s,fd=%d,server=on,wait=off", name, qemu_line_slot(line, kind, 0));
}

static void add_monitor(struct qemu_line *line, const char *name, enum qemu_slot_kind kind)
{
        add_socket(line, name, kind);
        qemu_line_add(line, "-mon", "chardev=%s,mode=control", name);
}

static void add_guest_port(struct qemu_line *line, size_t port)
{
        int fd = qemu_line_slot(line, QEMU_SLOT_GUEST, port);

        qemu_line_add(line, "-chardev", "socket,id=guest%zu,fd=%d,server=on,wait=off", port, fd);
        qemu_line_add(line, "-device", "virtserialport,bus=channels.0,chardev=guest%zu,id=guest%zu,name=" GUEST_PORT_PREFIX "%zu", port,
                      port, port);
}

static void add_channels(struct qemu_line *line, const struct engine_machine *machine)
{
        bool virtio = machine->os == ENGINE_OS_LINUX;

        add_monitor(line, "control", QEMU_SLOT_CONTROL);
        add_monitor(line, "status", QEMU_SLOT_STATUS);
        add_monitor(line, "jobs", QEMU_SLOT_JOBS);
        int console = qemu_line_slot(line, QEMU_SLOT_CONSOLE, 0), log = qemu_line_slot(line, QEMU_SLOT_CONSOLE_LOG, 0);
        qemu_line_add(line, "-add-fd", "fd=%d,set=%d", log, log);
        qemu_line_add(line, "-chardev", "socket,id=console,fd=%d,server=on,wait=off,logfile=/dev/fdset/%d,logappend=on",
                      console, log);
        qemu_line_add(line, "-device", "isa-serial,chardev=console,index=0");
        add_socket(line, "agent", QEMU_SLOT_AGENT);
        if (virtio) {
                qemu_line_add(line, "-device", "virtio-serial-pci,id=channels");
                qemu_line_add(line, "-device",
                              "virtserialport,bus=channels.0,chardev=agent,id=agent,name=org.qemu.guest_agent.0");
                for (size_t port = 0; port < GUEST_PORTS; port++)
                        add_guest_port(line, port);
        } else {
                qemu_line_add(line, "-device", "isa-serial,chardev=agent,index=1");
        }
}

static void add_rest(struct qemu_line *line, const struct engine_machine *machine, const struct qemu_facts *facts)
{
        if (machine->os == ENGINE_OS_LINUX) {
                qemu_line_add(line, "-object", "rng-builtin,id=random");
                qemu_line_add(line, "-device", "virtio-rng-pci,rng=random");
        } else {
                qemu_line_add(line, "-device", "VGA");
        }
        if (facts->wake != NULL) {
                strv_add(&line->argv, "-S");
                qemu_line_add(line, "-incoming", "defer");
                qemu_line_add(line, "-global", "migration.send-configuration=off");
        }
        if (facts->sandboxed)
                qemu_line_add(line, "-sandbox",
                              "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

void qemu_line_make(const struct engine_instance *instance, const struct qemu_facts *facts, struct qemu_line *ret)
{
        const struct engine_machine *machine = instance->machine;
        owned_str char *name = qemu_line_quote(instance->name);
        struct qemu_line line = {0};

        strv_add(&line.argv, facts->program);
        qemu_line_add(&line, "-name", "guest=%s,debug-threads=off", name);
        strv_add(&line.argv, "-nodefaults");
        strv_add(&line.argv, "-no-user-config");
        qemu_line_add(&line, "-display", "none");
        add_machine(&line, machine, facts);
        add_identity(&line, instance, facts);
        qemu_line_disks(&line, machine, facts);
        qemu_line_network(&line, instance, facts);
        qemu_line_mounts(&line, machine);
        add_channels(&line, machine);
        add_rest(&line, machine, facts);
        *ret = line;
}
