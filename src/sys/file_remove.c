/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a whole tree, whatever is in it. Refused before anything is touched where another filesystem is mounted
 * inside (the mount table is asked, because removing a btrfs subvolume would detach mounts in it without a word); a
 * mount that comes later stops the walk (openat2 with RESOLVE_NO_XDEV). What stands in the way, the immutable flag, a
 * read-only subvolume, a folder without permissions, is put aside and the removal tried once more.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/mount.h"
#include "sys/openat2.h"
#include "sys/subvolume.h"
#include "sys/walk.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Takes the immutable and the append-only flag off an open file. Failure shows in the removal that is tried next. */
static void loosen(int fd)
{
        int flags;

        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0)
                return;
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* As loosen, for a name and the folder it is in. Opening a device can act: only files and folders are. */
static void loosen_entry(int folder, const char *name)
{
        struct stat found;

        loosen(folder);
        if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
            !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode)))
                return;
        owned_fd int fd = openat2_entry(folder, name, O_RDONLY);
        if (fd >= 0)
                loosen(fd);
}

/* Calls unlinkat(2), with flags taken off where they forbid it. What is not there is success. 0, or -1 and errno. */
static int unlink_firmly(int folder, const char *name, int flags)
{
        if (unlinkat(folder, name, flags) == 0 || errno == ENOENT)
                return 0;
        if (errno != EPERM)
                return -1;
        loosen_entry(folder, name);
        return unlinkat(folder, name, flags) == 0 || errno == ENOENT ? 0 : -1;
}

static int fail_removal(const char *name, struct cowherd_error *err)
{
        if (errno == EBUSY || errno == EXDEV)
                return fail(err, COWHERD_BUSY, "cannot remove '%s': something is mounted there", name);
        if (errno == ENOTEMPTY || errno == EEXIST)
                return fail(err, COWHERD_BUSY, "cannot remove '%s': something is still being written in it", name);
        return fail_errno(err, "cannot remove '%s'", name);
}

/* Opens a folder that is to be emptied, made accessible to its owner. A descriptor, or -1 and errno. */
static int open_doomed(int folder, const char *name)
{
        struct stat found;
        int fd = openat2_entry(folder, name, O_RDONLY | O_DIRECTORY);

        if (fd < 0 && errno == EACCES && fchmodat(folder, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
                fd = openat2_entry(folder, name, O_RDONLY | O_DIRECTORY);
        if (fd >= 0 && geteuid() != 0 && fstat(fd, &found) == 0 && (found.st_mode & 0700) != 0700)
                (void)fchmod(fd, 0700);
        return fd;
}

/* Removes an entry (0), or opens the folder that must be emptied first (1, *ret_fd the caller's). */
static int remove_entry(int folder, const char *name, unsigned char type, int *ret_fd, struct cowherd_error *err)
{
        if (type != DT_DIR) {
                if (unlink_firmly(folder, name, 0) == 0)
                        return 0;
                if (errno != EISDIR)
                        return fail_removal(name, err);
        }
        owned_fd int fd = open_doomed(folder, name);
        if (fd < 0)
                return errno == ENOENT ? 0 : fail_removal(name, err);
        if (subvolume_is(fd)) {
                if (subvolume_remove(folder, name) == 0)
                        return 0;
                subvolume_make_writable(fd); /* it holds other subvolumes, or we are not root: as a folder, then */
        }
        *ret_fd = take_fd(fd);
        return 1;
}

static int remove_walked(struct walk *walk, int parent, const char *name, struct cowherd_error *err)
{
        struct walk_entry entry;

        while (walk_next(walk, &entry)) {
                if (entry.leaving) {
                        if (walk_leave(walk, &entry, err) < 0)
                                return -1;
                        bool is_root = entry.folder < 0;
                        if (unlink_firmly(is_root ? parent : entry.folder, is_root ? name : entry.name,
                                          AT_REMOVEDIR) < 0)
                                return fail_removal(entry.name, err);
                        continue;
                }
                int fd;
                int is_folder = remove_entry(entry.folder, entry.name, entry.type, &fd, err);
                if (is_folder < 0)
                        return -1;
                if (is_folder == 1 && walk_enter(walk, fd, err) < 0)
                        return -1;
        }
        return 0;
}

static int refuse_mounts_under(int fd, struct cowherd_error *err)
{
        char link[32];
        owned_str char *under = NULL;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int found = mount_find_under(link, &under, err);
        if (found != 0)
                return found < 0 ? -1 : 0;
        return fail(err, COWHERD_BUSY, "something is mounted at '%s'", under);
}

/* Removes `name` in `parent`, of whatever kind. */
static int remove_name(int parent, const char *name, struct cowherd_error *err)
{
        owned_walk struct walk walk = {0};
        struct stat found;
        int fd;

        if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : fail_removal(name, err);
        if (S_ISDIR(found.st_mode)) {
                owned_fd int look = openat2_entry(parent, name, O_PATH | O_DIRECTORY);
                if (look < 0)
                        return errno == ENOENT ? 0 : fail_removal(name, err);
                if (refuse_mounts_under(look, err) < 0)
                        return -1;
        }
        int is_folder = remove_entry(parent, name, S_ISDIR(found.st_mode) ? DT_DIR : DT_REG, &fd, err);
        if (is_folder <= 0)
                return is_folder;
        if (walk_enter(&walk, fd, err) < 0)
                return -1;
        if (remove_walked(&walk, parent, name, err) < 0) {
                owned_str char *where = walk_path(&walk);
                return fail_while(err, "at '%s'", where);
        }
        return 0;
}

int file_remove_tree(int at, const char *path, struct cowherd_error *err)
{
        owned_str char *above = x_strdup(path);
        size_t length = strlen(above);

        while (length > 1 && above[length - 1] == '/')
                above[--length] = '\0';
        char *slash = strrchr(above, '/');
        owned_str char *name = x_strdup(slash == NULL ? above : slash + 1);
        if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return fail(err, COWHERD_INTERNAL, "'%s' is not a path to remove", path);
        if (slash != NULL)
                slash[1] = '\0';
        owned_fd int parent = openat(at, slash == NULL ? "." : above, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open the folder '%s'", above);
        if (remove_name(parent, name, err) < 0)
                return fail_while(err, "removing '%s'", path);
        return 0;
}
