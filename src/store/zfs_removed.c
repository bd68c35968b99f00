/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of zfs lies in the dataset that it was taken of. So the dataset of a clone that was deleted, restored or flattened
 * can't always go: it is renamed to SOURCE/removed/ID-RANDOM, and its snapshots are found there. It goes when the last of them
 * has. A folder of its name in the place says that it waits: where there is none, looking for them costs no command.
 *
 * A snapshot that was deleted while others stand on it is marked for deferred destruction (zfs destroy -d, since pool version 18):
 * zfs itself removes it with the last of them.
 */
#include "store/zfs.h"

#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REMOVED "removed"

/* The names of all snapshots in a dataset, or (`below`) in all that are in it too; those marked for destruction left out. */
static int list_snapshots(const struct store_place *place, const char *dataset, bool below, struct strv *ret, struct cowherd_error *err)
{
        owned_str char *output = NULL;
        struct cowherd_error why;

        if (zfs_run(place, &output, &why, "list", "-H", below ? "-r" : "-d1", "-t", "snapshot", "-o", "name,defer_destroy", dataset,
                    NULL) < 0) {
                *err = why;
                return why.code == COWHERD_NOT_FOUND ? 0 : -1;
        }
        for (const char *line = output; *line != '\0';) {
                size_t length = strcspn(line, "\n"), name = strcspn(line, "\t\n");
                if (name < length && strncmp(line + name + 1, "on", 2) != 0)
                        strv_take(ret, x_strndup(line, name));
                line += length + (line[length] == '\n');
        }
        return 0;
}

/* The id in the name of one of our snapshots, NULL for others: "tank/…/clones/5@s9" → "9". */
static const char *id_of(const char *name)
{
        const char *at = strstr(name, "@s");

        return at != NULL && folder_is_id(at + 2) ? at + 2 : NULL;
}

int zfs_list_snapshot_ids(const struct store_place *place, struct strv *ret, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};

        if (list_snapshots(place, place->source, true, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                const char *id = id_of(names.items[i]);
                if (id != NULL && !strv_has(ret, id))
                        strv_add(ret, id);
        }
        return 0;
}

int zfs_find_snapshot(const struct store_place *place, const struct store_object *snapshot, char **ret, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        char id[24];

        (void)snprintf(id, sizeof id, "%" PRIu64, snapshot->id);
        if (snapshot->of != NULL) {
                owned_str char *dataset = zfs_dataset(place, snapshot->of);
                if (list_snapshots(place, dataset, false, &names, err) < 0)
                        return -1;
        }
        for (int everywhere = 0; everywhere < 2; everywhere++) {
                for (size_t i = 0; i < names.count; i++)
                        if (str_equal(id_of(names.items[i]), id)) {
                                *ret = x_strdup(names.items[i]);
                                return 0;
                        }
                if (everywhere == 0 && list_snapshots(place, place->source, true, &names, err) < 0)
                        return -1;
        }
        return 1;
}

/* Marks the snapshots of a dataset that are nobody's: those that promoted bases were cloned from, and strangers. */
static int give_up_strangers(const struct store_place *place, const char *dataset, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};

        if (list_snapshots(place, dataset, false, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++)
                if (id_of(names.items[i]) == NULL && zfs_run_patiently(place, err, "destroy", "-d", names.items[i], NULL) < 0)
                        return -1;
        return 0;
}

/* 0 removed or not there, 1 where its snapshots keep it. */
static int try_to_remove(const struct store_place *place, const char *dataset, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (zfs_run_patiently(place, &why, "destroy", dataset, NULL) >= 0)
                return 0;
        *err = why;
        return zfs_has_dependents(&why) ? 1 : -1;
}

/* SOURCE/removed, in which nothing is ever mounted, and the folder of its name. */
static int make_removed(const struct store_place *place, const char *parent, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (file_make_folders(place->fd, REMOVED, 0700, err) < 0)
                return -1;
        if (zfs_run(place, NULL, &why, "create", "-o", "canmount=off", parent, NULL) == 0 || why.code == COWHERD_EXISTS)
                return 0;
        *err = why;
        return -1;
}

static int move_away(const struct store_place *place, const struct store_object *clone, const char *dataset, struct cowherd_error *err)
{
        char hex[9], mark[64];
        owned_str char *parent = x_asprintf("%s/" REMOVED, place->source);
        owned_str char *name = x_asprintf("%s/%" PRIu64 "-%s", parent, clone->id, random_hex(4, hex));

        if (make_removed(place, parent, err) < 0)
                return -1;
        (void)snprintf(mark, sizeof mark, REMOVED "/%" PRIu64 "-%s", clone->id, hex);
        if (mkdirat(place->fd, mark, 0700) < 0)
                return fail_errno(err, "cannot make '%s/%s'", place->folder, mark);
        if (zfs_run(place, NULL, err, "set", "mountpoint=none", dataset, NULL) < 0)
                return -1;
        return zfs_run_patiently(place, err, "rename", dataset, name, NULL) < 0 ? -1 : 0;
}

int zfs_put_aside(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err)
{
        owned_str char *dataset = zfs_dataset(place, clone);
        int kept = try_to_remove(place, dataset, err);

        if (kept <= 0)
                return kept;
        if (give_up_strangers(place, dataset, err) < 0)
                return -1;
        kept = try_to_remove(place, dataset, err);
        return kept <= 0 ? kept : move_away(place, clone, dataset, err);
}

static bool is_waiting(const char *name)
{
        return name[0] >= '0' && name[0] <= '9';
}

/* Removes those that wait for nobody. *ret_removed: whether there was one, as others may have waited for it. */
static int reap_once(const struct store_place *place, bool *ret_removed, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        bool removed = false;

        if (folder_list_names(place, REMOVED, is_waiting, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                owned_str char *path = x_asprintf(REMOVED "/%s", names.items[i]);
                owned_str char *dataset = x_asprintf("%s/%s", place->source, path);
                int kept = try_to_remove(place, dataset, err);
                if (kept < 0)
                        return -1;
                if (kept == 0 && unlinkat(place->fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
                        return fail_errno(err, "cannot remove '%s/%s'", place->folder, path);
                removed = removed || kept == 0;
        }
        *ret_removed = removed;
        return 0;
}

int zfs_reap(const struct store_place *place, struct cowherd_error *err)
{
        bool removed = faccessat(place->fd, REMOVED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

        if (!removed)
                return 0;
        while (removed)
                if (reap_once(place, &removed, err) < 0)
                        return fail_while(err, "removing what waited for its last snapshot");
        owned_str char *parent = x_asprintf("%s/" REMOVED, place->source);
        /* The last one closes the door. */
        if (unlinkat(place->fd, REMOVED, AT_REMOVEDIR) == 0)
                return try_to_remove(place, parent, err) < 0 ? -1 : 0;
        return 0;
}
