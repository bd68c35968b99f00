/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the qcow2 overlay that is a fresh clone: version 3, clusters of 64 KiB, no data, its base as backing file.
 *
 *     cluster 0     header, its extensions, the backing file's name
 *     cluster 1     refcount table: one entry
 *     cluster 2     refcount block: one for each cluster of this list
 *     cluster 3…    L1 table: all zero, so a hole
 *
 * That is what `qemu-img create -b` writes, to the byte in cluster 0; it differs in what is left out. The file gets its
 * length first and then three small writes, so that it takes three blocks of the filesystem instead of three clusters
 * (and XFS, which preallocates behind the end of a file that grows, allocates nothing more). One refcount block is
 * always enough: it counts 32,768 clusters, and the largest L1 table has 512.
 */
#include "store/qcow2_overlay.h"

#include "base/mem.h"
#include "sys/qcow2_format.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER_BYTES (UINT64_C(1) << QCOW2_OVERLAY_CLUSTER_BITS)
#define CLUSTERS_BEFORE_L1 3u
/* One L2 table fills a cluster with entries of 8 bytes, each for one cluster; an L1 entry stands for one L2 table. */
#define BYTES_PER_L1_ENTRY (CLUSTER_BYTES / 8 * CLUSTER_BYTES)
#define L1_CLUSTERS_MAX (QCOW2_L1_BYTES_MAX / CLUSTER_BYTES)
#define REFCOUNT_ORDER 4u /* 16 bits each */

/* QEMU's own table, so that an older program which meets a bit that it doesn't know can name it. */
static const struct qcow2_feature_name feature_names[] = {
        {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
        {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
        {2, 0, "bitmaps"},          {2, 1, "raw external data"},
};

static uint64_t divide_up(uint64_t value, uint64_t by)
{
        return value / by + (value % by != 0);
}

static uint64_t l1_entries(const struct qcow2_overlay *overlay)
{
        return divide_up(overlay->virtual_bytes, BYTES_PER_L1_ENTRY);
}

static uint64_t clusters(const struct qcow2_overlay *overlay)
{
        return CLUSTERS_BEFORE_L1 + divide_up(l1_entries(overlay) * sizeof(uint64_t), CLUSTER_BYTES);
}

/* Adds an extension at `used`; returns where the next one begins. */
static size_t add_extension(unsigned char *buffer, size_t used, uint32_t type, const void *bytes, size_t length)
{
        struct qcow2_extension extension = {.type = htobe32(type), .length = htobe32((uint32_t)length)};

        memcpy(buffer + used, &extension, sizeof extension);
        memcpy(buffer + used + sizeof extension, bytes, length);
        return used + sizeof extension + (length + 7) / 8 * 8;
}

size_t qcow2_overlay_header(const struct qcow2_overlay *overlay, unsigned char buffer[QCOW2_OVERLAY_HEADER_BYTES])
{
        size_t name_length = strlen(overlay->backing_name), used = sizeof(struct qcow2_header);

        memset(buffer, 0, QCOW2_OVERLAY_HEADER_BYTES);
        used = add_extension(buffer, used, QCOW2_EXTENSION_BACKING_FORMAT, overlay->backing_format,
                             strlen(overlay->backing_format));
        used = add_extension(buffer, used, QCOW2_EXTENSION_FEATURE_NAMES, feature_names, sizeof feature_names);
        used = add_extension(buffer, used, QCOW2_EXTENSION_END, "", 0);

        struct qcow2_header header = {
                .magic = htobe32(QCOW2_MAGIC),
                .version = htobe32(3),
                .backing_name_offset = htobe64(used),
                .backing_name_length = htobe32((uint32_t)name_length),
                .cluster_bits = htobe32(QCOW2_OVERLAY_CLUSTER_BITS),
                .virtual_bytes = htobe64(divide_up(overlay->virtual_bytes, QCOW2_SECTOR_BYTES) * QCOW2_SECTOR_BYTES),
                .l1_entries = htobe32((uint32_t)l1_entries(overlay)),
                .l1_offset = htobe64(CLUSTERS_BEFORE_L1 * CLUSTER_BYTES),
                .refcount_table_offset = htobe64(CLUSTER_BYTES),
                .refcount_table_clusters = htobe32(1),
                .refcount_order = htobe32(REFCOUNT_ORDER),
                .header_length = htobe32(sizeof header),
        };
        memcpy(buffer, &header, sizeof header);
        memcpy(buffer + used, overlay->backing_name, name_length);
        return used + name_length;
}

static int write_at(int fd, const char *name, const void *bytes, size_t count, uint64_t offset,
                    struct cowherd_error *err)
{
        const char *from = bytes;

        while (count > 0) {
                ssize_t written = pwrite(fd, from, count, (off_t)offset);
                if (written < 0)
                        return fail_errno(err, "cannot write '%s'", name);
                from += written;
                count -= (size_t)written;
                offset += (uint64_t)written;
        }
        return 0;
}

static int check_wanted(const char *name, const struct qcow2_overlay *overlay, struct cowherd_error *err)
{
        if (overlay->virtual_bytes == 0 || overlay->virtual_bytes > QCOW2_OVERLAY_VIRTUAL_BYTES_MAX)
                return fail(err, COWHERD_DATA, "'%s' would have a virtual size of %llu bytes: expected 1 byte to 2 PiB",
                            name, (unsigned long long)overlay->virtual_bytes);
        if (strlen(overlay->backing_name) > QCOW2_BACKING_NAME_BYTES_MAX)
                return fail(err, COWHERD_INTERNAL, "the backing file's name of '%s' is longer than %u bytes", name,
                            QCOW2_BACKING_NAME_BYTES_MAX);
        return 0;
}

int qcow2_overlay_write(int fd, const char *name, const struct qcow2_overlay *overlay, struct cowherd_error *err)
{
        unsigned char header[QCOW2_OVERLAY_HEADER_BYTES];
        uint16_t refcounts[CLUSTERS_BEFORE_L1 + L1_CLUSTERS_MAX];
        uint64_t refcount_block = htobe64(2 * CLUSTER_BYTES);

        if (check_wanted(name, overlay, err) < 0)
                return -1;
        size_t used = (size_t)clusters(overlay);
        for (size_t i = 0; i < used; i++)
                refcounts[i] = htobe16(1);

        if (ftruncate(fd, (off_t)(used * CLUSTER_BYTES)) < 0)
                return fail_errno(err, "cannot set the length of '%s'", name);
        if (write_at(fd, name, header, qcow2_overlay_header(overlay, header), 0, err) < 0 ||
            write_at(fd, name, &refcount_block, sizeof refcount_block, CLUSTER_BYTES, err) < 0 ||
            write_at(fd, name, refcounts, used * sizeof refcounts[0], 2 * CLUSTER_BYTES, err) < 0)
                return -1;
        return 0;
}

static int refuse(const char *name, const char *what, struct cowherd_error *err)
{
        return fail(err, COWHERD_DATA, "'%s' %s", name, what);
}

int qcow2_overlay_read(int fd, const char *name, struct qcow2_seen *ret, struct cowherd_error *err)
{
        struct qcow2_header header = {0};
        struct qcow2_seen seen = {0};
        ssize_t got = pread(fd, &header, sizeof header, 0);

        if (got < 0)
                return fail_errno(err, "cannot read '%s'", name);
        if ((size_t)got < QCOW2_HEADER_V2_BYTES || be32toh(header.magic) != QCOW2_MAGIC)
                return refuse(name, "is no qcow2 disk any more", err);
        if (be32toh(header.version) != 3 || (size_t)got < QCOW2_HEADER_V3_BYTES)
                return refuse(name, "is no qcow2 disk of version 3", err);
        if (header.encryption != 0 || (be64toh(header.incompatible) & QCOW2_DATA_FILE) != 0)
                return refuse(name, "is encrypted, or keeps its data in another file: no clone's disk does", err);
        uint32_t length = be32toh(header.backing_name_length);
        if (length > QCOW2_BACKING_NAME_BYTES_MAX)
                return refuse(name, "has a backing file whose name is too long", err);
        if (length > 0 && pread(fd, seen.backing_name, length, (off_t)be64toh(header.backing_name_offset)) != (ssize_t)length)
                return refuse(name, "is cut short: its backing file's name is not all there", err);
        seen.virtual_bytes = be64toh(header.virtual_bytes);
        if (seen.virtual_bytes == 0 || seen.virtual_bytes > QCOW2_OVERLAY_VIRTUAL_BYTES_MAX)
                return refuse(name, "has a virtual size that no overlay can show (1 byte to 2 PiB)", err);
        *ret = seen;
        return 0;
}

int qcow2_overlay_is_fresh(int fd, const char *name, bool *ret, struct cowherd_error *err)
{
        struct qcow2_seen seen;
        struct stat found;

        if (qcow2_overlay_read(fd, name, &seen, err) < 0)
                return -1;
        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", name);
        const struct qcow2_overlay overlay = {.virtual_bytes = seen.virtual_bytes};
        /* The first thing that is written takes a cluster behind the L1 table. */
        *ret = (uint64_t)found.st_size == clusters(&overlay) * CLUSTER_BYTES;
        return 0;
}
