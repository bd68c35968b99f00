/* SPDX-License-Identifier: Apache-2.0 */
/* Telling what a file is: raw and its traps, formats that are refused, vmdk, vdi and vhdx. */
#include "disk_images.h"

#define GIB (UINT64_C(1) << 30)

static void names_formats(void **state)
{
        enum disk_format format = DISK_RAW;

        (void)state;
        assert_true(disk_format_parse("VHDX", &format));
        assert_int_equal(format, DISK_VHDX);
        assert_string_equal(disk_format_name(format), "vhdx");
        assert_false(disk_format_parse("vpc", &format));
        assert_false(disk_format_parse("", &format));
        assert_int_equal(format, DISK_VHDX);
}

static void raw_is_what_has_no_header(void **state)
{
        (void)state;
        owned_fd int fd = image_new(1 << 20);
        assert_accepted(fd, NULL, "zeros", DISK_RAW, 1 << 20);
        image_put(fd, 510, "\x55\xaa", 2);
        assert_accepted(fd, NULL, "boot sector", DISK_RAW, 1 << 20);
        image_put(fd, 32769, "CD001", 5);
        assert_accepted(fd, NULL, "CD image", DISK_RAW, 1 << 20);
        assert_refused(fd, "qcow2", "said to be qcow2", "was said to be 'qcow2', but what it holds is 'raw'");
}

static void raw_has_whole_sectors_unless_said(void **state)
{
        (void)state;
        owned_fd int fd = image_new(1025);
        assert_refused(fd, NULL, "odd length", "not a whole number of sectors");
        assert_accepted(fd, "raw", "odd length, said to be raw", DISK_RAW, 1536);
}

static void raw_that_was_said_is_not_looked_into(void **state)
{
        (void)state;
        owned_fd int fd = image_qcow2(3);
        image_put_be(fd, 8, 8, 0x200); /* a backing file, by a guest's hand */
        assert_accepted(fd, "raw", "qcow2 header in a raw disk", DISK_RAW, 4 << 16);
        assert_refused(fd, NULL, "the same, not said", "has a backing file");
        assert_refused(fd, "vmdk", "said to be vmdk", "was said to be 'vmdk', but what it holds is 'qcow2'");
}

static void refuses_sparse_giants(void **state)
{
        (void)state;
        owned_fd int fd = image_new((off_t)((UINT64_C(2) << 50) + 512));
        assert_refused(fd, NULL, "2 PiB and a sector", "at most 2 PiB");
        assert_refused(fd, "raw", "2 PiB and a sector", "at most 2 PiB");
        assert_int_equal(ftruncate(fd, (off_t)(UINT64_C(2) << 50)), 0);
        assert_accepted(fd, NULL, "2 PiB", DISK_RAW, UINT64_C(2) << 50);
}

static void refuses_what_is_no_file_and_no_format(void **state)
{
        struct disk_info info;
        struct cowherd_error err;

        (void)state;
        owned_fd int folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                     device = open("/dev/null", O_RDONLY | O_CLOEXEC);
        owned_fd int empty = image_new(0);
        assert_refused(folder, NULL, "folder", "is no regular file");
        assert_refused(device, "raw", "device", "is no regular file");
        assert_refused(empty, NULL, "empty", "is empty");
        assert_refused(empty, "raw", "empty", "is empty");
        assert_int_equal(disk_inspect(empty, "x.img", "vpc", &info, &err), -1);
        assert_int_equal(err.code, COWHERD_USAGE);
        assert_non_null(strstr(err.text, "'vpc'"));
}

static void says_what_a_stranger_is(void **state)
{
        static const struct {
                off_t offset;
                const char *bytes;
                size_t count;
                const char *expected;
        } strangers[] = {
                {0, "QFI\xfb\0\0\0\1", 8, "qcow version 1"},
                {0, "QED", 4, "QED"},
                {0, "COWD", 4, "old ESX"},
                {0, "# Disk DescriptorFile\n", 22, "disk lies in other files"},
                {0, "conectix", 8, "VHD"},
                {8192 - 512, "conectix", 8, "VHD of fixed size"},
                {0, "WithoutFreeSpace", 16, "Parallels"},
                {0, "WithouFreSpacExt", 16, "Parallels"},
                {0, "LUKS\xba\xbe", 6, "encrypted (LUKS)"},
                {8192 - 512, "koly", 4, "DMG"},
                {0, "\x1f\x8b\x08", 3, "gzip"},
                {0,
                 "\xfd"
                 "7zXZ",
                 6, "xz"},
                {0, "\x28\xb5\x2f\xfd", 4, "zstd"},
                {0, "BZh9", 4, "bzip2"},
                {257, "ustar", 5, "tarball"},
                {0, "Bochs Virtual HD Image", 22, "Bochs"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(strangers); i++) {
                owned_fd int fd = image_new(8192);
                image_put(fd, strangers[i].offset, strangers[i].bytes, strangers[i].count);
                assert_refused(fd, NULL, strangers[i].expected, strangers[i].expected);
                assert_accepted(fd, "raw", strangers[i].expected, DISK_RAW, 8192);
        }
}

static void judges_vmdk(void **state)
{
        static const struct damage damages[] = {
                {"untouched", 4, 4, 1, NULL},
                {"version 3", 4, 4, 3, NULL},
                {"version 4", 4, 4, 4, "version 4"},
                {"extents in other files", 12, 8, 0, "lies in other files"},
                {"16 EiB", 12, 8, UINT64_MAX, "claims a disk of"},
                {"3 PiB", 12, 8, UINT64_C(3) << 41, "at most 2 PiB"},
                {"directory bomb", 12, 8, UINT64_C(1) << 42, "grain directory of"},
                {"no grains", 20, 8, 0, "grains of 0"},
                {"odd grains", 20, 8, 3, "grains of 3"},
                {"huge grains", 20, 8, UINT64_C(1) << 40, "grains of"},
                {"descriptor behind the end", 28, 8, 200, "descriptor"},
                {"descriptor at the end of all", 28, 8, UINT64_MAX, "descriptor"},
                {"descriptor bomb", 36, 8, 1 << 20, "descriptor of"},
                {"no tables", 44, 4, 0, "grain tables of 0"},
                {"long tables", 44, 4, 513, "grain tables of 513"},
                {"directory behind the end", 56, 8, 1000, "grain directory"},
                {"footer that is none", 56, 8, UINT64_MAX, "no VMDK footer"},
                {"parent's CID", 512 + 55, 1, '0', "has a parent"},
        };

        (void)state;
        assert_int_equal(VMDK_TEXT[55], 'f'); /* of parentCID */
        check_damages(image_vmdk, DISK_VMDK, false, damages, array_length(damages));
}

static void finds_vmdk_parents_wherever_qemu_does(void **state)
{
        static const char *const hint = "parentFileNameHint=\"/etc/shadow\"\n";

        (void)state;
        owned_fd int at_end = image_vmdk();
        image_put(at_end, 512 + (off_t)strlen(VMDK_TEXT), hint, strlen(hint));
        assert_refused(at_end, NULL, "in the descriptor", "has a parent");

        owned_fd int behind_nul = image_vmdk();
        image_put(behind_nul, 2048, hint, strlen(hint));
        assert_refused(behind_nul, NULL, "behind a NUL", "has a parent");

        /* The header says that the descriptor is elsewhere, or nowhere; QEMU looks at sector 1 all the same. */
        owned_fd int elsewhere = image_vmdk();
        image_put(elsewhere, 2048, hint, strlen(hint));
        image_put(elsewhere, 40 * 512, VMDK_TEXT, strlen(VMDK_TEXT));
        image_put_le(elsewhere, 28, 8, 40);
        assert_refused(elsewhere, NULL, "at sector 1", "has a parent");
        image_put_le(elsewhere, 28, 8, 0);
        assert_refused(elsewhere, NULL, "descriptor nowhere", "has a parent");

        owned_fd int far = image_vmdk();
        image_put(far, 40 * 512, hint, strlen(hint));
        image_put_le(far, 28, 8, 40);
        assert_refused(far, NULL, "where the header says", "has a parent");
}

static void judges_vmdk_kinds(void **state)
{
        (void)state;
        owned_fd int fd = image_vmdk();
        const char *kind = strstr(VMDK_TEXT, "monolithicSparse");
        off_t at = 512 + (kind - VMDK_TEXT);
        image_put(fd, at, "vmfsSparse\"     ", 16);
        assert_refused(fd, NULL, "kind", "kind that is not supported");
        image_put(fd, at, "streamOptimized\"", 16);
        assert_accepted(fd, NULL, "stream", DISK_VMDK, GIB);
}

static void believes_the_vmdk_footer(void **state)
{
        unsigned char header[512];

        (void)state;
        owned_fd int fd = image_vmdk();
        assert_int_equal(pread(fd, header, sizeof header, 0), (ssize_t)sizeof header);
        image_put_le(fd, 56, 8, UINT64_MAX);
        image_put(fd, (1 << 16) - 1024, header, sizeof header);
        assert_accepted(fd, NULL, "footer", DISK_VMDK, GIB);
        image_put_le(fd, (1 << 16) - 1024 + 12, 8, 0);
        assert_refused(fd, NULL, "footer of capacity 0", "lies in other files");
        image_put_le(fd, (1 << 16) - 1024 + 12, 8, 4096);
        assert_accepted(fd, NULL, "footer of 2 MiB", DISK_VMDK, 2 << 20);
        image_put_le(fd, (1 << 16) - 1024 + 56, 8, UINT64_MAX);
        assert_refused(fd, NULL, "footer without a directory", "does not say where");
}

static void judges_vdi(void **state)
{
        static const struct damage damages[] = {
                {"fixed", 0x4c, 4, 2, NULL},
                {"undo", 0x4c, 4, 3, "kind 3"},
                {"differencing", 0x4c, 4, 4, "kind 4"},
                {"version 0.1", 0x44, 4, 1, "version 0.1"},
                {"link", 0x1a8, 1, 1, "has a parent"},
                {"parent", 0x1b8 + 15, 1, 1, "has a parent"},
                {"map behind the end", 0x154, 4, 8192, "block map"},
                {"data behind the end", 0x158, 4, 8193, "data"},
                {"sectors of 4096", 0x168, 4, 4096, "sectors of 4096"},
                {"blocks of 2 MiB", 0x178, 4, 2 << 20, "blocks of 2097152"},
                {"size 0", 0x170, 8, 0, "size 0"},
                {"16 EiB", 0x170, 8, UINT64_MAX, "at most 2 PiB"},
                {"more than its blocks", 0x170, 8, GIB + 1, "more than its 1024 blocks"},
                {"map bomb", 0x180, 4, UINT32_MAX, "block map"},
        };

        (void)state;
        owned_fd int fd = image_vdi();
        assert_accepted(fd, NULL, "untouched", DISK_VDI, GIB);
        check_damages(image_vdi, DISK_VDI, false, damages, array_length(damages));
}

static void judges_vhdx(void **state)
{
        static const struct damage damages[] = {
                {"no region table", VHDX_REGIONS, 4, 0, "no VHDX region table"},
                {"region bomb", VHDX_REGIONS + 8, 4, UINT32_MAX, "no VHDX region table of at most 2047"},
                {"no regions", VHDX_REGIONS + 8, 4, 0, "no VHDX metadata region"},
                {"metadata at 5", VHDX_REGIONS + 32, 8, 5, "not a whole MiB"},
                {"metadata behind the end", VHDX_REGIONS + 32, 8, 4 << 20, "metadata"},
                {"metadata at the end of all", VHDX_REGIONS + 32, 8, ~UINT64_C(0xfffff), "metadata"},
                {"no metadata table", VHDX_METADATA, 1, 'x', "no VHDX metadata table"},
                {"metadata bomb", VHDX_METADATA + 10, 2, UINT16_MAX, "no VHDX metadata table of at most 2047"},
                {"no size", VHDX_METADATA + 10, 2, 1, "lack the virtual disk size"},
                {"size of 4 bytes", VHDX_ITEMS + 52, 4, 4, "lack the virtual disk size"},
                {"size in the table", VHDX_ITEMS + 48, 4, 32, "lies at 32 of the metadata"},
                {"size at the end of all", VHDX_ITEMS + 48, 4, UINT32_MAX, "of the metadata"},
                {"parent flag", VHDX_METADATA + VHDX_VALUES + 4, 4, 2, "has a parent"},
                {"blocks of 3 MiB", VHDX_METADATA + VHDX_VALUES, 4, 3 << 20, "blocks of 3145728"},
                {"blocks of 0", VHDX_METADATA + VHDX_VALUES, 4, 0, "blocks of 0"},
                {"size 0", VHDX_METADATA + VHDX_VALUES + 8, 8, 0, "size 0"},
                {"65 TiB", VHDX_METADATA + VHDX_VALUES + 8, 8, UINT64_C(65) << 40, "at most 64 TiB"},
        };

        (void)state;
        owned_fd int fd = image_vhdx();
        assert_accepted(fd, NULL, "untouched", DISK_VHDX, GIB);
        check_damages(image_vhdx, DISK_VHDX, false, damages, array_length(damages));
}

static void refuses_vhdx_doubles_and_parents(void **state)
{
        (void)state;
        owned_fd int twice = image_vhdx();
        image_put_le(twice, VHDX_METADATA + 10, 2, 3);
        image_put(twice, VHDX_ITEMS + 64, "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 16);
        assert_refused(twice, NULL, "two sizes", "two VHDX entries for its virtual disk size");
        image_put(twice, VHDX_ITEMS + 64, "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", 16);
        assert_refused(twice, NULL, "parent locator", "has a parent");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_formats),
                cmocka_unit_test(raw_is_what_has_no_header),
                cmocka_unit_test(raw_has_whole_sectors_unless_said),
                cmocka_unit_test(raw_that_was_said_is_not_looked_into),
                cmocka_unit_test(refuses_sparse_giants),
                cmocka_unit_test(refuses_what_is_no_file_and_no_format),
                cmocka_unit_test(says_what_a_stranger_is),
                cmocka_unit_test(judges_vmdk),
                cmocka_unit_test(finds_vmdk_parents_wherever_qemu_does),
                cmocka_unit_test(judges_vmdk_kinds),
                cmocka_unit_test(believes_the_vmdk_footer),
                cmocka_unit_test(judges_vdi),
                cmocka_unit_test(judges_vhdx),
                cmocka_unit_test(refuses_vhdx_doubles_and_parents),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
