/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2, versions 2 and 3, by the checks that QEMU itself makes on opening (block/qcow2.c) and two of our own: nothing
 * may lead to another file, and every table must lie within this one. Only the first cluster is read (at most 2 MiB);
 * the tables are not walked, as nothing in them leads elsewhere.
 *
 * Dirty and corrupt images are refused, though QEMU would open a dirty one and repair it: a base is read-only, so that
 * no clone ever could. Internal snapshots are accepted, as QEMU does: clones see the active disk, and the snapshots
 * only take their space.
 */
#include "base/mem.h"
#include "image/disk_format.h"
#include "sys/qcow2_format.h"

#include <stdio.h>

#define KNOWN_INCOMPATIBLE (QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_DATA_FILE | QCOW2_COMPRESSION | QCOW2_EXTENDED_L2)
#define REFCOUNT_ORDER_MAX 6u
#define EXTENDED_L2_CLUSTER_BITS_MIN 14u
#define SNAPSHOT_ENTRY_BYTES_MIN 40u
#define SHOWN_NAME_BYTES 200

/* The header in this machine's byte order; what version 2 does not have is as if version 3 said nothing. */
static int read_header(const struct disk_source *source, struct qcow2_header *ret, struct cowherd_error *err)
{
        struct qcow2_header header = {0};

        if (disk_read(source, 0, &header, QCOW2_HEADER_V2_BYTES, "header", err) < 0)
                return -1;
        if (be32toh(header.version) >= 3) {
                if (disk_read(source, 0, &header, QCOW2_HEADER_V3_BYTES, "header", err) < 0)
                        return -1;
                if (be32toh(header.header_length) > QCOW2_HEADER_V3_BYTES &&
                    disk_read(source, 0, &header, sizeof header, "header", err) < 0)
                        return -1;
        } else {
                header.refcount_order = htobe32(4);
                header.header_length = htobe32(QCOW2_HEADER_V2_BYTES);
        }
        *ret = (struct qcow2_header){
                .magic = be32toh(header.magic),
                .version = be32toh(header.version),
                .backing_name_offset = be64toh(header.backing_name_offset),
                .backing_name_length = be32toh(header.backing_name_length),
                .cluster_bits = be32toh(header.cluster_bits),
                .virtual_bytes = be64toh(header.virtual_bytes),
                .encryption = be32toh(header.encryption),
                .l1_entries = be32toh(header.l1_entries),
                .l1_offset = be64toh(header.l1_offset),
                .refcount_table_offset = be64toh(header.refcount_table_offset),
                .refcount_table_clusters = be32toh(header.refcount_table_clusters),
                .snapshots = be32toh(header.snapshots),
                .snapshots_offset = be64toh(header.snapshots_offset),
                .incompatible = be64toh(header.incompatible),
                .compatible = be64toh(header.compatible),
                .autoclear = be64toh(header.autoclear),
                .refcount_order = be32toh(header.refcount_order),
                .header_length = be32toh(header.header_length),
                .compression = header.compression,
        };
        return 0;
}

/* A text out of the image is shown as ASCII: it is somebody else's, and an answer is UTF-8. */
static void make_ascii(char *text)
{
        for (; *text != '\0'; text++)
                if (*text < ' ' || *text > '~')
                        *text = '?';
}

static int refuse_backing_file(const struct disk_source *source, const struct qcow2_header *header,
                               struct cowherd_error *err)
{
        char name[SHOWN_NAME_BYTES + 1] = "";
        size_t length = header->backing_name_length < SHOWN_NAME_BYTES ? header->backing_name_length : SHOWN_NAME_BYTES;

        /* The name is shown where it can be read; that it is there at all is the reason. */
        if (disk_read(source, header->backing_name_offset, name, length, "backing file's name", err) < 0)
                name[0] = '\0';
        make_ascii(name);
        (void)disk_refuse(source, err, "has a backing file ('%s'): a base must stand alone", name);
        return fail_hint(err, "if it can be trusted, flatten it first: qemu-img convert -O qcow2 OLD NEW");
}

/* The name that the image's own table gives to an incompatible bit, "" where it gives none. */
static void feature_name(const unsigned char *table, size_t length, unsigned bit,
                         char ret[sizeof(((struct qcow2_feature_name *)0)->name) + 1])
{
        struct qcow2_feature_name feature;

        ret[0] = '\0';
        for (size_t at = 0; at + sizeof feature <= length; at += sizeof feature) {
                memcpy(&feature, table + at, sizeof feature);
                if (feature.type != 0 || feature.bit != bit)
                        continue;
                memcpy(ret, feature.name, sizeof feature.name);
                ret[sizeof feature.name] = '\0';
                make_ascii(ret);
                return;
        }
}

/* What the extensions say; borrowed from the first cluster. */
struct extensions {
        bool data_file, encryption;
        const unsigned char *features;
        size_t features_length;
};

static int read_extensions(const struct disk_source *source, const struct qcow2_header *header,
                           const unsigned char *cluster, size_t length, struct extensions *ret,
                           struct cowherd_error *err)
{
        struct qcow2_extension extension;
        size_t at = header->header_length;

        *ret = (struct extensions){0};
        while (at < length && length - at >= sizeof extension) {
                memcpy(&extension, cluster + at, sizeof extension);
                at += sizeof extension;
                size_t count = be32toh(extension.length);
                if (be32toh(extension.type) == QCOW2_EXTENSION_END)
                        return 0;
                if (count > length - at)
                        return disk_refuse(
                                source, err,
                                "is damaged: header extension 0x%08x of %zu bytes runs over the first cluster",
                                be32toh(extension.type), count);
                if (be32toh(extension.type) == QCOW2_EXTENSION_DATA_FILE)
                        ret->data_file = true;
                if (be32toh(extension.type) == QCOW2_EXTENSION_ENCRYPTION)
                        ret->encryption = true;
                if (be32toh(extension.type) == QCOW2_EXTENSION_FEATURE_NAMES) {
                        ret->features = cluster + at;
                        ret->features_length = count;
                }
                at += (count + 7) / 8 * 8;
        }
        return 0;
}

static int check_features(const struct disk_source *source, const struct qcow2_header *header,
                          const struct extensions *extensions, struct cowherd_error *err)
{
        uint64_t unknown = header->incompatible & ~KNOWN_INCOMPATIBLE;

        if (unknown != 0) {
                char name[sizeof(((struct qcow2_feature_name *)0)->name) + 1];
                unsigned bit = (unsigned)__builtin_ctzll(unknown);
                feature_name(extensions->features, extensions->features_length, bit, name);
                return disk_refuse(source, err, "needs a feature that is not known (incompatible bit %u%s%s)", bit,
                                   name[0] == '\0' ? "" : ", ", name);
        }
        if ((header->incompatible & QCOW2_DATA_FILE) != 0 || extensions->data_file)
                return disk_refuse(source, err, "keeps its data in an external file: a base must stand alone");
        if (header->encryption != 0 || extensions->encryption)
                return disk_refuse(source, err, "is encrypted, which is not supported");
        if ((header->incompatible & QCOW2_CORRUPT) != 0) {
                (void)disk_refuse(source, err, "is marked as corrupt");
                return fail_hint(err, "look at it with: qemu-img check -r all IMAGE");
        }
        if ((header->incompatible & QCOW2_DIRTY) != 0) {
                (void)disk_refuse(source, err, "was not closed properly (its dirty bit is set)");
                return fail_hint(err, "repair it first: qemu-img check -r all IMAGE");
        }
        return 0;
}

static int check_compression(const struct disk_source *source, const struct qcow2_header *header,
                             struct cowherd_error *err)
{
        bool other = (header->incompatible & QCOW2_COMPRESSION) != 0;

        if (header->compression > 1 || other != (header->compression == 1))
                return disk_refuse(
                        source, err,
                        "is damaged: compression type %u with its feature bit %s (expected 0, or 1 with it set)",
                        header->compression, other ? "set" : "clear");
        return 0;
}

static int check_geometry(const struct disk_source *source, const struct qcow2_header *header,
                          struct cowherd_error *err)
{
        if (header->cluster_bits < QCOW2_CLUSTER_BITS_MIN || header->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
                return disk_refuse(source, err, "has clusters of 2^%u bytes: expected 2^%u to 2^%u",
                                   header->cluster_bits, QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
        if (header->version >= 3 && header->header_length < QCOW2_HEADER_V3_BYTES)
                return disk_refuse(source, err, "has a header of %u bytes: expected at least %u", header->header_length,
                                   QCOW2_HEADER_V3_BYTES);
        if (header->header_length > 1u << header->cluster_bits)
                return disk_refuse(source, err, "has a header of %u bytes, longer than a cluster",
                                   header->header_length);
        if (header->refcount_order > REFCOUNT_ORDER_MAX)
                return disk_refuse(source, err, "has refcounts of 2^%u bits: expected at most 64 bits",
                                   header->refcount_order);
        if ((header->incompatible & QCOW2_EXTENDED_L2) != 0 && header->cluster_bits < EXTENDED_L2_CLUSTER_BITS_MIN)
                return disk_refuse(source, err,
                                   "has extended L2 entries in clusters of 2^%u bytes: expected at least 2^%u",
                                   header->cluster_bits, EXTENDED_L2_CLUSTER_BITS_MIN);
        return 0;
}

/* A table begins at a cluster, is no larger than QEMU takes, and ends within the file. */
static int check_table(const struct disk_source *source, uint64_t offset, uint64_t bytes, uint64_t limit,
                       unsigned cluster_bits, const char *what, struct cowherd_error *err)
{
        if (bytes > limit)
                return disk_refuse(source, err, "has a %s of %llu bytes: expected at most %llu", what,
                                   (unsigned long long)bytes, (unsigned long long)limit);
        if (offset == 0 || (offset & ((UINT64_C(1) << cluster_bits) - 1)) != 0)
                return disk_refuse(source, err, "has its %s at %llu, which is not the beginning of a cluster", what,
                                   (unsigned long long)offset);
        return disk_check_range(source, offset, bytes, what, err);
}

static int check_tables(const struct disk_source *source, const struct qcow2_header *header, struct cowherd_error *err)
{
        unsigned entry_bytes = (header->incompatible & QCOW2_EXTENDED_L2) != 0 ? 16 : 8;
        uint64_t cluster_bytes = UINT64_C(1) << header->cluster_bits;
        uint64_t bytes_per_entry = cluster_bytes / entry_bytes * cluster_bytes;
        uint64_t needed = header->virtual_bytes / bytes_per_entry + (header->virtual_bytes % bytes_per_entry != 0);

        if (header->l1_entries < needed)
                return disk_refuse(source, err, "has an L1 table of %u entries, but its size needs %llu",
                                   header->l1_entries, (unsigned long long)needed);
        if (header->refcount_table_clusters == 0)
                return disk_refuse(source, err, "has no refcount table");
        if (check_table(source, header->l1_offset, (uint64_t)header->l1_entries * 8, QCOW2_L1_BYTES_MAX,
                        header->cluster_bits, "L1 table", err) < 0 ||
            check_table(source, header->refcount_table_offset, header->refcount_table_clusters * cluster_bytes,
                        QCOW2_REFCOUNT_TABLE_BYTES_MAX, header->cluster_bits, "refcount table", err) < 0)
                return -1;
        if (header->snapshots == 0)
                return 0;
        if (header->snapshots > QCOW2_SNAPSHOTS_MAX)
                return disk_refuse(source, err, "has %u internal snapshots: expected at most %u", header->snapshots,
                                   QCOW2_SNAPSHOTS_MAX);
        return check_table(source, header->snapshots_offset, (uint64_t)header->snapshots * SNAPSHOT_ENTRY_BYTES_MIN,
                           UINT64_MAX, header->cluster_bits, "snapshot table", err);
}

int disk_read_qcow2(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err)
{
        struct extensions extensions;
        struct qcow2_header header;

        if (read_header(source, &header, err) < 0 || check_geometry(source, &header, err) < 0)
                return -1;
        if (header.backing_name_offset != 0)
                return refuse_backing_file(source, &header, err);

        size_t length = (size_t)1 << header.cluster_bits;
        if (length > source->length_bytes)
                length = (size_t)source->length_bytes;
        owned_mem unsigned char *cluster = x_malloc(length);
        if (disk_read(source, 0, cluster, length, "first cluster", err) < 0 ||
            read_extensions(source, &header, cluster, length, &extensions, err) < 0 ||
            check_features(source, &header, &extensions, err) < 0 || check_compression(source, &header, err) < 0)
                return -1;

        header.virtual_bytes = header.virtual_bytes / QCOW2_SECTOR_BYTES * QCOW2_SECTOR_BYTES; /* as QEMU sees it */
        if (disk_check_size(source, header.virtual_bytes, err) < 0 || check_tables(source, &header, err) < 0)
                return -1;
        *ret_virtual_bytes = header.virtual_bytes;
        return 0;
}
