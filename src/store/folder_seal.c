/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing a base and seeing later, in O(1), whether it is still what was sealed. A disk is one file, whose change time
 * moves with everything done to it. A tree is thousands: only its root and the folders at its top are looked at, which
 * is where a package manager, a hand or a stray extraction leaves traces; doctor's deep look walks all of it and compares
 * the digest that was kept at sealing.
 */
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE_FILE_BYTES 256

/* Only folders: hard links of another store move the change time of files, never of folders. */
static const char *const watched[] = {
        ".",       "bin",     "boot",         "dev",     "etc",       "home",    "lib",      "lib64",
        "media",   "mnt",     "opt",          "proc",    "root",      "run",     "sbin",     "srv",
        "sys",     "tmp",     "usr",          "var",     "usr/bin",   "usr/lib", "usr/sbin", "usr/share",
        "var/lib", "var/log", "var/lib/dpkg", "etc/ssh", "root/.ssh",
};

/* "NAME=INODE:CHANGED" of one watched folder, "NAME=-" where there is none, added to the text after a blank. */
static int add_watched(struct str *text, int tree, const char *name, struct cowherd_error *err)
{
        struct stat found;

        if (text->length > 0)
                str_add_char(text, ' ');
        if (fstatat(tree, name, &found, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
                if (errno != ENOENT && errno != ENOTDIR)
                        return fail_errno(err, "cannot look at '%s' of the tree", name);
                str_addf(text, "%s=-", name);
                return 0;
        }
        if (!S_ISDIR(found.st_mode))
                str_addf(text, "%s=%o", name, (unsigned)(found.st_mode & S_IFMT));
        else
                str_addf(text, "%s=%" PRIx64 ":%" PRIx64 ".%lx", name, (uint64_t)found.st_ino,
                         (uint64_t)found.st_ctim.tv_sec, found.st_ctim.tv_nsec);
        return 0;
}

int folder_tree_fingerprint(int tree, char **ret_text, struct cowherd_error *err)
{
        owned_string struct str text = {0};

        for (size_t i = 0; i < array_length(watched); i++)
                if (add_watched(&text, tree, watched[i], err) < 0)
                        return -1;
        *ret_text = str_take(&text);
        return 0;
}

/* The name at the beginning of the first word in which the two differ, "" where there is none: "etc=1:2" → "etc". */
static char *first_difference(const char *was, const char *is)
{
        while (*was != '\0' && *is != '\0') {
                size_t was_length = strcspn(was, " "), is_length = strcspn(is, " ");
                if (was_length != is_length || memcmp(was, is, was_length) != 0)
                        return x_strndup(is, strcspn(is, "= "));
                was += was_length + (was[was_length] == ' ');
                is += is_length + (is[is_length] == ' ');
        }
        return x_strdup("");
}

int folder_base_is_gone(const struct store_object *base, struct cowherd_error *err)
{
        return folder_fail_changed(base, ": its files are gone", false, err);
}

int folder_fail_changed(const struct store_object *base, const char *how, bool clones_go_on, struct cowherd_error *err)
{
        bool is_snapshot = base->role == STORE_SNAPSHOT;
        owned_str char *what = x_asprintf("was changed since it was %s%s", is_snapshot ? "taken" : "registered", how);

        (void)folder_fail(base, COWHERD_DATA, what, err);
        return fail_hint(err, "%s%s", is_snapshot ? "delete the snapshot" : "remove the base and register it again",
                         clones_go_on ? "; its clones go on" : "");
}

int folder_tree_check(const struct store_place *place, const struct store_object *base, const char *leaf,
                      struct cowherd_error *err)
{
        owned_fd int tree = -1;
        owned_str char *now = NULL;

        if (folder_open_leaf(place, base, leaf, &tree, err) < 0)
                return err->os_errno == ENOENT ? folder_base_is_gone(base, err) : -1;
        if (folder_tree_fingerprint(tree, &now, err) < 0)
                return -1;
        return folder_compare(base, now, err);
}

int folder_compare(const struct store_object *base, const char *now, struct cowherd_error *err)
{
        if (str_equal(now, base->fingerprint))
                return 0;
        owned_str char *name = first_difference(base->fingerprint == NULL ? "" : base->fingerprint, now);
        owned_str char *where = x_asprintf(", at '/%s'", str_equal(name, ".") ? "" : name);
        return folder_fail_changed(base, where, true, err);
}

bool folder_same_file_fingerprint(const char *a, const char *b)
{
        const char *rest_a = a == NULL ? NULL : strchr(a, ':'), *rest_b = b == NULL ? NULL : strchr(b, ':');

        return rest_a != NULL && rest_b != NULL && strcmp(rest_a, rest_b) == 0;
}

static int check_disk(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        owned_str char *now = NULL;

        if (file_fingerprint(place->fd, store_object_path(base, path), &now, err) < 0)
                return err->os_errno == ENOENT || err->code == COWHERD_NOT_FOUND ? folder_base_is_gone(base, err) : -1;
        if (folder_same_file_fingerprint(now, base->fingerprint))
                return 0;
        return folder_fail_changed(base, "", false, err);
}

int folder_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        return base->kind == STORE_TREE ? folder_tree_check(place, base, "tree", err) : check_disk(place, base, err);
}

int folder_tree_deep_check(const struct store_place *place, const struct store_object *base, const char *leaf,
                           struct cowherd_error *err)
{
        struct file_usage sealed, now;
        owned_fd int tree = -1;

        if (folder_read_size(place, base, &sealed, err) < 0 || folder_open_leaf(place, base, leaf, &tree, err) < 0 ||
            file_measure(tree, ".", &now, err) < 0)
                return -1;
        if (sealed.digest == now.digest)
                return 0;
        return folder_fail_changed(base, ", deep in its tree", true, err);
}

/* A disk is one file: check_base has seen all of it. */
int folder_deep_check_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        return base->kind == STORE_TREE ? folder_tree_deep_check(place, base, "tree", err) : 0;
}

int folder_write_size(const struct store_place *place, const struct store_object *base, const struct file_usage *usage,
                      struct cowherd_error *err)
{
        char folder[STORE_PATH_BYTES], path[STORE_PATH_BYTES + 8];
        owned_str char *text = x_asprintf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", usage->allocated_bytes,
                                          usage->apparent_bytes, usage->files, usage->digest);

        (void)snprintf(path, sizeof path, "%s/size", store_object_folder(base, folder));
        return file_replace(place->fd, path, text, 0600, place->durable, err);
}

int folder_read_size(const struct store_place *place, const struct store_object *base, struct file_usage *ret,
                     struct cowherd_error *err)
{
        char folder[STORE_PATH_BYTES], path[STORE_PATH_BYTES + 8];
        struct file_usage read = {0};
        owned_str char *text = NULL;

        (void)snprintf(path, sizeof path, "%s/size", store_object_folder(base, folder));
        if (faccessat(place->fd, path, F_OK, 0) < 0 && errno == ENOENT) {
                *ret = read;
                return 0;
        }
        if (file_read(place->fd, path, SIZE_FILE_BYTES, &text, NULL, err) < 0)
                return -1;
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &read.allocated_bytes, &read.apparent_bytes,
                   &read.files, &read.digest) != 4)
                return fail(err, COWHERD_DATA, "'%s/%s' does not hold four numbers", place->folder, path);
        *ret = read;
        return 0;
}

static int seal_disk(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                     struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        owned_fd int disk = openat(place->fd, store_object_path(base, path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (disk < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        if (file_set_immutable(disk, false, err) < 0) /* it is sealed again after a kill */
                return -1;
        /* What was a clone's belonged to whom its virtual machine ran as. */
        bool was_clone = base->base != NULL || base->of != NULL || base->role == STORE_SNAPSHOT;
        if (was_clone && geteuid() == 0 && fchown(disk, 0, 0) < 0)
                return fail_errno(err, "cannot take '%s/%s' over", place->folder, path);
        if (fchmod(disk, 0444) < 0)
                return fail_errno(err, "cannot make '%s/%s' read-only", place->folder, path);
        if (file_set_immutable(disk, true, err) < 0)
                return -1;
        if (folder_settle(place, base, err) < 0)
                return -1;
        return file_fingerprint(place->fd, path, ret_fingerprint, err);
}

int folder_tree_seal(const struct store_place *place, const struct store_object *base, const char *leaf,
                     char **ret_fingerprint, struct cowherd_error *err)
{
        struct file_usage usage;
        owned_fd int tree = -1;

        if (folder_open_leaf(place, base, leaf, &tree, err) < 0)
                return -1;
        if (file_measure(tree, ".", &usage, err) < 0)
                return -1;
        if (folder_write_size(place, base, &usage, err) < 0)
                return -1;
        if (folder_settle(place, base, err) < 0)
                return -1;
        return folder_tree_fingerprint(tree, ret_fingerprint, err);
}

int folder_seal_base(const struct store_place *place, const struct store_object *base, char **ret_fingerprint,
                     struct cowherd_error *err)
{
        return base->kind == STORE_TREE ? folder_tree_seal(place, base, "tree", ret_fingerprint, err)
                                        : seal_disk(place, base, ret_fingerprint, err);
}
