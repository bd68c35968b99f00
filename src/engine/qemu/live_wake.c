/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine wakes in another's memory. Nothing may leave it until it is somebody of its own, so its link is down from before its
 * first instruction (the state brings it back up, so it is taken down after that was read) until its identity is applied. A new
 * generation id has its kernel make its random pool anew by itself, where it has the driver; else the pool is made anew by what is
 * said to it from outside. Who can be told nothing (no agent) and is to be somebody else is not woken at all.
 *
 * All of that can be rehearsed (live_stand_by.c): the machine is woken, told an identity, has run a command, and stands still then, its
 * link still down. Without KVM nearly all that waking costs is the translation of code that runs for the first time in a process.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "engine/qemu/agent.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GREETING_TIMEOUT_MS 60000 /* of a loaded host */
#define REHEARSAL_TIMEOUT_MS 10000
#define WAKE_TIMEOUT_MS 30000 /* until it answers, and again until it is somebody else */

struct waking {
        const struct engine_instance *instance;
        const struct live_facts *facts;
        struct qmp qmp;
        double since;
        struct engine_phases *phases;
};

static void waking_free(struct waking *waking)
{
        qmp_free(&waking->qmp);
}
define_owned(struct waking, waking_free)

static void phase_ends(struct waking *waking, const char *name)
{
        double now = clock_ms();

        engine_phase(waking->phases, name, now - waking->since);
        waking->since = now;
}

static int set_link(struct waking *waking, bool up, struct cowherd_error *err)
{
        if (!waking->facts->wake.card)
                return 0;
        return qmp_execute(&waking->qmp, "set_link", json_pack("{s:s, s:b}", "name", "nic", "up", up), -1, QMP_TIMEOUT_MS, NULL, err);
}

/* Up to the first instruction. */
static int restore(struct waking *waking, int runtime, struct cowherd_error *err)
{
        const struct engine_live *live = waking->instance->machine->live;
        int fd = -1;

        const struct engine_identity *identity = waking->instance->identity;
        bool leases = identity->fresh && str_equal(waking->facts->network, "user");
        owned_fd int state = live_state_open(waking->instance->folder, live->state, leases ? waking->facts->mac : NULL, identity->mac, err);
        if (state < 0)
                return fail_while(err, "opening the state of base '%s'", live->base);
        if (qemu_socket_connect(runtime, QEMU_CONTROL, &fd, err) < 0 || qmp_begin(fd, GREETING_TIMEOUT_MS, &waking->qmp, err) < 0)
                return -1;
        phase_ends(waking, "spawn");
        if (live_facts_compare_version(waking->facts, live, &waking->qmp, err) < 0 ||
            live_state_load(&waking->qmp, state, err) < 0 || set_link(waking, false, err) < 0)
                return -1;
        return 0;
}

static int personalise(struct waking *waking, bool rehearsal, struct engine_started *ret, struct cowherd_error *err)
{
        const struct engine_instance *instance = waking->instance;
        struct qemu_agent_waking words = {
                .rehearsal = rehearsal,
                .old_mac = waking->facts->mac,
                .forget_addresses = str_equal(waking->facts->network, "bridge"),
                .reseed = !waking->facts->fresh_random,
                .helper = waking->facts->helper,
        };

        if (!waking->facts->agent)
                return 0; /* identity=keep, else it was refused: live_check */
        double answered_ms = 0;
        if (inside_wake(instance, &words, WAKE_TIMEOUT_MS, ret->pending, sizeof ret->pending, &answered_ms, err) < 0)
                return -1;
        engine_phase(waking->phases, "agent", answered_ms - waking->since);
        waking->since = answered_ms;
        phase_ends(waking, "identity");
        return 0;
}

/* From the first instruction on. */
static int go_on(struct waking *waking, pid_t pid, struct engine_started *ret, struct cowherd_error *err)
{
        const struct engine_instance *instance = waking->instance;

        if (qmp_command(&waking->qmp, "cont", err) < 0)
                return -1;
        phase_ends(waking, "restore");
        if (personalise(waking, false, ret, err) < 0)
                return -1;
        if (instance->machine->network != ENGINE_NETWORK_NONE && set_link(waking, true, err) < 0)
                return -1;
        ret->identity_applied = !instance->identity->fresh || ret->pending[0] == '\0';
        live_memory_measure(pid, &ret->private_bytes, &ret->shared_bytes);
        phase_ends(waking, "ready");
        return 0;
}

int live_go_on(const struct engine_instance *instance, const struct live_facts *facts, struct qmp *qmp, double since, pid_t pid,
               struct engine_started *ret, struct cowherd_error *err)
{
        struct waking waking = {.instance = instance, .facts = facts, .qmp = *qmp, .since = since, .phases = &ret->phases};

        *qmp = (struct qmp){.fd = -1};
        int done = go_on(&waking, pid, ret, err);
        waking_free(&waking);
        return done;
}

/* The first command after waking costs several times what others do. Whether it can be run here does not matter. */
static void run_something(const struct engine_instance *instance)
{
        static const char *const words[] = {"true", NULL};
        const struct engine_command command = {.argv = words, .timeout_ms = REHEARSAL_TIMEOUT_MS};
        struct engine_output output = {0};
        struct cowherd_error ignored;

        ignore_result(inside_execute(instance, &command, &output, &ignored));
        engine_output_free(&output);
}

int live_rehearse(const struct engine_instance *instance, const struct live_facts *facts, int runtime, struct engine_started *ret,
                  struct cowherd_error *err)
{
        struct waking waking owned_by(waking_free) = {
                .instance = instance, .facts = facts, .qmp = {.fd = -1}, .since = clock_ms(), .phases = &ret->phases};

        if (restore(&waking, runtime, err) < 0 || qmp_command(&waking.qmp, "cont", err) < 0 || personalise(&waking, true, ret, err) < 0)
                return -1;
        run_something(instance);
        return qmp_command(&waking.qmp, "stop", err);
}

int live_wake(const struct engine_instance *instance, const struct live_facts *facts, int runtime, pid_t pid,
              struct engine_started *ret, struct cowherd_error *err)
{
        struct waking waking owned_by(waking_free) = {
                .instance = instance, .facts = facts, .qmp = {.fd = -1}, .since = clock_ms(), .phases = &ret->phases};

        return restore(&waking, runtime, err) < 0 ? -1 : go_on(&waking, pid, ret, err);
}
