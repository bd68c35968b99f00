/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VHDX, Hyper-V's format ([MS-VHDX]): a region table at 192 KiB says where the metadata are, and these tell the size
 * and whether the disk has a parent. Little-endian. The region table's copy at 256 KiB is not looked at, as QEMU
 * doesn't either; its checksums and its log are left to QEMU, which refuses what does not fit.
 */
#include "base/mem.h"
#include "image/disk_format.h"

#include <stdbool.h>

#define REGION_TABLE_OFFSET (UINT64_C(192) << 10)
#define REGION_BYTES_MIN (UINT64_C(1) << 20) /* where regions may begin, and what they are multiples of */
#define METADATA_TABLE_BYTES (UINT64_C(64) << 10)
#define REGION_HEADER_BYTES 16u
#define METADATA_HEADER_BYTES 32u
#define ENTRY_BYTES 32u
#define ENTRIES_MAX 2047u
#define GUID_BYTES 16u
#define HAS_PARENT 2u
#define VIRTUAL_BYTES_MAX (UINT64_C(64) << 40)
#define BLOCK_BYTES_MAX (UINT32_C(256) << 20)

static const unsigned char region_metadata[GUID_BYTES] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                                          0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const unsigned char item_parameters[GUID_BYTES] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                                          0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
static const unsigned char item_size[GUID_BYTES] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                                    0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
static const unsigned char item_parent[GUID_BYTES] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                                      0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};

/* The only entry with this id of a table that was read, or NULL: two of one id are refused (`*err` is set, and -1). */
static int find_entry(const struct disk_source *source, const unsigned char *entries, unsigned count,
                      const unsigned char *id, const char *what, const unsigned char **ret, struct cowherd_error *err)
{
        const unsigned char *found = NULL;

        for (unsigned i = 0; i < count; i++) {
                const unsigned char *entry = entries + (size_t)i * ENTRY_BYTES;
                if (memcmp(entry, id, GUID_BYTES) != 0)
                        continue;
                if (found != NULL)
                        return disk_refuse(source, err, "is damaged: it has two VHDX entries for its %s", what);
                found = entry;
        }
        *ret = found;
        return 0;
}

/* Where the metadata region begins. */
static int find_metadata(const struct disk_source *source, uint64_t *ret_offset, struct cowherd_error *err)
{
        unsigned char header[REGION_HEADER_BYTES];
        const unsigned char *entry = NULL;

        if (disk_read(source, REGION_TABLE_OFFSET, header, sizeof header, "region table", err) < 0)
                return -1;
        uint32_t count = disk_le32(header + 8);
        if (memcmp(header, "regi", 4) != 0 || count > ENTRIES_MAX)
                return disk_refuse(source, err, "is damaged: it has no VHDX region table of at most %u entries",
                                   ENTRIES_MAX);
        owned_mem unsigned char *entries = x_calloc(count, ENTRY_BYTES);
        if (disk_read(source, REGION_TABLE_OFFSET + sizeof header, entries, (size_t)count * ENTRY_BYTES, "region table",
                      err) < 0 ||
            find_entry(source, entries, count, region_metadata, "metadata region", &entry, err) < 0)
                return -1;
        if (entry == NULL)
                return disk_refuse(source, err, "is damaged: it has no VHDX metadata region");
        uint64_t offset = disk_le64(entry + GUID_BYTES);
        if (offset < REGION_BYTES_MIN || offset % REGION_BYTES_MIN != 0)
                return disk_refuse(source, err, "is damaged: its VHDX metadata begin at %llu, which is not a whole MiB",
                                   (unsigned long long)offset);
        *ret_offset = offset;
        return 0;
}

/* Reads `bytes` of an item of the metadata, which must be there. */
static int read_item(const struct disk_source *source, uint64_t metadata, const unsigned char *entries, unsigned count,
                     const unsigned char *id, const char *what, unsigned char *ret, size_t bytes,
                     struct cowherd_error *err)
{
        const unsigned char *entry = NULL;

        if (find_entry(source, entries, count, id, what, &entry, err) < 0)
                return -1;
        if (entry == NULL || disk_le32(entry + GUID_BYTES + 4) != bytes)
                return disk_refuse(source, err, "is damaged: its VHDX metadata lack the %s (%zu bytes)", what, bytes);
        uint32_t offset = disk_le32(entry + GUID_BYTES);
        if (offset < METADATA_TABLE_BYTES || offset > REGION_BYTES_MIN)
                return disk_refuse(source, err, "is damaged: its VHDX %s lies at %u of the metadata", what, offset);
        return disk_read(source, metadata + offset, ret, bytes, what, err);
}

int disk_read_vhdx(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err)
{
        unsigned char header[METADATA_HEADER_BYTES], parameters[8], size[8];
        const unsigned char *parent = NULL;
        uint64_t metadata = 0;

        if (find_metadata(source, &metadata, err) < 0 ||
            disk_read(source, metadata, header, sizeof header, "metadata", err) < 0)
                return -1;
        unsigned count = disk_le16(header + 10);
        if (memcmp(header, "metadata", 8) != 0 || count > ENTRIES_MAX)
                return disk_refuse(source, err, "is damaged: it has no VHDX metadata table of at most %u entries",
                                   ENTRIES_MAX);
        owned_mem unsigned char *entries = x_calloc(count, ENTRY_BYTES);
        if (disk_read(source, metadata + sizeof header, entries, (size_t)count * ENTRY_BYTES, "metadata", err) < 0 ||
            read_item(source, metadata, entries, count, item_parameters, "file parameters", parameters,
                      sizeof parameters, err) < 0 ||
            read_item(source, metadata, entries, count, item_size, "virtual disk size", size, sizeof size, err) < 0 ||
            find_entry(source, entries, count, item_parent, "parent locator", &parent, err) < 0)
                return -1;
        if (parent != NULL || (disk_le32(parameters + 4) & HAS_PARENT) != 0)
                return disk_refuse(source, err, "is a VHDX that has a parent: a base must stand alone");
        uint32_t block = disk_le32(parameters);
        if (block < REGION_BYTES_MIN || block > BLOCK_BYTES_MAX || (block & (block - 1)) != 0)
                return disk_refuse(source, err,
                                   "has VHDX blocks of %u bytes: expected a power of two from 1 to 256 MiB", block);
        uint64_t virtual_bytes = disk_le64(size);
        if (virtual_bytes > VIRTUAL_BYTES_MAX)
                return disk_refuse(source, err, "claims a disk of %llu bytes: VHDX has at most 64 TiB",
                                   (unsigned long long)virtual_bytes);
        if (disk_check_size(source, virtual_bytes, err) < 0)
                return -1;
        *ret_virtual_bytes = virtual_bytes;
        return 0;
}
