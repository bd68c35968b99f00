/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a subvolume's own, without quota groups and without a walk over its files. Every node of a btrfs tree
 * bears the transaction that wrote it, so a search of the subvolume's tree (BTRFS_IOC_TREE_SEARCH_V2) for what is
 * younger than the snapshot passes over all that is still the base's: the cost follows what was written, not what is
 * there. Of the file extents in those leaves, the ones that are themselves younger are the clone's own; an extent that
 * several files of the clone share counts once.
 */
#include "store/btrfs.h"

#include <endian.h>
#include <errno.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <string.h>
#include <sys/ioctl.h>

#define SEARCH_BYTES 65536
#define ITEM_HEADER_BYTES 25 /* struct btrfs_item in its leaf, packed */

struct extent {
        uint64_t start, bytes;
};

struct count {
        uint64_t younger_than; /* a transaction */
        uint64_t metadata_bytes, apparent_bytes, files;
        struct extent *extents;
        size_t extent_count, extent_capacity;
};

static void count_free(struct count *count)
{
        free(count->extents);
}
define_owned(struct count, count_free)

static void count_inode(struct count *count, const char *data, size_t length)
{
        struct btrfs_inode_item inode;

        if (length < sizeof inode)
                return;
        memcpy(&inode, data, sizeof inode);
        if (le64toh(inode.transid) <= count->younger_than && count->younger_than != 0)
                return;
        if (S_ISREG(le32toh(inode.mode)))
                count->apparent_bytes += le64toh(inode.size);
        count->files++;
}

static void count_extent(struct count *count, const char *data, size_t length)
{
        struct btrfs_file_extent_item item;

        if (length < sizeof item)
                return; /* inline: its bytes are the leaf's */
        memcpy(&item, data, sizeof item);
        if (item.type == BTRFS_FILE_EXTENT_INLINE || item.disk_bytenr == 0) /* 0: a hole */
                return;
        if (le64toh(item.generation) <= count->younger_than && count->younger_than != 0)
                return;
        if (count->extent_count == count->extent_capacity) {
                count->extent_capacity = count->extent_capacity == 0 ? 64 : 2 * count->extent_capacity;
                count->extents = x_reallocarray(count->extents, count->extent_capacity, sizeof *count->extents);
        }
        count->extents[count->extent_count++] =
                (struct extent){le64toh(item.disk_bytenr), le64toh(item.disk_num_bytes)};
}

static int by_start(const void *a, const void *b)
{
        uint64_t left = ((const struct extent *)a)->start, right = ((const struct extent *)b)->start;

        return (left > right) - (left < right);
}

static uint64_t sum_extents(struct count *count)
{
        uint64_t sum = 0;

        if (count->extent_count == 0)
                return 0;
        qsort(count->extents, count->extent_count, sizeof *count->extents, by_start);
        for (size_t i = 0; i < count->extent_count; i++)
                if (i == 0 || count->extents[i].start != count->extents[i - 1].start)
                        sum += count->extents[i].bytes;
        return sum;
}

/* Counts what one search returned, and lets the next begin behind it. */
static int count_items(struct count *count, struct btrfs_ioctl_search_args_v2 *search, struct cowherd_error *err)
{
        struct btrfs_ioctl_search_key *key = &search->key;
        const char *at = (const char *)search->buf, *end = at + SEARCH_BYTES;

        for (uint32_t i = 0; i < key->nr_items; i++) {
                struct btrfs_ioctl_search_header header;
                if ((size_t)(end - at) < sizeof header)
                        return fail(err, COWHERD_SYSTEM, "the btrfs search ends within an item");
                memcpy(&header, at, sizeof header);
                at += sizeof header;
                if ((size_t)(end - at) < header.len)
                        return fail(err, COWHERD_SYSTEM, "the btrfs search ends within an item");
                count->metadata_bytes += ITEM_HEADER_BYTES + header.len;
                if (header.type == BTRFS_INODE_ITEM_KEY)
                        count_inode(count, at, header.len);
                else if (header.type == BTRFS_EXTENT_DATA_KEY)
                        count_extent(count, at, header.len);
                at += header.len;
                key->min_objectid = header.objectid;
                key->min_type = header.type;
                key->min_offset = header.offset;
        }
        return 0;
}

/* The key behind the last one seen; false where there is none. */
static bool step(struct btrfs_ioctl_search_key *key)
{
        if (++key->min_offset != 0)
                return true;
        if (++key->min_type <= UINT8_MAX)
                return true;
        key->min_type = 0;
        return ++key->min_objectid != 0;
}

static int count_subvolume(int subvolume, struct count *count, struct cowherd_error *err)
{
        owned_mem struct btrfs_ioctl_search_args_v2 *search = x_calloc(1, sizeof *search + SEARCH_BYTES);
        struct btrfs_ioctl_search_key *key = &search->key;

        *key = (struct btrfs_ioctl_search_key){
                .max_objectid = UINT64_MAX,
                .max_type = UINT8_MAX,
                .max_offset = UINT64_MAX,
                .min_transid = count->younger_than == 0 ? 0 : count->younger_than + 1,
                .max_transid = UINT64_MAX,
        };
        do {
                key->nr_items = UINT32_MAX;
                search->buf_size = SEARCH_BYTES;
                if (ioctl(subvolume, BTRFS_IOC_TREE_SEARCH_V2, search) < 0)
                        return fail_errno(err, "cannot search a btrfs subvolume");
                if (key->nr_items == 0)
                        return 0;
                if (count_items(count, search, err) < 0)
                        return -1;
        } while (step(key));
        return 0;
}

int btrfs_written_since(int subvolume, uint64_t since, struct file_usage *ret, struct cowherd_error *err)
{
        struct btrfs_ioctl_fs_info_args filesystem = {0};
        owned_by(count_free) struct count count = {.younger_than = since};

        if (ioctl(subvolume, BTRFS_IOC_FS_INFO, &filesystem) < 0)
                return fail_errno(err, "cannot look at a btrfs filesystem");
        if (count_subvolume(subvolume, &count, err) < 0)
                return -1;
        uint64_t node = filesystem.nodesize == 0 ? 16384 : filesystem.nodesize;
        *ret = (struct file_usage){
                /* The root node is always its own; its leaves hold at least what their items take. */
                .allocated_bytes = node + (count.metadata_bytes + node - 1) / node * node + sum_extents(&count),
                .apparent_bytes = count.apparent_bytes,
                .files = count.files,
        };
        return 0;
}

int btrfs_written_bytes(int subvolume, bool all, struct file_usage *ret, struct cowherd_error *err)
{
        struct btrfs_ioctl_get_subvol_info_args info = {0};

        if (ioctl(subvolume, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
                return fail_errno(err, "cannot look at a btrfs subvolume");
        return btrfs_written_since(subvolume, all ? 0 : info.otransid, ret, err);
}
