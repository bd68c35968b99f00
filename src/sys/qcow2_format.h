/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 as it lies on disk (docs/interop/qcow2.txt of QEMU): what both the reader of foreign images and the writer of
 * our overlays need. All numbers are big-endian, and nothing is aligned beyond its place in the file: copy in, copy
 * out.
 */
#pragma once

#include <endian.h>
#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb"; qcow version 1 has it too */
#define QCOW2_SECTOR_BYTES 512u

struct qcow2_header {
        uint32_t magic;
        uint32_t version;
        uint64_t backing_name_offset;
        uint32_t backing_name_length;
        uint32_t cluster_bits;
        uint64_t virtual_bytes;
        uint32_t encryption;
        uint32_t l1_entries;
        uint64_t l1_offset;
        uint64_t refcount_table_offset;
        uint32_t refcount_table_clusters;
        uint32_t snapshots;
        uint64_t snapshots_offset;
        /* From here on version 3 only. */
        uint64_t incompatible;
        uint64_t compatible;
        uint64_t autoclear;
        uint32_t refcount_order;
        uint32_t header_length;
        /* From here on only where header_length says so. */
        uint8_t compression;
        uint8_t padding[7];
} __attribute__((packed));
_Static_assert(sizeof(struct qcow2_header) == 112, "the qcow2 header has 112 bytes");
#define QCOW2_HEADER_V2_BYTES 72u
#define QCOW2_HEADER_V3_BYTES 104u

/* Bits of `incompatible`: who doesn't know one that is set must not open the image. */
#define QCOW2_DIRTY (UINT64_C(1) << 0)
#define QCOW2_CORRUPT (UINT64_C(1) << 1)
#define QCOW2_DATA_FILE (UINT64_C(1) << 2)
#define QCOW2_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_EXTENDED_L2 (UINT64_C(1) << 4)

/* Extensions follow the header: each a type and a length, then its bytes, padded to 8. */
struct qcow2_extension {
        uint32_t type;
        uint32_t length;
} __attribute__((packed));
#define QCOW2_EXTENSION_END 0u
#define QCOW2_EXTENSION_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXTENSION_FEATURE_NAMES 0x6803f857u
#define QCOW2_EXTENSION_DATA_FILE 0x44415441u
#define QCOW2_EXTENSION_ENCRYPTION 0x0537be77u

struct qcow2_feature_name {
        uint8_t type; /* 0 incompatible, 1 compatible, 2 autoclear */
        uint8_t bit;
        char name[46];
} __attribute__((packed));

/* QEMU's own limits (block/qcow2.h): what is beyond them it refuses to open. */
#define QCOW2_CLUSTER_BITS_MIN 9u
#define QCOW2_CLUSTER_BITS_MAX 21u
#define QCOW2_L1_BYTES_MAX (32u << 20)
#define QCOW2_REFCOUNT_TABLE_BYTES_MAX (8u << 20)
#define QCOW2_SNAPSHOTS_MAX 65536u
#define QCOW2_BACKING_NAME_BYTES_MAX 1023u

/* What an overlay of ours (64 KiB clusters, an L1 table of at most 32 MiB) can show: 2 PiB. No larger disk is a base.
 */
#define QCOW2_OVERLAY_CLUSTER_BITS 16u
#define QCOW2_OVERLAY_VIRTUAL_BYTES_MAX (UINT64_C(2) << 50)
