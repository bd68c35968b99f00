/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with open addressing, never more than half full, that only grows. */
#include "sys/inode_map.h"

#include <stdint.h>

/* The slot of an inode: the one it has, or the free one where it belongs. */
static struct inode_slot *find(const struct inode_map *map, dev_t device, ino_t inode)
{
        uint64_t hash = ((uint64_t)inode ^ ((uint64_t)device << 40)) * UINT64_C(0x9e3779b97f4a7c15);
        size_t at = (size_t)(hash >> 20) & (map->capacity - 1);

        while (map->slots[at].text != NULL && (map->slots[at].inode != inode || map->slots[at].device != device))
                at = (at + 1) & (map->capacity - 1);
        return &map->slots[at];
}

const char *inode_map_get(const struct inode_map *map, dev_t device, ino_t inode)
{
        return map->capacity == 0 ? NULL : find(map, device, inode)->text;
}

static void grow(struct inode_map *map)
{
        struct inode_map larger = {.capacity = map->capacity == 0 ? 256 : map->capacity * 2, .count = map->count};

        larger.slots = x_calloc(larger.capacity, sizeof *larger.slots);
        for (size_t i = 0; i < map->capacity; i++)
                if (map->slots[i].text != NULL)
                        *find(&larger, map->slots[i].device, map->slots[i].inode) = map->slots[i];
        free(map->slots);
        *map = larger;
}

void inode_map_put(struct inode_map *map, dev_t device, ino_t inode, const char *text)
{
        if (map->count * 2 >= map->capacity)
                grow(map);
        *find(map, device, inode) = (struct inode_slot){device, inode, x_strdup(text)};
        map->count++;
}

void inode_map_free(struct inode_map *map)
{
        for (size_t i = 0; i < map->capacity; i++)
                free(map->slots[i].text);
        free(map->slots);
        *map = (struct inode_map){0};
}
