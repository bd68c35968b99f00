/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMDK as one file (VMware's "Virtual Disk Format 5.0"): a sparse header, a text descriptor within it, and the data.
 * All fields are little-endian; offsets are in sectors of 512 bytes.
 *
 * Three ways lead to other files. A capacity of 0 makes QEMU take the inner descriptor for a whole one, with extents in
 * other files; `parentFileNameHint` names a parent, which QEMU looks for at sector 1 wherever the header says that the
 * descriptor is, so both places are searched; parentCID says that there is one. And in a stream-optimised image a
 * footer at the end replaces the header: then it is the footer that is checked.
 */
#include "base/mem.h"
#include "base/str.h"
#include "image/disk_format.h"

#include <stdbool.h>

#define SECTOR_BYTES UINT64_C(512)
#define HEADER_BYTES 79u
#define DIRECTORY_AT_END UINT64_MAX
#define FOOTER_SECTORS 3u /* footer marker, footer, end-of-stream marker */
#define VERSION_MAX 3u
#define FLAG_REDUNDANT_DIRECTORY 2u
#define ENTRIES_PER_TABLE_MAX 512u
#define GRAIN_SECTORS_MAX 0x200000u /* QEMU's: 1 GiB */
#define DIRECTORY_BYTES_MAX (UINT64_C(32) << 20)
#define DESCRIPTOR_BYTES_MAX (UINT64_C(1) << 20)
#define QEMU_DESCRIPTOR_OFFSET SECTOR_BYTES
#define QEMU_DESCRIPTOR_BYTES (20 * SECTOR_BYTES)

struct vmdk {
        uint32_t version, flags;
        uint64_t capacity, grain, descriptor_offset, descriptor_sectors;
        uint32_t entries_per_table;
        uint64_t redundant_directory, directory;
};

static int read_header(const struct disk_source *source, uint64_t offset, struct vmdk *ret, struct cowherd_error *err)
{
        unsigned char bytes[HEADER_BYTES];

        if (disk_read(source, offset, bytes, sizeof bytes, "header", err) < 0)
                return -1;
        if (memcmp(bytes, "KDMV", 4) != 0)
                return disk_refuse(source, err, "is damaged: there is no VMDK footer at %llu",
                                   (unsigned long long)offset);
        *ret = (struct vmdk){
                .version = disk_le32(bytes + 4),
                .flags = disk_le32(bytes + 8),
                .capacity = disk_le64(bytes + 12),
                .grain = disk_le64(bytes + 20),
                .descriptor_offset = disk_le64(bytes + 28),
                .descriptor_sectors = disk_le64(bytes + 36),
                .entries_per_table = disk_le32(bytes + 44),
                .redundant_directory = disk_le64(bytes + 48),
                .directory = disk_le64(bytes + 56),
        };
        return 0;
}

static int read_footer(const struct disk_source *source, struct vmdk *header, struct cowherd_error *err)
{
        uint64_t sectors = source->length_bytes / SECTOR_BYTES;

        if (sectors < FOOTER_SECTORS + 1)
                return disk_refuse(source, err, "is cut short: it is too small for a VMDK footer");
        if (read_header(source, (sectors - FOOTER_SECTORS + 1) * SECTOR_BYTES, header, err) < 0)
                return -1;
        if (header->directory == DIRECTORY_AT_END)
                return disk_refuse(source, err,
                                   "is damaged: its VMDK footer does not say where the grain directory is");
        return 0;
}

static int check_header(const struct disk_source *source, const struct vmdk *header, struct cowherd_error *err)
{
        if (header->version == 0 || header->version > VERSION_MAX)
                return disk_refuse(source, err, "is VMDK of version %u: expected 1 to %u", header->version,
                                   VERSION_MAX);
        if (header->capacity == 0)
                return disk_refuse(source, err, "is a VMDK whose disk lies in other files: a base must stand alone");
        if (header->capacity > UINT64_MAX / SECTOR_BYTES)
                return disk_refuse(source, err, "claims a disk of %llu sectors", (unsigned long long)header->capacity);
        if (header->grain == 0 || header->grain > GRAIN_SECTORS_MAX || (header->grain & (header->grain - 1)) != 0)
                return disk_refuse(source, err, "has VMDK grains of %llu sectors: expected a power of two up to %u",
                                   (unsigned long long)header->grain, GRAIN_SECTORS_MAX);
        if (header->entries_per_table == 0 || header->entries_per_table > ENTRIES_PER_TABLE_MAX)
                return disk_refuse(source, err, "has VMDK grain tables of %u entries: expected 1 to %u",
                                   header->entries_per_table, ENTRIES_PER_TABLE_MAX);
        return 0;
}

static int check_directory(const struct disk_source *source, const struct vmdk *header, struct cowherd_error *err)
{
        bool redundant = (header->flags & FLAG_REDUNDANT_DIRECTORY) != 0;
        uint64_t at = redundant ? header->redundant_directory : header->directory;
        uint64_t per_entry = header->grain * header->entries_per_table;
        uint64_t bytes = (header->capacity / per_entry + (header->capacity % per_entry != 0)) * 4;

        if (bytes > DIRECTORY_BYTES_MAX)
                return disk_refuse(source, err, "has a VMDK grain directory of %llu bytes: expected at most %llu",
                                   (unsigned long long)bytes, (unsigned long long)DIRECTORY_BYTES_MAX);
        if (at > UINT64_MAX / SECTOR_BYTES)
                return disk_refuse(source, err, "is cut short: its grain directory lies beyond its end");
        return disk_check_range(source, at * SECTOR_BYTES, bytes, "grain directory", err);
}

/* Whether the text is `key`, blanks, `=`, blanks, and not `value` (without regard to case). */
static bool says_other(const char *text, const char *key, const char *value)
{
        const char *at = strcasestr(text, key);

        if (at == NULL)
                return false;
        at += strlen(key);
        at += strspn(at, " \t");
        if (*at != '=')
                return true;
        at++;
        at += strspn(at, " \t\"");
        return strncasecmp(at, value, strlen(value)) != 0;
}

/* The text may hold NULs, behind which QEMU doesn't look; we do, as if they were blanks. */
static int check_descriptor(const struct disk_source *source, uint64_t offset, uint64_t bytes,
                            struct cowherd_error *err)
{
        owned_str char *text = x_calloc((size_t)bytes + 1, 1);

        if (disk_read(source, offset, text, (size_t)bytes, "descriptor", err) < 0)
                return -1;
        for (uint64_t i = 0; i < bytes; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        if (strcasestr(text, "parentFileNameHint") != NULL || says_other(text, "parentCID", "ffffffff"))
                return disk_refuse(source, err, "is a VMDK that has a parent: a base must stand alone");
        if (says_other(text, "createType", "monolithicSparse\"") && says_other(text, "createType", "streamOptimized\""))
                return disk_refuse(
                        source, err,
                        "is a VMDK of a kind that is not supported: expected monolithicSparse or streamOptimized");
        return 0;
}

static int check_descriptors(const struct disk_source *source, const struct vmdk *header, struct cowherd_error *err)
{
        uint64_t rest = source->length_bytes - QEMU_DESCRIPTOR_OFFSET;

        if (check_descriptor(source, QEMU_DESCRIPTOR_OFFSET,
                             rest < QEMU_DESCRIPTOR_BYTES ? rest : QEMU_DESCRIPTOR_BYTES, err) < 0)
                return -1;
        if (header->descriptor_offset == 0)
                return 0;
        if (header->descriptor_sectors > DESCRIPTOR_BYTES_MAX / SECTOR_BYTES)
                return disk_refuse(source, err, "has a VMDK descriptor of %llu sectors: expected at most %llu",
                                   (unsigned long long)header->descriptor_sectors,
                                   (unsigned long long)(DESCRIPTOR_BYTES_MAX / SECTOR_BYTES));
        if (header->descriptor_offset > UINT64_MAX / SECTOR_BYTES)
                return disk_refuse(source, err, "is cut short: its descriptor lies beyond its end");
        return check_descriptor(source, header->descriptor_offset * SECTOR_BYTES,
                                header->descriptor_sectors * SECTOR_BYTES, err);
}

int disk_read_vmdk(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err)
{
        struct vmdk header;

        if (source->length_bytes <= QEMU_DESCRIPTOR_OFFSET)
                return disk_refuse(source, err, "is cut short: %llu bytes can't hold a VMDK",
                                   (unsigned long long)source->length_bytes);
        if (read_header(source, 0, &header, err) < 0 || check_header(source, &header, err) < 0 ||
            check_descriptors(source, &header, err) < 0)
                return -1;
        if (header.directory == DIRECTORY_AT_END) {
                if (read_footer(source, &header, err) < 0 || check_header(source, &header, err) < 0 ||
                    check_descriptors(source, &header, err) < 0)
                        return -1;
        }
        if (disk_check_size(source, header.capacity * SECTOR_BYTES, err) < 0 ||
            check_directory(source, &header, err) < 0)
                return -1;
        *ret_virtual_bytes = header.capacity * SECTOR_BYTES;
        return 0;
}
