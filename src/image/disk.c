/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk image really is. Formats are told by their magic alone, never by a file's name; each has a reader of its
 * own (disk_qcow2.c, disk_vmdk.c and so on) that reads a bounded part of the header and believes no offset or
 * length in it. A file without a known magic is raw, as for libvirt; so is a CD image, which a guest sees just as it
 * lies there.
 *
 * Raw is also what a guest can turn into anything: it only has to write a qcow2 header into its first sector. Hence a
 * file that was said to be raw is not looked into at all, and the format found here is kept and said ever after.
 */
#include "image/disk.h"

#include "base/mem.h"
#include "base/str.h"
#include "image/disk_format.h"
#include "sys/qcow2_format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD_BYTES 4096u

static const char *const format_names[] = {
        [DISK_RAW] = "raw", [DISK_QCOW2] = "qcow2", [DISK_VMDK] = "vmdk", [DISK_VDI] = "vdi", [DISK_VHDX] = "vhdx",
};

const char *disk_format_name(enum disk_format format)
{
        return format_names[format];
}

bool disk_format_parse(const char *name, enum disk_format *ret)
{
        for (size_t i = 0; i < array_length(format_names); i++) {
                if (!str_equal_case(format_names[i], name))
                        continue;
                *ret = (enum disk_format)i;
                return true;
        }
        return false;
}

int disk_refuse(const struct disk_source *source, struct cowherd_error *err, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *text = x_vasprintf(format, args);
        va_end(args);
        return fail(err, COWHERD_DATA, "image '%s' %s", source->name, text);
}

int disk_check_range(const struct disk_source *source, uint64_t offset, uint64_t count, const char *what,
                     struct cowherd_error *err)
{
        uint64_t end;

        if (__builtin_add_overflow(offset, count, &end) || end > source->length_bytes)
                return disk_refuse(source, err, "is cut short: its %s (%llu bytes at %llu) lies beyond its end at %llu",
                                   what, (unsigned long long)count, (unsigned long long)offset,
                                   (unsigned long long)source->length_bytes);
        return 0;
}

int disk_read(const struct disk_source *source, uint64_t offset, void *buffer, size_t count, const char *what,
              struct cowherd_error *err)
{
        char *to = buffer;

        if (disk_check_range(source, offset, count, what, err) < 0)
                return -1;
        while (count > 0) {
                ssize_t got = pread(source->fd, to, count, (off_t)offset);
                if (got < 0)
                        return fail_errno(err, "cannot read '%s'", source->name);
                if (got == 0)
                        return disk_refuse(source, err, "became shorter while it was read");
                to += got;
                count -= (size_t)got;
                offset += (uint64_t)got;
        }
        return 0;
}

int disk_check_size(const struct disk_source *source, uint64_t virtual_bytes, struct cowherd_error *err)
{
        if (virtual_bytes == 0)
                return disk_refuse(source, err, "holds a disk of size 0");
        if (virtual_bytes > QCOW2_OVERLAY_VIRTUAL_BYTES_MAX)
                return disk_refuse(source, err, "claims a disk of %llu bytes: at most 2 PiB can be cloned",
                                   (unsigned long long)virtual_bytes);
        return 0;
}

/* What begins so is of that format. */
struct magic {
        const char *bytes;
        uint8_t count;
        uint16_t offset;
        enum disk_format format;
};

static const struct magic known[] = {
        {"QFI\xfb\0\0\0\2", 8, 0, DISK_QCOW2}, {"QFI\xfb\0\0\0\3", 8, 0, DISK_QCOW2}, {"KDMV", 4, 0, DISK_VMDK},
        {"\x7f\x10\xda\xbe", 4, 64, DISK_VDI}, {"vhdxfile", 8, 0, DISK_VHDX},
};

/* What begins so (or has it at the beginning of its last sector) is surely not meant as a raw disk. */
struct stranger {
        const char *bytes;
        uint8_t count;
        uint16_t offset;
        bool at_end;
        const char *what, *hint;
};

#define CONVERT_FIRST "convert it to qcow2 first, with qemu-img"
#define UNPACK_FIRST "unpack it first, then give the disk image that is in it"

static const struct stranger strangers[] = {
        {"QFI\xfb\0\0\0\1", 8, 0, false, "is qcow version 1", CONVERT_FIRST},
        {"QFI\xfb", 4, 0, false, "is qcow2 of a version that nobody knows: expected 2 or 3", ""},
        {"QED\0", 4, 0, false, "is QED", CONVERT_FIRST},
        {"COWD", 4, 0, false, "is a VMDK of the old ESX kind", CONVERT_FIRST},
        {"# Disk DescriptorFile", 21, 0, false, "is a VMDK descriptor, whose disk lies in other files",
         "give a VMDK that is one file (monolithicSparse or streamOptimized), or convert it to qcow2 first"},
        {"conectix", 8, 0, false, "is VHD", CONVERT_FIRST},
        {"conectix", 8, 0, true, "is VHD of fixed size", CONVERT_FIRST},
        {"WithoutFreeSpace", 16, 0, false, "is Parallels' format", CONVERT_FIRST},
        {"WithouFreSpacExt", 16, 0, false, "is Parallels' format", CONVERT_FIRST},
        {"Bochs Virtual HD Image", 22, 0, false, "is Bochs' format", CONVERT_FIRST},
        {"koly", 4, 0, true, "is DMG", CONVERT_FIRST},
        {"LUKS\xba\xbe", 6, 0, false, "is encrypted (LUKS)", "say format=raw if the guest has the key"},
        {"\x1f\x8b", 2, 0, false, "is compressed with gzip", UNPACK_FIRST},
        {"\xfd\x37zXZ\0", 6, 0, false, "is compressed with xz", UNPACK_FIRST},
        {"\x28\xb5\x2f\xfd", 4, 0, false, "is compressed with zstd", UNPACK_FIRST},
        {"BZh", 3, 0, false, "is compressed with bzip2", UNPACK_FIRST},
        {"PK\3\4", 4, 0, false, "is a zip archive", UNPACK_FIRST},
        {"ustar", 5, 257, false, "is a tarball", "give it as tarball="},
        {"hsqs", 4, 0, false, "is a squashfs file system, not a disk", ""},
};

/* The beginning of a file and its last sector, zeros where it is shorter. */
struct edges {
        unsigned char head[HEAD_BYTES];
        unsigned char tail[QCOW2_SECTOR_BYTES];
};

static int read_edges(const struct disk_source *source, struct edges *ret, struct cowherd_error *err)
{
        size_t head = source->length_bytes < HEAD_BYTES ? (size_t)source->length_bytes : HEAD_BYTES;

        *ret = (struct edges){0};
        if (disk_read(source, 0, ret->head, head, "beginning", err) < 0)
                return -1;
        if (source->length_bytes < QCOW2_SECTOR_BYTES)
                return 0;
        return disk_read(source, source->length_bytes - QCOW2_SECTOR_BYTES, ret->tail, QCOW2_SECTOR_BYTES,
                         "last sector", err);
}

static int refuse_stranger(const struct disk_source *source, const struct edges *edges, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(strangers); i++) {
                const struct stranger *stranger = &strangers[i];
                const unsigned char *at = stranger->at_end ? edges->tail : edges->head + stranger->offset;
                if (memcmp(at, stranger->bytes, stranger->count) != 0)
                        continue;
                (void)disk_refuse(source, err, "%s: expected qcow2, raw, vmdk, vdi or vhdx", stranger->what);
                return fail_hint(err, "%s", stranger->hint);
        }
        return 0;
}

/* QEMU sees a raw disk in whole sectors, the last one filled up with zeros. */
static int read_raw(const struct disk_source *source, bool said, uint64_t *ret_virtual_bytes, struct cowherd_error *err)
{
        uint64_t over = source->length_bytes % QCOW2_SECTOR_BYTES;

        if (over != 0 && !said) {
                (void)disk_refuse(
                        source, err,
                        "has no header of a disk format, and its %llu bytes are not a whole number of sectors",
                        (unsigned long long)source->length_bytes);
                return fail_hint(err, "say format=raw if it is a raw disk all the same");
        }
        *ret_virtual_bytes = source->length_bytes + (over == 0 ? 0 : QCOW2_SECTOR_BYTES - over);
        return 0;
}

/* Tells the format and refuses the known ones that are none of ours. */
static int detect(const struct disk_source *source, enum disk_format *ret, struct cowherd_error *err)
{
        struct edges edges;

        if (read_edges(source, &edges, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(known); i++) {
                if (memcmp(edges.head + known[i].offset, known[i].bytes, known[i].count) != 0)
                        continue;
                *ret = known[i].format;
                return 0;
        }
        if (refuse_stranger(source, &edges, err) < 0)
                return -1;
        *ret = DISK_RAW;
        return 0;
}

static int read_format(const struct disk_source *source, enum disk_format format, bool said, uint64_t *ret,
                       struct cowherd_error *err)
{
        switch (format) {
        case DISK_RAW:
                return read_raw(source, said, ret, err);
        case DISK_QCOW2:
                return disk_read_qcow2(source, ret, err);
        case DISK_VMDK:
                return disk_read_vmdk(source, ret, err);
        case DISK_VDI:
                return disk_read_vdi(source, ret, err);
        case DISK_VHDX:
                return disk_read_vhdx(source, ret, err);
        }
        return fail(err, COWHERD_INTERNAL, "disk format %d has no reader", (int)format);
}

static int open_source(int fd, const char *name, struct disk_source *ret, struct cowherd_error *err)
{
        struct stat stat;

        if (fstat(fd, &stat) < 0)
                return fail_errno(err, "cannot look at '%s'", name);
        *ret = (struct disk_source){.fd = fd, .name = name};
        if (!S_ISREG(stat.st_mode))
                return disk_refuse(ret, err, "is no regular file");
        if (stat.st_size <= 0)
                return disk_refuse(ret, err, "is empty");
        ret->length_bytes = (uint64_t)stat.st_size;
        return 0;
}

int disk_inspect(int fd, const char *name, const char *asked, struct disk_info *ret, struct cowherd_error *err)
{
        enum disk_format wanted = DISK_RAW, found = DISK_RAW;
        struct disk_source source;
        uint64_t virtual_bytes = 0;

        if (asked != NULL && !disk_format_parse(asked, &wanted))
                return fail(err, COWHERD_USAGE,
                            "disk format '%s' is not known: it is one of raw, qcow2, vmdk, vdi, vhdx", asked);
        if (open_source(fd, name, &source, err) < 0)
                return -1;
        bool said_raw = asked != NULL && wanted == DISK_RAW;
        if (!said_raw && detect(&source, &found, err) < 0)
                return -1;
        if (asked != NULL && found != wanted)
                return disk_refuse(&source, err, "was said to be '%s', but what it holds is '%s'",
                                   disk_format_name(wanted), disk_format_name(found));
        if (read_format(&source, found, said_raw, &virtual_bytes, err) < 0 ||
            disk_check_size(&source, virtual_bytes, err) < 0)
                return -1;
        *ret = (struct disk_info){
                .format = found,
                .virtual_bytes = virtual_bytes,
                .length_bytes = source.length_bytes,
                .cloneable = found == DISK_QCOW2 || found == DISK_RAW,
        };
        return 0;
}
