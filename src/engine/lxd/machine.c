/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance is to be, as LXD's configuration and devices. It is compared with what LXD has, so that a second start
 * changes nothing and costs no request; what has to be changed goes in one request, all of it before the start.
 *
 * Devices of ours are named "cowherd-…", so that those of a profile or of the user's are never taken for them; only a
 * network card goes under the name that it has in the profile, which is how LXD overrides one.
 *
 * machine-id: systemd fills an empty /etc/machine-id from $container_uuid of its environment, which LXD sets; so nothing has
 * to be written into the root filesystem for it. MAC and instance-id are LXD's own volatile keys.
 */
#include "engine/lxd/lxd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OWN_PREFIX "cowherd-"
#define INSTANCE_ID_KEY "volatile.cloud-init.instance-id"
#define MEBIBYTE (UINT64_C(1) << 20)
#define UUID_LENGTH 36u

void lxd_changes_free(struct lxd_changes *changes)
{
        json_decref(changes->config);
        json_decref(changes->devices);
        strv_free(&changes->removed);
        *changes = (struct lxd_changes){0};
}

const char *lxd_instance_id(const struct engine_identity *identity)
{
        const char *id = identity->instance_id;

        if (id != NULL && str_starts(id, "iid-"))
                id += strlen("iid-");
        return id != NULL && strlen(id) == UUID_LENGTH ? id : NULL;
}

/* Sets a key where it has another value. */
static bool set(struct lxd_changes *changes, const json_t *now, const char *key, const char *value)
{
        const char *is = lxd_text(json_object_get(now, "config"), key);

        if (value == NULL || str_equal(is, value) || (is == NULL && value[0] == '\0'))
                return false;
        (void)json_object_set_new(changes->config, key, json_string(value));
        return true;
}

static void set_limits(const struct engine_machine *machine, const json_t *now, struct lxd_changes *changes)
{
        char text[32];

        if (machine->memory_bytes != 0) {
                bool whole = machine->memory_bytes % MEBIBYTE == 0;
                (void)snprintf(text, sizeof text, "%" PRIu64 "%s", whole ? machine->memory_bytes / MEBIBYTE : machine->memory_bytes,
                               whole ? "MiB" : "B");
                (void)set(changes, now, "limits.memory", text);
        }
        if (machine->cpus != 0) {
                (void)snprintf(text, sizeof text, "%" PRIu64, machine->cpus);
                (void)set(changes, now, "limits.cpu", text);
        }
}

/* ---- devices ---- */

static void want(struct lxd_changes *changes, const json_t *now, const char *name, json_t *device, json_t *wanted)
{
        (void)json_object_set_new(wanted, name, json_true());
        if (json_equal(json_object_get(json_object_get(now, "devices"), name), device))
                json_decref(device);
        else
                (void)json_object_set_new(changes->devices, name, device);
}

/* "tcp:127.0.0.1:80", "udp:[::1]:53". To be freed. */
static char *proxy_address(bool udp, const char *address, unsigned port)
{
        bool is_v6 = strchr(address, ':') != NULL;

        return x_asprintf("%s:%s%s%s:%u", udp ? "udp" : "tcp", is_v6 ? "[" : "", address, is_v6 ? "]" : "", port);
}

static void want_ports(const struct engine_machine *machine, const json_t *now, struct lxd_changes *changes, json_t *wanted)
{
        for (size_t i = 0; i < machine->port_count; i++) {
                const struct engine_port *port = &machine->ports[i];
                const char *address = port->address != NULL ? port->address : "127.0.0.1";
                owned_str char *listen = proxy_address(port->udp, address, port->host),
                               *to = proxy_address(port->udp, "127.0.0.1", port->guest),
                               *name = x_asprintf(OWN_PREFIX "port-%zu", i + 1);
                want(changes, now, name,
                     json_pack("{s:s, s:s, s:s, s:s}", "type", "proxy", "bind", "host", "listen", listen, "connect", to),
                     wanted);
        }
}

static void want_mounts(const struct engine_machine *machine, const json_t *now, bool shifted,
                        struct lxd_changes *changes, json_t *wanted)
{
        for (size_t i = 0; i < machine->mount_count; i++) {
                const struct engine_mount *mount = &machine->mounts[i];
                owned_str char *name = x_asprintf(OWN_PREFIX "mount-%zu", i + 1);
                json_t *device = json_pack("{s:s, s:s, s:s}", "type", "disk", "source", mount->host, "path", mount->guest);
                if (shifted)
                        (void)json_object_set_new(device, "shift", json_string("true"));
                if (mount->read_only)
                        (void)json_object_set_new(device, "readonly", json_string("true"));
                want(changes, now, name, device, wanted);
        }
}

/* The name of its first network card, borrowed; "eth0" where it has none. */
static const char *first_card(const json_t *now)
{
        const char *first = NULL, *name;
        json_t *device;

        json_object_foreach(json_object_get(now, "expanded_devices"), name, device)
        {
                if (str_equal(lxd_text(device, "type"), "nic") && (first == NULL || strcmp(name, first) < 0))
                        first = name;
        }
        return first != NULL ? first : "eth0";
}

/* A card of ours in place of the first, and nothing in place of the others (or of all). */
static void want_network(const struct engine_machine *machine, const json_t *now, const char *bridge,
                         struct lxd_changes *changes, json_t *wanted)
{
        const char *card = first_card(now), *name;
        owned_string struct str cards = {0};
        json_t *device;

        if (machine->network == ENGINE_NETWORK_DEFAULT)
                return;
        str_add(&cards, machine->network == ENGINE_NETWORK_NONE ? "" : card);
        json_object_foreach(json_object_get(now, "expanded_devices"), name, device)
        {
                bool is_card = str_in_words("nic none", lxd_text(device, "type"));
                if (!is_card || (machine->network != ENGINE_NETWORK_NONE && str_equal(name, card)))
                        continue;
                want(changes, now, name, json_pack("{s:s}", "type", "none"), wanted);
                str_addf(&cards, "%s%s", cards.length > 0 ? " " : "", name);
        }
        (void)set(changes, now, LXD_TAG_CARDS, str_text(&cards));
        if (machine->network == ENGINE_NETWORK_BRIDGE)
                want(changes, now, card,
                     json_pack("{s:s, s:s, s:s, s:s}", "type", "nic", "nictype", "bridged", "parent", machine->bridge, "name", card),
                     wanted);
        else if (machine->network == ENGINE_NETWORK_USER && bridge != NULL)
                want(changes, now, card, json_pack("{s:s, s:s, s:s}", "type", "nic", "network", bridge, "name", card),
                     wanted);
}

/* Devices that an earlier start, or a copy of another clone, has left. */
static void remove_unwanted(const json_t *now, const json_t *wanted, struct lxd_changes *changes)
{
        const char *name;
        json_t *device;

        json_object_foreach(json_object_get(now, "devices"), name, device)
        {
                if (str_starts(name, OWN_PREFIX) && json_object_get(wanted, name) == NULL)
                        strv_add(&changes->removed, name);
        }
}

/* Whether a network card is among the changed devices. */
static bool changes_card(const struct lxd_changes *changes)
{
        const char *name;
        json_t *device;

        json_object_foreach(changes->devices, name, device)
        {
                if (str_in_words("nic none", lxd_text(device, "type")))
                        return true;
        }
        return false;
}

/* ---- identity ---- */

static void set_user_data(const struct engine_identity *identity, const json_t *now, struct lxd_changes *changes)
{
        if (set(changes, now, "cloud-init.user-data", identity->user_data))
                changes->renews_instance_id = true;
        (void)set(changes, now, "user.user-data", identity->user_data); /* images older than LXD 4.22 ask for this one */
        if (identity->ssh_key != NULL) {
                owned_json json_t *meta = json_pack("{s:[s]}", "public-keys", identity->ssh_key);
                owned_mem char *text = json_dumps(meta, JSON_COMPACT); /* JSON is YAML */
                if (set(changes, now, "user.meta-data", text))
                        changes->renews_instance_id = true;
        }
}

static void set_identity(const struct engine_identity *identity, const json_t *now, struct lxd_changes *changes)
{
        owned_str char *address_key = x_asprintf("volatile.%s.hwaddr", first_card(now));

        (void)set(changes, now, LXD_TAG_NEUTRAL, "");
        (void)set(changes, now, LXD_TAG_KEPT, ""); /* a guest may read its own user.* keys */
        set_user_data(identity, now, changes);
        if (!identity->fresh)
                return;
        (void)set(changes, now, "environment.container_uuid", identity->machine_id);
        (void)set(changes, now, address_key, identity->mac);
        (void)set(changes, now, INSTANCE_ID_KEY, lxd_instance_id(identity));
}

void lxd_machine_changes(const struct engine_instance *instance, const json_t *now, const char *bridge, bool shifted,
                         struct lxd_changes *ret)
{
        owned_json json_t *wanted = json_object();

        *ret = (struct lxd_changes){.config = json_object(), .devices = json_object()};
        if (instance->machine != NULL) {
                set_limits(instance->machine, now, ret);
                want_ports(instance->machine, now, ret, wanted);
                want_mounts(instance->machine, now, shifted, ret, wanted);
                want_network(instance->machine, now, bridge, ret, wanted);
                remove_unwanted(now, wanted, ret);
        }
        if (instance->identity != NULL)
                set_identity(instance->identity, now, ret);
        ret->renews_instance_id = ret->renews_instance_id || changes_card(ret);
}

/* ---- making them ---- */

static int send(struct lxd_target *target, const char *method, const json_t *body, struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = LXD_REQUEST_MS};
        owned_str char *name = lxd_escape(target->name), *path = x_asprintf("/1.0/instances/%s", name);

        return lxd_do(target->client, method, path, body, &patience, err);
}

/* A PATCH can't take a device away: then all that LXD has said of the instance is sent back, changed. */
static int replace(struct lxd_target *target, const struct lxd_changes *changes, struct cowherd_error *err)
{
        owned_json json_t *whole = json_deep_copy(target->instance), *devices = json_object(), *config = json_object();
        const char *name;
        json_t *device;

        json_object_foreach(json_object_get(whole, "devices"), name, device)
        {
                if (!strv_has(&changes->removed, name))
                        (void)json_object_set(devices, name, device);
        }
        (void)json_object_update(devices, changes->devices);
        (void)json_object_update(config, json_object_get(whole, "config"));
        (void)json_object_update(config, changes->config);
        (void)json_object_set(whole, "devices", devices);
        (void)json_object_set(whole, "config", config);
        return send(target, "PUT", whole, err);
}

/* LXD has drawn an instance-id of its own, as the network or the user-data is another: ours again. */
static int keep_instance_id(struct lxd_target *target, const char *id, struct cowherd_error *err)
{
        owned_json json_t *body = json_pack("{s:{s:s}}", "config", INSTANCE_ID_KEY, id);

        return send(target, "PATCH", body, err);
}

int lxd_machine_apply(struct lxd_target *target, const struct lxd_changes *changes, struct cowherd_error *err)
{
        const char *id = lxd_text(changes->config, INSTANCE_ID_KEY);

        id = id != NULL ? id : lxd_text(json_object_get(target->instance, "config"), INSTANCE_ID_KEY);
        if (changes->removed.count > 0) {
                if (replace(target, changes, err) < 0)
                        return -1;
        } else if (json_object_size(changes->config) > 0 || json_object_size(changes->devices) > 0) {
                owned_json json_t *body = json_pack("{s:O, s:O}", "config", changes->config, "devices", changes->devices);
                if (send(target, "PATCH", body, err) < 0)
                        return -1;
        }
        return changes->renews_instance_id && id != NULL ? keep_instance_id(target, id, err) : 0;
}
