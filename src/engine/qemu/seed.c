/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NoCloud seed (cloud-init's documentation, "NoCloud"): meta-data with the instance-id, which makes cloud-init treat
 * this boot as a first one, hostname and key; user-data is the user's, or empty; what we want ourselves (host keys,
 * random seed) is vendor-data, which the user's wins over. All but the user's is JSON, which is YAML too, so nothing
 * needs quoting by hand.
 */
#include "engine/qemu/seed.h"

#include "engine/qemu/iso9660.h"

#include <jansson.h>
#include <string.h>

#define LABEL "cidata"
#define NO_USER_DATA "#cloud-config\n{}\n"

bool qemu_seed_is_wanted(const struct engine_instance *instance)
{
        const struct engine_identity *identity = instance->identity;

        return identity->fresh || identity->ssh_key != NULL || identity->user_data != NULL;
}

static char *text_of(json_t *object, const char *heading)
{
        owned_str char *body = json_dumps(object, JSON_COMPACT);

        json_decref(object);
        return x_asprintf("%s%s\n", heading, body == NULL ? "{}" : body);
}

/* Leaves out what is NULL. */
static void set_text(json_t *object, const char *key, const char *value)
{
        if (value != NULL)
                (void)json_object_set_new(object, key, json_string(value));
}

static char *meta_data(const struct engine_instance *instance)
{
        const struct engine_identity *identity = instance->identity;
        json_t *meta = json_object();

        set_text(meta, "instance-id", identity->fresh ? identity->instance_id : NULL);
        if (json_object_size(meta) ==
            0) /* cloud-init wants one; the same at each start, so that it is no new instance */
                (void)json_object_set_new(meta, "instance-id",
                                          json_sprintf("iid-cowherd-%llu", (unsigned long long)instance->id));
        if (identity->fresh)
                set_text(meta, "local-hostname", identity->hostname);
        if (identity->ssh_key != NULL)
                (void)json_object_set_new(meta, "public-keys", json_pack("[s]", identity->ssh_key));
        return text_of(meta, "");
}

static char *vendor_data(const struct engine_identity *identity)
{
        json_t *vendor = json_object();

        if (identity->fresh && identity->host_key != NULL && identity->host_key_public != NULL)
                (void)json_object_set_new(vendor, "ssh_keys",
                                          json_pack("{s:s, s:s}", "ed25519_private", identity->host_key,
                                                    "ed25519_public", identity->host_key_public));
        if (identity->fresh && identity->random_seed != NULL)
                (void)json_object_set_new(vendor, "random_seed",
                                          json_pack("{s:s, s:s, s:s}", "file", "/dev/urandom", "data",
                                                    identity->random_seed, "encoding", "raw"));
        if (identity->fresh)
                (void)json_object_set_new(vendor, "ssh_deletekeys", json_true());
        return text_of(vendor, "#cloud-config\n");
}

/* DHCP on the one interface, whatever the guest calls it; the lease is asked by MAC, as the machine-id may have been
 * the base's. */
static char *network_config(const struct engine_identity *identity)
{
        json_t *card = json_pack("{s:b, s:s}", "dhcp4", 1, "dhcp-identifier", "mac");

        if (identity->fresh && identity->mac != NULL)
                (void)json_object_set_new(card, "match", json_pack("{s:s}", "macaddress", identity->mac));
        else
                (void)json_object_set_new(card, "match", json_pack("{s:s}", "name", "e*"));
        return text_of(json_pack("{s:i, s:{s:o}}", "version", 2, "ethernets", "primary", card), "");
}

void qemu_seed_make(const struct engine_instance *instance, int64_t seconds, struct str *ret)
{
        const struct engine_identity *identity = instance->identity;
        owned_str char *meta = meta_data(instance), *vendor = vendor_data(identity),
                       *network = network_config(identity);
        const char *user = identity->user_data == NULL ? NO_USER_DATA : identity->user_data;
        const struct iso_file files[] = {
                {"meta-data", meta, strlen(meta)},
                {"user-data", user, strlen(user)},
                {"vendor-data", vendor, strlen(vendor)},
                {"network-config", network, strlen(network)},
        };

        /* Without a network there is nothing to configure, and cloud-init would wait for an interface that was
         * promised. */
        size_t count = array_length(files) - (instance->machine->network == ENGINE_NETWORK_NONE);
        iso_make(LABEL, files, count, seconds, ret);
}
