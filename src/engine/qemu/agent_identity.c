/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's identity from inside: one script for the guest's own shell, written for busybox as for bash. The script is
 * always the same; all values are lines of its input, so none is ever looked at as code, and no key is in a list of
 * processes. It relies on nothing that a small system may lack, does what it can, and says the rest; what it has done
 * is marked with the instance's id, as cloud-init does.
 */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_exec.h"
#include "engine/qemu/agent_wake.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

#define POOL_BYTES 32 /* said as 64 digits, which is what the program in agent_wake.h reads */

/* The last lines of its output, "pending WHAT", are what could not be done. */
static const char script[] =
        "nl='\n'\n"
        "hostname= machine= instance= seed= key= public= login= mounts= woken= pool= old= mac= flush= rehearsal=\n"
        "while IFS= read -r line; do\n"
        "  value=${line#* }\n"
        "  case $line in\n"
        "  'hostname '*) hostname=$value ;;\n"
        "  'machine '*) machine=$value ;;\n"
        "  'instance '*) instance=$value ;;\n"
        "  'seed '*) seed=$value ;;\n"
        "  'key '*) key=$key$value$nl ;;\n"
        "  'public '*) public=$public$value$nl ;;\n"
        "  'login '*) login=$value ;;\n"
        "  'mount '*) mounts=$mounts$value$nl ;;\n"
        "  'woken '*) woken=$value ;;\n"
        "  'pool '*) pool=$value ;;\n"
        "  'old '*) old=$value ;;\n"
        "  'mac '*) mac=$value ;;\n"
        "  'flush '*) flush=$value ;;\n"
        "  'rehearsal '*) rehearsal=$value ;;\n"
        "  esac\n"
        "done\n"
        "pending() { printf 'pending %s\\n' \"$1\"; failed=1; }\n"
        "put() { # each fork costs a guest without KVM 10 ms: what is there and public is written over, else the mode is made by umask\n"
        "  if [ -n \"$woken\" ] && [ $2 != 600 ] && [ -f \"$1\" ] && [ ! -L \"$1\" ]; then printf '%s' \"$3\" >\"$1\"; return; fi\n"
        "  case $2 in 600) umask 077 ;; 644) umask 022 ;; *) umask 222 ;; esac\n"
        "  [ ! -e \"$1.cowherd\" ] || rm -f \"$1.cowherd\"\n"
        "  printf '%s' \"$3\" >\"$1.cowherd\" && mv -f \"$1.cowherd\" \"$1\"\n"
        "  put=$?; umask 022; return $put\n"
        "} 2>/dev/null\n"
        "has() { # a line in a file\n"
        "  while IFS= read -r line || [ -n \"$line\" ]; do [ \"$line\" != \"$2\" ] || return 0; done <\"$1\"\n"
        "  return 1\n"
        "} 2>/dev/null\n"
        "set_hostname() {\n"
        "  put /etc/hostname 644 \"$hostname$nl\" || pending 'hostname: /etc/hostname cannot be written'\n"
        "  { echo \"$hostname\" >/proc/sys/kernel/hostname; } 2>/dev/null || hostname \"$hostname\" 2>/dev/null || pending 'hostname'\n"
        "  hosts= seen=\n"
        "  [ ! -f /etc/hosts ] || while IFS= read -r line || [ -n \"$line\" ]; do\n"
        "    case $line in 127.0.1.1[[:space:]]*) line=\"127.0.1.1 $hostname\" seen=1 ;; esac\n"
        "    hosts=$hosts$line$nl\n"
        "  done </etc/hosts\n"
        "  [ -n \"$seen\" ] || hosts=\"${hosts}127.0.1.1 $hostname$nl\"\n"
        "  put /etc/hosts 644 \"$hosts\" || pending 'hosts: /etc/hosts cannot be written'\n"
        "}\n"
        "set_machine() {\n"
        "  put /etc/machine-id 444 \"$machine$nl\" || pending 'machine-id: /etc/machine-id cannot be written'\n"
        "  file=/var/lib/dbus/machine-id\n"
        "  if [ -f $file ] && [ ! -L $file ]; then put $file 444 \"$machine$nl\" || pending 'machine-id of D-Bus'; fi\n"
        "}\n"
        "set_host_key() {\n"
        "  [ -d /etc/ssh ] || command -v sshd >/dev/null 2>&1 || return 0\n"
        "  mkdir -p /etc/ssh && rm -f /etc/ssh/ssh_host_*key /etc/ssh/ssh_host_*key.pub "
        "/etc/dropbear/dropbear_*_host_key\n"
        "  put /etc/ssh/ssh_host_ed25519_key 600 \"$key\" && put /etc/ssh/ssh_host_ed25519_key.pub 644 \"$public\" ||\n"
        "    pending 'host-key: /etc/ssh cannot be written'\n"
        "  if [ -d /run/systemd/system ]; then systemctl --no-block try-restart ssh.service sshd.service\n"
        "  elif [ -d /run/openrc ]; then rc-service --ifstarted sshd restart\n"
        "  elif [ -f /run/sshd.pid ]; then kill -HUP \"$(cat /run/sshd.pid)\"; fi >/dev/null 2>&1\n"
        "}\n"
        "set_seed() {\n"
        "  printf '%s' \"$seed\" >/dev/urandom\n"
        "  for file in /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/random-seed; do\n"
        "    if [ -d \"${file%/*}\" ] && { [ -f \"$file\" ] || [ $file = /var/lib/systemd/random-seed ]; }; then\n"
        "      (umask 077; rm -f \"$file\"; { printf '%s' \"$seed\"; dd if=/dev/urandom bs=512 count=1; } >\"$file\") "
        "2>/dev/null\n"
        "    fi\n"
        "  done\n"
        "}\n"
        "forget_leases() {\n"
        "  set --\n"
        "  for file in /var/lib/dhcp/*.lease* /var/lib/dhcpcd/* /var/lib/dhcpcd5/* /etc/dhcpcd.duid /etc/dhcpcd.secret \\\n"
        "    /var/lib/NetworkManager/*.lease* /var/lib/NetworkManager/secret_key /var/lib/systemd/network/*; do\n"
        "    [ ! -f \"$file\" ] || set -- \"$@\" \"$file\"\n"
        "  done\n"
        "  [ $# = 0 ] || rm -f \"$@\" 2>/dev/null\n"
        "}\n"
        "set_login() {\n"
        "  home=/root; [ -d /root ] || home=\n"
        "  mkdir -p -m 700 \"$home/.ssh\" && touch \"$home/.ssh/authorized_keys\" && chmod 600 "
        "\"$home/.ssh/authorized_keys\" &&\n"
        "    { has \"$home/.ssh/authorized_keys\" \"$login\" || printf '%s\\n' \"$login\" "
        ">>\"$home/.ssh/authorized_keys\"; } ||\n"
        "    pending 'ssh-key: root'\\''s authorized_keys cannot be written'\n"
        "} 2>/dev/null\n"
        "mount_all() {\n"
        "  modprobe 9pnet_virtio 2>/dev/null\n"
        "  while read -r tag mode path; do\n"
        "    [ -n \"$path\" ] || continue\n"
        "    while read -r device rest; do [ \"$device\" != \"$tag\" ] || continue 2; done </proc/mounts\n"
        "    mkdir -p \"$path\" 2>/dev/null\n"
        "    said=$(mount -t 9p -o \"trans=virtio,version=9p2000.L,msize=262144,$mode\" \"$tag\" \"$path\" 2>&1) ||\n"
        "      pending \"mount of $path: ${said:-it fails} (its kernel needs 9p)\"\n"
        "  done <<END\n"
        "$mounts\n"
        "END\n"
        "}\n"
        AGENT_WAKE_FUNCTIONS
        "failed= mark=/var/lib/cowherd/instance-id\n"
        "[ -z \"$woken\" ] || wake\n"
        "if [ -n \"$instance\" ] && ! has $mark \"$instance\"; then\n"
        "  if command -v cloud-init >/dev/null 2>&1; then cloud-init status --wait >/dev/null 2>&1; fi\n"
        "  [ -n \"$woken\" ] || ! owes_boot_id || set_boot_id || pending 'boot-id'\n"
        "  [ -z \"$hostname\" ] || set_hostname\n"
        "  [ -z \"$machine\" ] || set_machine\n"
        "  [ -z \"$key\" ] || set_host_key\n"
        "  [ -z \"$seed\" ] || set_seed\n"
        "  forget_leases\n"
        "  sync\n"
        "  [ -n \"$failed\" ] || { { [ -d ${mark%/*} ] || mkdir -p ${mark%/*}; } && put $mark 644 \"$instance$nl\" && sync; } || pending 'the "
        "mark in /var/lib/cowherd'\n"
        "fi\n"
        "[ -z \"$login\" ] || set_login\n"
        "[ -z \"$mounts\" ] || mount_all\n"
        "[ -z \"$woken\" ] || [ -n \"$rehearsal\" ] || have_all_renewed\n"
        "exit 0\n";

/* A value of several lines: each with the key before it. */
static void add(struct str *input, const char *key, const char *value)
{
        for (const char *line = value; line != NULL && *line != '\0';
             line += strcspn(line, "\n"), line += *line == '\n')
                str_addf(input, "%s %.*s\n", key, (int)strcspn(line, "\n"), line);
}

static void add_identity(struct str *input, const struct engine_identity *identity, bool woken)
{
        add(input, "login", identity->ssh_key);
        if (!identity->fresh || (identity->applied && !woken))
                return;
        add(input, "hostname", identity->hostname);
        add(input, "machine", identity->machine_id);
        add(input, "instance", identity->instance_id);
        add(input, "seed", identity->random_seed);
        add(input, "key", identity->host_key);
        add(input, "public", identity->host_key_public);
}

static int add_mounts(struct str *input, const struct engine_machine *machine, struct cowherd_error *err)
{
        char tag[QEMU_MOUNT_TAG_BYTES];

        for (size_t i = 0; i < machine->mount_count; i++) {
                const struct engine_mount *mount = &machine->mounts[i];
                if (strchr(mount->guest, '\n') != NULL)
                        return fail(err, COWHERD_USAGE, "'%s' is no path to mount at (expected one line)",
                                    mount->guest);
                str_addf(input, "mount %s %s %s\n", qemu_agent_mount_tag(i, tag), mount->read_only ? "ro" : "rw",
                         mount->guest);
        }
        return 0;
}

/* "pending A", "pending B" → "A; B" */
static void read_pending(const char *text, char *ret, size_t bytes)
{
        size_t used = 0;

        ret[0] = '\0';
        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
                if (!str_starts(line, "pending "))
                        continue;
                owned_str char *raw = x_strndup(line + 8, strcspn(line + 8, "\n")), *words = agent_quote(raw);
                int added = snprintf(ret + used, bytes - used, "%s%s", used > 0 ? "; " : "", words);
                if (added < 0 || (size_t)added >= bytes - used)
                        return; /* cut: there is more than can be told */
                used += (size_t)added;
        }
}

/* What a machine that woke is told besides. */
static void add_waking(struct str *input, const struct engine_identity *identity, const struct qemu_agent_waking *waking)
{
        char pool[2 * POOL_BYTES + 1];

        str_addf(input, "woken %llu\n", (unsigned long long)((clock_wall_ms() + 500) / 1000));
        if (waking->reseed)
                str_addf(input, "pool %s\n", random_hex(POOL_BYTES, pool));
        if (waking->rehearsal)
                str_add(input, "rehearsal 1\n");
        if (identity == NULL || !identity->fresh)
                return;
        add(input, "old", waking->old_mac);
        add(input, "mac", identity->mac);
        if (waking->forget_addresses)
                str_add(input, "flush 1\n");
}

static int give(const struct engine_instance *instance, const struct qemu_agent_waking *waking, uint64_t timeout_ms, char *ret_pending,
                size_t bytes, struct cowherd_error *err)
{
        const struct engine_machine *machine = instance->machine;
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_string struct str input = {0};
        struct engine_output output = {0};

        if (instance->identity != NULL)
                add_identity(&input, instance->identity, waking != NULL);
        if (waking != NULL)
                add_waking(&input, instance->identity, waking);
        if (machine != NULL && add_mounts(&input, machine, err) < 0)
                return -1;
        ret_pending[0] = '\0';
        if (input.length == 0)
                return 0;
        if (machine != NULL && machine->os != ENGINE_OS_LINUX) {
                (void)snprintf(ret_pending, bytes,
                               "hostname, keys and mounts: they can be set from inside a Linux only");
                return 0;
        }
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0 ||
            agent_script(instance, &agent, script, NULL, str_text(&input), timeout_ms, &output, err) < 0)
                return -1;
        int result = 0;
        if (output.exit_code != 0)
                result = agent_script_failed(&agent, &output, COWHERD_SYSTEM, err);
        else
                read_pending(output.out, ret_pending, bytes);
        engine_output_free(&output);
        return result;
}

int qemu_agent_personalise(const struct engine_instance *instance, uint64_t timeout_ms, char *ret_pending, size_t bytes,
                           struct cowherd_error *err)
{
        return give(instance, NULL, timeout_ms, ret_pending, bytes, err);
}

int qemu_agent_wake(const struct engine_instance *instance, const struct qemu_agent_waking *waking, uint64_t timeout_ms,
                    char *ret_pending, size_t bytes, struct cowherd_error *err)
{
        return give(instance, waking, timeout_ms, ret_pending, bytes, err);
}
