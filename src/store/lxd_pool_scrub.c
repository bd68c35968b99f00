/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one boot that a base goes through leaves a machine's identity in it. It is taken out through LXD's files API,
 * while the instance is stopped. What LXD itself keeps of a machine (MAC addresses, UUID, cloud-init's instance-id) it
 * makes anew with each copy.
 */
#include "store/lxd_pool.h"

static const struct {
        const char *folder, *pattern;
} identity[] = {
        {"/etc/ssh", "ssh_host_*"},
        {"/etc/dropbear", "dropbear_*_host_key"},
        {"/var/lib/dbus", "machine-id"},
        {"/var/lib/dhcp", "*.lease*"},
        {"/var/lib/dhclient", "*.lease*"},
        {"/var/lib/dhcpcd", "*"},
        {"/var/lib/NetworkManager", "*.lease"},
        {"/var/lib/NetworkManager", "secret_key"},
        {"/var/lib/systemd/network", "*"},
        {"/var/lib/systemd", "random-seed"},
        {"/var/lib/systemd", "credential.secret"},
        {"/var/lib/urandom", "random-seed"},
        {"/var/lib/misc", "random-seed"},
        {"/etc/udev/rules.d", "*-persistent-net.rules"},
};

/* cloud-init's memory of the boot: folders, removed with all in them. */
static const char *const folders[] = {
        "/var/lib/cloud/instance",
        "/var/lib/cloud/instances",
        "/var/lib/cloud/data",
        "/var/lib/cloud/sem",
};

static int remove_matching(struct lxd_client *client, const char *instance, const char *folder, const char *pattern,
                           struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        int rc = lxd_file_list(client, instance, folder, &names, err);

        if (rc != 0)
                return rc < 0 ? -1 : 0;
        for (size_t i = 0; i < names.count; i++) {
                if (!str_matches(pattern, names.items[i]))
                        continue;
                owned_str char *path = x_asprintf("%s/%s", folder, names.items[i]);
                if (lxd_file_empty(client, instance, path, err) < 0 ||
                    lxd_file_remove(client, instance, path, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

int lxd_pool_scrub(struct lxd_client *client, const char *instance, struct cowherd_error *err)
{
        owned_strv struct strv etc = {0};

        for (size_t i = 0; i < array_length(identity); i++)
                if (remove_matching(client, instance, identity[i].folder, identity[i].pattern, err) < 0)
                        return -1;
        for (size_t i = 0; i < array_length(folders); i++)
                if (lxd_file_empty(client, instance, folders[i], err) < 0 ||
                    lxd_file_remove(client, instance, folders[i], NULL, err) < 0)
                        return -1;
        /* systemd fills an empty machine-id at boot; a missing one would mean a first boot. */
        int rc = lxd_file_list(client, instance, "/etc", &etc, err);
        if (rc != 0 || !strv_has(&etc, "machine-id"))
                return rc < 0 ? -1 : 0;
        return lxd_file_write(client, instance, "/etc/machine-id", "", 0444, err);
}
