/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 store: what it writes, to the byte, and that a clone is whole or not there at all. */
#include "store/drivers.h"
#include "store/qcow2_overlay.h"
#include "sys/file.h"
#include "sys/qcow2_format.h"

#include "../image/scratch.h"

#include <signal.h>
#include <sys/resource.h>

#define MIB (UINT64_C(1) << 20)
#define CLUSTER (UINT64_C(1) << 16)

/* How a clone of 3 GiB begins that qemu-img 7.2 made: create -f qcow2 -b ../../bases/7/disk.qcow2 -F qcow2 FILE */
static const unsigned char golden[] = {
        'Q', 'F', 'I', 0xfb, 0,   0, 0, 3, 0,    0,    0,    0,    0,    0,    0x02, 0x10, 0, 0, 0, 0x18,
        0,   0,   0,   16,   0,   0, 0, 0, 0xc0, 0,    0,    0,    0,    0,    0,    0,    0, 0, 0, 6,
        0,   0,   0,   0,    0,   3, 0, 0, 0,    0,    0,    0,    0,    1,    0,    0,    0, 0, 0, 1,
        0,   0,   0,   0,    0,   0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,    0, 0, 0, 0,
        0,   0,   0,   0,    0,   0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,    0, 0, 0, 4,
        0,   0,   0,   112,  0,   0, 0, 0, 0,    0,    0,    0,    0xe2, 0x79, 0x2a, 0xca, 0, 0, 0, 5,
        'q', 'c', 'o', 'w',  '2', 0, 0, 0, 0x68, 0x03, 0xf8, 0x57, 0,    0,    0x01, 0x80,
};
static const struct {
        unsigned char type, bit;
        const char *name;
} golden_features[] = {
        {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
        {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
        {2, 0, "bitmaps"},          {2, 1, "raw external data"},
};

static void header_is_qemu_imgs_own(void **state)
{
        static const char *const name = "../../bases/7/disk.qcow2";
        struct qcow2_overlay overlay = {
                .virtual_bytes = UINT64_C(3) << 30, .backing_name = name, .backing_format = "qcow2"};
        unsigned char header[QCOW2_OVERLAY_HEADER_BYTES], expected[QCOW2_OVERLAY_HEADER_BYTES] = {0};
        size_t at = sizeof golden;

        (void)state;
        memcpy(expected, golden, sizeof golden);
        for (size_t i = 0; i < array_length(golden_features); i++, at += 48) {
                expected[at] = golden_features[i].type;
                expected[at + 1] = golden_features[i].bit;
                memcpy(expected + at + 2, golden_features[i].name, strlen(golden_features[i].name));
        }
        at += 8; /* the end extension */
        memcpy(expected + at, name, strlen(name));
        at += strlen(name);

        assert_int_equal(qcow2_overlay_header(&overlay, header), at);
        assert_memory_equal(header, expected, sizeof header);
}

static uint64_t get_be(int fd, off_t offset, unsigned width)
{
        unsigned char bytes[8];
        uint64_t value = 0;

        assert_int_equal(pread(fd, bytes, width, offset), (ssize_t)width);
        for (unsigned i = 0; i < width; i++)
                value = value << 8 | bytes[i];
        return value;
}

/* Writes an overlay of that size and reads back what the tables say. */
static void check_tables(const struct scratch *scratch, uint64_t virtual_bytes, uint64_t shown, uint64_t l1_entries,
                         uint64_t clusters)
{
        struct qcow2_overlay overlay = {.virtual_bytes = virtual_bytes, .backing_name = "b", .backing_format = "raw"};
        struct cowherd_error err;
        struct stat found;

        owned_fd int fd = openat(scratch->fd, "o", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(qcow2_overlay_write(fd, "o", &overlay, &err), 0);
        assert_int_equal(fstat(fd, &found), 0);
        assert_int_equal(found.st_size, clusters * CLUSTER);
        assert_true(found.st_blocks * 512 <= 16384);
        assert_int_equal(get_be(fd, offsetof(struct qcow2_header, virtual_bytes), 8), shown);
        assert_int_equal(get_be(fd, offsetof(struct qcow2_header, l1_entries), 4), l1_entries);
        assert_int_equal(get_be(fd, CLUSTER, 8), 2 * CLUSTER);
        assert_int_equal(get_be(fd, CLUSTER + 8, 8), 0);
        for (uint64_t i = 0; i <= clusters; i++) /* every cluster of the file counted once, and none behind it */
                assert_int_equal(get_be(fd, (off_t)(2 * CLUSTER + 2 * i), 2), i < clusters);
        assert_int_equal(lseek(fd, 3 * CLUSTER, SEEK_DATA), -1); /* the L1 table is a hole */
}

static void tables_fit_the_size(void **state)
{
        const struct scratch *scratch = *state;

        check_tables(scratch, 1, 512, 1, 4);
        check_tables(scratch, MIB, MIB, 1, 4);
        check_tables(scratch, MIB + 1, MIB + 512, 1, 4);
        check_tables(scratch, 512 * MIB, 512 * MIB, 1, 4);
        check_tables(scratch, 512 * MIB + 512, 512 * MIB + 512, 2, 4);
        check_tables(scratch, UINT64_C(4) << 40, UINT64_C(4) << 40, 8192, 4); /* the last with one cluster of L1 */
        check_tables(scratch, (UINT64_C(4) << 40) + 512, (UINT64_C(4) << 40) + 512, 8193, 5);
        check_tables(scratch, UINT64_C(16) << 40, UINT64_C(16) << 40, 32768, 7);
        check_tables(scratch, UINT64_C(2) << 50, UINT64_C(2) << 50, 4194304, 515);
}

static void refuses_sizes_it_cannot_show(void **state)
{
        const struct scratch *scratch = *state;
        struct qcow2_overlay overlay = {.backing_name = "b", .backing_format = "raw"};
        struct cowherd_error err;

        owned_fd int fd = openat(scratch->fd, "o", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(qcow2_overlay_write(fd, "o", &overlay, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        overlay.virtual_bytes = (UINT64_C(2) << 50) + 1;
        assert_int_equal(qcow2_overlay_write(fd, "o", &overlay, &err), -1);
        assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

/* A place with a sealed base of 1 MiB in it, and a clone to be made. */
struct herd {
        struct scratch *scratch;
        struct store_place place;
        struct store_object base, clone;
        char *fingerprint;
};

static void make_base(struct herd *herd, const char *format)
{
        char path[STORE_PATH_BYTES];
        struct cowherd_error err;

        herd->base.format = format;
        assert_int_equal(store_qcow2.prepare_base(&herd->place, &herd->base, &err), 0);
        owned_fd int disk = openat(herd->place.fd, store_object_path(&herd->base, path),
                                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(disk >= 0);
        assert_int_equal(write(disk, "base", 4), 4);
        assert_int_equal(ftruncate(disk, MIB), 0);
        assert_int_equal(store_qcow2.seal_base(&herd->place, &herd->base, &herd->fingerprint, &err), 0);
        herd->base.fingerprint = herd->fingerprint;
}

static int herd_make(void **state)
{
        struct herd *herd = x_calloc(1, sizeof *herd);
        void *scratch = NULL;

        if (scratch_make(&scratch) < 0)
                return -1;
        herd->scratch = scratch;
        herd->place = (struct store_place){.folder = herd->scratch->path, .fd = herd->scratch->fd};
        herd->base = (struct store_object){.id = 7,
                                           .role = STORE_BASE,
                                           .kind = STORE_DISK,
                                           .name = "gold",
                                           .format = "qcow2",
                                           .virtual_bytes = MIB};
        herd->clone = (struct store_object){.id = 9,
                                            .role = STORE_CLONE,
                                            .kind = STORE_DISK,
                                            .name = "web",
                                            .format = "qcow2",
                                            .base = &herd->base};
        *state = herd;
        return 0;
}

/* What a test leaves is removed by the store itself: a sealed disk may bear the immutable flag. */
static int herd_remove(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;
        void *scratch = herd->scratch;

        if (store_qcow2.destroy(&herd->place, &herd->clone, &err) < 0 ||
            store_qcow2.destroy(&herd->place, &herd->base, &err) < 0) {
                print_error("%s\n", err.text);
                return -1;
        }
        free(herd->fingerprint);
        free(herd);
        return scratch_remove(&scratch);
}

static bool exists(const struct herd *herd, const char *path)
{
        return faccessat(herd->place.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void seals_and_checks(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;
        struct stat found;

        make_base(herd, "qcow2");
        assert_int_equal(fstatat(herd->place.fd, "bases/7/disk.qcow2", &found, 0), 0);
        assert_int_equal(found.st_mode & 07777, 0444);
        assert_int_equal(store_qcow2.check_base(&herd->place, &herd->base, &err), 0);

        owned_fd int disk = openat(herd->place.fd, "bases/7/disk.qcow2", O_RDONLY | O_CLOEXEC);
        assert_int_equal(file_set_immutable(disk, false, &err), 0);
        assert_int_equal(fchmod(disk, 0644), 0);
        assert_int_equal(store_qcow2.check_base(&herd->place, &herd->base, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_non_null(strstr(err.text, "base 'gold' was changed"));

        assert_int_equal(unlinkat(herd->place.fd, "bases/7/disk.qcow2", 0), 0);
        assert_int_equal(store_qcow2.check_base(&herd->place, &herd->base, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
}

static void clones(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;
        struct stat found;
        char text[64] = "";

        make_base(herd, "qcow2");
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        owned_fd int disk = openat(herd->place.fd, "clones/9/disk.qcow2", O_RDONLY | O_CLOEXEC);
        assert_int_equal(fstat(disk, &found), 0);
        assert_int_equal(found.st_mode & 07777, 0600);
        assert_int_equal(get_be(disk, offsetof(struct qcow2_header, virtual_bytes), 8), MIB);
        uint64_t at = get_be(disk, offsetof(struct qcow2_header, backing_name_offset), 8);
        assert_int_equal(pread(disk, text, sizeof text, (off_t)at), sizeof text);
        assert_string_equal(text, "../../bases/7/disk.qcow2");
        assert_int_equal(store_qcow2.check_base(&herd->place, &herd->base, &err), 0); /* cloning touches no base */
}

static void clones_raw_bases_and_grows(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;
        char text[16] = "";

        make_base(herd, "raw");
        herd->clone.virtual_bytes = 2 * MIB;
        herd->place.durable = true;
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        owned_fd int disk = openat(herd->place.fd, "clones/9/disk.qcow2", O_RDONLY | O_CLOEXEC);
        assert_int_equal(get_be(disk, offsetof(struct qcow2_header, virtual_bytes), 8), 2 * MIB);
        assert_int_equal(get_be(disk, 112, 4), QCOW2_EXTENSION_BACKING_FORMAT);
        assert_int_equal(get_be(disk, 116, 4), 3);
        assert_int_equal(pread(disk, text, 8, 120), 8);
        assert_string_equal(text, "raw");
}

static void refuses_what_it_cannot_clone(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;
        struct store_object tree = herd->base, vmdk = herd->base, giant = herd->base;

        tree.kind = STORE_TREE;
        vmdk.format = "vmdk";
        giant.virtual_bytes = UINT64_C(3) << 50;
        const struct store_object *const unfit[] = {&tree, &vmdk, &giant};
        for (size_t i = 0; i < array_length(unfit); i++) {
                assert_int_equal(store_qcow2.can_clone(&herd->place, unfit[i], &err), -1);
                assert_int_equal(err.code, COWHERD_UNAVAILABLE);
                herd->clone.base = unfit[i];
                assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), -1);
        }
        herd->clone.base = &herd->base;
        herd->clone.virtual_bytes = MIB - 512;
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), -1);
        assert_int_equal(err.code, COWHERD_USAGE);
        assert_false(exists(herd, "clones"));
}

static void never_writes_over_a_clone(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;

        make_base(herd, "qcow2");
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), -1);
        assert_int_equal(err.code, COWHERD_EXISTS);
        assert_true(exists(herd, "clones/9/disk.qcow2"));
}

/* A disk that may have 100 KiB and is to have 256: the kernel refuses the length. */
static void leaves_nothing_when_it_fails(void **state)
{
        struct herd *herd = *state;
        struct rlimit before, limit;
        struct cowherd_error err;

        make_base(herd, "qcow2");
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = (struct rlimit){.rlim_cur = 100 << 10, .rlim_max = before.rlim_max};
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int cloned = store_qcow2.clone(&herd->place, &herd->clone, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(cloned, -1);
        assert_non_null(strstr(err.text, "clones/9/disk.qcow2"));
        assert_false(exists(herd, "clones/9"));
}

static void destroys_idempotently(void **state)
{
        struct herd *herd = *state;
        struct cowherd_error err;

        make_base(herd, "qcow2");
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(store_qcow2.destroy(&herd->place, &herd->clone, &err), 0);
                assert_int_equal(store_qcow2.destroy(&herd->place, &herd->base, &err), 0);
                assert_false(exists(herd, "clones/9"));
                assert_false(exists(herd, "bases/7"));
        }
}

static void tells_usage(void **state)
{
        struct herd *herd = *state;
        struct store_usage usage;
        struct cowherd_error err;

        assert_int_equal(store_qcow2.usage(&herd->place, &herd->clone, &usage, &err), 0);
        assert_true(usage.missing);
        assert_int_equal(usage.unique_bytes + usage.shared_bytes, 0);

        make_base(herd, "qcow2");
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        assert_int_equal(store_qcow2.usage(&herd->place, &herd->clone, &usage, &err), 0);
        assert_false(usage.missing);
        assert_true(usage.unique_bytes > 0 && usage.unique_bytes <= 16384 + 4096);
        assert_int_equal(usage.shared_bytes, 4096); /* what the base has allocated */
        assert_true(usage.apparent_bytes >= 4 * CLUSTER);
}

static void lists_ids(void **state)
{
        struct herd *herd = *state;
        owned_strv struct strv ids = {0};
        struct cowherd_error err;

        assert_int_equal(store_qcow2.list_ids(&herd->place, STORE_CLONE, &ids, &err), 0);
        assert_int_equal(ids.count, 0);
        make_base(herd, "qcow2");
        assert_int_equal(store_qcow2.clone(&herd->place, &herd->clone, &err), 0);
        assert_int_equal(mkdirat(herd->place.fd, "clones/lost+found", 0700), 0);
        assert_int_equal(store_qcow2.list_ids(&herd->place, STORE_CLONE, &ids, &err), 0);
        assert_int_equal(ids.count, 1);
        assert_string_equal(ids.items[0], "9");
}

static void probes_the_folder(void **state)
{
        struct herd *herd = *state;
        struct store_probe probe;
        struct cowherd_error err;

        assert_int_equal(store_qcow2.probe(&herd->place, STORE_DISK, &probe, &err), 0);
        assert_true(probe.usable);
        assert_int_equal(store_qcow2.probe(&herd->place, STORE_TREE, &probe, &err), 0);
        assert_false(probe.usable);
        assert_true(probe.reason[0] != '\0');
        struct store_place proc = {.folder = "/proc", .fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        assert_int_equal(store_qcow2.probe(&proc, STORE_DISK, &probe, &err), 0);
        (void)close(proc.fd);
        if (geteuid() != 0) /* root may write everywhere, /proc just takes nothing */
                assert_false(probe.usable);
}

#define in_herd(test) cmocka_unit_test_setup_teardown(test, herd_make, herd_remove)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(header_is_qemu_imgs_own),
                cmocka_unit_test_setup_teardown(tables_fit_the_size, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(refuses_sizes_it_cannot_show, scratch_make, scratch_remove),
                in_herd(seals_and_checks),
                in_herd(clones),
                in_herd(clones_raw_bases_and_grows),
                in_herd(refuses_what_it_cannot_clone),
                in_herd(never_writes_over_a_clone),
                in_herd(leaves_nothing_when_it_fails),
                in_herd(destroys_idempotently),
                in_herd(tells_usage),
                in_herd(lists_ids),
                in_herd(probes_the_folder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
