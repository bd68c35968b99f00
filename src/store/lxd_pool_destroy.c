/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking an object out of LXD. Whoever calls this owns the object; but LXD may still be at work on it for a command
 * that was killed, so what bears its name is awaited first, cancelled where it can be. Only an instance with all our
 * tags and its own name is touched: what else bears the name is somebody else's, so ours is gone, which is success.
 */
#include "lxd_api/image.h"
#include "store/lxd_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define AWAIT_MS 60000u
#define LONGEST_PAUSE_MS 6400L

/* A base may be caught in its one boot, and is then stopped; what runs of the user's stays. */
static int stop_base(struct lxd_client *client, const struct store_object *object, const json_t *instance,
                     struct cowherd_error *err)
{
        const char *name = lxd_text(instance, "name"), *status = lxd_text(instance, "status");

        if (str_equal(status, "Stopped") || str_equal(status, "Error"))
                return 0;
        if (object->role == STORE_BASE)
                return lxd_instance_change(client, name, "stop", err);
        (void)fail(err, COWHERD_BUSY, "clone '%s' is in use: LXD says it is %s", name,
                   status != NULL ? status : "in an unknown state");
        return fail_hint(err, "stop it first");
}

static int unprotect(struct lxd_client *client, const json_t *instance, struct cowherd_error *err)
{
        owned_json json_t *config = json_pack("{s:s}", "security.protection.delete", "");

        if (!str_equal(lxd_text(json_object_get(instance, "config"), "security.protection.delete"), "true"))
                return 0;
        return lxd_instance_configure(client, lxd_text(instance, "name"), config, err);
}

/*
 * Deletes it. What stopped, or failed to start, a moment ago is still being tidied up by LXD, which says that it is
 * busy; no operation shows that, and no request waits for it. So, in this one case, it is asked again after a pause.
 */
static int delete (struct lxd_client *client, const char *name, struct cowherd_error *err)
{
        struct cowherd_error why;

        for (long pause_ms = 25; lxd_instance_delete(client, name, &why) < 0; pause_ms *= 2) {
                if (strstr(why.text, "is busy running") == NULL || pause_ms > LONGEST_PAUSE_MS) {
                        *err = why;
                        return -1;
                }
                const struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

/* The image that an import uploads is deleted by it; one that was killed leaves it behind. */
static int delete_image(struct lxd_client *client, const struct store_place *place, const struct store_object *base,
                        struct cowherd_error *err)
{
        char id[24];
        const char *const properties[][2] = {{LXD_TAG_HERD, place->herd_uuid}, {LXD_TAG_ID, id}};

        (void)snprintf(id, sizeof id, "%" PRIu64, base->id);
        if (lxd_await_uploads(client, AWAIT_MS, err) < 0)
                return -1;
        return lxd_image_delete_marked(client, properties, array_length(properties), err);
}

int lxd_pool_destroy(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        if (object->role == STORE_SNAPSHOT)
                return lxd_pool_destroy_snapshot(place, object, err);
        owned_str char *name = lxd_pool_name(place, object);
        owned_str char *warm = object->role == STORE_CLONE ? lxd_warm_name(place->herd_uuid, object->id) : NULL;
        owned_json json_t *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 || (name != NULL && lxd_await_either(client, name, warm, AWAIT_MS, err) < 0))
                return -1;
        int rc = lxd_pool_find(client, place, object, &instance, err);
        if (rc < 0)
                return -1;
        if (rc == 0) {
                if (stop_base(client, object, instance, err) < 0 || unprotect(client, instance, err) < 0)
                        return -1;
                if (delete (client, lxd_text(instance, "name"), err) < 0)
                        return -1;
        }
        return object->role == STORE_BASE ? delete_image(client, place, object, err) : 0;
}

int lxd_pool_list_ids(const struct store_place *place, enum store_role role, struct strv *ret,
                      struct cowherd_error *err)
{
        owned_json json_t *list = NULL;
        struct lxd_client *client = NULL;

        if (role == STORE_SNAPSHOT)
                return lxd_pool_list_snapshots(place, ret, err);
        if (lxd_client_get(&client, err) < 0 || lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *instance = json_array_get(list, i);
                const char *id = lxd_text(json_object_get(instance, "config"), LXD_TAG_ID);
                struct store_object object = {.id = id != NULL ? strtoull(id, NULL, 10) : 0, .role = role};
                const struct lxd_tags tags = lxd_pool_tags(place, &object, NULL);
                if (lxd_tags_match(&tags, instance))
                        strv_add(ret, id);
        }
        return 0;
}
