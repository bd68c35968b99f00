/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner, extended attributes (ACLs are two of them), mode and times, in the one order that keeps them all: a change of
 * owner drops the setuid bits and the capability attribute, an ACL changes the mode, and everything changes the times.
 * An attribute that this user or that filesystem cannot have is an error where it carries meaning (user.*, ACLs and,
 * for root, capabilities), else it is left out, as cp(1) does.
 */
#include "sys/file_copy.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_BYTES 65536 /* XATTR_LIST_MAX and XATTR_SIZE_MAX of the kernel */

/* A file, open (path is NULL) or by a path that is not followed. */
struct place {
        int fd;
        const char *path;
};

static ssize_t list_names(const struct place *place, char *names, size_t size)
{
        return place->path == NULL ? flistxattr(place->fd, names, size) : llistxattr(place->path, names, size);
}

static ssize_t get_value(const struct place *place, const char *name, void *value, size_t size)
{
        return place->path == NULL ? fgetxattr(place->fd, name, value, size)
                                   : lgetxattr(place->path, name, value, size);
}

static int set_value(const struct place *place, const char *name, const void *value, size_t size)
{
        return place->path == NULL ? fsetxattr(place->fd, name, value, size, 0)
                                   : lsetxattr(place->path, name, value, size, 0);
}

static bool may_be_left_out(const char *name, int os_errno)
{
        bool refused = os_errno == EOPNOTSUPP || os_errno == EPERM || os_errno == EACCES || os_errno == EINVAL;

        if (str_starts(name, "user.") || str_starts(name, "system.posix_acl_"))
                return false;
        return refused && !(geteuid() == 0 && strcmp(name, "security.capability") == 0);
}

static int copy_value(const struct place *from, const struct place *to, const char *name, char *buffer,
                      struct cowherd_error *err)
{
        ssize_t length = get_value(from, name, buffer, XATTR_BYTES);

        if (length < 0 && (errno == ENODATA || may_be_left_out(name, errno)))
                return 0;
        if (length < 0)
                return fail_errno(err, "cannot read the extended attribute '%s'", name);
        if (set_value(to, name, buffer, (size_t)length) < 0 && !may_be_left_out(name, errno))
                return fail_errno(err, "cannot set the extended attribute '%s'", name);
        return 0;
}

static int copy_values(const struct place *from, const struct place *to, struct cowherd_error *err)
{
        char short_list[256]; /* nearly all files have none */
        owned_mem char *long_list = NULL;
        const char *names = short_list;
        ssize_t length = list_names(from, short_list, sizeof short_list);

        if (length < 0 && errno == ERANGE) {
                names = long_list = x_malloc(XATTR_BYTES);
                length = list_names(from, long_list, XATTR_BYTES);
        }
        if (length == 0 || (length < 0 && errno == EOPNOTSUPP))
                return 0;
        if (length < 0)
                return fail_errno(err, "cannot list the extended attributes");
        owned_mem char *buffer = x_malloc(XATTR_BYTES);
        for (const char *name = names; name < names + length; name += strlen(name) + 1)
                if (copy_value(from, to, name, buffer, err) < 0)
                        return -1;
        return 0;
}

/* The mode without the setuid bits where the owner could not be kept: they would mean somebody else. */
static mode_t mode_for(const struct stat *found, bool owner_kept)
{
        return found->st_mode & (owner_kept ? 07777u : 01777u);
}

/* Sets the owner where it differs. Who is not root keeps what he can. 0 kept, 1 not kept, -1 failed. */
static int copy_owner(int to, const char *name, int flags, const struct stat *found, struct cowherd_error *err)
{
        struct stat is;

        if (fstatat(to, name, &is, flags) < 0)
                return fail_errno(err, "cannot look at a new file");
        if (is.st_uid == found->st_uid && is.st_gid == found->st_gid)
                return 0;
        if (fchownat(to, name, found->st_uid, found->st_gid, flags) == 0)
                return 0;
        if (errno != EPERM || geteuid() == 0)
                return fail_errno(err, "cannot set the owner");
        if (fchownat(to, name, (uid_t)-1, found->st_gid, flags) < 0 && errno != EPERM)
                return fail_errno(err, "cannot set the group");
        return 1;
}

int attributes_copy(int from, int to, const struct stat *found, struct cowherd_error *err)
{
        const struct timespec times[2] = {found->st_atim, found->st_mtim};
        const struct place source = {.fd = from}, target = {.fd = to};

        int owner = copy_owner(to, "", AT_EMPTY_PATH, found, err);
        if (owner < 0 || copy_values(&source, &target, err) < 0)
                return -1;
        if (fchmod(to, mode_for(found, owner == 0)) < 0)
                return fail_errno(err, "cannot set the mode");
        if (futimens(to, times) < 0)
                return fail_errno(err, "cannot set the times");
        return 0;
}

int attributes_copy_name(int from, int to, const char *name, const struct stat *found, struct cowherd_error *err)
{
        const struct timespec times[2] = {found->st_atim, found->st_mtim};
        owned_str char *source_path = x_asprintf("/proc/self/fd/%d/%s", from, name);
        owned_str char *target_path = x_asprintf("/proc/self/fd/%d/%s", to, name);
        const struct place source = {.path = source_path}, target = {.path = target_path};

        int owner = copy_owner(to, name, AT_SYMLINK_NOFOLLOW, found, err);
        if (owner < 0 || copy_values(&source, &target, err) < 0)
                return -1;
        if (!S_ISLNK(found->st_mode) && fchmodat(to, name, mode_for(found, owner == 0), AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot set the mode");
        if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot set the times");
        return 0;
}
