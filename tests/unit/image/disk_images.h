/* SPDX-License-Identifier: Apache-2.0 */
/* Small valid disk images, in memory, for tests to damage. */
#pragma once

#include "image/disk.h"
#include "sys/qcow2_format.h"

#include "scratch.h"

#include <sys/mman.h>

/* cmocka's fail_msg says `fail`, which is ours here. */
#define test_failed(...)                                                                                               \
        do {                                                                                                           \
                print_error(__VA_ARGS__);                                                                              \
                print_error("\n");                                                                                     \
                _fail(__FILE__, __LINE__);                                                                             \
        } while (0)

/* A file in memory with `length` bytes of zeros. */
static inline int image_new(off_t length)
{
        int fd = memfd_create("image", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, length), 0);
        return fd;
}

static inline void image_put(int fd, off_t offset, const void *bytes, size_t count)
{
        assert_int_equal(pwrite(fd, bytes, count, offset), (ssize_t)count);
}

/* A number of `width` bytes, big-endian (qcow2) or little-endian (the rest). */
static inline void image_put_be(int fd, off_t offset, unsigned width, uint64_t value)
{
        unsigned char bytes[8];

        for (unsigned i = 0; i < width; i++)
                bytes[i] = (unsigned char)(value >> 8 * (width - 1 - i));
        image_put(fd, offset, bytes, width);
}

static inline void image_put_le(int fd, off_t offset, unsigned width, uint64_t value)
{
        unsigned char bytes[8];

        for (unsigned i = 0; i < width; i++)
                bytes[i] = (unsigned char)(value >> 8 * i);
        image_put(fd, offset, bytes, width);
}

/* 1 GiB in clusters of 64 KiB: header, refcount table, refcount block, L1 table. */
static inline int image_qcow2(uint32_t version)
{
        int fd = image_new(4 << 16);
        struct qcow2_header header = {
                .magic = htobe32(QCOW2_MAGIC),
                .version = htobe32(version),
                .cluster_bits = htobe32(16),
                .virtual_bytes = htobe64(UINT64_C(1) << 30),
                .l1_entries = htobe32(2),
                .l1_offset = htobe64(3 << 16),
                .refcount_table_offset = htobe64(1 << 16),
                .refcount_table_clusters = htobe32(1),
                .refcount_order = htobe32(4),
                .header_length = htobe32(sizeof header),
        };

        image_put(fd, 0, &header, version == 2 ? QCOW2_HEADER_V2_BYTES : sizeof header);
        image_put_be(fd, 1 << 16, 8, 2 << 16);
        for (off_t i = 0; i < 4; i++)
                image_put_be(fd, (2 << 16) + 2 * i, 2, 1);
        return fd;
}

#define VMDK_TEXT                                                                                                      \
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n"        \
        "RW 2097152 SPARSE \"disk.vmdk\"\n"

/* 1 GiB in grains of 64 KiB; descriptor at sector 1, grain directory at sector 21. */
static inline int image_vmdk(void)
{
        int fd = image_new(1 << 16);

        image_put(fd, 0, "KDMV", 4);
        image_put_le(fd, 4, 4, 1);
        image_put_le(fd, 8, 4, 1);
        image_put_le(fd, 12, 8, 2097152);
        image_put_le(fd, 20, 8, 128);
        image_put_le(fd, 28, 8, 1);
        image_put_le(fd, 36, 8, 20);
        image_put_le(fd, 44, 4, 512);
        image_put_le(fd, 56, 8, 21);
        image_put(fd, 512, VMDK_TEXT, strlen(VMDK_TEXT));
        return fd;
}

/* 1 GiB, dynamic; block map at 512, data at 8192. */
static inline int image_vdi(void)
{
        int fd = image_new(8192);

        image_put(fd, 64, "\x7f\x10\xda\xbe", 4);
        image_put_le(fd, 0x44, 4, 0x00010001);
        image_put_le(fd, 0x4c, 4, 1);
        image_put_le(fd, 0x154, 4, 512);
        image_put_le(fd, 0x158, 4, 8192);
        image_put_le(fd, 0x168, 4, 512);
        image_put_le(fd, 0x170, 8, UINT64_C(1) << 30);
        image_put_le(fd, 0x178, 4, 1 << 20);
        image_put_le(fd, 0x180, 4, 1024);
        return fd;
}

#define VHDX_REGIONS (192 << 10)
#define VHDX_METADATA (2 << 20)
#define VHDX_ITEMS (VHDX_METADATA + 32)
#define VHDX_VALUES (64 << 10)

/* 1 GiB; metadata at 2 MiB with two items: file parameters and virtual disk size. */
static inline int image_vhdx(void)
{
        int fd = image_new(4 << 20);

        image_put(fd, 0, "vhdxfile", 8);
        image_put(fd, VHDX_REGIONS, "regi", 4);
        image_put_le(fd, VHDX_REGIONS + 8, 4, 1);
        image_put(fd, VHDX_REGIONS + 16, "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e", 16);
        image_put_le(fd, VHDX_REGIONS + 32, 8, VHDX_METADATA);
        image_put(fd, VHDX_METADATA, "metadata", 8);
        image_put_le(fd, VHDX_METADATA + 10, 2, 2);
        image_put(fd, VHDX_ITEMS, "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b", 16);
        image_put_le(fd, VHDX_ITEMS + 16, 4, VHDX_VALUES);
        image_put_le(fd, VHDX_ITEMS + 20, 4, 8);
        image_put(fd, VHDX_ITEMS + 32, "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 16);
        image_put_le(fd, VHDX_ITEMS + 48, 4, VHDX_VALUES + 8);
        image_put_le(fd, VHDX_ITEMS + 52, 4, 8);
        image_put_le(fd, VHDX_METADATA + VHDX_VALUES, 4, 32 << 20);
        image_put_le(fd, VHDX_METADATA + VHDX_VALUES + 8, 8, UINT64_C(1) << 30);
        return fd;
}

/* One number of a valid image that is changed, and what must be said about it; NULL: it is still accepted. */
struct damage {
        const char *about;
        off_t offset;
        unsigned width;
        uint64_t value;
        const char *expected;
};

static inline void assert_refused(int fd, const char *asked, const char *about, const char *expected)
{
        struct disk_info info = {.virtual_bytes = 12345};
        struct cowherd_error err = {0};

        if (disk_inspect(fd, "x.img", asked, &info, &err) == 0)
                test_failed("%s: was accepted", about);
        if (err.code != COWHERD_DATA || strstr(err.text, expected) == NULL || strstr(err.text, "x.img") == NULL)
                test_failed("%s: expected 65 with '%s', got %d '%s'", about, expected, err.code, err.text);
        assert_int_equal(info.virtual_bytes, 12345); /* untouched */
}

static inline void assert_accepted(int fd, const char *asked, const char *about, enum disk_format format,
                                   uint64_t virtual_bytes)
{
        struct disk_info info = {0};
        struct cowherd_error err = {0};

        if (disk_inspect(fd, "x.img", asked, &info, &err) < 0)
                test_failed("%s: was refused: %s", about, err.text);
        assert_int_equal(info.format, format);
        if (virtual_bytes != 0)
                assert_int_equal(info.virtual_bytes, virtual_bytes);
        assert_int_equal(info.cloneable, format == DISK_RAW || format == DISK_QCOW2);
}

/* Does each damage to a fresh image; `big` numbers are big-endian. */
static inline void check_damages(int (*make)(void), enum disk_format format, bool big, const struct damage *damages,
                                 size_t count)
{
        for (size_t i = 0; i < count; i++) {
                owned_fd int fd = make();
                (big ? image_put_be : image_put_le)(fd, damages[i].offset, damages[i].width, damages[i].value);
                if (damages[i].expected == NULL)
                        assert_accepted(fd, NULL, damages[i].about, format, 0);
                else
                        assert_refused(fd, NULL, damages[i].about, damages[i].expected);
        }
}
