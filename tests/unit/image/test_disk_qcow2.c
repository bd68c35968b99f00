/* SPDX-License-Identifier: Apache-2.0 */
/* What the qcow2 reader takes and refuses: one number of a valid image changed at a time. */
#include "disk_images.h"

#define AT(field) ((off_t)offsetof(struct qcow2_header, field))
#define EXTENSIONS 112
#define GIB (UINT64_C(1) << 30)

static int version_2(void)
{
        return image_qcow2(2);
}

static int version_3(void)
{
        return image_qcow2(3);
}

static void accepts_valid_ones(void **state)
{
        (void)state;
        owned_fd int two = version_2(), three = version_3();
        assert_accepted(two, NULL, "version 2", DISK_QCOW2, GIB);
        assert_accepted(three, NULL, "version 3", DISK_QCOW2, GIB);
        assert_accepted(three, "qcow2", "version 3, said to be qcow2", DISK_QCOW2, GIB);
        assert_accepted(three, "QCOW2", "case does not matter", DISK_QCOW2, GIB);
}

static void refuses_what_leads_elsewhere(void **state)
{
        static const struct damage damages[] = {
                {"backing file", AT(backing_name_offset), 8, 0x200, "has a backing file"},
                {"backing file beyond the end", AT(backing_name_offset), 8, UINT64_MAX, "has a backing file"},
                {"data file bit", AT(incompatible), 8, QCOW2_DATA_FILE, "external file"},
                {"data file extension", EXTENSIONS, 8, UINT64_C(0x4441544100000004), "external file"},
                {"encryption method 1", AT(encryption), 4, 1, "encrypted"},
                {"encryption method 2", AT(encryption), 4, 2, "encrypted"},
                {"encryption extension", EXTENSIONS, 8, UINT64_C(0x0537be7700000010), "encrypted"},
        };

        (void)state;
        check_damages(version_3, DISK_QCOW2, true, damages, array_length(damages));
}

static void shows_the_backing_file(void **state)
{
        (void)state;
        owned_fd int fd = version_3();
        image_put_be(fd, AT(backing_name_offset), 8, 0x200);
        image_put_be(fd, AT(backing_name_length), 4, 11);
        image_put(fd, 0x200,
                  "/etc/\x1b\xff"
                  "dows!!!!",
                  15);
        assert_refused(fd, NULL, "name", "('/etc/??dows')");
}

static void version_2_ignores_what_only_3_has(void **state)
{
        (void)state;
        owned_fd int fd = version_2();
        image_put_be(fd, EXTENSIONS + 100, 8, UINT64_MAX);
        assert_accepted(fd, NULL, "rubbish behind the end extension", DISK_QCOW2, GIB);
        image_put_be(fd, AT(backing_name_offset), 8, 0x200);
        assert_refused(fd, NULL, "backing file", "has a backing file");
}

static void judges_features(void **state)
{
        static const struct damage damages[] = {
                {"dirty", AT(incompatible), 8, QCOW2_DIRTY, "dirty bit"},
                {"corrupt", AT(incompatible), 8, QCOW2_CORRUPT, "corrupt"},
                {"unknown bit", AT(incompatible), 8, UINT64_C(1) << 5, "(incompatible bit 5)"},
                {"highest bit", AT(incompatible), 8, UINT64_C(1) << 63, "(incompatible bit 63)"},
                {"extended L2", AT(incompatible), 8, QCOW2_EXTENDED_L2, "L1 table of 2 entries, but its size needs 4"},
                {"unknown compatible bits", AT(compatible), 8, UINT64_MAX, NULL},
                {"unknown autoclear bits", AT(autoclear), 8, UINT64_MAX, NULL},
                {"compression without its bit", AT(compression), 1, 1, "compression type 1"},
                {"compression bit without a type", AT(incompatible), 8, QCOW2_COMPRESSION, "compression type 0"},
                {"unknown compression", AT(compression), 1, 2, "compression type 2"},
        };

        (void)state;
        check_damages(version_3, DISK_QCOW2, true, damages, array_length(damages));

        owned_fd int zstd = version_3();
        image_put_be(zstd, AT(incompatible), 8, QCOW2_COMPRESSION);
        image_put_be(zstd, AT(compression), 1, 1);
        assert_accepted(zstd, NULL, "zstd", DISK_QCOW2, GIB);

        owned_fd int extended = version_3();
        image_put_be(extended, AT(incompatible), 8, QCOW2_EXTENDED_L2);
        image_put_be(extended, AT(l1_entries), 4, 4);
        assert_accepted(extended, NULL, "extended L2", DISK_QCOW2, GIB);
        image_put_be(extended, AT(cluster_bits), 4, 13);
        assert_refused(extended, NULL, "extended L2 in small clusters", "extended L2 entries in clusters of 2^13");
}

static void names_unknown_features(void **state)
{
        struct qcow2_feature_name name = {.type = 0, .bit = 5, .name = "time\ntravel"};

        (void)state;
        owned_fd int fd = version_3();
        image_put_be(fd, AT(incompatible), 8, 1 << 5);
        image_put_be(fd, EXTENSIONS, 4, QCOW2_EXTENSION_FEATURE_NAMES);
        image_put_be(fd, EXTENSIONS + 4, 4, sizeof name);
        image_put(fd, EXTENSIONS + 8, &name, sizeof name);
        assert_refused(fd, NULL, "named feature", "(incompatible bit 5, time?travel)");
}

static void judges_geometry(void **state)
{
        static const struct damage damages[] = {
                {"clusters of 256", AT(cluster_bits), 4, 8, "clusters of 2^8"},
                {"clusters of 4 MiB", AT(cluster_bits), 4, 22, "clusters of 2^22"},
                {"clusters of 2^4294967295", AT(cluster_bits), 4, UINT32_MAX, "clusters of 2^4294967295"},
                {"short header", AT(header_length), 4, 96, "header of 96 bytes"},
                {"no header", AT(header_length), 4, 0, "header of 0 bytes"},
                {"header longer than a cluster", AT(header_length), 4, 65544, "longer than a cluster"},
                {"huge header", AT(header_length), 4, UINT32_MAX, "longer than a cluster"},
                {"header of a whole cluster", AT(header_length), 4, 65536, NULL},
                {"header without compression", AT(header_length), 4, 104, NULL},
                {"refcounts of 64 bits", AT(refcount_order), 4, 6, NULL},
                {"refcounts of 128 bits", AT(refcount_order), 4, 7, "refcounts of 2^7"},
                {"version 4", AT(version), 4, 4, "version that nobody knows"},
                {"version 1", AT(version), 4, 1, "qcow version 1"},
                {"extension over the cluster", EXTENSIONS, 8, UINT64_C(0x23852875fffffff8),
                 "runs over the first cluster"},
                {"unknown extension", EXTENSIONS, 8, UINT64_C(0x1234567800000003), NULL},
        };

        (void)state;
        check_damages(version_3, DISK_QCOW2, true, damages, array_length(damages));
}

static void judges_tables(void **state)
{
        static const struct damage damages[] = {
                {"size 0", AT(virtual_bytes), 8, 0, "size 0"},
                {"less than a sector", AT(virtual_bytes), 8, 511, "size 0"},
                {"16 EiB", AT(virtual_bytes), 8, UINT64_MAX, "at most 2 PiB"},
                {"more than L1 can hold", AT(virtual_bytes), 8, GIB + 512,
                 "L1 table of 2 entries, but its size needs 3"},
                {"L1 bomb", AT(l1_entries), 4, UINT32_MAX, "L1 table of 34359738360 bytes: expected at most 33554432"},
                {"L1 over the end", AT(l1_entries), 4, 8193, "L1 table (65544 bytes at 196608) lies beyond its end"},
                {"L1 to the end", AT(l1_entries), 4, 8192, NULL},
                {"no L1", AT(l1_offset), 8, 0, "L1 table at 0"},
                {"L1 not at a cluster", AT(l1_offset), 8, 0x30200, "not the beginning of a cluster"},
                {"L1 behind the end", AT(l1_offset), 8, 4 << 16, "beyond its end"},
                {"L1 at the end of all", AT(l1_offset), 8, ~UINT64_C(0xffff), "beyond its end"},
                {"refcount table bomb", AT(refcount_table_clusters), 4, 129, "refcount table of 8454144 bytes"},
                {"refcount table larger than the file", AT(refcount_table_clusters), 4, 4,
                 "refcount table (262144 bytes at 65536)"},
                {"no refcount table", AT(refcount_table_clusters), 4, 0, "no refcount table"},
                {"refcount table at 0", AT(refcount_table_offset), 8, 0, "refcount table at 0"},
                {"refcount table not at a cluster", AT(refcount_table_offset), 8, 8, "not the beginning of a cluster"},
                {"snapshots without a table", AT(snapshots), 4, 1, "snapshot table at 0"},
                {"too many snapshots", AT(snapshots), 4, 65537, "65537 internal snapshots"},
        };

        (void)state;
        check_damages(version_3, DISK_QCOW2, true, damages, array_length(damages));
}

static void accepts_internal_snapshots(void **state)
{
        (void)state;
        owned_fd int fd = version_3();
        image_put_be(fd, AT(snapshots), 4, 2);
        image_put_be(fd, AT(snapshots_offset), 8, 3 << 16);
        assert_accepted(fd, NULL, "snapshots", DISK_QCOW2, GIB);
        image_put_be(fd, AT(snapshots), 4, 65536);
        assert_refused(fd, NULL, "more snapshots than bytes", "snapshot table");
}

/* Whatever the length, it is refused and nothing is read behind the end. */
static void refuses_every_cut(void **state)
{
        static const off_t lengths[] = {1,   4,   8,    71,    72,    103,    104,    111,   112,
                                        511, 512, 4096, 65535, 65536, 131072, 196608, 196623};

        (void)state;
        for (size_t i = 0; i < array_length(lengths); i++) {
                owned_fd int fd = version_3();
                assert_int_equal(ftruncate(fd, lengths[i]), 0);
                assert_refused(fd, lengths[i] < 8 ? "qcow2" : NULL, "cut", "x.img");
        }
        owned_fd int whole = version_3();
        assert_int_equal(ftruncate(whole, 196624), 0); /* qemu-img ends a fresh image with its L1 table */
        assert_accepted(whole, NULL, "ends with its L1 table", DISK_QCOW2, GIB);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(accepts_valid_ones),
                cmocka_unit_test(refuses_what_leads_elsewhere),
                cmocka_unit_test(shows_the_backing_file),
                cmocka_unit_test(version_2_ignores_what_only_3_has),
                cmocka_unit_test(judges_features),
                cmocka_unit_test(names_unknown_features),
                cmocka_unit_test(judges_geometry),
                cmocka_unit_test(judges_tables),
                cmocka_unit_test(accepts_internal_snapshots),
                cmocka_unit_test(refuses_every_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
