/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of LXD's pools and profiles is used, and whether it is of use: the place's own pool, or the one that LXD's
 * default profile has. A pool or profile is ours where `setup` has marked it with the herd's UUID.
 */
#include "store/lxd_pool.h"

#include <stdio.h>

void lxd_pool_choice_free(struct lxd_pool_choice *choice)
{
        free(choice->pool);
        free(choice->driver);
        free(choice->profile);
        *choice = (struct lxd_pool_choice){0};
}

bool lxd_pool_driver_shares(const char *driver)
{
        return str_in_words("btrfs zfs lvm ceph", driver);
}

char *lxd_pool_path(const char *what, const char *name)
{
        owned_str char *escaped = lxd_escape(name);

        return x_asprintf("/1.0/%s/%s", what, escaped);
}

bool lxd_pool_is_ours(const json_t *thing, const char *herd_uuid)
{
        return str_equal(lxd_text(json_object_get(thing, "config"), LXD_TAG_SETUP), herd_uuid);
}

const json_t *lxd_pool_root_disk(const json_t *devices)
{
        const char *name;
        json_t *device;

        json_object_foreach((json_t *)(uintptr_t)devices, name, device)
        {
                if (str_equal(lxd_text(device, "type"), "disk") && str_equal(lxd_text(device, "path"), "/"))
                        return device;
        }
        return NULL;
}

const char *lxd_pool_of_profile(const json_t *profile)
{
        return lxd_text(lxd_pool_root_disk(json_object_get(profile, "devices")), "pool");
}

const json_t *lxd_pool_find_named(const json_t *list, const char *name)
{
        for (size_t i = 0; i < json_array_size(list); i++)
                if (str_equal(lxd_text(json_array_get(list, i), "name"), name))
                        return json_array_get(list, i);
        return NULL;
}

/* The profile for instances in a pool: ours where we made one for it, else the default one. */
static void choose_profile(const json_t *profiles, const char *pool, const char *herd_uuid,
                           struct lxd_pool_choice *choice)
{
        for (size_t i = 0; i < json_array_size(profiles); i++) {
                const json_t *profile = json_array_get(profiles, i);
                if (!lxd_pool_is_ours(profile, herd_uuid) || !str_equal(lxd_pool_of_profile(profile), pool))
                        continue;
                choice->profile = x_strdup(lxd_text(profile, "name"));
                choice->root_in_profile = true;
                return;
        }
        choice->profile = x_strdup("default");
        choice->root_in_profile = str_equal(lxd_pool_of_profile(lxd_pool_find_named(profiles, "default")), pool);
}

int lxd_pool_choose(struct lxd_client *client, const char *source, const char *herd_uuid, struct lxd_pool_choice *ret,
                    struct cowherd_error *err)
{
        owned_json json_t *profiles = NULL, *info = NULL;

        int rc = lxd_get(client, "/1.0/profiles?recursion=1", &profiles, err);
        if (rc != 0)
                return rc;
        const char *pool =
                !str_is_empty(source) ? source : lxd_pool_of_profile(lxd_pool_find_named(profiles, "default"));
        if (pool == NULL)
                return 1;
        owned_str char *path = lxd_pool_path("storage-pools", pool);
        rc = lxd_get(client, path, &info, err);
        if (rc != 0)
                return rc;
        choose_profile(profiles, pool, herd_uuid, ret);
        ret->pool = x_strdup(pool);
        ret->driver = x_strdup(lxd_text(info, "driver"));
        return 0;
}

static void say_unusable(struct store_probe *ret, const char *format, ...) format_like(2, 3);
static void say_unusable(struct store_probe *ret, const char *format, ...)
{
        va_list args;

        *ret = (struct store_probe){.usable = false};
        va_start(args, format);
        (void)vsnprintf(ret->reason, sizeof ret->reason, format, args);
        va_end(args);
}

int lxd_pool_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                   struct cowherd_error *err)
{
        owned_choice struct lxd_pool_choice choice = {0};
        struct lxd_client *client = NULL;
        struct cowherd_error why;

        (void)err;
        if (kind != STORE_INSTANCE) {
                say_unusable(ret, "it keeps LXD's instances only");
                return 0;
        }
        int rc = lxd_client_get(&client, &why);
        rc = rc < 0 ? rc : lxd_pool_choose(client, place->source, place->herd_uuid, &choice, &why);
        if (rc < 0) {
                say_unusable(ret, "%s%s%s", why.text, why.hint[0] != '\0' ? "; " : "", why.hint);
                return 0;
        }
        if (rc > 0) {
                say_unusable(ret, "LXD has no storage pool '%s': 'cowherd lxd setup' makes one",
                             str_is_empty(place->source) ? "default" : place->source);
                return 0;
        }
        if (!lxd_pool_driver_shares(choice.driver)) {
                say_unusable(ret,
                             "copies in LXD's pool '%s' (%s) share nothing: 'cowherd lxd setup' makes a btrfs pool",
                             choice.pool, choice.driver);
                return 0;
        }
        *ret = (struct store_probe){.usable = true};
        (void)snprintf(ret->detail, sizeof ret->detail, "LXD pool '%s' on %s", choice.pool, choice.driver);
        return 0;
}
