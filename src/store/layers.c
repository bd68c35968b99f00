/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays (kernel's Documentation/filesystems/overlayfs.rst). Making a clone is four mkdirs; the mount itself waits
 * until the clone is used, so that a thousand clones at rest cost no mounts.
 */
#include "store/layers.h"

#include "sys/mount.h"
#include "sys/mount_idmap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int layers_make(int folder, int lower, struct cowherd_error *err)
{
        static const char *const names[] = {"upper", "work", "tree"};
        owned_fd int upper = -1;

        for (size_t i = 0; i < array_length(names); i++)
                if (mkdirat(folder, names[i], 0755) < 0)
                        return fail_errno(err, "cannot make the folder '%s' of a clone", names[i]);
        if (file_open_folder(folder, "upper", &upper, err) < 0)
                return -1;
        return folder_match_root(lower, upper, err);
}

/* "/proc/self/fd/7/clones/12/upper". To be freed. */
static char *short_path(const struct store_place *place, const struct store_object *object, const char *leaf)
{
        char folder[STORE_PATH_BYTES];

        return x_asprintf("/proc/self/fd/%d/%s/%s", place->fd, store_object_folder(object, folder), leaf);
}

void layers_add_lower(struct str *lowers, const struct store_place *place, const struct store_object *object,
                      const char *leaf)
{
        owned_str char *path = short_path(place, object, leaf);

        if (lowers->length > 0)
                str_add_char(lowers, ':');
        str_add(lowers, path);
}

/* Whether what is mounted shows owners as they are wanted. */
static bool is_shifted_right(const struct store_place *place, const struct store_object *object, const char *tree)
{
        owned_str char *upper = short_path(place, object, "upper");
        struct stat shown, own;

        if (object->id_shift == 0)
                return true;
        return stat(tree, &shown) == 0 && stat(upper, &own) == 0 && shown.st_uid == own.st_uid + object->id_shift;
}

/* As mount_overlay, with owners shifted. 1 where the filesystem can't. `lowers` are layers_add_lower's. */
static int mount_with_shift(const struct store_place *place, const struct store_object *object, const char *lowers,
                            const char *tree, struct cowherd_error *err)
{
        owned_strv struct strv list = {0};
        owned_str char *text = x_strdup(lowers), *prefix = x_asprintf("/proc/self/fd/%d/", place->fd);
        char folder[STORE_PATH_BYTES], *rest = NULL;

        for (char *word = strtok_r(text, ":", &rest); word != NULL; word = strtok_r(NULL, ":", &rest))
                strv_add(&list, str_starts(word, prefix) ? word + strlen(prefix) : word);
        (void)store_object_folder(object, folder);
        owned_str char *upper = x_asprintf("%s/upper", folder), *work = x_asprintf("%s/work", folder);
        struct mount_layers layers = {.folder = place->fd,
                                      .lowers = (const char *const *)list.items,
                                      .lower_count = list.count,
                                      .upper = upper,
                                      .work = work};
        return mount_overlay_shifted(&layers, object->id_shift, tree, err);
}

int layers_mount(const struct store_place *place, const struct store_object *object, const char *lowers, bool writable,
                 char **ret_path, struct cowherd_error *err)
{
        owned_str char *tree = folder_absolute(place, object, "tree");
        owned_str char *upper = short_path(place, object, "upper"), *work = short_path(place, object, "work");
        int mounted = folder_find_mount(place, object, err);

        if (mounted < 0)
                return -1;
        if (mounted > 0 && !is_shifted_right(place, object, tree)) {
                if (mount_unmount(tree, err) < 0)
                        return -1;
                mounted = 0;
        }
        int plain = mounted > 0 ? 0 : 1;
        if (plain > 0 && writable && object->id_shift != 0)
                plain = mount_with_shift(place, object, lowers, tree, err);
        if (plain < 0 ||
            (plain > 0 && mount_overlay(lowers, writable ? upper : NULL, writable ? work : NULL, tree, err) < 0))
                return -1;
        *ret_path = take(tree);
        return 0;
}

int layers_unmount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_str char *tree = folder_absolute(place, object, "tree");

        if (!folder_is_mounted(place, object))
                return 0;
        return mount_unmount(tree, err);
}

int layers_destroy(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        if (layers_unmount(place, object, err) < 0)
                return -1;
        return folder_destroy(place, object, err);
}

static int try_writing(const char *path, int folder, struct cowherd_error *err)
{
        owned_str char *file = x_asprintf("%s/tree/written", path);

        owned_fd int written = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (written < 0)
                return fail_errno(err, "cannot write through an overlay");
        if (faccessat(folder, "upper/written", F_OK, 0) < 0)
                return fail(err, COWHERD_UNAVAILABLE,
                            "what is written through an overlay does not arrive in its upper");
        return 0;
}

static int try_overlay(const struct store_place *place, const char *name, int folder, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/proc/self/fd/%d", folder), *lower = x_asprintf("%s/lower", path);
        owned_str char *upper = x_asprintf("%s/upper", path), *work = x_asprintf("%s/work", path);
        owned_str char *tree = x_asprintf("%s/%s/tree", place->folder, name);
        owned_fd int lower_fd = -1;

        if (mkdirat(folder, "lower", 0700) < 0)
                return fail_errno(err, "cannot make a folder in '%s'", place->folder);
        if (file_open_folder(folder, "lower", &lower_fd, err) < 0 || layers_make(folder, lower_fd, err) < 0)
                return -1;
        if (mount_overlay(lower, upper, work, tree, err) < 0)
                return -1;
        int tried = try_writing(path, folder, err);
        struct cowherd_error second = *err;
        if (mount_unmount(tree, &second) < 0 && tried == 0) {
                *err = second;
                return -1;
        }
        return tried;
}

static int make_folder(int at, const char *name)
{
        return mkdirat(at, name, 0700);
}

int layers_probe(const struct store_place *place, enum store_kind kind, struct store_probe *ret,
                 struct cowherd_error *err)
{
        char name[FOLDER_PROBE_BYTES];
        struct cowherd_error why = {0};
        owned_fd int folder = -1;

        if (kind != STORE_TREE)
                return folder_unusable(ret, "an overlay keeps trees only");
        if (geteuid() != 0)
                return folder_unusable(ret, "mounting an overlay needs root");
        if (folder_probe_begin(place, make_folder, name, &folder, &why) < 0)
                return folder_unusable(ret, why.text);
        int tried = try_overlay(place, name, folder, &why);
        if (file_remove_tree(place->fd, name, err) < 0)
                return fail_while(err, "taking a probe away");
        if (tried < 0)
                return folder_unusable(ret, why.text);
        *ret = (struct store_probe){.usable = true};
        (void)snprintf(ret->detail, sizeof ret->detail, "overlay on %s", file_system_name(place->fd));
        return 0;
}

int layers_measure(const struct store_place *place, const struct store_object *object, struct file_usage *ret,
                   struct cowherd_error *err)
{
        static const char *const names[] = {"upper", "work"};
        owned_fd int folder = -1;
        struct file_usage sum = {0};

        if (folder_open(place, object, &folder, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(names); i++) {
                struct file_usage measured;
                if (faccessat(folder, names[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue; /* half-made */
                if (file_measure(folder, names[i], &measured, err) < 0)
                        return -1;
                sum.allocated_bytes += measured.allocated_bytes;
                sum.apparent_bytes += measured.apparent_bytes;
                sum.files += measured.files;
        }
        *ret = sum;
        return 0;
}

int layers_add_rest(int folder, struct cowherd_error *err)
{
        if (folder_add(folder, "work", 0755, err) < 0)
                return -1;
        return folder_add(folder, "tree", 0755, err);
}

int layers_is_empty(int folder, const char *name, bool *ret, struct cowherd_error *err)
{
        int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);
        unsigned count = 0;

        if (entries == NULL) {
                int failed = fail_errno(err, "cannot list '%s'", name);
                close_at(&fd);
                return failed;
        }
        while (count < 3 && readdir(entries) != NULL)
                count++;
        (void)closedir(entries);
        *ret = count < 3; /* "." and ".." */
        return 0;
}

int layers_empty_tree(int folder, struct cowherd_error *err)
{
        bool empty = false;

        if (!folder_has(folder, "tree"))
                return folder_add(folder, "tree", 0755, err);
        if (layers_is_empty(folder, "tree", &empty, err) < 0)
                return -1;
        if (empty)
                return 0;
        if (folder_add(folder, "empty", 0755, err) < 0)
                return -1;
        return folder_put(folder, "empty", "tree", err) == 0 ? 0 : -1;
}
