/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the identity out of a tree, so that even a clone started by other tools is nobody yet. One table says what is
 * identity; each find is copied to the folder `aside` under its own path, then removed. Copied and not moved: aside may
 * lie on another filesystem or subvolume. Doing it again after having been killed goes on where it stopped.
 *
 * The tree is foreign: folders are opened as its own root would find them, and what lies in them is never followed. A
 * planted /etc/machine-id that is a symlink is replaced as the symlink it is.
 */
#include "image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MAX 100000u /* more than this in one of these folders is no distribution's */

struct identity {
        const char *folder;  /* in the tree */
        const char *pattern; /* of names in it */
        bool emptied;        /* else removed */
};

static const struct identity identities[] = {
        {"etc", "machine-id", true}, /* systemd fills an empty one at boot; a missing one would mean a first boot */
        {"var/lib/dbus", "machine-id", false},
        {"etc/ssh", "ssh_host_*", false},
        {"etc/dropbear", "dropbear_*_host_key", false},
        {"var/lib/dhcp", "*.lease*", false},
        {"var/lib/dhclient", "*.lease*", false},
        {"var/lib/dhcpcd", "*", false},
        {"var/lib/dhcpcd5", "*", false},
        {"var/db/dhcpcd", "*", false},
        {"etc", "dhcpcd.duid", false},
        {"etc", "dhcpcd.secret", false},
        {"var/lib/NetworkManager", "*.lease", false},
        {"var/lib/NetworkManager", "secret_key", false},
        {"var/lib/NetworkManager", "timestamps", false},
        {"var/lib/systemd", "random-seed", false},
        {"var/lib/systemd", "credential.secret", false},
        {"var/lib/urandom", "random-seed", false},
        {"var/lib", "random-seed", false},
        {"var/lib/misc", "random-seed", false},
        {"boot/efi/loader", "random-seed", false},
        {"boot/loader", "random-seed", false},
        {"efi/loader", "random-seed", false},
        {"var/lib/cloud", "instance", false},
        {"var/lib/cloud", "instances", false},
        {"var/lib/cloud", "data", false},
        {"var/lib/cloud", "sem", false},
        {"etc/udev/rules.d", "*-persistent-net.rules", false},
};

struct neutralising {
        int tree;
        int aside_at;
        const char *aside;
        struct strv removed;
};

/*
 * Opens a folder of the tree for reading; 1 where there is none. One of which everything is taken is not reached
 * through a symlink in its own place: planted to "/", it would empty the tree.
 */
static int open_folder(int tree, const struct identity *what, int *ret_fd, struct cowherd_error *err)
{
        int follow = strcmp(what->pattern, "*") == 0 ? O_NOFOLLOW : 0;
        struct cowherd_error why = {0};
        owned_fd int fd = -1;

        if (file_open_in_root(tree, what->folder, O_RDONLY | O_DIRECTORY | O_NONBLOCK | follow, 0, &fd, &why) < 0) {
                if (why.os_errno == ENOENT || why.os_errno == ENOTDIR || why.os_errno == ELOOP || why.os_errno == ENXIO)
                        return 1; /* also a symlink that leads nowhere, or in circles: nothing is kept there */
                *err = why;
                return -1;
        }
        *ret_fd = take_fd(fd);
        return 0;
}

/* The names in a folder that match; collected first, as removing while reading may skip some. */
static int list_matches(int folder, const char *path, const char *pattern, struct strv *names,
                        struct cowherd_error *err)
{
        int copy = fcntl(folder, F_DUPFD_CLOEXEC, 3);
        DIR *stream = copy < 0 ? NULL : fdopendir(copy);

        if (stream == NULL)
                return fail_errno(err, "cannot read '/%s' of the tree", path);
        rewinddir(stream);
        unsigned seen = 0;
        for (; seen < ENTRIES_MAX; seen++) {
                errno = 0;
                struct dirent *entry = readdir(stream);
                if (entry == NULL)
                        break;
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    str_matches(pattern, entry->d_name))
                        strv_add(names, entry->d_name);
        }
        int os_errno = errno;
        (void)closedir(stream);
        errno = os_errno;
        if (seen >= ENTRIES_MAX)
                return fail(err, COWHERD_DATA, "'/%s' of the tree holds more than %u entries", path, ENTRIES_MAX);
        return errno != 0 ? fail_errno(err, "cannot read '/%s' of the tree", path) : 0;
}

static int keep_link(int from, const char *name, int to, struct cowherd_error *err)
{
        char target[PATH_MAX];
        ssize_t length = readlinkat(from, name, target, sizeof target - 1);

        if (length < 0)
                return fail_errno(err, "cannot read the link '%s'", name);
        target[length] = '\0';
        return symlinkat(target, to, name) < 0 ? fail_errno(err, "cannot keep the link '%s'", name) : 0;
}

static int keep_file(int from, const char *name, int to, struct cowherd_error *err)
{
        owned_fd int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat found;

        if (source < 0 || fstat(source, &found) < 0)
                return fail_errno(err, "cannot open '%s'", name);
        owned_fd int target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (target < 0)
                return fail_errno(err, "cannot keep '%s'", name);
        if (file_copy(source, target, NULL, NULL, err) < 0)
                return -1;
        if (geteuid() == 0 && fchown(target, found.st_uid, found.st_gid) < 0)
                return fail_errno(err, "cannot give '%s' its owner", name);
        return fchmod(target, found.st_mode & 0777) < 0 ? fail_errno(err, "cannot give '%s' its mode", name) : 0;
}

static int keep_folder(int from, const char *name, int to, const struct stat *found, struct cowherd_error *err)
{
        owned_fd int target = -1;
        owned_fd int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (source < 0)
                return fail_errno(err, "cannot open '%s'", name);
        if (mkdirat(to, name, 0700) < 0)
                return fail_errno(err, "cannot keep '%s'", name);
        if (file_open_folder(to, name, &target, err) < 0)
                return -1;
        if (file_copy_tree(source, target, FILE_TREE_COPY, NULL, err) < 0)
                return -1;
        return fchmod(target, found->st_mode & 0777) < 0 ? fail_errno(err, "cannot give '%s' its mode", name) : 0;
}

/* Copies what lies at folder/name to aside; a fifo, socket or device there is nobody's identity and is not kept. */
static int keep(const struct neutralising *n, int folder, const struct identity *what, const char *name,
                const struct stat *found, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/%s", n->aside, what->folder);
        owned_fd int to = -1;

        if (!S_ISREG(found->st_mode) && !S_ISLNK(found->st_mode) && !S_ISDIR(found->st_mode))
                return 0;
        if (file_make_folders(n->aside_at, path, 0700, err) < 0)
                return -1;
        if (file_open_folder(n->aside_at, path, &to, err) < 0)
                return -1;
        if (file_remove_tree(to, name, err) < 0) /* half a copy of a run that was killed */
                return -1;
        if (S_ISLNK(found->st_mode))
                return keep_link(folder, name, to, err);
        if (S_ISDIR(found->st_mode))
                return keep_folder(folder, name, to, found, err);
        return keep_file(folder, name, to, err);
}

static int take_out(struct neutralising *n, int folder, const struct identity *what, const char *name,
                    struct cowherd_error *err)
{
        struct stat found;

        if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", name);
        if (what->emptied && S_ISREG(found.st_mode) && found.st_size == 0)
                return 0;
        if (keep(n, folder, what, name, &found, err) < 0)
                return -1;
        if ((!what->emptied || S_ISDIR(found.st_mode)) && file_remove_tree(folder, name, err) < 0)
                return -1;
        if (what->emptied && file_write_in_root(folder, name, "", 0444, err) < 0) /* in one step: never missing */
                return -1;
        strv_addf(&n->removed, "/%s/%s", what->folder, name);
        return 0;
}

static int take_out_matches(struct neutralising *n, const struct identity *what, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        owned_fd int folder = -1;

        int missing = open_folder(n->tree, what, &folder, err);
        if (missing != 0)
                return missing < 0 ? -1 : 0;
        if (list_matches(folder, what->folder, what->pattern, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++)
                if (take_out(n, folder, what, names.items[i], err) < 0)
                        return fail_while(err, "taking '/%s/%s' out of the tree", what->folder, names.items[i]);
        return 0;
}

int tree_neutralise(int tree, int aside_at, const char *aside, struct strv *ret_removed, struct cowherd_error *err)
{
        struct neutralising n = {.tree = tree, .aside_at = aside_at, .aside = aside};
        int result = 0;

        for (size_t i = 0; i < array_length(identities) && result == 0; i++)
                result = take_out_matches(&n, &identities[i], err);
        for (size_t i = 0; i < n.removed.count && result == 0 && ret_removed != NULL; i++)
                strv_add(ret_removed, n.removed.items[i]);
        strv_free(&n.removed);
        return result;
}
