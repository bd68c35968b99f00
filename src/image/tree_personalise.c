/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small step for each part of an identity, each by file_write_in_root: written beside, given to the owner of its
 * folder, renamed into place. A part whose program is not in the tree (sshd, cloud-init, D-Bus, sysvinit's seed) is
 * left out.
 */
#include "image/tree_personalise.h"

#include "base/mem.h"
#include "sys/act_as.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES (256u << 10)
#define SEED_BYTES_MAX 512u
#define CLOUD_SEED "/var/lib/cloud/seed/nocloud"

struct writing {
        int tree;
        const struct tree_identity *identity;
        struct strv *written;
};

/* The mode of what is there, the last symlink followed inside the tree; 0 where nothing is. */
static mode_t look(int tree, const char *path, int flags)
{
        struct cowherd_error ignored;
        struct stat found;
        owned_fd int fd = -1;

        return file_open_in_root(tree, path, O_PATH | flags, 0, &fd, &ignored) == 0 && fstat(fd, &found) == 0
                       ? found.st_mode
                       : 0;
}

static bool has(int tree, const char *path)
{
        return look(tree, path, 0) != 0;
}

/* The text of a regular file, "" where there is none. */
static int read_text(int tree, const char *path, char **ret, struct cowherd_error *err)
{
        owned_fd int fd = -1;
        owned_str char *text = x_malloc(FILE_BYTES + 1);
        size_t length = 0;

        text[0] = '\0';
        if (S_ISREG(look(tree, path, 0))) {
                if (file_open_in_root(tree, path, O_RDONLY, 0, &fd, err) < 0)
                        return -1;
                for (ssize_t got = 1; got > 0 && length < FILE_BYTES; length += (size_t)got) {
                        got = read(fd, text + length, FILE_BYTES - length);
                        if (got < 0)
                                return fail_errno(err, "cannot read '%s' in the tree", path);
                }
                if (length == FILE_BYTES)
                        return fail(err, COWHERD_DATA, "'%s' in the tree is too long to be what it is called", path);
                text[length] = '\0';
        }
        *ret = take(text);
        return 0;
}

static int write_text(struct writing *w, const char *path, const char *text, mode_t mode, struct cowherd_error *err)
{
        if (file_write_in_root(w->tree, path, text, mode, err) < 0)
                return -1;
        if (w->written != NULL)
                strv_add(w->written, path);
        return 0;
}

/* Whether a line of hosts(5) is the one of 127.0.1.1, which Debian keeps for the host's own name. */
static bool is_own_line(const char *line)
{
        return str_starts(line, "127.0.1.1") && strchr(" \t", line[strlen("127.0.1.1")]) != NULL;
}

static int write_hosts(struct writing *w, struct cowherd_error *err)
{
        owned_str char *old = NULL;
        owned_string struct str text = {0};

        if (read_text(w->tree, "/etc/hosts", &old, err) < 0)
                return -1;
        if (old[0] == '\0')
                str_add(&text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for (const char *line = old; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                if (!is_own_line(line)) {
                        str_add_bytes(&text, line, length);
                        str_add_char(&text, '\n');
                }
                line += length + (line[length] == '\n');
        }
        str_addf(&text, "127.0.1.1\t%s\n", w->identity->hostname);
        return write_text(w, "/etc/hosts", str_text(&text), 0644, err);
}

static int write_hostname(struct writing *w, struct cowherd_error *err)
{
        if (w->identity->hostname == NULL)
                return 0;
        owned_str char *line = x_asprintf("%s\n", w->identity->hostname);
        return write_text(w, "/etc/hostname", line, 0644, err) < 0 ? -1 : write_hosts(w, err);
}

/* D-Bus's file is a link to systemd's on most systems; where the tree has D-Bus without one, it gets its own text. */
static int write_machine_id(struct writing *w, struct cowherd_error *err)
{
        if (w->identity->machine_id == NULL)
                return 0;
        owned_str char *line = x_asprintf("%s\n", w->identity->machine_id);
        if (write_text(w, "/etc/machine-id", line, 0444, err) < 0)
                return -1;
        mode_t mode = look(w->tree, "/var/lib/dbus/machine-id", O_NOFOLLOW);
        bool needed =
                S_ISREG(mode) || (mode == 0 && has(w->tree, "/var/lib/dbus") &&
                                  !has(w->tree, "/usr/lib/systemd/systemd") && !has(w->tree, "/lib/systemd/systemd"));
        return needed ? write_text(w, "/var/lib/dbus/machine-id", line, 0444, err) : 0;
}

static int write_host_key(struct writing *w, struct cowherd_error *err)
{
        if (w->identity->host_key == NULL || w->identity->host_key_public == NULL ||
            (!has(w->tree, "/etc/ssh") && !has(w->tree, "/usr/sbin/sshd")))
                return 0;
        if (write_text(w, "/etc/ssh/ssh_host_ed25519_key", w->identity->host_key, 0600, err) < 0)
                return -1;
        return write_text(w, "/etc/ssh/ssh_host_ed25519_key.pub", w->identity->host_key_public, 0644, err);
}

static int hex_digit(char digit)
{
        const char *digits = "0123456789abcdef", *found = strchr(digits, digit);

        return digit == '\0' || found == NULL ? -1 : (int)(found - digits);
}

/* Hex becomes bytes; how many, 0 where it is no hex. */
static size_t seed_bytes(const char *hex, unsigned char bytes[SEED_BYTES_MAX])
{
        size_t length = strlen(hex);

        if (length % 2 != 0 || length / 2 > SEED_BYTES_MAX)
                return 0;
        for (size_t i = 0; i < length / 2; i++) {
                int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
                if (high < 0 || low < 0)
                        return 0;
                bytes[i] = (unsigned char)(high << 4 | low);
        }
        return length / 2;
}

/* A seed may hold any byte, so it is put into a file that is made empty. */
static int write_seed_file(struct writing *w, const char *path, const unsigned char *bytes, size_t count,
                           struct cowherd_error *err)
{
        owned_fd int fd = -1;

        if (write_text(w, path, "", 0600, err) < 0 || file_open_in_root(w->tree, path, O_WRONLY, 0, &fd, err) < 0)
                return -1;
        if (write(fd, bytes, count) != (ssize_t)count)
                return fail_errno(err, "cannot write '%s' in the tree", path);
        return 0;
}

static int write_seed(struct writing *w, struct cowherd_error *err)
{
        static const struct {
                const char *folder, *path;
        } places[] = {{"/var/lib/systemd", "/var/lib/systemd/random-seed"},
                      {"/var/lib/urandom", "/var/lib/urandom/random-seed"}};
        unsigned char bytes[SEED_BYTES_MAX];

        if (w->identity->random_seed == NULL)
                return 0;
        size_t count = seed_bytes(w->identity->random_seed, bytes);
        if (count == 0)
                return fail(err, COWHERD_INTERNAL, "the random seed of an identity is not hex");
        for (size_t i = 0; i < array_length(places); i++)
                if (has(w->tree, places[i].folder) && write_seed_file(w, places[i].path, bytes, count, err) < 0)
                        return -1;
        return 0;
}

/* As YAML: a text in single quotes, in which the quote is written twice. */
static void add_quoted(struct str *to, const char *text)
{
        str_add_char(to, '\'');
        for (const char *at = text; *at != '\0'; at++) {
                if (*at == '\'')
                        str_add_char(to, '\'');
                str_add_char(to, *at);
        }
        str_add_char(to, '\'');
}

bool tree_has_cloud_init(int tree)
{
        return has(tree, "/etc/cloud");
}

static int write_cloud_seed(struct writing *w, struct cowherd_error *err)
{
        const struct tree_identity *identity = w->identity;
        owned_string struct str meta = {0};

        if (!tree_has_cloud_init(w->tree) || identity->instance_id == NULL)
                return 0;
        str_add(&meta, "instance-id: ");
        add_quoted(&meta, identity->instance_id);
        if (identity->hostname != NULL) {
                str_add(&meta, "\nlocal-hostname: ");
                add_quoted(&meta, identity->hostname);
        }
        if (identity->ssh_key != NULL) {
                str_add(&meta, "\npublic-keys:\n  - ");
                add_quoted(&meta, identity->ssh_key);
        }
        str_add_char(&meta, '\n');
        if (write_text(w, CLOUD_SEED "/meta-data", str_text(&meta), 0600, err) < 0)
                return -1;
        return write_text(w, CLOUD_SEED "/user-data",
                          identity->user_data != NULL ? identity->user_data : "#cloud-config\n", 0600, err);
}

static bool has_line(const char *text, const char *line)
{
        size_t length = strlen(line);

        for (const char *at = text; *at != '\0';) {
                size_t here = strcspn(at, "\n");
                if (here == length && strncmp(at, line, length) == 0)
                        return true;
                at += here + (at[here] == '\n');
        }
        return false;
}

/* sshd refuses a key file whose folder others can write: one that is made is root's alone. */
static int close_folder(struct writing *w, const char *path, struct cowherd_error *err)
{
        owned_fd int fd = -1;

        if (file_open_in_root(w->tree, path, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0)
                return -1;
        return fchmod(fd, 0700) < 0 ? fail_errno(err, "cannot close '%s' in the tree", path) : 0;
}

static int write_ssh_key(struct writing *w, struct cowherd_error *err)
{
        static const char path[] = "/root/.ssh/authorized_keys";
        owned_str char *old = NULL;
        owned_string struct str text = {0};

        if (w->identity->ssh_key == NULL)
                return 0;
        if (read_text(w->tree, path, &old, err) < 0)
                return -1;
        if (has_line(old, w->identity->ssh_key))
                return 0;
        bool made = !has(w->tree, "/root/.ssh");
        str_add(&text, old);
        if (text.length > 0 && text.data[text.length - 1] != '\n')
                str_add_char(&text, '\n');
        str_addf(&text, "%s\n", w->identity->ssh_key);
        if (write_text(w, path, str_text(&text), 0600, err) < 0)
                return -1;
        return made ? close_folder(w, "/root/.ssh", err) : 0;
}

static int write_all(struct writing *w, struct cowherd_error *err)
{
        int (*const steps[])(struct writing *, struct cowherd_error *) = {
                write_hostname, write_machine_id, write_host_key, write_seed, write_cloud_seed, write_ssh_key,
        };

        for (size_t i = 0; i < array_length(steps); i++)
                if (steps[i](w, err) < 0)
                        return -1;
        return 0;
}

/* Where owners are shown shifted, root of this host has no id and could make nothing: who owns the tree's root does it.
 */
static int write_as_owner(struct writing *w, struct cowherd_error *err)
{
        struct cowherd_error second;
        struct stat owner;

        if (fstat(w->tree, &owner) < 0)
                return fail_errno(err, "cannot look at the root of the tree");
        if (geteuid() != 0 || owner.st_uid == 0)
                return write_all(w, err);
        int result = act_as(owner.st_uid, owner.st_gid, err);
        if (result == 0)
                result = write_all(w, err);
        if (act_as(0, 0, &second) < 0 && result == 0) {
                *err = second;
                return -1;
        }
        return result;
}

int tree_personalise(int tree, const struct tree_identity *identity, struct strv *ret_written,
                     struct cowherd_error *err)
{
        owned_strv struct strv written = {0};
        struct writing w = {.tree = tree, .identity = identity, .written = &written};

        if (write_as_owner(&w, err) < 0)
                return fail_while(err, "giving a tree its identity");
        for (size_t i = 0; i < written.count && ret_written != NULL; i++)
                strv_add(ret_written, written.items[i]);
        return 0;
}
