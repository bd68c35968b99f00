/* SPDX-License-Identifier: Apache-2.0 */
/* Health of LXD's storage pool: whether LXD could bring it up, and how much room it says there is in it. */
#include "store/lxd_pool.h"

#include "lxd_api/client.h"
#include "store/health.h"

#include <stdio.h>

int lxd_pool_health(const struct store_place *place, struct store_health *ret, struct cowherd_error *err)
{
        owned_choice struct lxd_pool_choice choice = {0};
        owned_json json_t *resources = NULL;
        struct lxd_client *client = NULL;
        struct cowherd_error why = {0};

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = lxd_pool_choose(client, place->source, place->herd_uuid, &choice, err);
        if (rc != 0)
                return rc < 0 ? -1 : fail(err, COWHERD_NOT_FOUND, "LXD has no such storage pool");
        owned_str char *pool = lxd_pool_path("storage-pools", choice.pool), *path = x_asprintf("%s/resources", pool);
        if (lxd_get(client, path, &resources, &why) != 0) {
                (void)snprintf(ret->detail, sizeof ret->detail, "LXD can't use its pool '%.60s': %.100s", choice.pool, why.text);
                (void)snprintf(ret->advice, sizeof ret->advice, "lxc storage info %.120s", choice.pool);
                return 0;
        }
        const json_t *space = json_object_get(resources, "space");
        json_int_t total = json_integer_value(json_object_get(space, "total")), used = json_integer_value(json_object_get(space, "used"));
        if (total <= 0 || used < 0 || used > total) {
                ret->ok = true;
                (void)snprintf(ret->detail, sizeof ret->detail, "pool '%.60s' is there", choice.pool);
                return 0;
        }
        store_health_room(ret, (uint64_t)(total - used), (uint64_t)total);
        return 0;
}
