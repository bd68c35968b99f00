/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting. That it runs or has stopped is told by LXD's stream of lifecycle events, opened before the state is asked, so that
 * nothing is missed in between. An event comes a little before or after the state shows it; so the state is asked again for a
 * moment after each that bears our name.
 *
 * That the guest is up is asked of its own systemd: `is-system-running --wait` sleeps inside until it is. Until the guest's bus
 * is there, it can only be tried again. Addresses have no event either; both are asked for at short, growing intervals.
 */
#include "engine/lxd/lxd.h"

#include "lxd_api/exec.h"
#include "lxd_api/websocket.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define OPEN_MS 10000u
#define SHORTEST_MS 5.0
#define LONGEST_MS 40.0
#define AFTER_EVENT_MS 1000.0
#define WORD_BYTES 4096u

struct waiting {
        const struct engine_instance *instance;
        struct lxd_target target;
        double begun, deadline;
        double pause_ms;
};

static void waiting_free(struct waiting *it)
{
        lxd_target_free(&it->target);
}
define_owned(struct waiting, waiting_free)

static double left_ms(const struct waiting *it)
{
        double left = it->deadline - clock_ms();

        return left > 0 ? left : 0;
}

/* Pauses for longer and longer; 1 where there is no time left. */
static int pause_a_little(struct waiting *it)
{
        double left = left_ms(it), pause_ms = it->pause_ms < left ? it->pause_ms : left;

        if (left <= 0)
                return 1;
        const struct timespec pause = {.tv_nsec = (long)(pause_ms * 1e6)};
        (void)nanosleep(&pause, NULL);
        it->pause_ms = it->pause_ms * 1.5 < LONGEST_MS ? it->pause_ms * 1.5 : LONGEST_MS;
        return 0;
}

static int timed_out(const struct waiting *it, const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_BUSY, "instance '%s' did not %s within %.0f ms", it->instance->name, what,
                    clock_ms() - it->begun);
}

static bool is_so(enum engine_state state, bool running)
{
        return running ? state == ENGINE_RUNNING : state == ENGINE_STOPPED;
}

/* 0: it is so; 1: not yet. One that is gone will never run; nor does it any more. */
static int look(struct waiting *it, bool running, struct cowherd_error *err)
{
        return lxd_target_refresh(&it->target, err) < 0 ? -1 : is_so(lxd_state_of(it->target.instance), running) ? 0 : 1;
}

/* Whether an event is about our instance. */
static bool is_ours(const struct waiting *it, const struct websocket_message *message)
{
        owned_json json_t *event = json_loadb(message->bytes, message->length, 0, NULL);
        const char *source = lxd_text(json_object_get(event, "metadata"), "source");
        const char *name = source == NULL ? NULL : strstr(source, "/instances/");
        size_t length = strlen(it->target.name);

        if (name == NULL)
                return false;
        name += strlen("/instances/");
        return strncmp(name, it->target.name, length) == 0 && (name[length] == '\0' || name[length] == '?');
}

/* Asks for a moment after an event, whose state may not be shown yet. */
static int look_closely(struct waiting *it, bool running, struct cowherd_error *err)
{
        double until = clock_ms() + AFTER_EVENT_MS;
        int rc;

        it->pause_ms = SHORTEST_MS;
        while ((rc = look(it, running, err)) == 1 && clock_ms() < until)
                if (pause_a_little(it) != 0)
                        return 1;
        return rc;
}

static int wait_for_state(struct waiting *it, bool running, struct cowherd_error *err)
{
        owned_websocket struct websocket *events = NULL;
        const char *what = running ? "start" : "stop";
        int rc = is_so(lxd_state_of(it->target.instance), running) ? 0 : 1;

        if (rc == 0)
                return 0;
        if (left_ms(it) <= 0)
                return timed_out(it, what, err);
        if (websocket_open(lxd_client_socket(it->target.client), "/1.0/events?type=lifecycle", OPEN_MS, &events, err) < 0)
                return -1;
        rc = look(it, running, err);
        while (rc == 1) {
                struct websocket_message message;
                int got = websocket_wait(events, (uint64_t)left_ms(it), &message, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        return timed_out(it, what, err);
                if (message.kind == WEBSOCKET_CLOSE)
                        return fail(err, COWHERD_UNAVAILABLE, "LXD has ended while '%s' was waited for", it->instance->name);
                if (is_ours(it, &message))
                        rc = look_closely(it, running, err);
        }
        return rc;
}

/* ---- ready ---- */

enum answer { UP, NOT_YET, NO_SYSTEMD };

/* Asks its systemd, and lets it answer when it is up where `patient`. */
static int ask_systemd(struct waiting *it, bool patient, enum answer *ret, struct cowherd_error *err)
{
        static const char *const waits[] = {"systemctl", "is-system-running", "--wait", NULL};
        static const char *const asks[] = {"systemctl", "is-system-running", NULL};
        owned_exec_output struct lxd_exec_output output = {0};
        const struct lxd_exec exec = {.argv = patient ? waits : asks,
                                      .input = -1,
                                      .wake = -1,
                                      .timeout_ms = left_ms(it) < 1 ? 1 : (uint64_t)left_ms(it)};

        if (lxd_exec_collect(it->target.client, it->target.name, &exec, WORD_BYTES, &output, err) < 0)
                return -1;
        owned_str char *said = x_strdup(str_text(&output.out));
        said[strcspn(said, "\n")] = '\0';
        *ret = output.exit_code == 127 || output.exit_code == 126 ? NO_SYSTEMD
               : str_in_words("running degraded maintenance", said) ? UP
               : str_equal(said, "offline") && !lxd_target_has(&it->target, "systemd") ? NO_SYSTEMD
                                                                                        : NOT_YET;
        return 0;
}

static int wait_until_ready(struct waiting *it, struct cowherd_error *err)
{
        it->pause_ms = SHORTEST_MS;
        for (bool patient = left_ms(it) > 0;; patient = !patient) {
                enum answer answer;
                if (ask_systemd(it, patient, &answer, err) < 0) {
                        struct cowherd_error ignored;
                        if (lxd_target_refresh(&it->target, &ignored) == 0 && lxd_state_of(it->target.instance) == ENGINE_RUNNING)
                                return -1;
                        return fail(err, COWHERD_BUSY, "instance '%s' has stopped while it was waited for", it->instance->name);
                }
                if (answer != NOT_YET)
                        return 0;
                if (left_ms(it) <= 0 || (!patient && pause_a_little(it) != 0))
                        return timed_out(it, "get ready", err);
        }
}

/* ---- an address ---- */

/* The first global address of a family among its cards, borrowed, or NULL. */
static const char *global_address(const json_t *state, const char *family)
{
        const char *name;
        json_t *card;

        json_object_foreach(json_object_get(state, "network"), name, card)
        {
                const json_t *addresses = json_object_get(card, "addresses");
                for (size_t i = 0; !str_equal(name, "lo") && i < json_array_size(addresses); i++) {
                        const json_t *address = json_array_get(addresses, i);
                        if (str_equal(lxd_text(address, "family"), family) && str_equal(lxd_text(address, "scope"), "global"))
                                return lxd_text(address, "address");
                }
        }
        return NULL;
}

static bool has_card(const json_t *state)
{
        const char *name;
        json_t *card;

        json_object_foreach(json_object_get(state, "network"), name, card)
        {
                if (!str_equal(name, "lo"))
                        return true;
        }
        return false;
}

/* 0 with an address, 1 without one yet. */
static int ask_address(struct waiting *it, struct engine_waited *ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(it->target.name), *path = x_asprintf("/1.0/instances/%s/state", name);
        owned_json json_t *state = NULL;
        int rc = lxd_get(it->target.client, path, &state, err);

        if (rc != 0 || !str_in_words("running ready", lxd_text(state, "status")))
                return rc < 0 ? -1
                              : fail(err, COWHERD_BUSY, "instance '%s' does not run any more: it will get no address",
                                     it->instance->name);
        if (!has_card(state)) {
                (void)fail(err, COWHERD_UNAVAILABLE, "instance '%s' has no network: it will never have an address", it->instance->name);
                return fail_hint(err, "clone it with network=bridge:NAME, or give LXD's profile a network card");
        }
        const char *address = global_address(state, "inet");
        address = address != NULL ? address : global_address(state, "inet6");
        if (address != NULL)
                (void)snprintf(ret->address, sizeof ret->address, "%s", address);
        return address != NULL ? 0 : 1;
}

static int wait_for_address(struct waiting *it, struct engine_waited *ret, struct cowherd_error *err)
{
        int rc;

        it->pause_ms = SHORTEST_MS;
        while ((rc = ask_address(it, ret, err)) == 1)
                if (pause_a_little(it) != 0)
                        return timed_out(it, "get an address", err);
        return rc;
}

int lxd_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
             struct engine_waited *ret, struct cowherd_error *err)
{
        owned_by(waiting_free) struct waiting it = {.instance = instance, .begun = clock_ms()};
        struct engine_waited waited = {.identity_applied = instance->identity != NULL};

        it.deadline = it.begun + (double)timeout_ms;
        if (lxd_target_find(instance, &it.target, err) < 0)
                return -1;
        if (wait_for_state(&it, what != ENGINE_EVENT_STOPPED, err) < 0)
                return -1;
        engine_phase(&waited.phases, what == ENGINE_EVENT_STOPPED ? "stopped" : "running", clock_ms() - it.begun);
        double began = clock_ms();
        if (what == ENGINE_EVENT_READY) {
                if (wait_until_ready(&it, err) < 0)
                        return -1;
                engine_phase(&waited.phases, "ready", clock_ms() - began);
        } else if (what == ENGINE_EVENT_ADDRESS) {
                if (wait_for_address(&it, &waited, err) < 0)
                        return -1;
                engine_phase(&waited.phases, "address", clock_ms() - began);
        }
        *ret = waited;
        return 0;
}
