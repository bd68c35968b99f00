/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting. That it runs, a file of its runtime folder tells, which the start writes last (inotify); that it stopped or goes on,
 * its control group; an address, the kernel; that it is up, its own init: systemctl inside waits on systemd's bus for the end of
 * the boot. Until systemd listens there, the folder of its socket is watched.
 */
#include "engine/nspawn/nspawn.h"

#include "engine/nspawn/net.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_TIMEOUT_MS 5000u
#define PRIVATE_SOCKET "run/systemd/private" /* where systemd answers root, from early on */

static uint64_t left_of(double deadline)
{
        double left = deadline - clock_ms();

        return left <= 0 ? 0 : (uint64_t)left + 1;
}

static int fail_late(const struct engine_instance *instance, const char *what, uint64_t timeout_ms,
                     struct cowherd_error *err)
{
        if (timeout_ms == 0)
                return fail(err, COWHERD_BUSY, "container '%s' is not %s", instance->name, what);
        return fail(err, COWHERD_BUSY, "container '%s' was not %s within %.1f s", instance->name, what,
                    (double)timeout_ms / 1000);
}

static int wait_stopped(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];
        int late = cgroup_wait_empty(nspawn_cgroup(instance, cgroup), timeout_ms, err);

        return late > 0 ? fail_late(instance, "stopped", timeout_ms, err) : late;
}

/* Whether it runs, and all is written down that later commands want to know of it. */
static bool is_up(const struct engine_instance *instance)
{
        if (nspawn_state(instance) != ENGINE_RUNNING)
                return false;
        owned_str char *leader = nspawn_recall(instance, "leader");
        return leader != NULL || instance->runtime == NULL || access(instance->runtime, F_OK) < 0;
}

/* Sleeps until the runtime folder changes, or a paused container goes on; at most until the deadline. */
static int await_change(const struct engine_instance *instance, int changes, double deadline, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES], events[4096];
        owned_fd int group = cgroup_watch(nspawn_cgroup(instance, cgroup));
        struct pollfd fds[] = {{changes, POLLIN, 0}, {group, POLLPRI, 0}};

        (void)inotify_add_watch(changes, instance->runtime, IN_MOVED_TO | IN_ONLYDIR); /* once it is there */
        uint64_t left = left_of(deadline);
        if (is_up(instance))
                return 0; /* it came before the watch */
        if (poll(fds, array_length(fds), left > INT_MAX ? INT_MAX : (int)left) < 0 && errno != EINTR)
                return fail_errno(err, "cannot wait for '%s'", instance->runtime);
        (void)!read(changes, events, sizeof events);
        return 0;
}

static int wait_running(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err)
{
        const char *last = instance->runtime == NULL ? NULL : strrchr(instance->runtime, '/');
        double deadline = clock_ms() + (double)timeout_ms;

        if (is_up(instance))
                return 0;
        if (last == NULL || timeout_ms == 0)
                return fail_late(instance, "running", timeout_ms, err);
        owned_str char *above = x_strndup(instance->runtime, (size_t)(last - instance->runtime));
        owned_fd int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (file_make_folders(AT_FDCWD, above, 0755, err) < 0)
                return -1;
        if (changes < 0 || inotify_add_watch(changes, above, IN_CREATE | IN_ONLYDIR) < 0)
                return fail_errno(err, "cannot watch '%s'", above);
        while (!is_up(instance)) {
                if (nspawn_state(instance) == ENGINE_MISSING)
                        return fail(err, COWHERD_NOT_FOUND, "the tree of container '%s' is gone", instance->name);
                if (left_of(deadline) == 0)
                        return fail_late(instance, "running", timeout_ms, err);
                if (await_change(instance, changes, deadline, err) < 0)
                        return -1;
        }
        return 0;
}

static bool exists_in(int root, const char *path)
{
        struct stat found;

        return fstatat(root, path, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * Sleeps until something is made or moved in one of the folders above a path, as far as they are there, or the
 * container ends. /run of a container is its own from the moment it is born.
 */
static int watch_folders(int root, int ended, uint64_t timeout_ms, struct cowherd_error *err)
{
        static const char *const folders[] = {"run", "run/systemd"};
        owned_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (watch < 0)
                return fail_errno(err, "cannot watch for files");
        for (size_t i = 0; i < array_length(folders); i++) {
                char path[64];
                (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", root, folders[i]);
                (void)inotify_add_watch(watch, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW);
        }
        if (exists_in(root, PRIVATE_SOCKET))
                return 0; /* it came before the watch */
        struct pollfd fds[] = {{watch, POLLIN, 0}, {ended, POLLIN, 0}};
        if (poll(fds, array_length(fds), timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms) < 0 && errno != EINTR)
                return fail_errno(err, "cannot watch for files");
        return 0;
}

int nspawn_wait_listening(const struct engine_instance *instance, int ended, double deadline, struct cowherd_error *err)
{
        owned_fd int root = -1;

        if (nspawn_open_root(instance, &root, err) < 0)
                return -1;
        while (!exists_in(root, PRIVATE_SOCKET)) {
                struct pollfd end = {.fd = ended, .events = POLLIN};
                uint64_t left = left_of(deadline);
                if (poll(&end, 1, 0) > 0)
                        return fail(err, COWHERD_BUSY, "container '%s' ended while it booted", instance->name);
                if (left == 0)
                        return 1;
                if (watch_folders(root, ended, left, err) < 0)
                        return -1;
        }
        return 0;
}

/*
 * Asks systemd inside, which answers when its boot is over (or at once): "running", or "degraded" where some unit
 * failed. 1 after the time.
 */
static int ask_systemd(const struct engine_instance *instance, bool at_once, double deadline, struct cowherd_error *err)
{
        const char *const argv[] = {"systemctl", "is-system-running", at_once ? NULL : "--wait", NULL};
        struct engine_command command = {.argv = argv, .timeout_ms = at_once ? ASK_TIMEOUT_MS : left_of(deadline)};
        struct engine_output output = {0};
        struct cowherd_error why = {0};

        if (command.timeout_ms == 0)
                return 1;
        if (nspawn_execute(instance, &command, &output, &why) < 0) {
                if (why.code == COWHERD_BUSY && left_of(deadline) == 0)
                        return 1;
                *err = why;
                return -1;
        }
        bool up = output.out != NULL && (str_starts(output.out, "running") || str_starts(output.out, "degraded"));
        owned_str char *said =
                x_strndup(output.out == NULL ? "" : output.out, strcspn(output.out == NULL ? "" : output.out, "\n"));
        engine_output_free(&output);
        if (up)
                return 0;
        if (at_once)
                return 1;
        return fail(err, COWHERD_BUSY, "container '%s' does not get ready: its systemd says '%s'", instance->name,
                    said);
}

static int wait_ready(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err)
{
        owned_leader struct nspawn_leader leader = {.pidfd = -1};
        owned_str char *init = nspawn_recall(instance, "init");
        double deadline = clock_ms() + (double)timeout_ms;

        if (!nspawn_find_leader(instance, &leader))
                return fail(err, COWHERD_UNAVAILABLE, "the processes of container '%s' can't be seen from here",
                            instance->name);
        if (!str_equal(init, "systemd"))
                return 0; /* no init that could tell: it is up as soon as it runs */
        int late = nspawn_wait_listening(instance, leader.pidfd, deadline, err);
        if (late == 0)
                late = ask_systemd(instance, timeout_ms == 0, deadline, err);
        return late > 0 ? fail_late(instance, "ready", timeout_ms, err) : late;
}

static int wait_address(const struct engine_instance *instance, uint64_t timeout_ms, struct engine_waited *ret,
                        struct cowherd_error *err)
{
        owned_leader struct nspawn_leader leader = {.pidfd = -1};

        if (instance->machine != NULL && instance->machine->network == ENGINE_NETWORK_NONE) {
                (void)fail(err, COWHERD_UNAVAILABLE, "container '%s' never gets an address: it has network=none",
                           instance->name);
                return fail_hint(err, "make it with network=host or network=bridge:NAME");
        }
        if (!nspawn_find_leader(instance, &leader))
                return fail(err, COWHERD_UNAVAILABLE, "the processes of container '%s' can't be seen from here",
                            instance->name);
        if (net_wait_address(leader.pid, leader.pidfd, timeout_ms, ret->address, sizeof ret->address, err) < 0)
                return fail_while(err, "waiting for the address of container '%s'", instance->name);
        return 0;
}

int nspawn_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
                struct engine_waited *ret, struct cowherd_error *err)
{
        static const char *const names[] = {
                [ENGINE_EVENT_RUNNING] = "running",
                [ENGINE_EVENT_READY] = "ready",
                [ENGINE_EVENT_STOPPED] = "stopped",
                [ENGINE_EVENT_ADDRESS] = "address",
        };
        struct engine_waited waited = {.identity_applied = true};
        double began = clock_ms();
        int result = what == ENGINE_EVENT_STOPPED ? wait_stopped(instance, timeout_ms, err)
                                                  : wait_running(instance, timeout_ms, err);
        uint64_t left = timeout_ms == 0 ? 0 : left_of(began + (double)timeout_ms);

        if (result == 0 && what == ENGINE_EVENT_READY)
                result = wait_ready(instance, left, err);
        if (result == 0 && what == ENGINE_EVENT_ADDRESS)
                result = wait_address(instance, left, &waited, err);
        if (result < 0)
                return -1;
        engine_phase(&waited.phases, names[what], clock_ms() - began);
        *ret = waited;
        return 0;
}
