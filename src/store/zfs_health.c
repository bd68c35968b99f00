/* SPDX-License-Identifier: Apache-2.0 */
/* Health of a zfs pool, as `zpool list` tells it in one line, for OpenZFS and zfs-fuse alike: ONLINE is well, all else is not. */
#include "store/zfs.h"

#include "sys/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FULL_PERCENT = 95 };

int zfs_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err)
{
        owned_process struct process zpool = {.timeout_ms = ZFS_TIMEOUT_MS};
        owned_str char *pool = x_strndup(place->source == NULL ? "" : place->source, strcspn(place->source == NULL ? "" : place->source, "/"));
        owned_str char *line = NULL;
        char health[32] = "", full[32] = "", room[32] = "";

        process_add(&zpool, "zpool", "list", "-H", "-o", "health,capacity,free", pool, NULL);
        if (process_check(&zpool, &line, err) < 0)
                return -1;
        if (sscanf(line, "%31s %31s %31s", health, full, room) != 3)
                return fail(err, COWHERD_SYSTEM, "'zpool list' said '%.60s' of pool '%s'", line, pool);
        bool online = str_equal(health, "ONLINE");
        ret->ok = online && strtoul(full, NULL, 10) < FULL_PERCENT;
        (void)snprintf(ret->detail, sizeof ret->detail, "pool '%.60s' is %s, %s full, %s free", pool, health, full, room);
        if (!online)
                (void)snprintf(ret->advice, sizeof ret->advice, "zpool status %.120s", pool);
        else if (!ret->ok)
                (void)snprintf(ret->advice, sizeof ret->advice, "delete what is not needed, or add a device to it");
        return 0;
}
