/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the lxd_pool store, all of them in the module cowherd-lxd. */
#pragma once

#include "lxd_api/instance.h"
#include "store/store.h"

#define LXD_POOL_SNAPSHOT "base" /* of a base's instance: what clones are made of */

/* The instance of a base: "cowherd-" the herd's first eight digits "-b" its id. To be freed. */
char *lxd_pool_base_name(const char *herd_uuid, uint64_t id);
/* The name that an object bears, or is to bear, in LXD: of a base and of a clone that is kept warm one of ours; NULL: not known. To be freed. */
char *lxd_pool_name(const struct store_place *place, const struct store_object *object);
/* The tags of an object that bears `name` in LXD. */
struct lxd_tags lxd_pool_tags(const struct store_place *place, const struct store_object *object, const char *name);
/*
 * The object's instance, by its name and tags, or where that fails by its tags alone (a rename that was cut short). 1
 * where there is none; what bears its name but not its tags is somebody else's, and none.
 */
int lxd_pool_find(struct lxd_client *client, const struct store_place *place, const struct store_object *object,
                  json_t **ret, struct cowherd_error *err) must_check;

/*
 * A snapshot: of its clone, or where that is not said, of any clone of the herd. *ret_instance is the name of the clone's
 * instance, *ret what LXD says of the snapshot, both the caller's. 1 where there is none that bears our tags.
 */
int lxd_pool_find_snapshot(struct lxd_client *client, const struct store_place *place,
                           const struct store_object *snapshot, char **ret_instance, json_t **ret,
                           struct cowherd_error *err) must_check;
/* Takes off a copy what made its source the machine it was: limits, network, ports, mounts, what cloud-init was told. */
int lxd_pool_clean(struct lxd_client *client, const char *name, const json_t *more, struct cowherd_error *err) must_check;
/* Makes a base's instance of what a clone is now; the clone may run. */
int lxd_pool_promote(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                     struct cowherd_error *err) must_check;

/* Where instances are made. */
struct lxd_pool_choice {
        char *pool;
        char *driver;
        char *profile;        /* the one that new bases have */
        bool root_in_profile; /* its root disk lies in the pool already */
};
void lxd_pool_choice_free(struct lxd_pool_choice *choice);
define_owned(struct lxd_pool_choice, lxd_pool_choice_free)
#define owned_choice owned_by(lxd_pool_choice_free)
        /* Chooses for a place: its source, or the pool that LXD's default profile has. 1 where LXD has none. */
        int lxd_pool_choose(struct lxd_client *client, const char *source, const char *herd_uuid,
                            struct lxd_pool_choice *ret, struct cowherd_error *err) must_check;
/* Whether a pool or profile is one that setup made for this herd. */
bool lxd_pool_is_ours(const json_t *thing, const char *herd_uuid);
/* The root disk among devices, or NULL; the pool of that in a profile. Borrowed. */
const json_t *lxd_pool_root_disk(const json_t *devices);
const char *lxd_pool_of_profile(const json_t *profile);
/* The thing of a name in a list, or NULL. Borrowed. */
const json_t *lxd_pool_find_named(const json_t *list, const char *name);
/* "/1.0/WHAT/NAME", escaped. To be freed. */
char *lxd_pool_path(const char *what, const char *name);
/* Whether copies in pools of this driver share their blocks. */
bool lxd_pool_driver_shares(const char *driver);

/* Callbacks of the driver, by file. */
int lxd_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err) must_check;
int lxd_pool_teardown(const struct store_setup *setup, const struct store_made *made,
                      struct cowherd_error *err) must_check;
int lxd_pool_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                   struct cowherd_error *err) must_check;
int lxd_pool_import(const struct store_place *place, const struct store_object *base, const struct store_import *source,
                    struct store_imported *ret, struct cowherd_error *err) must_check;
int lxd_pool_seal(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                  struct cowherd_error *err) must_check;
int lxd_pool_check(const struct store_place *place, const struct store_object *base,
                   struct cowherd_error *err) must_check;
int lxd_pool_destroy(const struct store_place *place, const struct store_object *object,
                     struct cowherd_error *err) must_check;
bool lxd_pool_snapshot_stacks(enum store_role role);
int lxd_pool_snapshot(const struct store_place *place, const struct store_object *clone,
                      const struct store_object *made, struct cowherd_error *err) must_check;
int lxd_pool_restore(const struct store_place *place, const struct store_object *clone,
                     const struct store_object *snapshot, struct cowherd_error *err) must_check;
int lxd_pool_destroy_snapshot(const struct store_place *place, const struct store_object *snapshot,
                              struct cowherd_error *err) must_check;
int lxd_pool_list_snapshots(const struct store_place *place, struct strv *ret, struct cowherd_error *err) must_check;
int lxd_pool_list_ids(const struct store_place *place, enum store_role role, struct strv *ret,
                      struct cowherd_error *err) must_check;
int lxd_pool_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                   struct cowherd_error *err) must_check;

/* lxd_pool_health.c */
int lxd_pool_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err) must_check;
