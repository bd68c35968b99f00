/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of the single disk formats share. Internal to disk*.c. */
#pragma once

#include "image/disk.h"

#include <endian.h>
#include <string.h>

/* The image that is looked at. Borrowed. */
struct disk_source {
        int fd;
        const char *name;
        uint64_t length_bytes;
};

/* Reads exactly `count` bytes; 65 where the file ends before ("… is cut short: its WHAT …"). */
int disk_read(const struct disk_source *source, uint64_t offset, void *buffer, size_t count, const char *what,
              struct cowherd_error *err) must_check;
/* 65 where a table of the header does not lie wholly in the file. */
int disk_check_range(const struct disk_source *source, uint64_t offset, uint64_t count, const char *what,
                     struct cowherd_error *err) must_check;
/* 65 where the disk would be empty or larger than any that can be cloned. */
int disk_check_size(const struct disk_source *source, uint64_t virtual_bytes, struct cowherd_error *err) must_check;
/* "image 'NAME' …", 65. Always -1. */
int disk_refuse(const struct disk_source *source, struct cowherd_error *err, const char *format, ...) format_like(3, 4);

/* One for each format with a header: all that makes it unfit is 65. *ret is the size that a guest sees. */
int disk_read_qcow2(const struct disk_source *source, uint64_t *ret_virtual_bytes,
                    struct cowherd_error *err) must_check;
int disk_read_vmdk(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err) must_check;
int disk_read_vdi(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err) must_check;
int disk_read_vhdx(const struct disk_source *source, uint64_t *ret_virtual_bytes, struct cowherd_error *err) must_check;

static inline uint16_t disk_le16(const void *at)
{
        uint16_t value;

        memcpy(&value, at, sizeof value);
        return le16toh(value);
}

static inline uint32_t disk_le32(const void *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof value);
        return le32toh(value);
}

static inline uint64_t disk_le64(const void *at)
{
        uint64_t value;

        memcpy(&value, at, sizeof value);
        return le64toh(value);
}
