/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A base made of a clone: LXD copies the clone, running or not, at one point in time; what made the clone the machine it was is
 * taken off the copy; then it is sealed as an imported base is. Its owners are shifted already, as the clone has run or its base
 * has, so its clones start as fast as any.
 *
 * Until it is clean the copy bears no mark of that. One without, left by a command that was killed, is made again.
 */
#include "lxd_api/neutral.h"
#include "store/lxd_pool.h"

#include <string.h>

#define COPY_QUIET_MS 300000u
#define AWAIT_MS 120000u
#define OWN_PREFIX "cowherd-" /* of devices that the engine adds */

/* Keys that a start has set for one machine. */
static bool is_of_machine(const char *key)
{
        static const char *const keys[] = {
                "limits.memory",   "limits.cpu",     "environment.container_uuid", "cloud-init.user-data",
                "user.user-data",  "user.meta-data", LXD_TAG_SNAPSHOT,             LXD_TAG_CARDS,
        };

        for (size_t i = 0; i < array_length(keys); i++)
                if (str_equal(key, keys[i]))
                        return true;
        return str_starts(key, "volatile.") && str_ends(key, ".hwaddr");
}

int lxd_pool_clean(struct lxd_client *client, const char *name, const json_t *more, struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = LXD_REQUEST_MS};
        owned_str char *path = lxd_pool_path("instances", name);
        owned_json json_t *instance = NULL, *config = json_object(), *devices = json_object();
        const char *key;
        json_t *value;
        int rc = lxd_instance_get(client, name, &instance, err);

        if (rc != 0)
                return rc < 0 ? -1 : fail(err, COWHERD_NOT_FOUND, "LXD does not show '%s', which it has just made", name);
        const char *cards = lxd_text(json_object_get(instance, "config"), LXD_TAG_CARDS);
        json_object_foreach(json_object_get(instance, "config"), key, value)
        {
                if (!is_of_machine(key))
                        (void)json_object_set(config, key, value);
        }
        json_object_foreach(json_object_get(instance, "devices"), key, value)
        {
                if (!str_starts(key, OWN_PREFIX) && !str_in_words(cards, key))
                        (void)json_object_set(devices, key, value);
        }
        if (more != NULL)
                (void)json_object_update(config, (json_t *)(uintptr_t)more);
        (void)json_object_set(instance, "config", config);
        (void)json_object_set(instance, "devices", devices);
        return lxd_do(client, "PUT", path, instance, &patience, err);
}

/* Copies the clone's instance under the base's name and tags. */
static int copy(struct lxd_client *client, const struct store_place *place, const struct store_object *made,
                const json_t *clone, const char *name, struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = COPY_QUIET_MS};
        const struct lxd_tags tags = lxd_pool_tags(place, made, name);
        owned_json json_t *config = json_object();

        lxd_tags_set(&tags, config);
        (void)json_object_set_new(config, LXD_TAG_NEUTRAL, json_string(""));
        owned_json json_t *body = json_pack("{s:s, s:O, s:O, s:{s:s, s:s, s:b}}", "name", name, "profiles",
                                            json_object_get(clone, "profiles"), "config", config, "source", "type",
                                            "copy", "source", lxd_text(clone, "name"), "instance_only", 1);
        if (body == NULL)
                return fail(err, COWHERD_INTERNAL, "the request for base '%s' can't be written", made->name);
        return lxd_instance_create(client, body, &patience, err);
}

static int neutralise(struct lxd_client *client, const char *name, struct cowherd_error *err)
{
        owned_neutral struct lxd_neutral found = {0};
        owned_json json_t *config = json_object();

        if (lxd_neutralise(client, name, &found, err) < 0)
                return -1;
        lxd_neutral_set(&found, config);
        return lxd_pool_clean(client, name, config, err);
}

/* What an earlier call has left: 0 where it is whole, 1 where there is nothing (any more). */
static int look(struct lxd_client *client, const struct store_place *place, const struct store_object *made,
                const char *name, struct cowherd_error *err)
{
        owned_json json_t *there = NULL;

        if (lxd_await_instance(client, name, AWAIT_MS, err) < 0)
                return -1;
        int rc = lxd_pool_find(client, place, made, &there, err);
        if (rc != 0)
                return rc;
        if (str_equal(lxd_text(json_object_get(there, "config"), LXD_TAG_NEUTRAL), "true"))
                return 0;
        return lxd_pool_destroy(place, made, err) < 0 ? -1 : 1;
}

int lxd_pool_promote(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                     struct cowherd_error *err)
{
        owned_str char *name = lxd_pool_base_name(place->herd_uuid, made->id);
        owned_json json_t *instance = NULL;
        struct lxd_client *client = NULL;
        struct cowherd_error ignored;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = look(client, place, made, name, err);
        if (rc <= 0)
                return rc;
        rc = lxd_pool_find(client, place, clone, &instance, err);
        if (rc != 0)
                return rc < 0 ? -1 : fail(err, COWHERD_NOT_FOUND, "clone '%s' was not found in LXD: it is gone", clone->name);
        if (copy(client, place, made, instance, name, err) == 0 && neutralise(client, name, err) == 0)
                return 0;
        ignore_result(lxd_pool_destroy(place, made, &ignored)); /* cleanup finds what it leaves by its tags */
        return fail_while(err, "making base '%s' of clone '%s'", made->name, clone->name);
}
