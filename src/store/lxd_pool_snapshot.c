/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time, by LXD's own snapshots, so that users of `lxc` see them under the names that they were given. A snapshot's
 * configuration can't be changed, but it is a copy of the instance's: so "ID NAME" is written into the instance just before,
 * and the snapshot that bears both is ours. Later ones, anybody's, bear another name.
 *
 * A name may be taken by one of ours that has lost its own in the catalogue, while something stands on it: then the id is added.
 */
#include "store/lxd_pool.h"

#include <inttypes.h>
#include <string.h>

#define AWAIT_MS 120000u

bool lxd_pool_snapshot_stacks(enum store_role role)
{
        (void)role;
        return false;
}

/* Whether a snapshot, as LXD describes it, is the one of this id. */
static bool is_of_id(const json_t *snapshot, uint64_t id)
{
        owned_str char *mark = x_asprintf("%" PRIu64 " %s", id, lxd_text(snapshot, "name"));

        return str_equal(lxd_text(json_object_get(snapshot, "config"), LXD_TAG_SNAPSHOT), mark);
}

/* Whether it is any of ours. */
static bool is_ours(const json_t *snapshot)
{
        const char *mark = lxd_text(json_object_get(snapshot, "config"), LXD_TAG_SNAPSHOT);

        return mark != NULL && is_of_id(snapshot, strtoull(mark, NULL, 10));
}

/* Among the snapshots of one instance, or 1. */
static int find_in(struct lxd_client *client, const char *instance, uint64_t id, json_t **ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;
        int rc = lxd_snapshot_list(client, instance, &list, err);

        if (rc != 0)
                return rc;
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *snapshot = json_array_get(list, i);
                if (lxd_text(snapshot, "name") == NULL || !is_of_id(snapshot, id))
                        continue;
                *ret = json_incref(snapshot);
                return 0;
        }
        return 1;
}

/* Among those of all the herd's clones, or 1. */
static int find_anywhere(struct lxd_client *client, const struct store_place *place, uint64_t id, char **ret_instance,
                         json_t **ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;

        if (lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *instance = json_array_get(list, i), *config = json_object_get(instance, "config");
                if (!str_equal(lxd_text(config, LXD_TAG_HERD), place->herd_uuid))
                        continue;
                int rc = find_in(client, lxd_text(instance, "name"), id, ret, err);
                if (rc == 0)
                        *ret_instance = x_strdup(lxd_text(instance, "name"));
                if (rc <= 0)
                        return rc;
        }
        return 1;
}

int lxd_pool_find_snapshot(struct lxd_client *client, const struct store_place *place,
                           const struct store_object *snapshot, char **ret_instance, json_t **ret,
                           struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;

        if (snapshot->of == NULL)
                return find_anywhere(client, place, snapshot->id, ret_instance, ret, err);
        int rc = lxd_pool_find(client, place, snapshot->of, &instance, err);
        if (rc != 0)
                return rc;
        rc = find_in(client, lxd_text(instance, "name"), snapshot->id, ret, err);
        if (rc == 0)
                *ret_instance = x_strdup(lxd_text(instance, "name"));
        return rc;
}

/* ---- taking one ---- */

/* The name it gets in LXD, to be freed: 73 where somebody else has that one. */
static int choose_name(struct lxd_client *client, const char *instance, const struct store_object *made, char **ret,
                       struct cowherd_error *err)
{
        owned_str char *name = made->name != NULL ? x_strdup(made->name) : x_asprintf("cowherd-%" PRIu64, made->id);
        owned_json json_t *there = NULL;
        int rc = lxd_snapshot_get(client, instance, name, &there, err);

        if (rc < 0)
                return -1;
        if (rc == 0 && !is_ours(there)) {
                (void)fail(err, COWHERD_EXISTS, "a snapshot '%s' of '%s' already exists in LXD, and is not this herd's", name, instance);
                return fail_hint(err, "choose another name; 'lxc info %s' shows it", instance);
        }
        *ret = rc > 0 ? take(name) : x_asprintf("%s-%" PRIu64, name, made->id);
        return 0;
}

static int mark(struct lxd_client *client, const char *instance, uint64_t id, const char *name, struct cowherd_error *err)
{
        owned_str char *text = x_asprintf("%" PRIu64 " %s", id, name);
        owned_json json_t *config = json_pack("{s:s}", LXD_TAG_SNAPSHOT, text);

        return lxd_instance_configure(client, instance, config, err);
}

static int find_clone(struct lxd_client *client, const struct store_place *place, const struct store_object *clone,
                      json_t **ret, struct cowherd_error *err)
{
        int rc = lxd_pool_find(client, place, clone, ret, err);

        return rc <= 0 ? rc : fail(err, COWHERD_NOT_FOUND, "clone '%s' was not found in LXD: it is gone", clone->name);
}

int lxd_pool_snapshot(const struct store_place *place, const struct store_object *clone,
                      const struct store_object *made, struct cowherd_error *err)
{
        owned_json json_t *instance = NULL, *there = NULL;
        owned_str char *name = NULL;
        struct lxd_client *client = NULL;

        if (made->role == STORE_BASE)
                return lxd_pool_promote(place, clone, made, err);
        if (lxd_client_get(&client, err) < 0 || find_clone(client, place, clone, &instance, err) < 0)
                return -1;
        const char *of = lxd_text(instance, "name");
        /* What a command that was killed had LXD begin is whole or gone before it is looked for. */
        if (lxd_await_instance(client, of, AWAIT_MS, err) < 0)
                return -1;
        int rc = find_in(client, of, made->id, &there, err);
        if (rc <= 0)
                return rc;
        if (choose_name(client, of, made, &name, err) < 0 || mark(client, of, made->id, name, err) < 0)
                return -1;
        if (lxd_instance_snapshot(client, of, name, err) < 0)
                return fail_while(err, "taking snapshot '%s' of '%s'", name, of);
        return 0;
}

/* ---- going back to one ---- */

/*
 * The clone's instance. Its configuration comes back with the snapshot, its name in its tag as well, which may be one that
 * it had before: so where that was cut short it is known by the snapshot that it has.
 */
static int find_restored(struct lxd_client *client, const struct store_place *place, const struct store_object *clone,
                         const struct store_object *snapshot, json_t **ret, struct cowherd_error *err)
{
        owned_json json_t *instance = NULL, *there = NULL;
        int rc = lxd_pool_find(client, place, clone, ret, err);

        if (rc <= 0)
                return rc;
        rc = lxd_instance_get(client, clone->name, &instance, err);
        if (rc == 0)
                rc = find_in(client, clone->name, snapshot->id, &there, err);
        if (rc < 0)
                return -1;
        const json_t *config = json_object_get(instance, "config");
        if (rc > 0 || !str_equal(lxd_text(config, LXD_TAG_HERD), place->herd_uuid))
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' was not found in LXD: it is gone", clone->name);
        *ret = take(instance);
        return 0;
}

static int check_stopped(const json_t *instance, struct cowherd_error *err)
{
        if (str_equal(lxd_text(instance, "status"), "Stopped"))
                return 0;
        (void)fail(err, COWHERD_BUSY, "clone '%s' runs: what it is can be replaced only while it is stopped",
                   lxd_text(instance, "name"));
        return fail_hint(err, "stop it first");
}

int lxd_pool_restore(const struct store_place *place, const struct store_object *clone,
                     const struct store_object *snapshot, struct cowherd_error *err)
{
        owned_json json_t *instance = NULL, *from = NULL, *config = json_object();
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 || find_restored(client, place, clone, snapshot, &instance, err) < 0)
                return -1;
        const char *name = lxd_text(instance, "name");
        if (lxd_await_instance(client, name, AWAIT_MS, err) < 0 || check_stopped(instance, err) < 0)
                return -1;
        int rc = find_in(client, name, snapshot->id, &from, err);
        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "snapshot '%s' of '%s' was not found in LXD: it is gone",
                                     snapshot->name, name);
        if (lxd_snapshot_restore(client, name, lxd_text(from, "name"), err) < 0)
                return fail_while(err, "restoring '%s' to snapshot '%s'", name, lxd_text(from, "name"));
        const struct lxd_tags tags = lxd_pool_tags(place, clone, name);
        lxd_tags_set(&tags, config);
        return lxd_instance_configure(client, name, config, err);
}

/* ---- and no more of it ---- */

int lxd_pool_destroy_snapshot(const struct store_place *place, const struct store_object *snapshot,
                              struct cowherd_error *err)
{
        owned_json json_t *there = NULL;
        owned_str char *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 ||
            (snapshot->of != NULL && snapshot->of->name != NULL && lxd_await_instance(client, snapshot->of->name, AWAIT_MS, err) < 0))
                return -1;
        int rc = lxd_pool_find_snapshot(client, place, snapshot, &instance, &there, err);
        if (rc != 0)
                return rc < 0 ? -1 : 0;
        return lxd_snapshot_delete(client, instance, lxd_text(there, "name"), err);
}

/* The ids of those of one instance. */
static int list_of(struct lxd_client *client, const char *instance, struct strv *ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;

        if (lxd_snapshot_list(client, instance, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *snapshot = json_array_get(list, i);
                const char *text = lxd_text(json_object_get(snapshot, "config"), LXD_TAG_SNAPSHOT);
                if (text == NULL || lxd_text(snapshot, "name") == NULL || !is_ours(snapshot))
                        continue;
                owned_str char *id = x_strndup(text, strcspn(text, " "));
                strv_add(ret, id);
        }
        return 0;
}

int lxd_pool_list_snapshots(const struct store_place *place, struct strv *ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 || lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *instance = json_array_get(list, i), *config = json_object_get(instance, "config");
                bool is_clone = str_equal(lxd_text(config, LXD_TAG_HERD), place->herd_uuid) &&
                                str_equal(lxd_text(config, LXD_TAG_ROLE), "clone");
                if (is_clone && list_of(client, lxd_text(instance, "name"), ret, err) < 0)
                        return -1;
        }
        return 0;
}
