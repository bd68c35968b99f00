/* SPDX-License-Identifier: Apache-2.0 */
/* What zfs tells about the bytes of a dataset, and about which datasets there are. */
#include "store/zfs.h"

#include <string.h>

/* Whole numbers from `zfs get -p`; what is not one ("-") is 0. */
static uint64_t number_at(const struct strv *values, size_t index)
{
        return index < values->count ? strtoull(values->items[index], NULL, 10) : 0;
}

/*
 * The numbers of a dataset follow its transaction groups, which end every 5 to 30 s. Setting a property waits for the
 * end of one; `zpool sync`, made for this, is unknown to zfs-fuse.
 */
static int settle_numbers(const struct store_place *place, const struct store_object *object, const char *dataset,
                          struct cowherd_error *err)
{
        owned_str char *mark = zfs_id_mark(object);

        if (!folder_is_mounted(place, object))
                return 0;
        return zfs_run(place, NULL, err, "set", mark, dataset, NULL);
}

/* The dataset or snapshot that holds an object. 1 where there is none. *ret is the caller's. */
static int find(const struct store_place *place, const struct store_object *object, char **ret, struct cowherd_error *err)
{
        if (object->role == STORE_SNAPSHOT)
                return zfs_find_snapshot(place, object, ret, err);
        owned_str char *dataset = zfs_dataset(place, object);
        int exists = zfs_exists(place, dataset, err);
        if (exists == 0)
                *ret = take(dataset);
        return exists;
}

int zfs_usage(const struct store_place *place, const struct store_object *object, struct store_usage *ret,
              struct cowherd_error *err)
{
        owned_str char *dataset = NULL;
        owned_strv struct strv values = {0};

        int exists = find(place, object, &dataset, err);
        if (exists < 0)
                return -1;
        if (exists == 1) {
                *ret = (struct store_usage){.missing = true};
                return 0;
        }
        if (settle_numbers(place, object, dataset, err) < 0)
                return -1;
        if (zfs_get(place, dataset, "used,referenced", &values, err) < 0)
                return -1;
        uint64_t used = number_at(&values, 0), referenced = number_at(&values, 1);
        *ret = (struct store_usage){
                .unique_bytes = used,
                .shared_bytes = referenced > used ? referenced - used : 0,
                .apparent_bytes = used,
        };
        return 0;
}

/* The last part of each line of `zfs list`, where it is a number below `parent`. */
static void add_ids(const char *output, const char *parent, struct strv *ret)
{
        size_t parent_length = strlen(parent);

        for (const char *line = output; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                if (length > parent_length + 1 && strncmp(line, parent, parent_length) == 0 &&
                    line[parent_length] == '/') {
                        owned_str char *id = x_strndup(line + parent_length + 1, length - parent_length - 1);
                        if (folder_is_id(id) && !strv_has(ret, id))
                                strv_add(ret, id);
                }
                line += length + (line[length] == '\n');
        }
}

/* Datasets, and the folders of mount points that a dataset lost its own way left behind. */
int zfs_list_ids(const struct store_place *place, enum store_role role, struct strv *ret, struct cowherd_error *err)
{
        owned_str char *parent = x_asprintf("%s/%s", place->source, store_role_folder(role));
        owned_str char *output = NULL;
        owned_strv struct strv ids = {0}, folders = {0};

        if (role == STORE_SNAPSHOT)
                return zfs_list_snapshot_ids(place, ret, err);
        if (zfs_run(place, &output, err, "list", "-H", "-d", "1", "-o", "name", parent, NULL) < 0)
                return -1;
        if (folder_list_ids(place, role, &folders, err) < 0)
                return -1;
        add_ids(output, parent, &ids);
        for (size_t i = 0; i < folders.count; i++)
                if (!strv_has(&ids, folders.items[i]))
                        strv_add(&ids, folders.items[i]);
        for (size_t i = 0; i < ids.count; i++)
                strv_add(ret, ids.items[i]);
        return 0;
}
