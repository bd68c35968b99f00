/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the herd's instance to LXD's. The name alone proves nothing: anybody may have deleted ours and made another of that
 * name, so all tags must match (lxd_api/instance.h).
 */
#include "engine/lxd/lxd.h"

void lxd_target_free(struct lxd_target *target)
{
        json_decref(target->instance);
        *target = (struct lxd_target){0};
}

enum engine_state lxd_state_of(const json_t *instance)
{
        static const struct {
                const char *status;
                enum engine_state state;
        } states[] = {
                {"Stopped", ENGINE_STOPPED},  {"Running", ENGINE_RUNNING},  {"Ready", ENGINE_RUNNING},
                {"Frozen", ENGINE_PAUSED},    {"Freezing", ENGINE_PAUSED},  {"Thawed", ENGINE_RUNNING},
                {"Stopping", ENGINE_RUNNING}, {"Starting", ENGINE_RUNNING},
        };
        const char *status = lxd_text(instance, "status");

        for (size_t i = 0; i < array_length(states); i++)
                if (str_equal_case(states[i].status, status))
                        return states[i].state;
        return ENGINE_UNKNOWN;
}

/* By its tags among all there are, or 1. */
static int find_by_tags(struct lxd_client *client, const struct lxd_tags *tags, json_t **ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;

        if (lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                if (!lxd_tags_match(tags, json_array_get(list, i)))
                        continue;
                *ret = json_incref(json_array_get(list, i));
                return 0;
        }
        return 1;
}

int lxd_target_find(const struct engine_instance *instance, struct lxd_target *ret, struct cowherd_error *err)
{
        const struct lxd_tags tags = {.herd = instance->herd_uuid, .id = instance->id, .role = "clone", .taken = instance->name};
        owned_json json_t *found = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = lxd_instance_get(client, instance->name, &found, err);
        if (rc == 0 && !lxd_tags_match(&tags, found)) {
                json_decref(take(found));
                rc = 1;
        }
        if (rc == 1 && instance->herd_uuid != NULL)
                rc = find_by_tags(client, &tags, &found, err);
        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "instance '%s' was not found in LXD: it is gone",
                                     instance->name);
        *ret = (struct lxd_target){.client = client, .instance = take(found)};
        ret->name = lxd_text(ret->instance, "name");
        return 0;
}

int lxd_target_refresh(struct lxd_target *target, struct cowherd_error *err)
{
        owned_json json_t *found = NULL;
        int rc = lxd_instance_get(target->client, target->name, &found, err);

        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "instance '%s' was not found in LXD: it is gone",
                                     target->name);
        json_decref(target->instance);
        target->instance = take(found);
        target->name = lxd_text(target->instance, "name");
        return 0;
}

int lxd_target_running(const struct engine_instance *instance, struct lxd_target *ret, struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};

        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        enum engine_state state = lxd_state_of(target.instance);
        if (state != ENGINE_RUNNING) {
                (void)fail(err, COWHERD_BUSY, "instance '%s' is %s: it must run for that", instance->name,
                           state == ENGINE_PAUSED ? "paused" : "not running");
                return fail_hint(err, state == ENGINE_PAUSED ? "resume it first" : "start it first");
        }
        *ret = target;
        target = (struct lxd_target){0};
        return 0;
}

bool lxd_target_has(const struct lxd_target *target, const char *word)
{
        return str_in_words(lxd_text(json_object_get(target->instance, "config"), LXD_TAG_GUEST), word);
}
