/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files inside a tree that a guest wrote. Every path is resolved by the kernel as the guest's own root would resolve it
 * (openat2(2), RESOLVE_IN_ROOT, no magic links), so neither a planted symlink nor ".." leads out, and there is no
 * moment between the look and the open. A planted fifo or device is not opened either: opening one can hang or act, so
 * the place is opened with O_PATH first, and the very file that was looked at is opened again through /proc/self/fd.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"
#include "sys/file_write.h"
#include "sys/openat2.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TRIES 128 /* openat2 answers EAGAIN where a rename anywhere made ".." uncertain */

static int open_resolved(int root, const char *path, int flags, mode_t mode)
{
        int fd = -1;

        for (int i = 0; i < TRIES; i++) {
                fd = openat2_call(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        return fd;
        }
        return fd;
}

/* Opens what an O_PATH descriptor stands for, if that is a regular file or a folder. */
static int reopen(int place, const char *path, int flags, int *ret_fd, struct cowherd_error *err)
{
        char link[32];
        struct stat found;

        if (fstat(place, &found) < 0)
                return fail_errno(err, "cannot look at '%s' in the tree", path);
        if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode))
                return fail(err, COWHERD_DATA, "'%s' in the tree is neither a file nor a folder", path);
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", place);
        int fd = open(link, (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return fail_errno(err, "cannot open '%s' in the tree", path);
        *ret_fd = fd;
        return 0;
}

int file_open_in_root(int root, const char *path, int flags, mode_t mode, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int place = open_resolved(root, path, O_PATH | (flags & (O_NOFOLLOW | O_DIRECTORY)), 0);

        if (place >= 0 && (flags & O_PATH) != 0) {
                *ret_fd = take_fd(place);
                return 0;
        }
        if (place >= 0 && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
                return fail(err, COWHERD_EXISTS, "'%s' in the tree already exists", path);
        if (place >= 0)
                return reopen(place, path, flags, ret_fd, err);
        if (errno != ENOENT || (flags & O_CREAT) == 0)
                return fail_errno(err, "cannot open '%s' in the tree", path);
        /* O_EXCL: what appeared in between, and a symlink that leads nowhere, is an error and not followed. */
        int fd = open_resolved(root, path, flags | O_EXCL, mode);
        if (fd < 0)
                return fail_errno(err, "cannot make '%s' in the tree", path);
        *ret_fd = fd;
        return 0;
}

/* What is new in a tree belongs to whom the folder around it belongs to: a tree may be shifted by a user map. */
static int give_to_owner_of(int folder, int fd, struct cowherd_error *err)
{
        struct stat outside, inside;

        if (fstat(folder, &outside) < 0 || fstat(fd, &inside) < 0)
                return fail_errno(err, "cannot look at a file in the tree");
        if (outside.st_uid == inside.st_uid && outside.st_gid == inside.st_gid)
                return 0;
        if (fchownat(fd, "", outside.st_uid, outside.st_gid, AT_EMPTY_PATH) < 0 && errno != EPERM)
                return fail_errno(err, "cannot change the owner of a file in the tree");
        return 0;
}

static int make_folder_in_root(int root, int above, const char *path, const char *name, int *ret_fd,
                               struct cowherd_error *err)
{
        if (mkdirat(above, name, 0755) < 0 && errno != EEXIST)
                return fail_errno(err, "cannot make the folder '%s' in the tree", path);
        owned_fd int made = open_resolved(root, path, O_PATH | O_DIRECTORY, 0);
        if (made < 0)
                return fail_errno(err, "cannot open the folder '%s' in the tree", path);
        if (give_to_owner_of(above, made, err) < 0)
                return -1;
        *ret_fd = take_fd(made);
        return 0;
}

/* Opens (O_PATH) the folder that `path` lies in, its folders made. */
static int open_parent_made(int root, const char *path, int *ret_fd, struct cowherd_error *err)
{
        owned_str char *part = x_strdup(path);
        owned_fd int folder = open_resolved(root, ".", O_PATH | O_DIRECTORY, 0);
        char *name = part + strspn(part, "/");

        if (folder < 0)
                return fail_errno(err, "cannot open the tree");
        for (char *slash = strchr(name, '/'); slash != NULL; slash = strchr(name, '/')) {
                *slash = '\0';
                int next = open_resolved(root, part, O_PATH | O_DIRECTORY, 0);
                if (next < 0 && errno != ENOENT)
                        return fail_errno(err, "cannot open the folder '%s' in the tree", part);
                if (next < 0 && make_folder_in_root(root, folder, part, name, &next, err) < 0)
                        return -1;
                close_at(&folder);
                folder = next;
                *slash = '/';
                name = slash + 1 + strspn(slash + 1, "/");
        }
        *ret_fd = take_fd(folder);
        return 0;
}

int file_make_folders_in_root(int root, const char *path, struct cowherd_error *err)
{
        owned_str char *inside = x_asprintf("%s/.", path); /* the folder that this lies in */
        owned_fd int folder = -1;

        return open_parent_made(root, inside, &folder, err);
}

/* The last name of a path that is to be a file, or NULL where it has none. Borrowed. */
static const char *file_name_of(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;

        return name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? NULL : name;
}

int file_write_in_root(int root, const char *path, const char *text, mode_t mode, struct cowherd_error *err)
{
        const char *name = file_name_of(path);
        owned_fd int parent = -1, folder = -1, fd = -1;
        char beside[FILE_BESIDE_BYTES] = FILE_BESIDE_ALONE;

        if (name == NULL)
                return fail(err, COWHERD_INTERNAL, "'%s' does not name a file in the tree", path);
        if (open_parent_made(root, path, &parent, err) < 0)
                return -1;
        if (reopen(parent, path, O_RDONLY | O_DIRECTORY, &folder, err) < 0)
                return -1;
        if (file_write_beside(folder, text, mode, beside, &fd, err) < 0)
                return fail_while(err, "writing '%s' in the tree", path);
        if (give_to_owner_of(folder, fd, err) < 0 || fchmod(fd, mode) < 0) {
                int os_errno = errno;
                (void)unlinkat(folder, beside, 0);
                errno = os_errno;
                return fail_errno(err, "cannot set the owner and mode of '%s' in the tree", path);
        }
        if (renameat(folder, beside, folder, name) < 0) {
                int os_errno = errno;
                (void)unlinkat(folder, beside, 0);
                errno = os_errno;
                return fail_errno(err, "cannot replace '%s' in the tree", path);
        }
        return 0;
}

int file_remove_in_root(int root, const char *path, bool *ret_removed, struct cowherd_error *err)
{
        const char *name = file_name_of(path);
        bool removed = true;

        if (name == NULL)
                return fail(err, COWHERD_INTERNAL, "'%s' does not name a file in the tree", path);
        owned_str char *above =
                x_asprintf("./%.*s", (int)(name - path), path); /* "./" + "/etc/" is still /etc of the tree */
        owned_fd int folder = open_resolved(root, above, O_PATH | O_DIRECTORY, 0);
        if (folder < 0 || unlinkat(folder, name, 0) < 0) {
                if (errno != ENOENT && errno != ENOTDIR)
                        return fail_errno(err, "cannot remove '%s' in the tree", path);
                removed = false;
        }
        if (ret_removed != NULL)
                *ret_removed = removed;
        return 0;
}
