/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in files of an identity: names, keys of the machine and of who may log in, and what was leased to another, which goes. What is
 * there already is read before it is written: lines that others made stay. Files are found in the root folder (files.c), whose links can't
 * lead out of it; nothing is asked of the tools of the guest, which may have none.
 */
#include "guest/identity.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What lines are added to, NULL where there is nothing yet. 0, or an errno where it can't be read whole: it must not be written over. */
static int read_old(const char *path, char **ret)
{
        *ret = file_text(path);
        return *ret != NULL || !file_exists(path) ? 0 : EFBIG;
}

static int put_text(const struct steps *steps, const char *path, const char *text, mode_t mode)
{
        return (steps->over ? file_put_over : file_put)(path, text, strlen(text), mode, false);
}

static int put_line(const struct steps *steps, const char *path, const char *line, mode_t mode)
{
        owned_str char *text = x_asprintf("%s\n", line);

        return put_text(steps, path, text, mode);
}

/* ---- Names ---- */

static int put_hosts(const struct steps *steps, const char *hostname)
{
        owned_str char *text = NULL;
        owned_string struct str hosts = {0};
        bool seen = false;
        int failed = read_old("/etc/hosts", &text);
        char *rest = text, *line;

        if (failed != 0)
                return failed;
        while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
                if (rest == NULL && line[0] == '\0')
                        break;
                bool own = strncmp(line, "127.0.1.1", 9) == 0 && (line[9] == ' ' || line[9] == '\t');
                if (own && !seen)
                        str_addf(&hosts, "127.0.1.1\t%s\n", hostname);
                else if (!own)
                        str_addf(&hosts, "%s\n", line);
                seen |= own;
        }
        if (!seen)
                str_addf(&hosts, "127.0.1.1\t%s\n", hostname);
        return put_text(steps, "/etc/hosts", hosts.data, 0644);
}

static void set_hostname(struct steps *steps, const char *hostname)
{
        if (!program.files_only)
                steps_tell(steps, "hostname", sethostname(hostname, strlen(hostname)) < 0 ? errno : 0, "the hostname");
        steps_tell(steps, "hostname-file", put_line(steps, "/etc/hostname", hostname, 0644), "/etc/hostname");
        steps_tell(steps, "hosts", put_hosts(steps, hostname), "/etc/hosts");
}

static void set_machine(struct steps *steps, const char *machine)
{
        owned_str char *old = file_text("/var/lib/dbus/machine-id");

        steps_tell(steps, "machine-id", put_line(steps, "/etc/machine-id", machine, 0444), "/etc/machine-id");
        if (old != NULL && strncmp(old, machine, strlen(machine)) != 0) /* no link to the other */
                steps_tell(steps, "machine-id-dbus", put_line(steps, "/var/lib/dbus/machine-id", machine, 0444), "/var/lib/dbus/machine-id");
}

/* ---- Keys ---- */

/* Those who are logged in stay: only the process that listens reads its keys anew. */
static void wake_sshd(void)
{
        owned_str char *text = file_text("/run/sshd.pid");
        pid_t listener = text == NULL ? 0 : (pid_t)strtol(text, NULL, 10);

        if (listener <= 1 || program.files_only)
                return;
        owned_str char *path = x_asprintf("/proc/%d/comm", (int)listener), *name = file_text(path);
        if (name != NULL && strcmp(name, "sshd\n") == 0)
                (void)kill(listener, SIGHUP);
}

static void set_host_key(struct steps *steps, const struct guest_identity *identity)
{
        static const char path[] = "/etc/ssh/ssh_host_ed25519_key";

        if (!file_exists("/etc/ssh") && !file_exists("/usr/sbin/sshd"))
                return;
        file_remove("/etc/ssh", "ssh_host_*key");
        file_remove("/etc/ssh", "ssh_host_*key.pub");
        file_remove("/etc/dropbear", "dropbear_*_host_key");
        int failed = file_put(path, identity->host_key, strlen(identity->host_key), 0600, true);
        if (failed == 0) {
                owned_str char *public = x_asprintf("%s.pub", path);
                failed = file_put(public, identity->host_key_public, strlen(identity->host_key_public), 0644, false);
        }
        steps_tell(steps, "host-key", failed, "/etc/ssh");
        wake_sshd();
}

void identity_set_login(struct steps *steps, const char *login)
{
        static const char path[] = "/root/.ssh/authorized_keys";
        owned_str char *old = NULL;
        int failed = read_old(path, &old);
        owned_str char *copy = old == NULL ? NULL : x_strdup(old);
        owned_string struct str keys = {0};
        char *rest = copy, *line;

        while (rest != NULL && (line = strsep(&rest, "\n")) != NULL)
                if (strcmp(line, login) == 0)
                        return;
        str_addf(&keys, "%s%s%s\n", old == NULL ? "" : old, old == NULL || old[0] == '\0' || str_ends(old, "\n") ? "" : "\n", login);
        if (failed == 0)
                failed = file_put(path, keys.data, keys.length, 0600, true);
        steps_tell(steps, "ssh-key", failed, path);
}

/* ---- All of it ---- */

static void forget_leases(void)
{
        static const struct {
                const char *folder, *pattern;
        } leases[] = {
                {"/var/lib/dhcp", "*.lease*"}, {"/var/lib/dhcpcd", "*"},          {"/var/lib/dhcpcd5", "*"},
                {"/etc", "dhcpcd.duid"},       {"/etc", "dhcpcd.secret"},         {"/var/lib/NetworkManager", "*.lease*"},
                {"/var/lib/NetworkManager", "secret_key"}, {"/var/lib/systemd/network", "*"},
        };

        for (size_t i = 0; i < array_length(leases); i++)
                file_remove(leases[i].folder, leases[i].pattern);
}

void identity_set_files(struct steps *steps, const struct guest_identity *identity)
{
        if (identity->hostname[0] != '\0')
                set_hostname(steps, identity->hostname);
        if (identity->machine_id[0] != '\0')
                set_machine(steps, identity->machine_id);
        if (identity->host_key[0] != '\0')
                set_host_key(steps, identity);
        forget_leases();
}
