/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LXD's storage pool as a store: its clone *is* the instance, an LXD copy of a base's snapshot, which shares its blocks
 * where the pool can (btrfs, zfs, thin lvm, ceph). By REST on the Unix socket (lxd_api); no `lxc` process, no sleep.
 *
 * A base is an instance that no one starts, named by the herd and its id, with one snapshot. LXD shifts the owners of a
 * root filesystem at its first start, which takes a second and unshares all metadata; so a base is started once when it
 * is imported, and its clones find the work done. A clone bears its own name in LXD, as users of `lxc` expect.
 *
 * A copy keeps profiles only where they are named in the request: without them LXD finds no root disk. Asking for those
 * of the snapshot costs 4-9 ms (LXD looks at its disk for it), so they are kept in the base's fingerprint.
 */
#include "store/lxd_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CLONE_QUIET_MS 300000u
#define PARALLEL 4 /* LXD's own locks let two to four copies overlap; more only wait */

static const char *role_name(enum store_role role)
{
        return role == STORE_BASE ? "base" : "clone";
}

char *lxd_pool_base_name(const char *herd_uuid, uint64_t id)
{
        return x_asprintf("cowherd-%.8s-b%" PRIu64, herd_uuid, id);
}

char *lxd_pool_name(const struct store_place *place, const struct store_object *object)
{
        if (object->role == STORE_BASE)
                return lxd_pool_base_name(place->herd_uuid, object->id);
        return object->name != NULL || object->role != STORE_CLONE ? x_strdup(object->name) : lxd_warm_name(place->herd_uuid, object->id);
}

struct lxd_tags lxd_pool_tags(const struct store_place *place, const struct store_object *object, const char *name)
{
        return (struct lxd_tags){
                .herd = place->herd_uuid, .id = object->id, .role = role_name(object->role), .name = name,
                .taken = object->role == STORE_CLONE ? name : NULL};
}

static int find_by_tags(struct lxd_client *client, const struct lxd_tags *tags, json_t **ret, struct cowherd_error *err)
{
        owned_json json_t *list = NULL;

        if (lxd_instance_list(client, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *instance = json_array_get(list, i);
                if (!lxd_tags_match(tags, instance))
                        continue;
                *ret = json_incref(instance);
                return 0;
        }
        return 1;
}

int lxd_pool_find(struct lxd_client *client, const struct store_place *place, const struct store_object *object,
                  json_t **ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_pool_name(place, object);
        const struct lxd_tags tags = lxd_pool_tags(place, object, name);
        owned_json json_t *instance = NULL;

        if (name != NULL) {
                int rc = lxd_instance_get(client, name, &instance, err);
                if (rc < 0)
                        return -1;
                if (rc == 0 && lxd_tags_match(&tags, instance)) {
                        *ret = take(instance);
                        return 0;
                }
        }
        return object->role == STORE_BASE ? 1 : find_by_tags(client, &tags, ret, err);
}

/* The two characters after a '%' as the byte they stand for. */
static char unescaped(const char *digits)
{
        const char text[3] = {digits[0], digits[0] != '\0' ? digits[1] : '\0', '\0'};

        return (char)strtoul(text, NULL, 16);
}

/* The profiles in a base's fingerprint (lxd_pool_seal), or NULL where it tells none. */
static json_t *profiles_of_fingerprint(const char *fingerprint)
{
        const char *at = fingerprint != NULL ? strrchr(fingerprint, ' ') : NULL;

        if (at == NULL)
                return NULL;
        json_t *profiles = json_array();
        for (at++; *at != '\0'; at += *at == ',') {
                owned_string struct str name = {0};
                for (; *at != '\0' && *at != ','; at += *at == '%' && at[1] != '\0' && at[2] != '\0' ? 3 : 1)
                        str_add_char(&name, *at == '%' ? unescaped(at + 1) : *at);
                (void)json_array_append_new(profiles, json_string(str_text(&name)));
        }
        return profiles;
}

/* The snapshot that a clone is a copy of, and its profiles. */
static int find_source(struct lxd_client *client, const struct store_place *place, const struct store_object *from,
                       char **ret_source, json_t **ret_profiles, struct cowherd_error *err)
{
        owned_json json_t *found = NULL, *profiles = profiles_of_fingerprint(from->fingerprint);
        owned_str char *name = NULL;
        int rc = 0;

        if (from->role == STORE_SNAPSHOT) {
                rc = lxd_pool_find_snapshot(client, place, from, &name, &found, err);
        } else {
                name = lxd_pool_base_name(place->herd_uuid, from->id);
                if (profiles == NULL)
                        rc = lxd_snapshot_get(client, name, LXD_POOL_SNAPSHOT, &found, err);
        }
        if (rc < 0)
                return -1;
        if (rc > 0)
                return fail(err, COWHERD_NOT_FOUND, "what '%s' stands on was not found in LXD: it is gone",
                            from->name != NULL ? from->name : "the clone");
        *ret_source = x_asprintf("%s/%s", name, from->role == STORE_SNAPSHOT ? lxd_text(found, "name") : LXD_POOL_SNAPSHOT);
        *ret_profiles = found != NULL ? json_incref(json_object_get(found, "profiles")) : take(profiles);
        return 0;
}

/* disk_size=: the root disk as its source has it, with a size. Pools of folders can keep none. */
static int sized_root(struct lxd_client *client, const struct store_place *place, const struct store_object *clone,
                      json_t *devices, struct cowherd_error *err)
{
        owned_choice struct lxd_pool_choice choice = {0};
        int rc = lxd_pool_choose(client, place->source, place->herd_uuid, &choice, err);

        if (rc != 0)
                return rc < 0 ? -1 : fail(err, COWHERD_UNAVAILABLE, "LXD has no storage pool for '%s'", clone->name);
        if (!lxd_pool_driver_shares(choice.driver))
                return fail(err, COWHERD_UNAVAILABLE, "LXD's pool '%s' (%s) limits no disk: disk_size= is not available there",
                            choice.pool, choice.driver);
        owned_str char *size = x_asprintf("%" PRIu64 "B", clone->virtual_bytes);
        (void)json_object_set_new(devices, "root",
                                  json_pack("{s:s, s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", choice.pool, "size", size));
        return 0;
}

/* An error of a copy whose name was taken: whose it is. */
static int explain_taken(struct lxd_client *client, const struct store_place *place, const char *name,
                         struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;
        struct cowherd_error ignored;

        if (lxd_instance_get(client, name, &instance, &ignored) == 0 &&
            str_equal(lxd_text(json_object_get(instance, "config"), LXD_TAG_HERD), place->herd_uuid) &&
            str_equal(lxd_text(json_object_get(instance, "config"), LXD_TAG_NAME), name))
                return fail(err, COWHERD_EXISTS, "an instance '%s' already exists in LXD", name);
        (void)fail(err, COWHERD_EXISTS, "an instance '%s' already exists in LXD, and is not this herd's", name);
        return fail_hint(err, "choose another name; 'lxc list %s' shows it", name);
}

/* A copy of a machine is none yet: what made the other one that is taken off, and its first start takes its identity out. */
static int clean(struct lxd_client *client, const char *name, struct cowherd_error *err)
{
        owned_json json_t *more = json_pack("{s:s}", LXD_TAG_NEUTRAL, "");

        return lxd_pool_clean(client, name, more, err);
}

/* What makes a clone, and in `checked` the look at the base while LXD is at work: it answers on the connection that asked. */
static int make(struct lxd_client *client, const struct store_place *place, const struct store_object *base, const char *path,
                const json_t *body, bool checked, struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = CLONE_QUIET_MS};
        const struct lxd_request request = {.method = "POST", .path = path, .json = body};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error changed;

        if (lxd_send(client, &request, &reply, err) < 0) {
                if (checked && err->code == COWHERD_NOT_FOUND && lxd_pool_check(place, base, &changed) < 0)
                        *err = changed;
                return -1;
        }
        bool is_changed = checked && lxd_pool_check(place, base, &changed) < 0;
        if (reply.operation != NULL && lxd_await(client, reply.operation, &patience, err) < 0)
                return -1;
        if (!is_changed)
                return 0;
        *err = changed;
        return -1;
}

static int make_clone(const struct store_place *place, const struct store_object *clone, bool checked,
                      struct cowherd_error *err)
{
        owned_str char *name = lxd_pool_name(place, clone);
        const struct lxd_tags tags = lxd_pool_tags(place, clone, name);
        owned_json json_t *profiles = NULL, *config = json_object(), *devices = json_object();
        owned_str char *source = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 || find_source(client, place, clone->base, &source, &profiles, err) < 0)
                return -1;
        if (clone->virtual_bytes != 0 && sized_root(client, place, clone, devices, err) < 0)
                return -1;
        lxd_tags_set(&tags, config);
        owned_json json_t *body = json_pack("{s:s, s:O, s:O, s:O, s:{s:s, s:s, s:b}}", "name", name, "profiles",
                                            profiles, "config", config, "devices", devices, "source", "type", "copy",
                                            "source", source, "instance_only", 1);
        if (body == NULL)
                return fail(err, COWHERD_INTERNAL, "the request for clone '%s' can't be written", name);
        if (make(client, place, clone->base, "/1.0/instances", body, checked, err) == 0)
                return clone->base->role == STORE_SNAPSHOT ? clean(client, name, err) : 0;
        if (err->code == COWHERD_NOT_FOUND)
                return fail_while(err, "what '%s' stands on is not what it was", name);
        return err->code == COWHERD_EXISTS ? explain_taken(client, place, name, err) : -1;
}

static int pool_clone(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        return make_clone(place, clone, false, err);
}

static int pool_clone_checked(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        return make_clone(place, clone, true, err);
}

/* Only a rename, and its tag stays: a change of its configuration would take LXD a third as long again. */
static int pool_take(const struct store_place *place, const struct store_object *clone, bool checked, struct cowherd_error *err)
{
        owned_str char *warm = lxd_warm_name(place->herd_uuid, clone->id), *path = lxd_pool_path("instances", warm);
        const struct lxd_tags tags = lxd_pool_tags(place, clone, warm);
        owned_json json_t *body = json_pack("{s:s}", "name", clone->name), *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = lxd_instance_get(client, warm, &instance, err);
        if (rc < 0)
                return -1;
        if (rc > 0 || !lxd_tags_match(&tags, instance))
                return fail(err, COWHERD_NOT_FOUND, "instance '%s', which was kept warm, was not found in LXD", warm);
        if (make(client, place, clone->base, path, body, checked, err) == 0)
                return 0;
        return err->code == COWHERD_EXISTS ? explain_taken(client, place, clone->name, err) : -1;
}

static int set_tag(struct lxd_client *client, const char *instance, const char *name, const char *former,
                   struct cowherd_error *err)
{
        owned_json json_t *config = json_pack("{s:s, s:s}", LXD_TAG_NAME, name, LXD_TAG_FORMER, former);

        return lxd_instance_configure(client, instance, config, err);
}

/* Renames in three steps, at each of which it is found again: by a tag that tells both names, then by the new one. */
static int pool_rename(const struct store_place *place, const struct store_object *object, const char *name,
                       struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = lxd_pool_find(client, place, object, &instance, err);
        if (rc != 0)
                return rc < 0 ? -1 : fail(err, COWHERD_NOT_FOUND, "clone '%s' was not found in LXD", object->name);
        const char *now = lxd_text(instance, "name");
        if (str_equal(now, name))
                return set_tag(client, name, name, "", err);
        if (!str_equal(lxd_text(instance, "status"), "Stopped")) {
                (void)fail(err, COWHERD_BUSY, "clone '%s' runs: LXD renames stopped instances only", now);
                return fail_hint(err, "stop it first");
        }
        if (set_tag(client, now, name, now, err) < 0)
                return -1;
        if (lxd_instance_rename(client, now, name, err) < 0) {
                struct cowherd_error ignored;
                if (set_tag(client, now, now, "", &ignored) < 0)
                        return -1; /* both names are in its tag: it is found as before */
                return err->code == COWHERD_EXISTS ? explain_taken(client, place, name, err) : -1;
        }
        return set_tag(client, name, name, "", err);
}

/* The module's two ways in; all else in it is hidden. */
extern const struct store_driver cowherd_store_lxd_pool;
__attribute__((visibility("default"))) const struct store_driver cowherd_store_lxd_pool = {
        .name = "lxd_pool",
        .summary = "LXD's own storage pool: a clone is an instance copied from a base's snapshot",
        .kinds = STORE_INSTANCE,
        .parallel = PARALLEL,
        .setup = lxd_pool_setup,
        .teardown = lxd_pool_teardown,
        .probe = lxd_pool_probe,
        .import_base = lxd_pool_import,
        .seal_base = lxd_pool_seal,
        .check_base = lxd_pool_check,
        .clone = pool_clone,
        .clone_checked = pool_clone_checked,
        .take_warm = pool_take,
        .rename = pool_rename,
        .destroy = lxd_pool_destroy,
        .snapshot_stacks = lxd_pool_snapshot_stacks,
        .snapshot = lxd_pool_snapshot,
        .restore = lxd_pool_restore,
        .usage = lxd_pool_usage,
        .health = lxd_pool_health,
        .list_ids = lxd_pool_list_ids,
};
