/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common ground of the folder stores. An object is one folder named by its id, so that making it is one mkdir,
 * which also decides who made it, and removing it is the removal of one folder, however far its making had come.
 * Sealing and fingerprints are in folder_seal.c.
 */
#include "store/folder.h"

#include "base/number.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int folder_make(const struct store_place *place, const struct store_object *object, int *ret_fd,
                struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        mode_t mode = object->kind == STORE_TREE ? 0700 : 0711;

        int made = mkdirat(place->fd, store_object_folder(object, path), mode);
        if (made < 0 && errno == ENOENT) { /* the first object of all */
                if (file_make_folders(place->fd, store_role_folder(object->role), 0711, err) < 0)
                        return -1;
                made = mkdirat(place->fd, path, mode);
        }
        if (made < 0)
                return fail_errno(err, "cannot make '%s/%s'", place->folder, path);
        if (ret_fd == NULL)
                return 0;
        if (folder_open(place, object, ret_fd, err) < 0)
                return folder_undo(place, object, err);
        return 0;
}

int folder_ensure(const struct store_place *place, const struct store_object *object, int *ret_fd, struct cowherd_error *err)
{
        if (!folder_exists(place, object))
                return folder_make(place, object, ret_fd, err);
        return ret_fd == NULL ? 0 : folder_open(place, object, ret_fd, err);
}

static int open_at(const struct store_place *place, const char *path, int *ret_fd, struct cowherd_error *err)
{
        int fd = openat(place->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        *ret_fd = fd;
        return 0;
}

int folder_open(const struct store_place *place, const struct store_object *object, int *ret_fd,
                struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        return open_at(place, store_object_folder(object, path), ret_fd, err);
}

int folder_open_leaf(const struct store_place *place, const struct store_object *object, const char *leaf, int *ret_fd,
                     struct cowherd_error *err)
{
        char folder[STORE_PATH_BYTES], path[2 * STORE_PATH_BYTES];

        (void)snprintf(path, sizeof path, "%s/%s", store_object_folder(object, folder), leaf);
        return open_at(place, path, ret_fd, err);
}

char *folder_absolute(const struct store_place *place, const struct store_object *object, const char *leaf)
{
        char path[STORE_PATH_BYTES];

        return x_asprintf("%s/%s/%s", place->folder, store_object_folder(object, path), leaf);
}

bool folder_exists(const struct store_place *place, const struct store_object *object)
{
        char path[STORE_PATH_BYTES];

        return faccessat(place->fd, store_object_folder(object, path), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int folder_find_mount(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        struct statx found;

        if (statx(place->fd, store_object_path(object, path), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &found) == 0)
                return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
        if (errno == ENOENT || errno == ENOTDIR)
                return 0;
        return fail_errno(err, "cannot look at '%s/%s'", place->folder, path);
}

bool folder_is_mounted(const struct store_place *place, const struct store_object *object)
{
        struct cowherd_error ignored;

        /* What can't be looked at (a FUSE mount whose daemon is dead) may be one: to unmount what is none does nothing. */
        return folder_find_mount(place, object, &ignored) != 0;
}

int folder_undo(const struct store_place *place, const struct store_object *object, const struct cowherd_error *err)
{
        struct cowherd_error second = *err;

        /* The first failure is the one to tell; what can't be removed now is found by recovery. */
        (void)!folder_destroy(place, object, &second);
        return -1;
}

static int sync_parents(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_fd int parent = -1;

        if (open_at(place, store_role_folder(object->role), &parent, err) < 0)
                return -1;
        return file_sync(parent, store_role_folder(object->role), err);
}

static int sync_disk(const struct store_place *place, const struct store_object *object, int folder,
                     struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        owned_fd int disk = openat(place->fd, store_object_path(object, path), O_RDONLY | O_CLOEXEC);
        if (disk < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        if (file_sync(disk, path, err) < 0)
                return -1;
        return file_sync(folder, path, err);
}

int folder_settle(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (!place->durable)
                return 0;
        if (folder_open(place, object, &folder, err) < 0)
                return -1;
        if (object->kind == STORE_TREE) {
                /* A tree has thousands of files: one syncfs is cheaper than as many fsyncs, and takes the folders
                 * along. */
                if (syncfs(folder) < 0)
                        return fail_errno(err, "cannot sync '%s'", place->folder);
                return 0;
        }
        if (sync_disk(place, object, folder, err) < 0)
                return -1;
        return sync_parents(place, object, err);
}

int folder_fail(const struct store_object *object, enum cowherd_code code, const char *what, struct cowherd_error *err)
{
        static const char *const roles[] = {[STORE_BASE] = "base", [STORE_CLONE] = "clone", [STORE_SNAPSHOT] = "snapshot"};
        const char *role = roles[object->role];

        if (object->name != NULL)
                return fail(err, code, "%s '%s' %s", role, object->name, what);
        return fail(err, code, "%s %llu %s", role, (unsigned long long)object->id, what);
}

int folder_unusable(struct store_probe *ret, const char *reason)
{
        *ret = (struct store_probe){.usable = false};
        (void)snprintf(ret->reason, sizeof ret->reason, "%s", reason);
        return 0;
}

int folder_prepare_base(const struct store_place *place, const struct store_object *base, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (folder_make(place, base, &folder, err) < 0)
                return -1;
        if (base->kind == STORE_TREE && mkdirat(folder, "tree", 0755) < 0) {
                (void)fail_errno(err, "cannot make the tree of base %llu", (unsigned long long)base->id);
                return folder_undo(place, base, err);
        }
        return 0;
}

int folder_destroy(const struct store_place *place, const struct store_object *object, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        if (file_remove_tree(place->fd, store_object_folder(object, path), err) < 0)
                return fail_while(err, "removing '%s/%s'", place->folder, path);
        if (!place->durable || faccessat(place->fd, store_role_folder(object->role), F_OK, 0) < 0)
                return 0;
        return sync_parents(place, object, err);
}

int folder_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                 struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        struct file_usage measured;
        uint64_t shared_bytes = 0;

        if (!folder_exists(place, object)) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        if (file_measure(place->fd, store_object_folder(object, path), &measured, err) < 0)
                return -1;
        if ((object->base != NULL || object->role != STORE_BASE) && file_shared_bytes(place->fd, path, &shared_bytes, err) < 0)
                return -1;
        *ret = (struct store_usage){
                .unique_bytes = measured.allocated_bytes > shared_bytes ? measured.allocated_bytes - shared_bytes : 0,
                .shared_bytes = shared_bytes,
                .apparent_bytes = measured.apparent_bytes,
        };
        return 0;
}

int folder_list_names(const struct store_place *place, const char *path, bool (*wanted)(const char *name),
                      struct strv *ret, struct cowherd_error *err)
{
        int fd = openat(place->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        DIR *folder = fdopendir(fd);
        if (folder == NULL) {
                int failed = fail_errno(err, "cannot list '%s/%s'", place->folder, path);
                (void)close(fd);
                return failed;
        }
        errno = 0;
        for (const struct dirent *entry; (entry = readdir(folder)) != NULL; errno = 0)
                if (wanted(entry->d_name))
                        strv_add(ret, entry->d_name);
        int failed = errno != 0 ? fail_errno(err, "cannot list '%s/%s'", place->folder, path) : 0;
        (void)closedir(folder);
        return failed;
}

bool folder_is_id(const char *name)
{
        uint64_t id;

        return number_parse(name, &id) && (name[0] != '0' || name[1] == '\0');
}

int folder_list_ids(const struct store_place *place, enum store_role role, struct strv *ret, struct cowherd_error *err)
{
        owned_strv struct strv ids = {0};
        int failed = folder_list_names(place, store_role_folder(role), folder_is_id, &ids, err);

        for (size_t i = 0; failed == 0 && i < ids.count; i++)
                strv_add(ret, ids.items[i]);
        return failed;
}
