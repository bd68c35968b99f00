/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and checking, of a base by the one snapshot that its clones are made of, and of a snapshot by itself. LXD never
 * changes a snapshot; so what has to be seen is whether it is still the same one.
 */
#include "store/lxd_pool.h"

/*
 * What changes where the snapshot is replaced: when it was made, to the nanosecond, and the instance's UUID in it. Its
 * profiles follow, escaped and apart by commas: a clone names them in its request, and need not ask LXD for them.
 */
static char *fingerprint_of(const json_t *snapshot)
{
        const char *made = lxd_text(snapshot, "created_at"),
                   *uuid = lxd_text(json_object_get(snapshot, "config"), "volatile.uuid");
        const json_t *profiles = json_object_get(snapshot, "profiles");
        struct str text = {0};

        str_addf(&text, "%s %s ", made != NULL ? made : "-", uuid != NULL ? uuid : "-");
        for (size_t i = 0; i < json_array_size(profiles); i++) {
                const char *name = json_string_value(json_array_get(profiles, i));
                owned_str char *escaped = lxd_escape(name != NULL ? name : "");
                str_addf(&text, "%s%s", i > 0 ? "," : "", escaped);
        }
        return str_take(&text);
}

/* Set after the snapshot, so that no clone inherits it: nothing starts a base, and `lxc delete` refuses. */
static int protect(struct lxd_client *client, const char *name, struct cowherd_error *err)
{
        owned_json json_t *config =
                json_pack("{s:s, s:s}", "boot.autostart", "false", "security.protection.delete", "true");

        return lxd_instance_configure(client, name, config, err);
}

/* The snapshot of a base, or the snapshot itself, and its place in LXD for messages; 1 where there is none. */
static int find(struct lxd_client *client, const struct store_place *place, const struct store_object *object,
                json_t **ret, struct cowherd_error *err)
{
        owned_str char *name = NULL;

        if (object->role == STORE_SNAPSHOT)
                return lxd_pool_find_snapshot(client, place, object, &name, ret, err);
        name = lxd_pool_base_name(place->herd_uuid, object->id);
        return lxd_snapshot_get(client, name, LXD_POOL_SNAPSHOT, ret, err);
}

static int seal_base(struct lxd_client *client, const struct store_place *place, const struct store_object *base,
                     json_t **ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_pool_base_name(place->herd_uuid, base->id);
        int rc = find(client, place, base, ret, err);

        if (rc > 0) {
                if (lxd_instance_snapshot(client, name, LXD_POOL_SNAPSHOT, err) < 0)
                        return -1;
                rc = find(client, place, base, ret, err);
        }
        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_SYSTEM, "LXD does not show the snapshot it has made of '%s'", name);
        return protect(client, name, err);
}

int lxd_pool_seal(const struct store_place *place, const struct store_object *object, char **ret_fingerprint,
                  struct cowherd_error *err)
{
        owned_json json_t *snapshot = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        if (object->role == STORE_SNAPSHOT) {
                int rc = find(client, place, object, &snapshot, err);
                if (rc != 0)
                        return rc < 0 ? -1 : fail(err, COWHERD_NOT_FOUND, "LXD has no such snapshot any more");
        } else if (seal_base(client, place, object, &snapshot, err) < 0) {
                return fail_while(err, "sealing base '%s'", object->name);
        }
        *ret_fingerprint = fingerprint_of(snapshot);
        return 0;
}

int lxd_pool_check(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        const char *what = object->role == STORE_SNAPSHOT ? "snapshot" : "base",
                   *name = object->name != NULL ? object->name : "";
        owned_json json_t *snapshot = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = find(client, place, object, &snapshot, err);
        if (rc < 0)
                return -1;
        if (rc > 0)
                return fail(err, COWHERD_DATA, "%s '%s' was removed behind our back: LXD has it no more", what, name);
        owned_str char *fingerprint = fingerprint_of(snapshot);
        if (object->fingerprint != NULL && !str_equal(object->fingerprint, fingerprint))
                return fail(err, COWHERD_DATA, "%s '%s' was changed: what LXD has in its place is another one now", what, name);
        return 0;
}
