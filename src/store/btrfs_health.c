/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health of a btrfs: what each of its devices has counted of errors (`btrfs device stats`), and how much room it has. Both are
 * asked of the kernel, so that no program is needed.
 */
#include "store/btrfs.h"

#include "store/health.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

/* Errors of all devices since their counters were set to 0. */
static int count_errors(int fd, uint64_t *ret, struct cowherd_error *err)
{
        struct btrfs_ioctl_fs_info_args info = {0};
        uint64_t errors = 0;

        if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
                return fail_errno(err, "cannot ask for the devices of a btrfs");
        for (uint64_t id = 1; id <= info.max_id; id++) {
                struct btrfs_ioctl_get_dev_stats stats = {.devid = id, .nr_items = BTRFS_DEV_STAT_VALUES_MAX};
                if (ioctl(fd, BTRFS_IOC_GET_DEV_STATS, &stats) < 0) {
                        if (errno == ENODEV)
                                continue; /* a number that no device has any more */
                        return fail_errno(err, "cannot ask for the errors of device %" PRIu64 " of a btrfs", id);
                }
                for (size_t i = 0; i < BTRFS_DEV_STAT_VALUES_MAX; i++)
                        errors += stats.values[i];
        }
        *ret = errors;
        return 0;
}

int btrfs_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err)
{
        struct statvfs room;
        uint64_t errors = 0;

        if (count_errors(place->fd, &errors, err) < 0)
                return -1;
        if (fstatvfs(place->fd, &room) < 0)
                return fail_errno(err, "cannot ask for the room in '%s'", place->folder);
        store_health_room(ret, (uint64_t)room.f_bavail * room.f_frsize, (uint64_t)room.f_blocks * room.f_frsize);
        if (errors == 0)
                return 0;
        ret->ok = false;
        (void)snprintf(ret->detail, sizeof ret->detail, "its devices have counted %" PRIu64 " error%s", errors, errors == 1 ? "" : "s");
        (void)snprintf(ret->advice, sizeof ret->advice, "btrfs device stats '%.140s'", place->folder);
        return 0;
}
