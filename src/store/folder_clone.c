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

static int match_attributes(int from, int to, struct cowherd_error *err)
{
        ssize_t length = flistxattr(from, NULL, 0);

        if (length == 0 || (length < 0 && errno == ENOTSUP))
                return 0; /* nearly always */
        owned_mem char *names = x_malloc(XATTR_LIST_BYTES), *value = x_malloc(XATTR_VALUE_BYTES);
        length = flistxattr(from, names, XATTR_LIST_BYTES);
        if (length < 0)
                return fail_errno(err, "cannot list the attributes of the tree's root");
        for (const char *name = names; name < names + length; name += strlen(name) + 1)
                if (!str_starts(name, "trusted.overlay.") && match_attribute(from, to, name, value, err) < 0)
                        return -1;
        return 0;
}

int folder_match_root(int from, int to, struct cowherd_error *err)
{
        struct stat root, made;

        if (fstat(from, &root) < 0 || fstat(to, &made) < 0)
                return fail_errno(err, "cannot look at the tree's root");
        if ((root.st_uid != made.st_uid || root.st_gid != made.st_gid) && fchown(to, root.st_uid, root.st_gid) < 0 &&
            geteuid() == 0)
                return fail_errno(err, "cannot set the owner of the tree's root");
        if (match_attributes(from, to, err) < 0)
                return -1;
        if (fchmod(to, root.st_mode & 07777) < 0)
                return fail_errno(err, "cannot set the mode of the tree's root");
        const struct timespec times[2] = {root.st_atim, root.st_mtim};
        if (futimens(to, times) < 0)
                return fail_errno(err, "cannot set the times of the tree's root");
        return 0;
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

static int clone_disk(const struct store_place *place, const struct store_object *clone, enum file_tree_mode mode,
                      struct cowherd_error *err)
{
        char from_path[STORE_PATH_BYTES], path[STORE_PATH_BYTES];

        owned_fd int from =
                openat(place->fd, store_object_path(clone->base, from_path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (from < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, from_path);
        owned_fd int to =
                openat(place->fd, store_object_path(clone, path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (to < 0)
                return fail_errno(err, "cannot make '%s/%s'", place->folder, path);
        int done = mode == FILE_TREE_SHARE ? file_share(from, to, err) : file_copy(from, to, NULL, NULL, err);
        if (done < 0)
                return -1;
        return grow(place, clone, to, path, err);
}

static int clone_tree(const struct store_place *place, const struct store_object *clone, int folder,
                      enum file_tree_mode mode, struct cowherd_error *err)
{
        owned_fd int from = -1, to = -1;

        if (folder_open_leaf(place, clone->base, "tree", &from, err) < 0)
                return -1;
        if (mkdirat(folder, "tree", 0700) < 0)
                return fail_errno(err, "cannot make a clone's tree in '%s'", place->folder);
        if (file_open_folder(folder, "tree", &to, err) < 0)
                return -1;
        if (file_copy_tree(from, to, mode, NULL, err) < 0)
                return -1;
        return folder_match_root(from, to, err);
}

int folder_clone(const struct store_place *place, const struct store_object *clone, enum file_tree_mode mode,
                 struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (folder_make(place, clone, &folder, err) < 0)
                return -1;
        int done = clone->kind == STORE_TREE ? clone_tree(place, clone, folder, mode, err)
                                             : clone_disk(place, clone, mode, err);
        if (done < 0 || folder_settle(place, clone, err) < 0)
                return folder_undo(place, clone, err);
        return 0;
}
