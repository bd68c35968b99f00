/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a pool where there is none. A usable default pool (one whose copies share their blocks) is taken as it is;
 * else, or where a pool, a driver or a size is asked for, a pool and a profile of our own are made. Both bear the
 * herd's UUID, so that setup finds them again and teardown undoes only what is ours.
 */
#include "store/lxd_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define OWN_NAME "cowherd"
#define SETUP_QUIET_MS 120000u

static const struct lxd_patience patience = {.quiet_ms = SETUP_QUIET_MS};

static int make_pool(struct lxd_client *client, const struct store_setup *setup, const char *name,
                     struct cowherd_error *err)
{
        owned_json json_t *config = json_pack("{s:s}", LXD_TAG_SETUP, setup->herd_uuid);
        const char *driver = str_is_empty(setup->pool_driver) ? "btrfs" : setup->pool_driver;

        if (!lxd_pool_driver_shares(driver))
                return fail(err, COWHERD_UNAVAILABLE,
                            "store '%s' is none in which LXD's copies share blocks: it is one of btrfs, zfs, lvm, ceph",
                            driver);
        if (setup->size_bytes > 0) {
                char size[32];
                (void)snprintf(size, sizeof size, "%" PRIu64 "B", setup->size_bytes);
                (void)json_object_set_new(config, "size", json_string(size));
        }
        owned_json json_t *body = json_pack("{s:s, s:s, s:O}", "name", name, "driver", driver, "config", config);
        if (lxd_do(client, "POST", "/1.0/storage-pools", body, &patience, err) < 0)
                return fail_while(err, "making LXD's storage pool '%s'", name);
        return 0;
}

static int delete_named(struct lxd_client *client, const char *what, const char *name, struct cowherd_error *err)
{
        owned_str char *path = lxd_pool_path(what, name);
        struct cowherd_error why;

        if (lxd_do(client, "DELETE", path, NULL, &patience, &why) == 0 || why.code == COWHERD_NOT_FOUND)
                return 0;
        *err = why;
        return fail_while(err, "removing '%s' from LXD", name);
}

/* Adds the default profile's network cards, else one on the first bridge that LXD manages; none where there is neither.
 */
static int add_network(struct lxd_client *client, const json_t *profiles, json_t *devices, struct cowherd_error *err)
{
        owned_json json_t *networks = NULL;
        const char *name;
        json_t *device;

        json_object_foreach(json_object_get(lxd_pool_find_named(profiles, "default"), "devices"), name, device)
        {
                if (str_equal(lxd_text(device, "type"), "nic"))
                        (void)json_object_set(devices, name, device);
        }
        if (json_object_size(devices) > 1)
                return 0;
        if (lxd_get(client, "/1.0/networks?recursion=1", &networks, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(networks); i++) {
                const json_t *network = json_array_get(networks, i);
                if (!json_is_true(json_object_get(network, "managed")) ||
                    !str_equal(lxd_text(network, "type"), "bridge"))
                        continue;
                (void)json_object_set_new(devices, "eth0",
                                          json_pack("{s:s, s:s, s:s}", "type", "nic", "name", "eth0", "network",
                                                    lxd_text(network, "name")));
                return 0;
        }
        return 0;
}

static int make_profile(struct lxd_client *client, const struct store_setup *setup, const json_t *profiles,
                        const char *name, const char *pool, struct cowherd_error *err)
{
        owned_json json_t *devices =
                json_pack("{s:{s:s, s:s, s:s}}", "root", "type", "disk", "path", "/", "pool", pool);

        if (add_network(client, profiles, devices, err) < 0)
                return -1;
        owned_json json_t *body =
                json_pack("{s:s, s:s, s:{s:s}, s:O}", "name", name, "description", "instances made by cowherd",
                          "config", LXD_TAG_SETUP, setup->herd_uuid, "devices", devices);
        if (lxd_do(client, "POST", "/1.0/profiles", body, &patience, err) < 0)
                return fail_while(err, "making LXD's profile '%s'", name);
        return 0;
}

/* A name for a pool or profile of ours: the one wanted, or where another herd has it, one with our first digits. */
static char *free_name(const json_t *list, const char *wanted, const char *herd_uuid)
{
        const json_t *there = lxd_pool_find_named(list, wanted);

        return there == NULL || lxd_pool_is_ours(there, herd_uuid) ? x_strdup(wanted)
                                                                   : x_asprintf("%s-%.8s", wanted, herd_uuid);
}

/* Makes what is missing of our own pool and profile. */
static int make_own(struct lxd_client *client, const struct store_setup *setup, const json_t *pools,
                    const json_t *profiles, struct store_made *ret, struct cowherd_error *err)
{
        owned_str char *pool =
                setup->pool != NULL ? x_strdup(setup->pool) : free_name(pools, OWN_NAME, setup->herd_uuid);
        owned_str char *profile = free_name(profiles, OWN_NAME, setup->herd_uuid);
        const json_t *there = lxd_pool_find_named(pools, pool), *profile_there = lxd_pool_find_named(profiles, profile);
        struct cowherd_error ignored;

        if (there != NULL && !lxd_pool_is_ours(there, setup->herd_uuid)) {
                *ret = (struct store_made){.source = take(pool)}; /* made by others, asked for by name */
                return 0;
        }
        if (there == NULL && make_pool(client, setup, pool, err) < 0)
                return -1;
        if (profile_there != NULL && !str_equal(lxd_pool_of_profile(profile_there), pool)) {
                if (delete_named(client, "profiles", profile, err) < 0)
                        return -1;
                profile_there = NULL;
        }
        if (profile_there == NULL && make_profile(client, setup, profiles, profile, pool, err) < 0) {
                if (there == NULL && delete_named(client, "storage-pools", pool, &ignored) < 0)
                        return fail_while(err, "leaving pool '%s' behind", pool);
                return -1;
        }
        *ret = (struct store_made){.source = take(pool), .ours = true, .size_bytes = setup->size_bytes};
        return 0;
}

static const json_t *find_ours(const json_t *list, const char *herd_uuid)
{
        for (size_t i = 0; i < json_array_size(list); i++)
                if (lxd_pool_is_ours(json_array_get(list, i), herd_uuid))
                        return json_array_get(list, i);
        return NULL;
}

int lxd_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err)
{
        owned_json json_t *pools = NULL, *profiles = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0 || lxd_get(client, "/1.0/storage-pools?recursion=1", &pools, err) < 0 ||
            lxd_get(client, "/1.0/profiles?recursion=1", &profiles, err) < 0)
                return -1;
        const char *usual = lxd_pool_of_profile(lxd_pool_find_named(profiles, "default"));
        const json_t *usual_pool = usual != NULL ? lxd_pool_find_named(pools, usual) : NULL;
        bool asked = setup->pool != NULL || setup->size_bytes > 0 || !str_is_empty(setup->pool_driver);
        if (!asked && find_ours(pools, setup->herd_uuid) == NULL && usual_pool != NULL &&
            lxd_pool_driver_shares(lxd_text(usual_pool, "driver"))) {
                *ret = (struct store_made){.source = x_strdup(usual)};
                return 0;
        }
        return make_own(client, setup, pools, profiles, ret, err);
}

#define MAKING_TRIES 120
#define MAKING_MS 250

/*
 * LXD goes on making a pool whose asker was killed. Deleting it meanwhile would leave its folder behind, with which no pool
 * of that name could ever be made again; and no operation shows it. It is made when it can tell what it has room for.
 */
static int await_made(struct lxd_client *client, const char *pool, struct cowherd_error *err)
{
        owned_str char *path = lxd_pool_path("storage-pools", pool), *resources = x_asprintf("%s/resources", path);

        for (int tries = 0;; tries++) {
                owned_json json_t *room = NULL, *there = NULL;
                struct cowherd_error why;
                if (lxd_get(client, resources, &room, &why) == 0)
                        return 0;
                int rc = lxd_get(client, path, &there, err);
                if (rc != 0)
                        return rc < 0 ? -1 : 0;
                if (tries == MAKING_TRIES)
                        return 0; /* it is as good as it will get */
                (void)nanosleep(&(struct timespec){.tv_nsec = MAKING_MS * 1000000L}, NULL);
        }
}

static int await_pools(struct lxd_client *client, const char *herd_uuid, struct cowherd_error *err)
{
        owned_json json_t *pools = NULL;

        if (lxd_get(client, "/1.0/storage-pools?recursion=1", &pools, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(pools); i++) {
                const json_t *pool = json_array_get(pools, i);
                if (lxd_pool_is_ours(pool, herd_uuid) && await_made(client, lxd_text(pool, "name"), err) < 0)
                        return -1;
        }
        return 0;
}

/* Deletes all of a list that bear our mark. */
static int delete_ours(struct lxd_client *client, const char *what, const char *herd_uuid, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/1.0/%s?recursion=1", what);
        owned_json json_t *list = NULL;

        if (lxd_get(client, path, &list, err) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *thing = json_array_get(list, i);
                if (lxd_pool_is_ours(thing, herd_uuid) && delete_named(client, what, lxd_text(thing, "name"), err) < 0)
                        return -1;
        }
        return 0;
}

/* By our mark, and not by the name that setup has kept: it may have been killed before it could. */
int lxd_pool_teardown(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err)
{
        struct lxd_client *client = NULL;

        if (!made->ours)
                return 0;
        if (lxd_client_get(&client, err) < 0 ||
            (made->source == NULL && await_pools(client, setup->herd_uuid, err) < 0) ||
            delete_ours(client, "profiles", setup->herd_uuid, err) < 0)
                return -1;
        return delete_ours(client, "storage-pools", setup->herd_uuid, err);
}
