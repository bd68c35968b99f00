/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's serial console: the socket "console.sock" in the runtime folder, which QEMU listens on. QEMU serves one
 * client and lets others queue without a word, so a lock tells who comes second that it is taken.
 */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "sys/lock.h"
#include "sys/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONSOLE_SOCKET "console.sock"
#define CONSOLE_LOCK "console.lock"

static int connect_to(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/" CONSOLE_SOCKET, instance->runtime);
        if (length < 0 || (size_t)length >= sizeof address.sun_path)
                return fail(err, COWHERD_CONFIG, "the path '%s/" CONSOLE_SOCKET "' is longer than a socket's may be",
                            instance->runtime);
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail_errno(err, "cannot make a socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
                if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
                        return fail(err, COWHERD_BUSY, "the machine of '%s' does not run", instance->name);
                return fail_errno(err, "cannot reach the console of '%s'", instance->name);
        }
        *ret_fd = take_fd(fd);
        return 0;
}

static int take_console(const struct engine_instance *instance, int *ret_lock, struct cowherd_error *err)
{
        owned_fd int folder = open(instance->runtime, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (folder < 0 && errno == ENOENT)
                return fail(err, COWHERD_BUSY, "the machine of '%s' does not run", instance->name);
        if (folder < 0)
                return fail_errno(err, "cannot open '%s'", instance->runtime);
        int taken = lock_take(folder, CONSOLE_LOCK, false, ret_lock, err);
        if (taken <= 0)
                return taken;
        (void)fail(err, COWHERD_BUSY, "the console of '%s' is in use", instance->name);
        return fail_hint(err, "it has one user at a time; logs shows what it has printed");
}

int qemu_agent_console(const struct engine_instance *instance, const struct engine_streams *streams, int *ret_exit_code,
                       struct cowherd_error *err)
{
        enum relay_end how = RELAY_ENDED;
        owned_fd int lock = -1;
        int fd = -1;

        if (str_is_empty(instance->runtime))
                return fail(err, COWHERD_INTERNAL, "'%s' has no runtime folder", instance->name);
        if (take_console(instance, &lock, err) < 0 || connect_to(instance, &fd, err) < 0)
                return -1;
        if (streams->terminal)
                (void)dprintf(streams->errors, "the console of '%s'; Ctrl-] leaves it\n", instance->name);
        struct relay relay = {.input = streams->input,
                              .output = streams->output,
                              .errors = streams->errors,
                              .terminal = streams->terminal,
                              .escape = streams->terminal ? RELAY_ESCAPE_CONSOLE : 0,
                              .to = {.fd = fd},
                              .from = {.fd = fd},
                              .from_errors = {.fd = -1},
                              .ended = -1};
        if (relay_run(&relay, &how, err) < 0)
                return -1;
        *ret_exit_code = how == RELAY_INTERRUPTED ? 130 : 0;
        return 0;
}
