/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VDI, VirtualBox's format (QEMU's block/vdi.c): one sector of header, a map of 4 bytes for each block of 1 MiB, the
 * data. Little-endian. A parent is known only by its UUID, but an image that has one shows nothing sensible alone.
 */
#include "image/disk_format.h"

#include <stdbool.h>

#define HEADER_BYTES 512u
#define VERSION_1_1 0x00010001u
#define KIND_DYNAMIC 1u
#define KIND_FIXED 2u
#define SECTOR_BYTES 512u
#define BLOCK_BYTES (UINT64_C(1) << 20)
#define UUID_BYTES 16u

/* Where the fields are. */
enum {
        AT_VERSION = 0x44,
        AT_KIND = 0x4c,
        AT_MAP = 0x154,
        AT_DATA = 0x158,
        AT_SECTOR = 0x168,
        AT_SIZE = 0x170,
        AT_BLOCK = 0x178,
        AT_BLOCKS = 0x180,
        AT_LINK = 0x1a8,
        AT_PARENT = 0x1b8,
};

static bool is_zero(const unsigned char *bytes, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (bytes[i] != 0)
                        return false;
        return true;
}

int disk_read_vdi(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err)
{
        unsigned char header[HEADER_BYTES];

        if (disk_read(source, 0, header, sizeof header, "header", err) < 0)
                return -1;
        uint32_t version = disk_le32(header + AT_VERSION), kind = disk_le32(header + AT_KIND);
        if (version != VERSION_1_1)
                return disk_refuse(source, err, "is VDI of version %u.%u: expected 1.1", version >> 16,
                                   version & 0xffff);
        if (!is_zero(header + AT_LINK, UUID_BYTES) || !is_zero(header + AT_PARENT, UUID_BYTES))
                return disk_refuse(source, err, "is a VDI that has a parent: a base must stand alone");
        if (kind != KIND_DYNAMIC && kind != KIND_FIXED)
                return disk_refuse(source, err, "is VDI of kind %u: expected %u (dynamic) or %u (fixed)", kind,
                                   KIND_DYNAMIC, KIND_FIXED);
        if (disk_le32(header + AT_SECTOR) != SECTOR_BYTES || disk_le32(header + AT_BLOCK) != BLOCK_BYTES)
                return disk_refuse(source, err,
                                   "is VDI with sectors of %u and blocks of %u bytes: expected 512 and 1 MiB",
                                   disk_le32(header + AT_SECTOR), disk_le32(header + AT_BLOCK));

        uint64_t virtual_bytes = disk_le64(header + AT_SIZE);
        uint32_t blocks = disk_le32(header + AT_BLOCKS);
        if (disk_check_size(source, virtual_bytes, err) < 0)
                return -1;
        if (virtual_bytes > blocks * BLOCK_BYTES)
                return disk_refuse(source, err, "is damaged: its disk of %llu bytes needs more than its %u blocks",
                                   (unsigned long long)virtual_bytes, blocks);
        if (disk_check_range(source, disk_le32(header + AT_MAP), (uint64_t)blocks * 4, "block map", err) < 0 ||
            disk_check_range(source, disk_le32(header + AT_DATA), 0, "data", err) < 0)
                return -1;
        *ret_virtual_bytes = (virtual_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES; /* as QEMU sees it */
        return 0;
}
