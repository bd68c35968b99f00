/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine's QEMU finds behind its descriptors. All of it is opened here with our rights and stays open in QEMU,
 * whose user could open none of it: a disk needs no other owner, and may lie in a folder that only we can enter.
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "engine/qemu/runtime.h"
#include "engine/qemu/seed.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS_PER_SECOND 1000

void qemu_files_free(struct qemu_files *files)
{
        for (size_t i = 0; i < files->count; i++)
                close_at(&files->items[i]);
        free(files->items);
        *files = (struct qemu_files){0};
}

/* QEMU opens it again by /proc/self/fd, so the file must be its user's; of fixed length, as we may map it too (live_mirror.c). */
static int make_memory(uint64_t bytes, uid_t user, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = memfd_create("cowherd-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0 || fchmod(fd, 0600) < 0 ||
            (geteuid() == 0 && fchown(fd, user, user) < 0))
                return fail_errno(err, "cannot make a memory file of %" PRIu64 " bytes", bytes);
        *ret_fd = take_fd(fd);
        return 0;
}

static int open_memory(const struct engine_instance *instance, const struct qemu_facts *facts, int *ret_fd, struct cowherd_error *err)
{
        if (facts->wake == NULL)
                return make_memory(facts->memory_bytes, qemu_user(instance), ret_fd, err);
        owned_fd int fd = fcntl(facts->wake->memory, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
                return fail_errno(err, "cannot hand over the memory of '%s'", instance->machine->live->base);
        *ret_fd = take_fd(fd);
        return 0;
}

static int open_layer(const struct engine_instance *instance, size_t index, int *ret_fd, struct cowherd_error *err)
{
        const char *path = instance->machine->layers[index].path;

        owned_fd int fd = openat(instance->folder, path,
                                 (index == 0 ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat found;
        if (fd < 0 || fstat(fd, &found) < 0)
                return fail_errno(err, "cannot open the disk '%s'", path);
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_DATA, "the disk '%s' is no regular file", path);
        *ret_fd = take_fd(fd);
        return 0;
}

static int open_console_log(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (qemu_folder_open(instance, &folder, err) < 0)
                return -1;
        /* O_APPEND, as who reads or shortens it goes by its length. */
        owned_fd int fd = openat(folder, QEMU_CONSOLE_LOG,
                                 O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(err, "cannot make the log of the console of '%s'", instance->name);
        *ret_fd = take_fd(fd);
        return 0;
}

/* Where a seed lies: one that is written again when its machine is taken in the runtime folder, any other in memory. */
static int make_seed_file(const struct qemu_facts *facts, int runtime)
{
        if (facts->wake == NULL || !facts->wake->stands_by)
                return memfd_create("cowherd-seed", MFD_CLOEXEC);
        return openat(runtime, QEMU_SEED, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* Opened a second time for reading: QEMU takes from an fdset only what was opened as it wants it. */
static int make_seed(const struct engine_instance *instance, const struct qemu_facts *facts, int runtime, int *ret_fd, struct cowherd_error *err)
{
        owned_string struct str image = {0};
        char path[32];

        owned_fd int fd = make_seed_file(facts, runtime);
        qemu_seed_make(instance, (int64_t)(clock_wall_ms() / MS_PER_SECOND), &image);
        if (fd < 0 || write(fd, image.data, image.length) != (ssize_t)image.length)
                return fail_errno(err, "cannot make a seed for '%s'", instance->name);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        owned_fd int reader = open(path, O_RDONLY | O_CLOEXEC);
        if (reader < 0)
                return fail_errno(err, "cannot open a seed for '%s'", instance->name);
        *ret_fd = take_fd(reader);
        return 0;
}

static int open_firmware(int *ret_fd, struct cowherd_error *err)
{
        const char *code, *variables;

        if (qemu_firmware_find(&code, &variables, err) < 0)
                return -1;
        owned_fd int fd = open(code, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open '%s'", code);
        *ret_fd = take_fd(fd);
        return 0;
}

static int open_slot(const struct engine_instance *instance, const struct qemu_facts *facts, struct qemu_slot slot,
                     int runtime, int *ret_fd, struct cowherd_error *err)
{
        char name[32];

        switch (slot.kind) {
        case QEMU_SLOT_MEMORY:
                return open_memory(instance, facts, ret_fd, err);
        case QEMU_SLOT_CONTROL:
                return qemu_socket_listen(runtime, QEMU_CONTROL, ret_fd, err);
        case QEMU_SLOT_STATUS:
                return qemu_socket_listen(runtime, QEMU_STATUS, ret_fd, err);
        case QEMU_SLOT_JOBS:
                return qemu_socket_listen(runtime, QEMU_JOBS, ret_fd, err);
        case QEMU_SLOT_CONSOLE:
                return qemu_socket_listen(runtime, QEMU_CONSOLE, ret_fd, err);
        case QEMU_SLOT_AGENT:
                return qemu_socket_listen(runtime, QEMU_AGENT, ret_fd, err);
        case QEMU_SLOT_GUEST:
                (void)snprintf(name, sizeof name, QEMU_GUEST, slot.index);
                return qemu_socket_listen(runtime, name, ret_fd, err);
        case QEMU_SLOT_CONSOLE_LOG:
                return open_console_log(instance, ret_fd, err);
        case QEMU_SLOT_LAYER:
                return open_layer(instance, slot.index, ret_fd, err);
        case QEMU_SLOT_FIRMWARE:
                return open_firmware(ret_fd, err);
        case QEMU_SLOT_VARIABLES:
                return qemu_firmware_open_variables(instance, ret_fd, err);
        case QEMU_SLOT_SEED:
                return make_seed(instance, facts, runtime, ret_fd, err);
        case QEMU_SLOT_BRIDGE:
                return qemu_bridge_open(instance->machine->bridge, ret_fd, err);
        case QEMU_SLOT_MOUNT:
                return qemu_share_open(&instance->machine->mounts[slot.index], qemu_user(instance), ret_fd, err);
        }
        return fail(err, COWHERD_INTERNAL, "a machine has a descriptor of kind %d", (int)slot.kind);
}

int qemu_files_open(const struct engine_instance *instance, const struct qemu_facts *facts,
                    const struct qemu_line *line, int runtime, struct qemu_files *ret, struct cowherd_error *err)
{
        struct qemu_files files owned_by(qemu_files_free) = {.items = x_calloc(line->slot_count, sizeof *files.items)};

        for (size_t i = 0; i < line->slot_count; i++) {
                if (open_slot(instance, facts, line->slots[i], runtime, &files.items[i], err) < 0)
                        return -1;
                files.count++;
        }
        *ret = files;
        files = (struct qemu_files){0};
        return 0;
}
