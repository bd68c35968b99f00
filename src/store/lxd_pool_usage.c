/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance takes. LXD tells a number where its pool's driver does: the bytes of the instance alone (a zfs dataset's, or
 * the exclusive ones of a btrfs quota group). A btrfs pool has no quotas by default; then the filesystem itself is asked, if
 * the pool's folder can be seen from here: what the subvolume's tree holds that is younger than the subvolume.
 */
#include "store/btrfs.h"
#include "store/lxd_pool.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The device of its root disk, or NULL. Borrowed. */
static const json_t *root_disk(const json_t *instance)
{
        const char *name;
        json_t *device;

        json_object_foreach (json_object_get(instance, "expanded_devices"), name, device) {
                if (str_equal(lxd_text(device, "type"), "disk") && str_equal(lxd_text(device, "path"), "/"))
                        return device;
        }
        return NULL;
}

/* Opens the instance's folder in the daemon's; 1 where it can't be seen from here. */
static int open_folder(const struct lxd_client *client, const json_t *instance, int *ret_fd)
{
        const char *socket = lxd_client_socket(client), *pool = lxd_text(root_disk(instance), "pool");
        const char *end = strrchr(socket, '/');
        struct cowherd_error ignored;

        if (end == NULL || pool == NULL || strchr(pool, '/') != NULL)
                return 1;
        owned_str char *path = x_asprintf("%.*s/storage-pools/%s/containers/%s", (int)(end - socket), socket, pool, lxd_text(instance, "name"));
        return file_open_folder(AT_FDCWD, path, ret_fd, &ignored) < 0 ? 1 : 0;
}

/* What LXD says, or 1 where it doesn't. */
static int ask_lxd(struct lxd_client *client, const json_t *instance, uint64_t *ret_bytes, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(lxd_text(instance, "name")), *path = x_asprintf("/1.0/instances/%s/state", name);
        owned_json json_t *state = NULL;
        int rc = lxd_get(client, path, &state, err);

        if (rc != 0)
                return rc;
        const json_t *disk = json_object_get(json_object_get(state, "disk"), "root");
        const json_t *usage = json_object_get(disk, "usage");
        if (!json_is_integer(usage) || json_integer_value(usage) <= 0)
                return 1;
        *ret_bytes = (uint64_t)json_integer_value(usage);
        return 0;
}

/* All that can be read through it: the bytes of its files. */
static int measure(int folder, struct file_usage *ret, struct cowherd_error *err)
{
        return file_measure(folder, "rootfs", ret, err);
}

static int cannot_tell(const char *name, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_UNAVAILABLE, "LXD does not tell what '%s' takes: its pool keeps no account of it", name);
        return fail_hint(err, "root can see it, where LXD's folder is visible");
}

static int count(struct lxd_client *client, const struct store_object *object, const json_t *instance, struct store_usage *ret,
                 struct cowherd_error *err)
{
        struct file_usage own = {0}, all = {0};
        owned_fd int folder = -1;
        uint64_t told = 0;
        int unseen = open_folder(client, instance, &folder);
        int untold = ask_lxd(client, instance, &told, err);

        if (untold < 0)
                return -1;
        struct cowherd_error why;
        bool counted = unseen == 0 && btrfs_written_bytes(folder, object->role == STORE_BASE, &own, &why) == 0;
        if (untold > 0 && !counted)
                return cannot_tell(lxd_text(instance, "name"), err);
        if (unseen == 0 && measure(folder, &all, err) < 0)
                return -1;
        uint64_t unique = counted ? own.allocated_bytes : told;
        *ret = (struct store_usage){
                .unique_bytes = unique,
                .shared_bytes = all.allocated_bytes > unique && object->role == STORE_CLONE ? all.allocated_bytes - unique : 0,
                .apparent_bytes = all.apparent_bytes,
        };
        return 0;
}

int lxd_pool_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret, struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        int rc = lxd_pool_find(client, place, object, &instance, err);
        if (rc < 0)
                return -1;
        if (rc > 0) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        return count(client, object, instance, ret, err);
}
