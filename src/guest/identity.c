/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole identity at once. Randomness comes first, as all that is made afterwards may ask for it; the link's address before the DHCP
 * client asks again; the mark last, and only where all went well, so that a second time does what is left. Each step tells by itself.
 */
#include "guest/libc.h"
#include "guest/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK "/var/lib/cowherd/instance-id"
#define BITS_PER_BYTE 8

struct steps {
        struct str text;
        bool failed;
        bool over; /* files are written over: the machine woke, on a disk that is as new as this identity */
};

static void tell(struct steps *steps, const char *name, int os_errno, const char *what)
{
        owned_str char *problem = os_errno == 0 ? x_strdup("") : x_asprintf("%s: %s", what, strerror(os_errno));

        guest_put_text(&steps->text, name);
        guest_put_text(&steps->text, problem);
        steps->failed |= os_errno != 0;
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

/* ---- Randomness ---- */

static size_t read_hex(const char *hex, uint8_t *ret, size_t limit)
{
        size_t count = strlen(hex) / 2;

        for (size_t i = 0; i < count && i < limit; i++) {
                const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
                ret[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        return count < limit ? count : limit;
}

int random_add(const char *hex)
{
        union {
                struct rand_pool_info info;
                uint8_t bytes[sizeof(struct rand_pool_info) + GUEST_SEED_BYTES];
        } pool = {0};

        size_t count = read_hex(hex, (uint8_t *)pool.info.buf, GUEST_SEED_BYTES);
        pool.info.entropy_count = (int)count * BITS_PER_BYTE;
        pool.info.buf_size = (int)count;
        owned_fd int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool.info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
                return errno;
        return 0;
}

/* Of the next boot: made of what was given and of what the pool gives now. */
static void set_random(struct steps *steps, const char *seed)
{
        static const char *const kept[] = {"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed"};
        uint8_t bytes[GUEST_SEED_BYTES] = {0};

        tell(steps, "random-seed", program.files_only ? 0 : random_add(seed), "the random pool");
        if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK | GRND_INSECURE) < 0)
                (void)read_hex(seed, bytes, sizeof bytes);
        for (size_t i = 0; i < array_length(kept); i++)
                if (file_exists(kept[i]) || (i == 0 && file_exists("/var/lib/systemd")))
                        (void)file_put(kept[i], bytes, sizeof bytes, 0600, false);
}

/* ---- Names ---- */

static int put_hosts(const struct steps *steps, const char *hostname)
{
        owned_str char *text = file_text("/etc/hosts");
        owned_string struct str hosts = {0};
        bool seen = false;
        char *rest = text, *line;

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
                tell(steps, "hostname", sethostname(hostname, strlen(hostname)) < 0 ? errno : 0, "the hostname");
        tell(steps, "hostname-file", put_line(steps, "/etc/hostname", hostname, 0644), "/etc/hostname");
        tell(steps, "hosts", put_hosts(steps, hostname), "/etc/hosts");
}

static void set_machine(struct steps *steps, const char *machine)
{
        owned_str char *old = file_text("/var/lib/dbus/machine-id");

        tell(steps, "machine-id", put_line(steps, "/etc/machine-id", machine, 0444), "/etc/machine-id");
        if (old != NULL && strncmp(old, machine, strlen(machine)) != 0) /* no link to the other */
                tell(steps, "machine-id-dbus", put_line(steps, "/var/lib/dbus/machine-id", machine, 0444), "/var/lib/dbus/machine-id");
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
        tell(steps, "host-key", failed, "/etc/ssh");
        wake_sshd();
}

static void set_login(struct steps *steps, const char *login)
{
        static const char path[] = "/root/.ssh/authorized_keys";
        owned_str char *old = file_text(path), *copy = old == NULL ? NULL : x_strdup(old);
        owned_string struct str keys = {0};
        char *rest = copy, *line;

        while (rest != NULL && (line = strsep(&rest, "\n")) != NULL)
                if (strcmp(line, login) == 0)
                        return;
        str_addf(&keys, "%s%s%s\n", old == NULL ? "" : old, old == NULL || old[0] == '\0' || str_ends(old, "\n") ? "" : "\n", login);
        tell(steps, "ssh-key", file_put(path, keys.data, keys.length, 0600, true), path);
}

/* ---- The rest ---- */

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

static void set_clock(struct steps *steps, uint64_t wall_ns)
{
        const struct timespec now = {.tv_sec = (time_t)(wall_ns / 1000000000), .tv_nsec = (long)(wall_ns % 1000000000)};

        tell(steps, "clock", clock_settime(CLOCK_REALTIME, &now) < 0 ? errno : 0, "the clock");
}

static void set_link(struct steps *steps, const struct guest_identity *identity)
{
        char link[32] = "";
        int failed = link_find(identity->link, link, sizeof link);

        if (identity->mac[0] != '\0') {
                if (failed == 0)
                        failed = link_set_address(link, identity->mac);
                tell(steps, "mac", failed, failed == ENODEV ? "the link" : link);
        }
        if (identity->renew && failed == 0 && dhcp_renew(link) != NULL)
                tell(steps, "dhcp", 0, "");
}

static void set_all_that_stays(struct steps *steps, const struct guest_identity *identity)
{
        if (identity->hostname[0] != '\0')
                set_hostname(steps, identity->hostname);
        if (identity->machine_id[0] != '\0')
                set_machine(steps, identity->machine_id);
        if (identity->host_key[0] != '\0')
                set_host_key(steps, identity);
        forget_leases();
}

static void put_mark(struct steps *steps, const struct guest_identity *identity)
{
        owned_fd int root = openat(program.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        owned_str char *mark = x_asprintf("%s\n", identity->instance_id);

        if (identity->sync && root >= 0)
                (void)syncfs(root); /* the mark never comes before what it says */
        if (!steps->failed && identity->instance_id[0] != '\0')
                tell(steps, "mark", (steps->over ? file_put_over : file_put)(MARK, mark, strlen(mark), 0644, true), MARK);
        if (identity->sync && root >= 0)
                (void)syncfs(root);
}

static pid_t syncing;

/* Nobody waits for it; but what was killed a second later must not boot as another than it was. */
static void sync_aside(void)
{
        if (syncing != 0)
                return;
        syncing = fork();
        if (syncing == 0) {
                owned_fd int root = openat(program.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                _exit(syncfs(root) < 0);
        }
        if (syncing < 0)
                syncing = 0;
}

void identity_reap(void)
{
        if (syncing > 0 && waitpid(syncing, NULL, WNOHANG) == syncing)
                syncing = 0;
}

void identity_prepare(void)
{
        if (program.files_only)
                return;
        boot_id_prepare();
        link_prepare();
        dhcp_prepare();
}

void identity_apply(struct port *port, unsigned channel, const struct guest_identity *identity)
{
        owned_str char *mark = file_text(MARK);
        struct steps steps = {.over = identity->wall_ns != 0};

        size_t length = mark == NULL ? 0 : strcspn(mark, "\n");
        bool done = identity->instance_id[0] != '\0' && mark != NULL && strlen(identity->instance_id) == length &&
                    strncmp(mark, identity->instance_id, length) == 0;
        if (identity->seed[0] != '\0' && !done)
                set_random(&steps, identity->seed);
        if (identity->wall_ns != 0 && !program.files_only)
                set_clock(&steps, identity->wall_ns);
        if (identity->instance_id[0] != '\0' && !program.files_only && (steps.over || (!done && boot_id_is_owed())))
                tell(&steps, "boot-id", boot_id_set(), "the boot id");
        if (!done)
                set_all_that_stays(&steps, identity);
        if ((identity->mac[0] != '\0' || identity->renew) && !program.files_only)
                set_link(&steps, identity);
        if (identity->login[0] != '\0')
                set_login(&steps, identity->login);
        if (!done)
                put_mark(&steps, identity);
        port_say(port, GUEST_STEPS, channel, steps.text.data, steps.text.length);
        str_free(&steps.text);
        if (!done && !identity->sync)
                sync_aside();
}
