/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime folder and its sockets. A socket's address may have 107 bytes, and a herd may lie deep, so sockets are
 * named through the opened folder (/proc/self/fd/N/name). Whether a machine runs is asked of its disk: QEMU locks
 * single bytes of an image that it has open, one for each permission that it uses, and byte 101 is that for writing. A
 * paused machine holds it too; a qemu-img that only reads a clone does not.
 */
#include "engine/qemu/runtime.h"

#include "base/mem.h"
#include "engine/held.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* RAW_LOCK_PERM_BASE + the bit number of BLK_PERM_WRITE (QEMU's block/file-posix.c). */
#define LOCK_OF_WRITERS 101
#define BACKLOG 64
#define CONNECT_SECONDS 2 /* where so many wait for a QEMU that serves none of them */

int qemu_runtime_make(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        const char *last = strrchr(instance->runtime, '/');
        owned_str char *above = x_strndup(instance->runtime, (size_t)(last - instance->runtime));
        owned_fd int parent = -1, folder = -1;

        if (file_make_folders(AT_FDCWD, above, 0755, err) < 0 || file_open_folder(AT_FDCWD, above, &parent, err) < 0)
                return -1;
        if (mkdirat(parent, last + 1, 0700) < 0 && errno != EEXIST)
                return fail_errno(err, "cannot make '%s'", instance->runtime);
        if (file_open_folder(parent, last + 1, &folder, err) < 0)
                return -1;
        if (fchmod(folder, 0700) < 0)
                return fail_errno(err, "cannot close '%s' to others", instance->runtime);
        *ret_fd = take_fd(folder);
        return 0;
}

static int fail_not_running(const struct engine_instance *instance, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_BUSY, "'%s' is not running", instance->name);
        return fail_hint(err, "start it first");
}

int qemu_runtime_open(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        if (instance->runtime == NULL)
                return fail_not_running(instance, err);
        owned_fd int folder = open(instance->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return errno == ENOENT ? fail_not_running(instance, err)
                                       : fail_errno(err, "cannot open '%s'", instance->runtime);
        *ret_fd = take_fd(folder);
        return 0;
}

int qemu_folder_open(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        const char *last = strrchr(instance->path, '/');
        owned_str char *folder =
                last == NULL ? x_strdup(".") : x_strndup(instance->path, (size_t)(last - instance->path));

        return file_open_folder(instance->folder, folder, ret_fd, err);
}

static void socket_address(int runtime, const char *name, struct sockaddr_un *ret)
{
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        (void)snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", runtime, name);
}

int qemu_socket_listen(int runtime, const char *name, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address;

        if (fd < 0)
                return fail_errno(err, "cannot make a socket");
        socket_address(runtime, name, &address);
        if (unlinkat(runtime, name, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove the old socket '%s'", name);
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
                return fail_errno(err, "cannot listen on the socket '%s'", name);
        *ret_fd = take_fd(fd);
        return 0;
}

int qemu_socket_connect(int runtime, const char *name, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address;

        if (fd < 0)
                return fail_errno(err, "cannot make a socket");
        const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
                return fail_errno(err, "cannot limit the time of a socket");
        socket_address(runtime, name, &address);
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
                if (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN)
                        return fail(err, COWHERD_BUSY, "no qemu serves '%s'", name);
                return fail_errno(err, "cannot connect to qemu's '%s'", name);
        }
        *ret_fd = take_fd(fd);
        return 0;
}

int qemu_speak(const struct engine_instance *instance, const char *name, struct qmp *ret, struct cowherd_error *err)
{
        owned_fd int runtime = -1, fd = -1;

        int held = qemu_is_running(instance);
        if (held == 0 || (held < 0 && errno == ENOENT))
                return fail_not_running(instance, err);
        if (qemu_runtime_open(instance, &runtime, err) < 0 || qemu_socket_connect(runtime, name, &fd, err) < 0 ||
            qmp_begin(take_fd(fd), QMP_TIMEOUT_MS, ret, err) < 0)
                return fail_while(err, "speaking with the machine '%s'", instance->name);
        return 0;
}

int qemu_control(const struct engine_instance *instance, struct qmp *ret, struct cowherd_error *err)
{
        return qemu_speak(instance, QEMU_CONTROL, ret, err);
}

int qemu_is_running(const struct engine_instance *instance)
{
        return engine_lock_held(instance->folder, instance->path, LOCK_OF_WRITERS, 1);
}
