/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: which inodes with several names were met already, each with a text. */
#pragma once

#include "base/mem.h"

#include <stddef.h>
#include <sys/types.h>

struct inode_slot {
        dev_t device;
        ino_t inode;
        char *text; /* NULL: the slot is free */
};

/* {0} is an empty map. */
struct inode_map {
        struct inode_slot *slots;
        size_t capacity; /* a power of two */
        size_t count;
};

/* The text of an inode, or NULL where it was not put in. Borrowed. */
const char *inode_map_get(const struct inode_map *map, dev_t device, ino_t inode);
/* Puts in an inode that is not there yet. The text is copied. */
void inode_map_put(struct inode_map *map, dev_t device, ino_t inode, const char *text);
void inode_map_free(struct inode_map *map);
define_owned(struct inode_map, inode_map_free)
#define owned_inodes owned_by(inode_map_free)
