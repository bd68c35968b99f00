/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping, pausing, and what is left. LXD keeps no trace of a stopped instance that is not its own, so tidying is waiting:
 * what a command that was killed had LXD begin is ended before anything else is done to the instance.
 */
#include "engine/lxd/lxd.h"

#include "sys/clock.h"

#include <string.h>

#define CHANGE_MS 120000u
#define TIDY_MS 60000u
#define MARGIN_MS 30000u /* beyond the timeout that LXD itself keeps */

static int change(const struct lxd_target *target, const char *action, long timeout_s, bool force, struct cowherd_error *err)
{
        const struct lxd_patience patience = {.quiet_ms = timeout_s > 0 ? (uint64_t)timeout_s * 1000 + MARGIN_MS : CHANGE_MS};
        owned_str char *name = lxd_escape(target->name), *path = x_asprintf("/1.0/instances/%s/state", name);
        owned_json json_t *body = json_pack("{s:s, s:I, s:b}", "action", action, "timeout", (json_int_t)timeout_s, "force", force);

        return lxd_do(target->client, "PUT", path, body, &patience, err);
}

/* Whether it has stopped by now, whatever LXD said; -1 where that can't be asked. */
static int has_stopped(struct lxd_target *target, struct cowherd_error *err)
{
        if (lxd_target_refresh(target, err) < 0)
                return -1;
        return lxd_state_of(target->instance) == ENGINE_STOPPED;
}

/* Asks the guest and waits, in whole seconds as LXD has them. 1 where it would not. */
static int ask(struct lxd_target *target, uint64_t timeout_ms, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (change(target, "stop", (long)((timeout_ms + 999) / 1000), false, &why) == 0)
                return 0;
        int rc = has_stopped(target, err);
        return rc < 0 ? -1 : rc > 0 ? 0 : 1;
}

int lxd_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
             struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};

        *ret_forced = false;
        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        if (lxd_state_of(target.instance) == ENGINE_STOPPED)
                return lxd_tidy(instance, err);
        if (!force && timeout_ms > 0) {
                int rc = ask(&target, timeout_ms, err);
                if (rc <= 0)
                        return rc < 0 ? -1 : lxd_tidy(instance, err);
        }
        if (lxd_instance_change(target.client, target.name, "stop", err) < 0) {
                struct cowherd_error ignored;
                if (has_stopped(&target, &ignored) != 1)
                        return fail_while(err, "stopping '%s'", instance->name);
        }
        *ret_forced = true;
        return lxd_tidy(instance, err);
}

/* To a state, which it may have already. */
static int freeze(const struct engine_instance *instance, const char *action, enum engine_state wanted,
                  struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};

        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        enum engine_state state = lxd_state_of(target.instance);
        if (state == wanted)
                return 0;
        if (state != ENGINE_RUNNING && state != ENGINE_PAUSED) {
                (void)fail(err, COWHERD_BUSY, "instance '%s' does not run", instance->name);
                return fail_hint(err, "start it first");
        }
        if (change(&target, action, 0, false, err) < 0)
                return fail_while(err, wanted == ENGINE_PAUSED ? "pausing '%s'" : "resuming '%s'", instance->name);
        return 0;
}

int lxd_pause(const struct engine_instance *instance, struct cowherd_error *err)
{
        return freeze(instance, "freeze", ENGINE_PAUSED, err);
}

int lxd_resume(const struct engine_instance *instance, struct cowherd_error *err)
{
        return freeze(instance, "unfreeze", ENGINE_RUNNING, err);
}

int lxd_tidy(const struct engine_instance *instance, struct cowherd_error *err)
{
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        return lxd_await_instance(client, instance->name, TIDY_MS, err);
}
