/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of an identity has to lie in the guest's files before it boots. Nothing, for a usual clone of a systemd guest without
 * an SSH server: its base is neutral, the hostname is LXD's, and the machine-id comes by its environment. Each file costs
 * 5 ms, the first one 50, while LXD makes the filesystem of a stopped instance available.
 *
 * A clone of a clone is not neutral: what its source's boots have left is taken out here, not when it is made, because
 * only here is it known whether the identity is to be fresh.
 *
 * There is no random seed: a container has no random pool of its own, and systemd restores none in one.
 */
#include "engine/lxd/lxd.h"

#include "lxd_api/neutral.h"

#include <string.h>

#define KEYS "/root/.ssh/authorized_keys"

/* Makes sure that it is neutral. 0 where it was, 1 where it had to be made so. */
static int ensure_neutral(struct lxd_target *target, struct cowherd_error *err)
{
        owned_neutral struct lxd_neutral found = {0};
        json_t *config = json_object_get(target->instance, "config");
        /* Somebody's own start of it has written an identity; a copy has never been started. */
        bool was_started = !str_is_empty(lxd_text(config, "volatile.last_state.power"));

        if (str_equal(lxd_text(config, LXD_TAG_NEUTRAL), "true") && !was_started)
                return 0;
        if (lxd_neutralise(target->client, target->name, &found, err) < 0)
                return fail_while(err, "taking the identity of its source out of '%s'", target->name);
        owned_json json_t *told = json_object();
        lxd_neutral_set(&found, told);
        (void)json_object_del(told, LXD_TAG_KEPT); /* it is another's */
        if (lxd_instance_configure(target->client, target->name, told, err) < 0 || lxd_target_refresh(target, err) < 0)
                return -1;
        return 1;
}

static int write_hostname(struct lxd_target *target, const char *hostname, struct cowherd_error *err)
{
        owned_str char *line = x_asprintf("%s\n", hostname);

        return lxd_file_write(target->client, target->name, "/etc/hostname", line, 0644, err);
}

static int write_host_key(struct lxd_target *target, const struct engine_identity *identity, struct cowherd_error *err)
{
        static const char private[] = "/etc/ssh/ssh_host_ed25519_key", public[] = "/etc/ssh/ssh_host_ed25519_key.pub";

        if (lxd_file_write(target->client, target->name, private, identity->host_key, 0600, err) < 0)
                return -1;
        return identity->host_key_public == NULL
                       ? 0
                       : lxd_file_write(target->client, target->name, public, identity->host_key_public, 0644, err);
}

/* Adds the key to those that root has already. */
static int write_ssh_key(struct lxd_target *target, const char *key, bool *ret_wrote, struct cowherd_error *err)
{
        owned_str char *now = NULL;

        if (lxd_file_read(target->client, target->name, KEYS, &now, err) < 0)
                return -1;
        if (now != NULL && strstr(now, key) != NULL)
                return 0;
        bool ends = now == NULL || now[0] == '\0' || str_ends(now, "\n");
        owned_str char *text = x_asprintf("%s%s%s%s", now != NULL ? now : "", ends ? "" : "\n", key, str_ends(key, "\n") ? "" : "\n");
        if (lxd_file_make_folder(target->client, target->name, "/root/.ssh", 0700, err) < 0)
                return -1;
        *ret_wrote = true;
        return lxd_file_write(target->client, target->name, KEYS, text, 0600, err);
}

static int write_fresh(const struct engine_instance *instance, struct lxd_target *target, bool *ret_wrote,
                       struct cowherd_error *err)
{
        const struct engine_identity *identity = instance->identity;
        int rc = ensure_neutral(target, err);

        if (rc < 0)
                return -1;
        bool is_systemd = lxd_target_has(target, "systemd");
        bool needs_name = identity->hostname != NULL && (!is_systemd || !str_equal(identity->hostname, target->name));
        bool needs_key = identity->host_key != NULL && lxd_target_has(target, "sshd");
        if (needs_name && write_hostname(target, identity->hostname, err) < 0)
                return -1;
        if (!is_systemd && identity->machine_id != NULL) {
                owned_str char *line = x_asprintf("%s\n", identity->machine_id);
                if (lxd_file_write(target->client, target->name, "/etc/machine-id", line, 0444, err) < 0)
                        return -1;
        }
        *ret_wrote = rc > 0 || needs_name || needs_key || !is_systemd;
        return needs_key ? write_host_key(target, identity, err) : 0;
}

static unsigned mode_of_kept(const char *path)
{
        if (str_ends(path, "/machine-id"))
                return 0444;
        return str_starts(path, "/etc/ssh/") && !str_ends(path, ".pub") ? 0600 : 0644;
}

/* identity=keep: what was taken out of the image is put back. */
static int write_kept(struct lxd_target *target, bool *ret_wrote, struct cowherd_error *err)
{
        const json_t *config = json_object_get(target->instance, "config");
        const char *hostname = lxd_text(config, LXD_TAG_HOSTNAME), *text = lxd_text(config, LXD_TAG_KEPT), *path;
        owned_json json_t *kept = text == NULL ? NULL : json_loads(text, 0, NULL);
        json_t *value;

        if (!str_equal(lxd_text(config, LXD_TAG_NEUTRAL), "true"))
                return 0;
        *ret_wrote = !str_is_empty(hostname) || json_object_size(kept) > 0;
        json_object_foreach(kept, path, value)
        {
                const char *was = json_string_value(value);
                if (was != NULL && lxd_file_write(target->client, target->name, path, was, mode_of_kept(path), err) < 0)
                        return -1;
        }
        return str_is_empty(hostname) ? 0 : write_hostname(target, hostname, err);
}

int lxd_identity_write(const struct engine_instance *instance, struct lxd_target *target, bool *ret_wrote,
                       struct cowherd_error *err)
{
        const struct engine_identity *identity = instance->identity;

        *ret_wrote = false;
        if (identity == NULL || identity->applied)
                return 0;
        if ((identity->fresh ? write_fresh(instance, target, ret_wrote, err) : write_kept(target, ret_wrote, err)) < 0)
                return -1;
        return identity->ssh_key != NULL ? write_ssh_key(target, identity->ssh_key, ret_wrote, err) : 0;
}
