/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk's chain. Every layer is named, with its format and what is under it, so that nothing which a guest or a
 * stranger wrote into a header is followed: a raw disk stays raw, and a qcow2 has the backing file that the catalogue
 * says. Files are descriptors (fdset): QEMU could not open them by name. Lower layers are opened for reading alone.
 *
 * Nodes are counted from the lowest file, so that a layer which is put on top later (a snapshot) gets the next number.
 */
#include "engine/qemu/line.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

json_t *qemu_layer_node(const char *name, const char *format, int set, bool writable, const char *backing)
{
        owned_str char *filename = x_asprintf("/dev/fdset/%d", set), *file_name = x_asprintf("%s-file", name);
        json_t *file =
                json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s}", "driver", "file", "node-name", file_name, "filename",
                          filename, "locking", "on", "read-only", !writable, "auto-read-only", 0, "discard", "unmap");
        json_t *node = json_pack("{s:s, s:s, s:o, s:b, s:b, s:s}", "driver", format, "node-name", name, "file", file,
                                 "read-only", !writable, "auto-read-only", 0, "discard", "unmap");

        if (str_equal(format, "qcow2"))
                (void)json_object_set_new(node, "backing", backing == NULL ? json_null() : json_string(backing));
        return node;
}

static void add_node(struct qemu_line *line, const char *name, const char *format, int set, bool writable,
                     const char *backing)
{
        json_t *node = qemu_layer_node(name, format, set, writable, backing);

        qemu_line_add(line, "-add-fd", "fd=%d,set=%d", set, set);
        strv_add(&line->argv, "-blockdev");
        strv_take(&line->argv, json_dumps(node, JSON_COMPACT));
        json_decref(node);
}

static void add_chain(struct qemu_line *line, const struct engine_machine *machine)
{
        owned_str char *below = NULL;

        for (size_t i = machine->layer_count; i-- > 0;) {
                owned_str char *name = x_asprintf("disk%zu", machine->layer_count - 1 - i);
                add_node(line, name, machine->layers[i].format, qemu_line_slot(line, QEMU_SLOT_LAYER, i), i == 0,
                         below);
                free(below);
                below = take(name);
        }
}

static void add_firmware(struct qemu_line *line)
{
        add_node(line, "firmware", "raw", qemu_line_slot(line, QEMU_SLOT_FIRMWARE, 0), false, NULL);
        add_node(line, "variables", "raw", qemu_line_slot(line, QEMU_SLOT_VARIABLES, 0), true, NULL);
}

void qemu_line_disks(struct qemu_line *line, const struct engine_machine *machine, const struct qemu_facts *facts)
{
        static const char *const disks[] = {
                [ENGINE_OS_LINUX] = "virtio-blk-pci",
                [ENGINE_OS_WINDOWS] = "ide-hd,bus=ide.0",
                [ENGINE_OS_OTHER] = "ide-hd,bus=ide.0",
        };
        static const char *const seeds[] = {
                [ENGINE_OS_LINUX] = "virtio-blk-pci",
                [ENGINE_OS_WINDOWS] = "ide-cd,bus=ide.1",
                [ENGINE_OS_OTHER] = "ide-cd,bus=ide.1",
        };

        if (machine->firmware == ENGINE_FIRMWARE_UEFI)
                add_firmware(line);
        add_chain(line, machine);
        qemu_line_add(line, "-device", "%s,id=disk,drive=disk%zu,bootindex=0", disks[machine->os],
                      machine->layer_count - 1);
        if (!facts->seeded)
                return;
        add_node(line, "seed", "raw", qemu_line_slot(line, QEMU_SLOT_SEED, 0), false, NULL);
        qemu_line_add(line, "-device", "%s,id=seed,drive=seed", seeds[machine->os]);
}
