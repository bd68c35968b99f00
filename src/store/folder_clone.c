/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clone that is a file or a tree of its own, whose blocks are the base's (reflink) or not (copy). Everything is made
 * under clones/ID and goes with it on failure.
 */
#include "store/folder.h"

#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_LIST_BYTES 65536 /* XATTR_LIST_MAX: the kernel's own limits */
#define XATTR_VALUE_BYTES 65536

static int match_attribute(int from, int to, const char *name, char *value, struct cowherd_error *err)
{
        ssize_t length = fgetxattr(from, name, value, XATTR_VALUE_BYTES);

        if (length < 0)
                return fail_errno(err, "cannot read the attribute '%s' of the tree's root", name);
        if (fsetxattr(to, name, value, (size_t)length, 0) < 0 && errno != ENOTSUP)
                return fail_errno(err, "cannot set the attribute '%s' of the tree's root", name);
        return 0;
}

static int match_attributes(int from, int to, bool layer, struct cowherd_error *err)
{
        ssize_t length = flistxattr(from, NULL, 0);

        if (length == 0 || (length < 0 && errno == ENOTSUP))
                return 0; /* nearly always */
        owned_mem char *names = x_malloc(XATTR_LIST_BYTES), *value = x_malloc(XATTR_VALUE_BYTES);
        length = flistxattr(from, names, XATTR_LIST_BYTES);
        if (length < 0)
                return fail_errno(err, "cannot list the attributes of the tree's root");
        for (const char *name = names; name < names + length; name += strlen(name) + 1)
                if ((layer || !str_starts(name, "trusted.overlay.")) && match_attribute(from, to, name, value, err) < 0)
                        return -1;
        return 0;
}

static int match_root(int from, int to, bool layer, struct cowherd_error *err)
{
        struct stat root, made;

        if (fstat(from, &root) < 0 || fstat(to, &made) < 0)
                return fail_errno(err, "cannot look at the tree's root");
        if ((root.st_uid != made.st_uid || root.st_gid != made.st_gid) && fchown(to, root.st_uid, root.st_gid) < 0 &&
            geteuid() == 0)
                return fail_errno(err, "cannot set the owner of the tree's root");
        if (match_attributes(from, to, layer, err) < 0)
                return -1;
        if (fchmod(to, root.st_mode & 07777) < 0)
                return fail_errno(err, "cannot set the mode of the tree's root");
        const struct timespec times[2] = {root.st_atim, root.st_mtim};
        if (futimens(to, times) < 0)
                return fail_errno(err, "cannot set the times of the tree's root");
        return 0;
}

int folder_match_root(int from, int to, struct cowherd_error *err)
{
        return match_root(from, to, false, err);
}

static int grow_qcow2(const struct store_place *place, const char *path, uint64_t virtual_bytes,
                      struct cowherd_error *err)
{
        owned_process struct process resize = {.timeout_ms = 60000};

        process_add(&resize, "qemu-img", "resize", "-q", "-f", "qcow2", NULL);
        strv_addf(&resize.argv, "%s/%s", place->folder, path);
        strv_addf(&resize.argv, "%" PRIu64, virtual_bytes);
        return process_check(&resize, NULL, err);
}

static int grow(const struct store_place *place, const struct store_object *clone, int disk, const char *path,
                struct cowherd_error *err)
{
        const struct store_object *base = clone->base;

        if (clone->virtual_bytes == 0 || clone->virtual_bytes == base->virtual_bytes)
                return 0;
        if (clone->virtual_bytes < base->virtual_bytes)
                return fail(err, COWHERD_USAGE,
                            "a disk of %" PRIu64 " bytes is smaller than its base's, which has %" PRIu64,
                            clone->virtual_bytes, base->virtual_bytes);
        if (!str_equal(clone->format, "raw"))
                return grow_qcow2(place, path, clone->virtual_bytes, err);
        if (ftruncate(disk, (off_t)clone->virtual_bytes) < 0)
                return fail_errno(err, "cannot let '%s/%s' grow", place->folder, path);
        return 0;
}

int folder_copy_disk(const struct store_place *place, const struct store_object *from, int folder, const char *leaf,
                     enum file_tree_mode mode, int *ret_fd, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        owned_fd int disk = openat(place->fd, store_object_path(from, path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (disk < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        owned_fd int to = openat(folder, leaf, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (to < 0)
                return fail_errno(err, "cannot make '%s' beside '%s/%s'", leaf, place->folder, path);
        if ((mode == FILE_TREE_SHARE ? file_share(disk, to, err) : file_copy(disk, to, NULL, NULL, err)) < 0)
                return -1;
        if (ret_fd != NULL)
                *ret_fd = take_fd(to);
        return 0;
}

int folder_copy_tree(const struct store_place *place, const struct store_object *from, const char *from_leaf, int folder,
                     const char *leaf, enum file_tree_mode mode, struct cowherd_error *err)
{
        owned_fd int tree = -1, to = -1;

        if (folder_open_leaf(place, from, from_leaf, &tree, err) < 0)
                return -1;
        if (mkdirat(folder, leaf, 0700) < 0)
                return fail_errno(err, "cannot make the folder '%s' in '%s'", leaf, place->folder);
        if (file_open_folder(folder, leaf, &to, err) < 0)
                return -1;
        if (file_copy_tree(tree, to, mode, NULL, err) < 0)
                return -1;
        return match_root(tree, to, str_equal(from_leaf, "upper"), err);
}

static int clone_disk(const struct store_place *place, const struct store_object *clone, int folder, enum file_tree_mode mode,
                      struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];
        owned_fd int to = -1;

        if (folder_copy_disk(place, clone->base, folder, strrchr(store_object_path(clone, path), '/') + 1, mode, &to, err) < 0)
                return -1;
        return grow(place, clone, to, path, err);
}

int folder_clone(const struct store_place *place, const struct store_object *clone, enum file_tree_mode mode,
                 struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (folder_make(place, clone, &folder, err) < 0)
                return -1;
        int done = clone->kind == STORE_TREE ? folder_copy_tree(place, clone->base, "tree", folder, "tree", mode, err)
                                             : clone_disk(place, clone, folder, mode, err);
        if (done < 0 || folder_settle(place, clone, err) < 0)
                return folder_undo(place, clone, err);
        return 0;
}
