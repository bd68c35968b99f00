/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a machine. We make its sockets and listen on them before QEMU exists, so connecting never has to be tried
 * again: the connection waits in the socket's queue until QEMU accepts it, and breaks if QEMU ends. It is up when it
 * answers query-status with "running". Until then it is bound to us (process_detach.h): kill -9 of us at any moment
 * leaves either a machine that is written down, or none.
 *
 * Where this QEMU, or this kernel, has no -sandbox, the machine is started without, and that is said.
 */
#include "engine/qemu/life.h"

#include "base/mem.h"
#include "engine/qemu/host.h"
#include "engine/qemu/live.h"
#include "engine/qemu/process.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process_detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_TIMEOUT_MS 60000 /* of a loaded host */
#define END_TIMEOUT_MS 5000    /* for a QEMU that hung up to end */
#define MESSAGES_BYTES (1u << 20)
#define PENDING "hostname machine-id ssh-host-keys dhcp-id random-seed instance-id"

struct launch {
        const struct engine_instance *instance;
        struct qemu_facts facts;
        int runtime, messages;
        struct process_birth birth;
        struct engine_started started;
        double since; /* the last phase's end */
        struct live_facts live; /* of one that wakes */
        bool stands_by;         /* but not now */
};

static void launch_free(struct launch *launch)
{
        process_birth_free(&launch->birth);
        close_at(&launch->runtime);
        close_at(&launch->messages);
        close_at(&launch->live.wake.memory);
        live_facts_free(&launch->live);
        free((char *)(uintptr_t)launch->facts.program);
}
define_owned(struct launch, launch_free)

static void phase_ends(struct launch *launch, const char *name)
{
        double now = clock_ms();

        engine_phase(&launch->started.phases, name, now - launch->since);
        launch->since = now;
}

/* The last line that QEMU wrote, without its own name before it; "" where there is none. To be freed. */
static char *last_message(const struct launch *launch)
{
        struct cowherd_error err;
        owned_str char *text = NULL;

        if (file_read(launch->runtime, QEMU_MESSAGES, MESSAGES_BYTES, &text, NULL, &err) < 0)
                return x_strdup("");
        size_t end = strlen(text);
        while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
                text[--end] = '\0';
        const char *line = strrchr(text, '\n');
        line = line == NULL ? text : line + 1;
        owned_str char *own = x_asprintf("%s: ", launch->facts.program);
        return x_strdup(str_starts(line, own) ? line + strlen(own) : line);
}

/* What the connection's break or silence means: QEMU's own last words, if it ended. */
static int fail_start(struct launch *launch, struct cowherd_error *err)
{
        int status = 0;

        if (!process_birth_ended(&launch->birth, err->code == COWHERD_BUSY ? END_TIMEOUT_MS : 0, &status))
                return fail_while(err, "starting '%s'", launch->instance->name);
        owned_str char *line = last_message(launch);
        bool in_use = strstr(line, "Failed to get \"write\" lock") != NULL ||
                      strstr(line, "Could not set up host forwarding") != NULL;
        return fail(err, in_use ? COWHERD_BUSY : COWHERD_SYSTEM, "cannot start '%s': '%s' %s %d%s%s",
                    launch->instance->name, launch->facts.program,
                    status > 128 ? "was ended by signal" : "ended with status", status > 128 ? status - 128 : status,
                    line[0] == '\0' ? "" : ": ", line);
}

static int spawn(struct launch *launch, struct cowherd_error *err)
{
        struct qemu_line line owned_by(qemu_line_free) = {0};
        struct qemu_files files owned_by(qemu_files_free) = {0};

        qemu_line_make(launch->instance, &launch->facts, &line);
        if (launch->facts.wake != NULL &&
            live_facts_compare(&launch->live, launch->instance, launch->facts.acceleration, &line.argv, err) < 0)
                return -1;
        if (qemu_files_open(launch->instance, &launch->facts, &line, launch->runtime, &files, err) < 0)
                return -1;
        close_at(&launch->messages);
        launch->messages = openat(launch->runtime, QEMU_MESSAGES,
                                  O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (launch->messages < 0)
                return fail_errno(err, "cannot make '%s' in '%s'", QEMU_MESSAGES, launch->instance->runtime);
        phase_ends(launch, "prepare");
        const struct process_detach what = {
                .argv = line.argv,
                .descriptors = files.items,
                .descriptor_count = files.count,
                .output = launch->messages,
                .small_pages = launch->facts.wake != NULL, /* of its translated code, huge ones would be half empty */
                .confined = geteuid() == 0,
                .user = qemu_user(launch->instance),
                .group = str_equal(launch->facts.acceleration, "kvm") ? qemu_kvm_group() : 0,
        };
        return process_detach(&what, &launch->birth, err);
}

static int await_running(struct launch *launch, struct cowherd_error *err)
{
        owned_qmp struct qmp qmp = {.fd = -1};
        char status[64] = "";
        int fd = -1;

        if (qemu_socket_connect(launch->runtime, QEMU_STATUS, &fd, err) < 0 ||
            qmp_begin(fd, START_TIMEOUT_MS, &qmp, err) < 0 ||
            qmp_status(&qmp, status, sizeof status, START_TIMEOUT_MS, err) < 0)
                return -1;
        if (!str_equal(status, "running"))
                return fail(err, COWHERD_SYSTEM, "qemu is '%s' where it should be running", status);
        return 0;
}

static int come_up(struct launch *launch, struct cowherd_error *err)
{
        if (launch->stands_by)
                return live_rehearse(launch->instance, &launch->live, launch->runtime, &launch->started, err);
        if (launch->facts.wake != NULL)
                return live_wake(launch->instance, &launch->live, launch->runtime, launch->birth.pid, &launch->started, err);
        phase_ends(launch, "spawn");
        if (await_running(launch, err) < 0)
                return -1;
        phase_ends(launch, "running");
        return 0;
}

static int launch_once(struct launch *launch, struct cowherd_error *err)
{
        if (spawn(launch, err) < 0)
                return -1;
        if (launch->stands_by)
                live_give_way(launch->birth.pid, true);
        if (qemu_process_write(launch->runtime, launch->birth.pid, err) < 0 || come_up(launch, err) < 0)
                return fail_start(launch, err);
        /* Written once more: who waits for the machine sees the file change. */
        if (qemu_process_write(launch->runtime, launch->birth.pid, err) < 0 ||
            process_birth_keep(&launch->birth, err) < 0)
                return fail_while(err, "starting '%s'", launch->instance->name);
        return 0;
}

static bool lacks_sandbox(const struct cowherd_error *err)
{
        return strstr(err->text, "sandbox") != NULL || strstr(err->text, "seccomp") != NULL;
}

static int launch_machine(struct launch *launch, struct cowherd_error *err)
{
        struct cowherd_error first;

        if (launch_once(launch, &first) == 0)
                return 0;
        process_birth_free(&launch->birth);
        if (!lacks_sandbox(&first)) {
                *err = first;
                return -1;
        }
        launch->facts.sandboxed = false;
        launch->started = (struct engine_started){0};
        return launch_once(launch, err);
}

static int refuse_running(const struct engine_instance *instance, struct cowherd_error *err)
{
        int held = qemu_is_running(instance);

        if (held < 0)
                return fail_errno(err, "cannot look at the disk of '%s'", instance->name);
        return held == 0 ? 0 : fail(err, COWHERD_BUSY, "'%s' is running already", instance->name);
}

static void tell(const struct launch *launch, struct engine_started *ret)
{
        const struct engine_identity *identity = launch->instance->identity;
        struct engine_started started = launch->started;

        if (launch->facts.wake == NULL) {
                started.identity_applied = !identity->fresh || identity->applied;
                (void)snprintf(started.pending, sizeof started.pending, "%s", started.identity_applied ? "" : PENDING);
        }
        if (!launch->facts.sandboxed)
                (void)snprintf(started.note, sizeof started.note,
                               "this qemu has no sandbox: the machine is confined by its user id alone");
        *ret = started;
}

/* The memory of the base in use, and the devices that the machine is to have. */
static int prepare_to_wake(struct launch *launch, struct cowherd_error *err)
{
        const struct engine_instance *instance = launch->instance;

        if (instance->machine->live == NULL)
                return 0;
        if (live_check(instance, err) < 0 || live_facts_read(instance->machine->live, &launch->live, err) < 0 ||
            live_keeper_take(instance, launch->live.memory_bytes, &launch->live.wake.memory, err) < 0)
                return -1;
        launch->facts.memory_bytes = launch->live.memory_bytes;
        launch->facts.cpus = launch->live.cpus;
        launch->facts.seeded = launch->live.seeded;
        launch->live.wake.stands_by = launch->stands_by;
        launch->facts.wake = &launch->live.wake;
        phase_ends(launch, "memory");
        return 0;
}

static int start_new(const struct engine_instance *instance, bool stands_by, struct engine_started *ret, struct cowherd_error *err)
{
        struct launch launch owned_by(launch_free) = {.instance = instance, .runtime = -1, .messages = -1, .birth = {.channel = -1},
                                                      .since = clock_ms(), .live.wake.memory = -1, .stands_by = stands_by};

        if (refuse_running(instance, err) < 0 || qemu_tidy(instance, err) < 0)
                return -1;
        if (qemu_facts_find(instance, &launch.facts, err) < 0 || prepare_to_wake(&launch, err) < 0 ||
            qemu_runtime_make(instance, &launch.runtime, err) < 0)
                return -1;
        if (launch_machine(&launch, err) < 0) {
                struct cowherd_error ignored;
                bool forced;
                process_birth_free(&launch.birth);
                ignore_result(
                        qemu_stop(instance, 0, true, &forced, &ignored)); /* should the guardian have been killed */
                return -1;
        }
        tell(&launch, ret);
        return 0;
}

int qemu_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err)
{
        const struct engine_live *live = instance->machine->live;

        return live != NULL && live->may_stand_by ? live_take(instance, ret, err) : start_new(instance, false, ret, err);
}

int qemu_stand_by(const struct engine_instance *instance, struct cowherd_error *err)
{
        struct engine_started ignored;

        return start_new(instance, true, &ignored, err);
}
