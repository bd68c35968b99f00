/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot leaves a machine's identity in its root filesystem. It is taken out through LXD's files API, while the instance
 * is stopped: 50 ms for the first request, while LXD makes the filesystem available, and 3-5 ms for each further one.
 * What LXD itself keeps of a machine (MAC addresses, UUID, cloud-init's instance-id) it makes anew with each copy.
 *
 * The hostname goes too: systemd then takes the one that LXD gives, which is the instance's name.
 */
#include "lxd_api/neutral.h"

#include "lxd_api/instance.h"

#include <string.h>

static const struct identity_files {
        const char *folder, *pattern;
        bool is_kept; /* for identity=keep; what is no text can't be, and a lease is of no use to a clone */
} identity[] = {
        {"/etc/ssh", "ssh_host_*", true},
        {"/etc/dropbear", "dropbear_*_host_key", false},
        {"/var/lib/dbus", "machine-id", true},
        {"/var/lib/dhcp", "*.lease*", false},
        {"/var/lib/dhclient", "*.lease*", false},
        {"/var/lib/dhcpcd", "*", false},
        {"/var/lib/dhcpcd5", "*", false},
        {"/var/db/dhcpcd", "*", false},
        {"/etc", "dhcpcd.duid", false},
        {"/etc", "dhcpcd.secret", false},
        {"/var/lib/NetworkManager", "*.lease", false},
        {"/var/lib/NetworkManager", "secret_key", false},
        {"/var/lib/systemd/network", "*", false},
        {"/var/lib/systemd", "random-seed", false},
        {"/var/lib/systemd", "credential.secret", false},
        {"/var/lib/urandom", "random-seed", false},
        {"/var/lib", "random-seed", false},
        {"/var/lib/misc", "random-seed", false},
        {"/etc/udev/rules.d", "*-persistent-net.rules", true},
};

/* cloud-init's memory of the boot: folders, removed with all in them. */
static const char *const folders[] = {
        "/var/lib/cloud/instance",
        "/var/lib/cloud/instances",
        "/var/lib/cloud/data",
        "/var/lib/cloud/sem",
};

/* Reads a file for identity=keep. */
static int keep(struct lxd_client *client, const char *instance, const char *path, struct lxd_neutral *found, struct cowherd_error *err)
{
        owned_str char *text = NULL;

        if (lxd_file_read(client, instance, path, &text, err) < 0)
                return -1;
        json_t *value = str_is_empty(text) ? NULL : json_string(text); /* NULL: no UTF-8, so no text */
        if (value == NULL)
                return 0;
        if (found->kept == NULL)
                found->kept = json_object();
        (void)json_object_set_new(found->kept, path, value);
        return 0;
}

static int remove_matching(struct lxd_client *client, const char *instance, const struct identity_files *what, struct lxd_neutral *found,
                           struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        int rc = lxd_file_list(client, instance, what->folder, &names, err);

        if (rc != 0)
                return rc < 0 ? -1 : 0;
        for (size_t i = 0; i < names.count; i++) {
                if (!str_matches(what->pattern, names.items[i]))
                        continue;
                owned_str char *path = x_asprintf("%s/%s", what->folder, names.items[i]);
                if (what->is_kept && keep(client, instance, path, found, err) < 0)
                        return -1;
                if (lxd_file_empty(client, instance, path, err) < 0 ||
                    lxd_file_remove(client, instance, path, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

/* systemd fills an empty machine-id at boot; a missing one would mean a first boot. */
static int neutralise_etc(struct lxd_client *client, const char *instance, struct lxd_neutral *found,
                          struct cowherd_error *err)
{
        owned_strv struct strv etc = {0};
        int rc = lxd_file_list(client, instance, "/etc", &etc, err);

        if (rc != 0)
                return rc < 0 ? -1 : 0;
        if (strv_has(&etc, "machine-id") &&
            (keep(client, instance, "/etc/machine-id", found, err) < 0 || lxd_file_write(client, instance, "/etc/machine-id", "", 0444, err) < 0))
                return -1;
        if (!strv_has(&etc, "hostname"))
                return 0;
        if (lxd_file_read(client, instance, "/etc/hostname", &found->hostname, err) < 0)
                return -1;
        if (found->hostname != NULL)
                found->hostname[strcspn(found->hostname, "\n")] = '\0';
        return lxd_file_remove(client, instance, "/etc/hostname", NULL, err);
}

static int look(struct lxd_client *client, const char *instance, const char *path, const char *word, struct str *words,
                struct cowherd_error *err)
{
        const char *type;
        int rc = lxd_file_stat(client, instance, path, &type, NULL, err);

        if (rc == 0)
                str_addf(words, "%s%s", words->length > 0 ? " " : "", word);
        return rc < 0 ? -1 : 0;
}

/* Its init is what LXD runs: /sbin/init, a link to systemd where that is it. */
static int find_guest(struct lxd_client *client, const char *instance, struct lxd_neutral *found,
                      struct cowherd_error *err)
{
        owned_string struct str words = {0};
        owned_str char *init = NULL;

        if (lxd_file_read_link(client, instance, "/sbin/init", &init, err) < 0)
                return -1;
        if (init != NULL && str_ends(init, "/systemd"))
                str_add(&words, "systemd");
        if (look(client, instance, "/usr/sbin/sshd", "sshd", &words, err) < 0 ||
            look(client, instance, "/usr/bin/cloud-init", "cloud-init", &words, err) < 0)
                return -1;
        if (words.length == 0)
                str_add(&words, "-");
        found->guest = str_take(&words);
        return 0;
}

void lxd_neutral_free(struct lxd_neutral *it)
{
        free(it->guest);
        free(it->hostname);
        json_decref(it->kept);
        *it = (struct lxd_neutral){0};
}

void lxd_neutral_set(const struct lxd_neutral *it, json_t *config)
{
        (void)json_object_set_new(config, LXD_TAG_NEUTRAL, json_string("true"));
        (void)json_object_set_new(config, LXD_TAG_GUEST, json_string(it->guest));
        if (it->hostname != NULL)
                (void)json_object_set_new(config, LXD_TAG_HOSTNAME, json_string(it->hostname));
        owned_mem char *kept = it->kept == NULL ? NULL : json_dumps(it->kept, JSON_COMPACT);
        if (kept != NULL)
                (void)json_object_set_new(config, LXD_TAG_KEPT, json_string(kept));
}

int lxd_neutralise(struct lxd_client *client, const char *instance, struct lxd_neutral *ret, struct cowherd_error *err)
{
        owned_neutral struct lxd_neutral found = {0};

        for (size_t i = 0; i < array_length(identity); i++)
                if (remove_matching(client, instance, &identity[i], &found, err) < 0)
                        return -1;
        for (size_t i = 0; i < array_length(folders); i++)
                if (lxd_file_empty(client, instance, folders[i], err) < 0 ||
                    lxd_file_remove(client, instance, folders[i], NULL, err) < 0)
                        return -1;
        if (neutralise_etc(client, instance, &found, err) < 0 || find_guest(client, instance, &found, err) < 0)
                return -1;
        *ret = found;
        found = (struct lxd_neutral){0};
        return 0;
}
