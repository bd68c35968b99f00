/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LXD and Incus as an engine: is the daemon there, and what do its instances do? By REST (lxd_api). One request lists
 * all instances, at 1-2 ms and 0.3-0.7 ms for each there is; asking for one by its name costs 2.5 ms, so that is done
 * for one or two.
 */
#include "engine/lxd/lxd.h"

#include <stdio.h>
#include <string.h>

#define ONE_BY_ONE 2u
#define KIND_INSTANCE 4u /* enum store_kind's STORE_INSTANCE */

static void copy_text(char *buffer, size_t bytes, const char *text)
{
        (void)snprintf(buffer, bytes, "%.*s", (int)bytes - 1, text != NULL ? text : "");
}

static int lxd_probe(struct engine_probe *ret, struct cowherd_error *err)
{
        owned_json json_t *server = NULL;
        struct lxd_client *client = NULL;
        struct cowherd_error why;

        (void)err;
        *ret = (struct engine_probe){0};
        if (lxd_client_get(&client, &why) < 0 || lxd_get(client, "/1.0", &server, &why) < 0) {
                copy_text(ret->reason, sizeof ret->reason, why.text);
                copy_text(ret->hint, sizeof ret->hint, why.hint);
                return 0;
        }
        const char *version = lxd_text(json_object_get(server, "environment"), "server_version");
        if (version == NULL || !str_equal(lxd_text(server, "auth"), "trusted")) {
                (void)snprintf(ret->reason, sizeof ret->reason, "LXD on '%.150s' does not trust this user",
                               lxd_client_socket(client));
                copy_text(ret->hint, sizeof ret->hint, "run this as root");
                return 0;
        }
        ret->available = true;
        copy_text(ret->version, sizeof ret->version, version);
        return 0;
}

/* The state of the instance that LXD has under that name; another's means that ours is gone. */
static enum engine_state judge(const struct engine_instance *wanted, const json_t *instance)
{
        const struct lxd_tags clone = {.herd = wanted->herd_uuid, .id = wanted->id, .role = "clone", .taken = wanted->name};

        return instance != NULL && lxd_tags_match(&clone, instance) ? lxd_state_of(instance) : ENGINE_MISSING;
}

static int ask_each(struct lxd_client *client, const struct engine_instance *instances, size_t count,
                    enum engine_state *ret, struct cowherd_error *err)
{
        for (size_t i = 0; i < count; i++) {
                owned_json json_t *found = NULL;
                if (lxd_instance_get(client, instances[i].name, &found, err) < 0)
                        return -1;
                ret[i] = judge(&instances[i], found);
        }
        return 0;
}

/* The state of an instance that bears another name: its rename is under way, or was cut short. */
static enum engine_state find_renamed(const struct engine_instance *wanted, const json_t *list)
{
        enum engine_state state = ENGINE_MISSING;

        for (size_t i = 0; wanted->herd_uuid != NULL && state == ENGINE_MISSING && i < json_array_size(list); i++)
                state = judge(wanted, json_array_get(list, i));
        return state;
}

static int ask_all(struct lxd_client *client, const struct engine_instance *instances, size_t count,
                   enum engine_state *ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL, *by_name = json_object();

        if (lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *instance = json_array_get(list, i);
                if (lxd_text(instance, "name") != NULL)
                        (void)json_object_set(by_name, lxd_text(instance, "name"), instance);
        }
        for (size_t i = 0; i < count; i++) {
                ret[i] = judge(&instances[i], json_object_get(by_name, instances[i].name));
                if (ret[i] == ENGINE_MISSING)
                        ret[i] = find_renamed(&instances[i], list);
        }
        return 0;
}

static bool has_missing(const enum engine_state *states, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (states[i] == ENGINE_MISSING)
                        return true;
        return false;
}

static int lxd_states(const struct engine_instance *instances, size_t count, enum engine_state *ret,
                      struct cowherd_error *err)
{
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        if (count > ONE_BY_ONE)
                return ask_all(client, instances, count, ret, err);
        if (ask_each(client, instances, count, ret, err) < 0)
                return -1;
        return has_missing(ret, count) ? ask_all(client, instances, count, ret, err) : 0;
}

extern const struct engine_driver cowherd_engine_lxd;
__attribute__((visibility("default"))) const struct engine_driver cowherd_engine_lxd = {
        .name = "lxd",
        .target = COWHERD_LXD,
        .kinds = KIND_INSTANCE,
        .default_stores = "lxd_pool",
        .runtime = "lxd",
        .probe = lxd_probe,
        .states = lxd_states,
        .check = lxd_check,
        .start = lxd_start,
        .stop = lxd_stop,
        .pause = lxd_pause,
        .resume = lxd_resume,
        .wait = lxd_wait,
        .execute = lxd_execute,
        .attach = lxd_attach,
        .copy_in = lxd_copy_in,
        .copy_out = lxd_copy_out,
        .logs = lxd_logs,
        .tidy = lxd_tidy,
};
