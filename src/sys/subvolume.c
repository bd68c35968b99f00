/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a subvolume is the one inode numbered 256 of its tree, on a filesystem of btrfs's magic number. */
#include "sys/subvolume.h"

#include <errno.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

bool subvolume_is(int fd)
{
        struct stat found;
        struct statfs system;

        return fstat(fd, &found) == 0 && found.st_ino == BTRFS_FIRST_FREE_OBJECTID && fstatfs(fd, &system) == 0 &&
               system.f_type == BTRFS_SUPER_MAGIC;
}

int subvolume_remove(int folder, const char *name)
{
        struct btrfs_ioctl_vol_args arguments = {0};
        size_t length = strlen(name);

        if (length >= sizeof arguments.name) {
                errno = ENAMETOOLONG;
                return -1;
        }
        memcpy(arguments.name, name, length);
        return ioctl(folder, BTRFS_IOC_SNAP_DESTROY, &arguments);
}

void subvolume_make_writable(int fd)
{
        uint64_t flags;

        if (ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0 || (flags & BTRFS_SUBVOL_RDONLY) == 0)
                return;
        flags &= ~(uint64_t)BTRFS_SUBVOL_RDONLY;
        (void)ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
}
