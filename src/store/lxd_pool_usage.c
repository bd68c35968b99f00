/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance takes. On btrfs, where the pool's folder can be seen from here, the filesystem is asked: what in the
 * subvolume's tree is younger than the subvolume. Otherwise LXD tells a number where its pool's driver does: the bytes
 * of the instance alone (a zfs dataset's, or the exclusive ones of a btrfs quota group, which pools have not by
 * default).
 *
 * The files are never walked: reading a folder sets its access time, and in a fresh clone those writes unshare most of
 * the metadata (4.4 MB for a Debian), so that measuring would change what is measured.
 */
#include "store/btrfs.h"
#include "store/lxd_pool.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * Opens the folder of an instance, or of a snapshot of the one that is said, in the daemon's; 1 where it can't be seen from
 * here.
 */
static int open_folder(const struct lxd_client *client, const json_t *instance, const char *of, int *ret_fd)
{
        const char *socket = lxd_client_socket(client),
                   *pool = lxd_text(lxd_pool_root_disk(json_object_get(instance, "expanded_devices")), "pool");
        const char *end = strrchr(socket, '/');
        struct cowherd_error ignored;

        if (end == NULL || pool == NULL || strchr(pool, '/') != NULL)
                return 1;
        owned_str char *path = x_asprintf("%.*s/storage-pools/%s/containers%s/%s%s%s", (int)(end - socket), socket, pool,
                                          of != NULL ? "-snapshots" : "", of != NULL ? of : "", of != NULL ? "/" : "",
                                          lxd_text(instance, "name"));
        return file_open_folder(AT_FDCWD, path, ret_fd, &ignored) < 0 ? 1 : 0;
}

/* What LXD says, or 1 where it doesn't. */
static int ask_lxd(struct lxd_client *client, const json_t *instance, uint64_t *ret_bytes, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(lxd_text(instance, "name")),
                       *path = x_asprintf("/1.0/instances/%s/state", name);
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

static int cannot_tell(const char *name, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_UNAVAILABLE, "LXD does not tell what '%s' takes: its pool keeps no account of it",
                   name);
        return fail_hint(err, "root can see it, where LXD's folder is visible");
}

/* By the filesystem, or 1 where it is no btrfs that we may search. */
static int ask_btrfs(const struct lxd_client *client, const struct store_object *object, const json_t *instance,
                     const char *of, struct store_usage *ret)
{
        struct file_usage own = {0}, all = {0};
        struct cowherd_error ignored;
        owned_fd int folder = -1;

        if (open_folder(client, instance, of, &folder) != 0 || btrfs_written_bytes(folder, true, &all, &ignored) < 0)
                return 1;
        own = all;
        if (object->role != STORE_BASE && btrfs_written_bytes(folder, false, &own, &ignored) < 0)
                return 1;
        *ret = (struct store_usage){
                .unique_bytes = own.allocated_bytes,
                .shared_bytes =
                        all.allocated_bytes > own.allocated_bytes ? all.allocated_bytes - own.allocated_bytes : 0,
                .apparent_bytes = all.apparent_bytes,
        };
        return 0;
}

static int count(struct lxd_client *client, const struct store_object *object, const json_t *instance,
                 struct store_usage *ret, struct cowherd_error *err)
{
        uint64_t told = 0;

        if (ask_btrfs(client, object, instance, NULL, ret) == 0)
                return 0;
        int rc = ask_lxd(client, instance, &told, err);
        if (rc != 0)
                return rc < 0 ? -1 : cannot_tell(lxd_text(instance, "name"), err);
        *ret = (struct store_usage){.unique_bytes = told, .apparent_bytes = told};
        return 0;
}

/* Of a snapshot LXD tells its size where the pool keeps account of it. */
static int count_snapshot(struct lxd_client *client, const struct store_place *place, const struct store_object *snapshot,
                          struct store_usage *ret, struct cowherd_error *err)
{
        owned_json json_t *found = NULL;
        owned_str char *of = NULL;
        int rc = lxd_pool_find_snapshot(client, place, snapshot, &of, &found, err);

        if (rc < 0)
                return -1;
        if (rc > 0) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        if (ask_btrfs(client, snapshot, found, of, ret) == 0)
                return 0;
        json_int_t told = json_integer_value(json_object_get(found, "size"));
        if (told <= 0)
                return cannot_tell(lxd_text(found, "name"), err);
        *ret = (struct store_usage){.unique_bytes = (uint64_t)told, .apparent_bytes = (uint64_t)told};
        return 0;
}

int lxd_pool_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
                   struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;
        struct lxd_client *client = NULL;

        if (lxd_client_get(&client, err) < 0)
                return -1;
        if (object->role == STORE_SNAPSHOT)
                return count_snapshot(client, place, object, ret, err);
        int rc = lxd_pool_find(client, place, object, &instance, err);
        if (rc < 0)
                return -1;
        if (rc > 0) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        return count(client, object, instance, ret, err);
}
