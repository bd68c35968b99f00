/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a machine's QEMU: a pure function of what was asked for and what was found out about the host. All that
 * QEMU opens is handed to it opened, by number: it runs under a user id that can reach nothing of ours.
 */
#pragma once

#include "engine/engine.h"

#include "base/str.h"

/* What QEMU finds behind a descriptor. */
enum qemu_slot_kind {
        QEMU_SLOT_MEMORY,      /* the guest's RAM: a memory file of facts.memory_bytes */
        QEMU_SLOT_CONTROL,     /* listening sockets */
        QEMU_SLOT_STATUS,
        QEMU_SLOT_JOBS,
        QEMU_SLOT_CONSOLE,
        QEMU_SLOT_AGENT,
        QEMU_SLOT_GUEST,       /* index: a port of cowherd-guest's, a listening socket */
        QEMU_SLOT_CONSOLE_LOG, /* to be appended to */
        QEMU_SLOT_LAYER,       /* index: of machine->layers; only 0 is opened for writing */
        QEMU_SLOT_FIRMWARE,    /* OVMF's code, read-only */
        QEMU_SLOT_VARIABLES,   /* this machine's copy of its variables */
        QEMU_SLOT_SEED,        /* the NoCloud image, read-only */
        QEMU_SLOT_BRIDGE,      /* a tap device on the bridge */
        QEMU_SLOT_MOUNT,       /* index: of machine->mounts, a folder */
};
struct qemu_slot {
        enum qemu_slot_kind kind;
        size_t index;
};
/*
 * Without KVM: all that QEMU can, but for two things that only cost there: string instructions that are said to be fast, so that kernels fill
 * and copy pages byte by byte, each a turn of a loop; and a fifth level of page tables. A boot takes a tenth less without.
 */
#define QEMU_TCG_PROCESSOR "max,erms=off,la57=off"
#define QEMU_FIRST_DESCRIPTOR 3 /* slot 0's number in QEMU */

/* A machine that wakes from a live base's memory has the devices that the base's source had, whatever it asks for itself. */
struct qemu_wake {
        bool generation, card; /* there is a generation id, a network card */
        bool stands_by;        /* it wakes later, when the rest of its identity is known */
        int memory;            /* the base's memory file, sealed; borrowed */
};

/* What the line can't know by itself. */
struct qemu_facts {
        const char *program;      /* "qemu-system-x86_64" */
        const char *acceleration; /* "kvm" or "tcg" */
        uint64_t memory_bytes, cpus;
        bool seeded;    /* there is a seed to attach */
        bool sandboxed; /* this QEMU has -sandbox */
        const struct qemu_wake *wake; /* NULL: it boots */
};

struct qemu_line {
        struct strv argv;
        struct qemu_slot *slots; /* slot i is descriptor QEMU_FIRST_DESCRIPTOR + i */
        size_t slot_count;
};
void qemu_line_free(struct qemu_line *line);
define_owned(struct qemu_line, qemu_line_free)
#define owned_line owned_by(qemu_line_free)

void qemu_line_make(const struct engine_instance *instance, const struct qemu_facts *facts, struct qemu_line *ret);

/* For the parts of the line: the number that a new slot gets, and a text whose commas are doubled (to be freed). */
int qemu_line_slot(struct qemu_line *line, enum qemu_slot_kind kind, size_t index);
char *qemu_line_quote(const char *text);
/* Adds an option and its value, printed. */
void qemu_line_add(struct qemu_line *line, const char *option, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- line_disk.c ---- */

/* The disk's chain as nodes "disk0" (the lowest file) … "diskN" (the topmost), firmware and seed, and the devices that use them. */
void qemu_line_disks(struct qemu_line *line, const struct engine_machine *machine, const struct qemu_facts *facts);
/* The options of one layer's node as -blockdev and blockdev-add take them, opened as fdset `set`; `backing` NULL: none. JSON, the caller's. */
#include <jansson.h>
json_t *qemu_layer_node(const char *name, const char *format, int set, bool writable, const char *backing);

/* ---- line_network.c ---- */

void qemu_line_network(struct qemu_line *line, const struct engine_instance *instance, const struct qemu_facts *facts);
void qemu_line_mounts(struct qemu_line *line, const struct engine_machine *machine);
