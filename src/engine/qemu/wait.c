/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a machine, by events: its end is its process's (a pidfd), its start is seen in the runtime folder
 * (inotify) and its going on is QMP's RESUME; what is inside is the agent's to tell. Nothing of it is asked again and
 * again.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define ASK_AGAIN_MS 500 /* a paused machine whether it goes on */

static int remaining_ms(double deadline)
{
        double left = deadline - clock_ms();

        return left <= 0 ? 0 : left >= INT_MAX ? INT_MAX : (int)left + 1;
}

static int fail_timeout(const struct engine_instance *instance, const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_BUSY, "'%s' is not %s yet, and the time is over", instance->name, what);
}

static enum engine_state state_of(const struct engine_instance *instance)
{
        enum engine_state state = ENGINE_UNKNOWN;
        struct cowherd_error ignored;

        ignore_result(qemu_states(instance, 1, &state, &ignored));
        return state;
}

static int wait_stopped(const struct engine_instance *instance, double deadline, struct cowherd_error *err)
{
        owned_fd int runtime = -1, pidfd = -1;

        if (qemu_is_running(instance) == 0)
                return 0;
        if (qemu_runtime_open(instance, &runtime, err) < 0)
                return -1;
        int found = qemu_process_open(runtime, &pidfd, NULL, err);
        if (found < 0)
                return -1;
        if (found > 0 && !qemu_process_wait(pidfd, remaining_ms(deadline)))
                return fail_timeout(instance, "stopped", err);
        return qemu_is_running(instance) > 0
                       ? fail(err, COWHERD_SYSTEM,
                              "the disk of '%s' is in use by a process that was not started from here", instance->name)
                       : 0;
}

/*
 * The next change of the runtime folder: a machine that is up is written down there, and one that goes on. Who made it
 * go on by other means than ours is seen a little later. False when the time is over.
 */
static bool await_change(int changes, const struct engine_instance *instance, double deadline)
{
        struct pollfd ready = {.fd = changes, .events = POLLIN};
        char events[4096];

        (void)inotify_add_watch(changes, instance->runtime, IN_MOVED_TO | IN_ONLYDIR); /* once it is there */
        enum engine_state state = state_of(instance);
        int left = remaining_ms(deadline);
        if (state == ENGINE_RUNNING)
                return true;
        if (poll(&ready, 1, state == ENGINE_PAUSED && left > ASK_AGAIN_MS ? ASK_AGAIN_MS : left) > 0)
                (void)!read(changes, events, sizeof events);
        return remaining_ms(deadline) > 0;
}

static int wait_running(const struct engine_instance *instance, double deadline, struct cowherd_error *err)
{
        const char *last = instance->runtime == NULL ? NULL : strrchr(instance->runtime, '/');

        if (state_of(instance) == ENGINE_RUNNING)
                return 0;
        if (last == NULL || remaining_ms(deadline) == 0)
                return fail_timeout(instance, "running", err);
        owned_str char *above = x_strndup(instance->runtime, (size_t)(last - instance->runtime));
        owned_fd int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (file_make_folders(AT_FDCWD, above, 0755, err) < 0)
                return -1;
        if (changes < 0 || inotify_add_watch(changes, above, IN_CREATE | IN_ONLYDIR) < 0)
                return fail_errno(err, "cannot watch '%s'", above);
        do {
                if (state_of(instance) == ENGINE_MISSING)
                        return fail(err, COWHERD_NOT_FOUND, "the disk of '%s' is gone", instance->name);
                if (!await_change(changes, instance, deadline))
                        return fail_timeout(instance, "running", err);
        } while (state_of(instance) != ENGINE_RUNNING);
        return 0;
}

/* Ready is who answers and has an identity of its own; what an agent could not apply does not keep it from being ready.
 */
static int wait_ready(const struct engine_instance *instance, double deadline, struct engine_waited *ret,
                      struct cowherd_error *err)
{
        const struct engine_identity *identity = instance->identity;
        double since = clock_ms();
        const struct inside_wish wish = {.sync = true};
        char pending[256] = "";

        if (inside_wait(instance, (uint64_t)remaining_ms(deadline), NULL, err) < 0)
                return -1;
        engine_phase(&ret->phases, "agent", clock_ms() - since);
        bool wanted = instance->machine != NULL && identity != NULL &&
                      (identity->fresh || identity->ssh_key != NULL || instance->machine->mount_count > 0) &&
                      instance->machine->os == ENGINE_OS_LINUX;
        if (!wanted) {
                ret->identity_applied = identity == NULL || !identity->fresh || identity->applied;
                return 0;
        }
        since = clock_ms();
        if (inside_personalise(instance, &wish, (uint64_t)remaining_ms(deadline), pending, sizeof pending, err) < 0)
                return fail_while(err, "giving '%s' its identity", instance->name);
        ret->identity_applied = pending[0] == '\0';
        engine_phase(&ret->phases, "identity", clock_ms() - since);
        return 0;
}

static int wait_address(const struct engine_instance *instance, double deadline, struct engine_waited *ret,
                        struct cowherd_error *err)
{
        double since = clock_ms();

        if (instance->machine != NULL && instance->machine->network == ENGINE_NETWORK_NONE)
                return fail(err, COWHERD_UNAVAILABLE, "'%s' has no network (network=none), so it never has an address",
                            instance->name);
        if (inside_address(instance, (uint64_t)remaining_ms(deadline), ret->address, err) < 0)
                return -1;
        engine_phase(&ret->phases, "address", clock_ms() - since);
        return 0;
}

int qemu_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
              struct engine_waited *ret, struct cowherd_error *err)
{
        double since = clock_ms(), deadline = since + (double)timeout_ms;
        struct engine_waited waited = {0};
        int done;

        if (what == ENGINE_EVENT_STOPPED)
                done = wait_stopped(instance, deadline, err);
        else
                done = wait_running(instance, deadline, err);
        if (done == 0)
                engine_phase(&waited.phases, what == ENGINE_EVENT_STOPPED ? "stopped" : "running", clock_ms() - since);
        if (done == 0 && what == ENGINE_EVENT_READY)
                done = wait_ready(instance, deadline, &waited, err);
        if (done == 0 && what == ENGINE_EVENT_ADDRESS)
                done = wait_address(instance, deadline, &waited, err);
        if (done < 0)
                return -1;
        *ret = waited;
        return 0;
}
