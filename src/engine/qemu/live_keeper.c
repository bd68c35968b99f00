/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live base's memory in use: taken from its keeper (keeper_main.c), or read in from its file, whereupon a keeper is left behind.
 * Who reads it in holds a lock meanwhile, so of many clones that begin at once one reads and the others then find its keeper.
 * A keeper that was killed, or that does not answer, costs the next clone a reading and nothing else: what it held lives on in the
 * clones that have it.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/module.h"
#include "sys/process_detach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEPER_SOCKET "keeper.sock"
#define KEEPER_LOCK "keeper.lock"
#define ANSWER_MS 2000
#define END_MS 5000

/* ---- Asking one ---- */

static int receive_descriptor(int fd)
{
        char byte;
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int found = -1;

        if (poll(&ready, 1, ANSWER_MS) <= 0 || recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1)
                return -1;
        const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof found))
                memcpy(&found, CMSG_DATA(header), sizeof found);
        return found;
}

/* The memory of whoever keeps it there, or -1. */
static int ask(int runtime, uint64_t bytes)
{
        struct cowherd_error ignored;
        owned_fd int fd = -1;

        if (qemu_socket_connect(runtime, KEEPER_SOCKET, &fd, &ignored) < 0)
                return -1;
        owned_fd int memory = receive_descriptor(fd);
        return memory >= 0 && live_memory_is_sealed(memory, bytes) ? take_fd(memory) : -1;
}

/* ---- Leaving one behind ---- */

/* Told when the file on disk is removed, or unmounted; the file itself is not kept open, which would hold its filesystem. */
static int watch(int folder, const char *ram, int *ret_fd, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/proc/self/fd/%d/%s", folder, ram);

        owned_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, path, IN_DELETE_SELF) < 0)
                return fail_errno(err, "cannot watch '%s'", ram);
        *ret_fd = take_fd(fd);
        return 0;
}

static int end_keeper(int runtime, struct cowherd_error *err)
{
        owned_fd int pidfd = -1;

        int found = qemu_process_open(runtime, &pidfd, NULL, err);
        if (found <= 0)
                return found;
        if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                return fail_errno(err, "cannot end what keeps a base's memory");
        return qemu_process_wait(pidfd, END_MS) ? 0 : fail(err, COWHERD_BUSY, "what keeps a base's memory does not end");
}

static int start_keeper(int runtime, int folder, const char *ram, int memory, struct cowherd_error *err)
{
        struct process_detach what = {.output = STDERR_FILENO};
        struct process_birth birth owned_by(process_birth_free) = {.channel = -1};
        owned_fd int listener = -1, changes = -1, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        owned_str char *program = NULL;

        if (nothing < 0)
                return fail_errno(err, "cannot open /dev/null");
        /* One that is still there does not answer, or it would have been asked. */
        if (module_helper("keeper", &program, err) < 0 || end_keeper(runtime, err) < 0 || watch(folder, ram, &changes, err) < 0 ||
            qemu_socket_listen(runtime, KEEPER_SOCKET, &listener, err) < 0)
                return -1;
        const int descriptors[] = {memory, listener, changes};
        what.descriptors = descriptors;
        what.descriptor_count = array_length(descriptors);
        what.output = nothing;
        struct strv argv owned_by(strv_free) = {0};
        strv_add(&argv, program);
        what.argv = argv; /* borrowed */
        if (process_detach(&what, &birth, err) < 0 || qemu_process_write(runtime, birth.pid, err) < 0)
                return -1;
        return process_birth_keep(&birth, err);
}

/* The runtime folder of a base, made: as a machine's. */
static int open_runtime(const char *path, int *ret_fd, struct cowherd_error *err)
{
        const struct engine_instance base = {.runtime = path};

        return qemu_runtime_make(&base, ret_fd, err);
}

int live_keeper_leave(const char *path, int folder, const char *ram, int memory, struct cowherd_error *err)
{
        owned_fd int runtime = -1, lock = -1;

        if (open_runtime(path, &runtime, err) < 0 || lock_take(runtime, KEEPER_LOCK, true, &lock, err) < 0)
                return -1;
        return start_keeper(runtime, folder, ram, memory, err);
}

/* ---- Reading in ---- */

static int read_in(const struct engine_instance *instance, uint64_t bytes, int *ret_fd, struct cowherd_error *err)
{
        const struct engine_live *live = instance->machine->live;
        owned_fd int memory = -1;
        struct stat found;

        owned_fd int file = openat(instance->folder, live->ram, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (file < 0 || fstat(file, &found) < 0)
                return fail_errno(err, "cannot open the memory of base '%s'", live->base);
        if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size != bytes)
                return fail(err, COWHERD_DATA, "the memory of base '%s' is damaged: it has %" PRId64 " bytes (expected %" PRIu64 ")", live->base,
                            (int64_t)found.st_size, bytes);
        if (live_memory_make(bytes, &memory, err) < 0 || live_memory_copy(file, memory, bytes, err) < 0 ||
            live_memory_seal(memory, err) < 0)
                return fail_while(err, "reading the memory of base '%s'", live->base);
        *ret_fd = take_fd(memory);
        return 0;
}

int live_keeper_take(const struct engine_instance *instance, uint64_t bytes, int *ret_fd, struct cowherd_error *err)
{
        const struct engine_live *live = instance->machine->live;
        owned_fd int runtime = -1, lock = -1;
        struct cowherd_error ignored;

        if (open_runtime(live->runtime, &runtime, err) < 0)
                return -1;
        owned_fd int memory = ask(runtime, bytes);
        if (memory < 0) {
                if (lock_take(runtime, KEEPER_LOCK, true, &lock, err) < 0)
                        return -1;
                memory = ask(runtime, bytes);
        }
        if (memory < 0) {
                if (read_in(instance, bytes, &memory, err) < 0)
                        return -1;
                /* Without a keeper this clone works as well. */
                ignore_result(start_keeper(runtime, instance->folder, live->ram, memory, &ignored));
        }
        *ret_fd = take_fd(memory);
        return 0;
}

int qemu_release_live(const char *path, struct cowherd_error *err)
{
        owned_fd int lock = -1, runtime = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (runtime < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s'", path);
        if (lock_take(runtime, KEEPER_LOCK, true, &lock, err) < 0 || end_keeper(runtime, err) < 0)
                return -1;
        return file_remove_tree(AT_FDCWD, path, err);
}

bool qemu_live_in_use(const char *path)
{
        owned_fd int pidfd = -1, runtime = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct cowherd_error ignored;

        return runtime >= 0 && qemu_process_open(runtime, &pidfd, NULL, &ignored) > 0;
}
