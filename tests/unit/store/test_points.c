/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time of qcow2 clones and of copies: which files are where after each step, and what is refused. */
#include "place.h"

#include "store/qcow2.h"
#include "sys/process.h"
#include "sys/qcow2_format.h"

#define MIB (UINT64_C(1) << 20)

/* Base 7 (raw), clone 9 of it by qcow2, and snapshot 11 to be made. */
static struct store_object begin(struct ground *ground)
{
        struct cowherd_error err;

        ground_be_disks(ground, "raw");
        ground->clone.format = "qcow2";
        ground_seal(ground, &store_qcow2);
        assert_int_equal(store_qcow2.clone(&ground->place, &ground->clone, &err), 0);
        return (struct store_object){.id = 11, .role = STORE_SNAPSHOT, .kind = STORE_DISK, .format = "qcow2", .virtual_bytes = MIB,
                                     .base = &ground->base, .of = &ground->clone};
}

static struct qcow2_seen read_header(const struct ground *ground, const char *path)
{
        struct cowherd_error err;
        struct qcow2_seen seen;

        owned_fd int fd = openat(ground->place.fd, path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(qcow2_overlay_read(fd, path, &seen, &err), 0);
        return seen;
}

static ino_t inode_of(const struct ground *ground, const char *path)
{
        struct stat found;

        assert_int_equal(fstatat(ground->place.fd, path, &found, AT_SYMLINK_NOFOLLOW), 0);
        return found.st_ino;
}

static void put_byte(const struct ground *ground, const char *path, off_t at)
{
        owned_fd int fd = openat(ground->place.fd, path, O_WRONLY | O_CLOEXEC);

        assert_int_equal(pwrite(fd, "x", 1, at), 1);
}

static void the_file_moves_and_an_overlay_goes_on(void **state)
{
        struct ground *ground = *state;
        struct store_object made = begin(ground);
        ino_t was = inode_of(ground, "clones/9/disk.qcow2");
        owned_str char *next = NULL, *none = NULL;
        struct cowherd_error err;

        assert_int_equal(fchmodat(ground->place.fd, "clones/9/disk.qcow2", 0640, 0), 0);
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, &next, &err), 0);
        assert_string_equal(next, "clones/9/next.qcow2");
        assert_string_equal(read_header(ground, next).backing_name, "../../snapshots/11/disk.qcow2");
        ino_t ready = inode_of(ground, next);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), 0);
                assert_int_equal(inode_of(ground, "snapshots/11/disk.qcow2"), was);
                assert_int_equal(inode_of(ground, "clones/9/disk.qcow2"), ready);
                assert_false(ground_has(ground, "clones/9/next.qcow2"));
                free(take(ground->fingerprint));
                assert_int_equal(store_qcow2.seal_base(&ground->place, &made, &ground->fingerprint, &err), 0);
        }
        made.fingerprint = ground->fingerprint;
        assert_int_equal(store_qcow2.check_base(&ground->place, &made, &err), 0);
        assert_string_equal(read_header(ground, "snapshots/11/disk.qcow2").backing_name, "../../bases/7/disk.raw");
        struct stat found;
        assert_int_equal(fstatat(ground->place.fd, "clones/9/disk.qcow2", &found, 0), 0);
        assert_int_equal(found.st_mode & 0777, 0640);
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, &none, &err), 0);
        assert_null(none);
        assert_int_equal(store_qcow2.snapshot_cancel(&ground->place, &ground->clone, &made, &err), 1);
        assert_int_equal(store_qcow2.destroy(&ground->place, &made, &err), 0);
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

/* A clone that grew goes on as large as it is, and is restored as large as it was. */
static void sizes_are_the_disks_own(void **state)
{
        struct ground *ground = *state;
        struct store_object made = begin(ground);
        const uint64_t grown = htobe64(4 * MIB);
        struct cowherd_error err;

        owned_fd int disk = openat(ground->place.fd, "clones/9/disk.qcow2", O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(disk, &grown, sizeof grown, offsetof(struct qcow2_header, virtual_bytes)), sizeof grown);
        assert_int_equal(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        assert_int_equal(read_header(ground, "clones/9/disk.qcow2").virtual_bytes, 4 * MIB);
        ground->clone.base = &made;
        put_byte(ground, "clones/9/disk.qcow2", MIB);
        assert_int_equal(store_qcow2.restore(&ground->place, &ground->clone, &made, &err), 0);
        struct qcow2_seen seen = read_header(ground, "clones/9/disk.qcow2");
        assert_int_equal(seen.virtual_bytes, 4 * MIB);
        assert_string_equal(seen.backing_name, "../../snapshots/11/disk.qcow2");
        struct stat found;
        assert_int_equal(fstatat(ground->place.fd, "clones/9/disk.qcow2", &found, 0), 0);
        assert_int_equal(found.st_size, 4 << 16);
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

static void what_was_written_is_not_given_up(void **state)
{
        struct ground *ground = *state;
        struct store_object made = begin(ground), other = made;
        struct cowherd_error err;

        other.id = 12;
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, NULL, &err), 0);
        assert_int_equal(store_qcow2.snapshot_cancel(&ground->place, &ground->clone, &made, &err), 0);
        assert_false(ground_has(ground, "clones/9/next.qcow2") || ground_has(ground, "snapshots/11"));
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, NULL, &err), 0);
        put_byte(ground, "clones/9/next.qcow2", 4 << 16); /* as a virtual machine does */
        ino_t was = inode_of(ground, "clones/9/next.qcow2");
        assert_int_equal(store_qcow2.snapshot_cancel(&ground->place, &ground->clone, &made, &err), 1);
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, NULL, &err), 0);
        assert_int_equal(inode_of(ground, "clones/9/next.qcow2"), was);
        assert_fails(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &other, NULL, &err), COWHERD_BUSY, "another snapshot");
        assert_int_equal(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        assert_int_equal(inode_of(ground, "clones/9/disk.qcow2"), was);
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

/* As QEMU locks an image that it writes. */
static void what_a_machine_has_open_is_left_alone(void **state)
{
        struct ground *ground = *state;
        struct store_object made = begin(ground);
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
        struct cowherd_error err;

        assert_int_equal(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        ground->clone.base = &made;
        int disk = openat(ground->place.fd, "clones/9/disk.qcow2", O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(disk, F_OFD_SETLK, &lock), 0);
        assert_fails(store_qcow2.restore(&ground->place, &ground->clone, &made, &err), COWHERD_BUSY, "in use");
        assert_fails(store_qcow2.flatten(&ground->place, &ground->clone, NULL, NULL, &err), COWHERD_BUSY, "in use");
        (void)close(disk);
        const struct store_object below = made;
        made.id = 12;
        made.base = ground->clone.base = &below;
        assert_int_equal(store_qcow2.snapshot_prepare(&ground->place, &ground->clone, &made, NULL, &err), 0);
        int next = openat(ground->place.fd, "clones/9/next.qcow2", O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(next, F_OFD_SETLK, &lock), 0);
        assert_fails(store_qcow2.snapshot_cancel(&ground->place, &ground->clone, &made, &err), COWHERD_BUSY, "is running");
        (void)close(next);
        assert_int_equal(store_qcow2.snapshot_cancel(&ground->place, &ground->clone, &made, &err), 0);
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

static void chains_end_somewhere(void **state)
{
        static struct store_object chain[QCOW2_CHAIN_MAX + 1];
        struct ground *ground = *state;
        struct cowherd_error err;

        for (size_t i = 0; i < array_length(chain); i++)
                chain[i] = (struct store_object){.id = 100 + i, .role = STORE_BASE, .kind = STORE_DISK, .format = "qcow2", .virtual_bytes = MIB,
                                                 .base = i == 0 ? NULL : &chain[i - 1]};
        assert_int_equal(store_qcow2.can_clone(&ground->place, &chain[QCOW2_CHAIN_MAX - 1], &err), 0);
        assert_fails(store_qcow2.can_clone(&ground->place, &chain[QCOW2_CHAIN_MAX], &err), COWHERD_UNAVAILABLE, "65th of a chain");
        assert_non_null(strstr(err.hint, "flatten"));
        assert_fails(store_qcow2.snapshot(&ground->place, &ground->clone, &chain[QCOW2_CHAIN_MAX], &err), COWHERD_UNAVAILABLE, "chain");
}

static void headers_that_lead_elsewhere_are_refused(void **state)
{
        static const struct {
                off_t at;
                const char *bytes;
                size_t count;
                const char *why;
        } cases[] = {
                {0, "QFJ", 3, "no qcow2 disk any more"},
                {7, "\2", 1, "version 3"},
                {72 + 7, "\4", 1, "another file"},
                {35, "\1", 1, "encrypted"},
                {16 + 2, "\xff\xff", 2, "too long"},
                {8 + 5, "\xff\xff", 2, "cut short"},
                {24, "\xff", 1, "virtual size"},
        };
        struct ground *ground = *state;
        struct store_object made = begin(ground);
        struct qcow2_seen seen;
        struct cowherd_error err;

        for (size_t i = 0; i < array_length(cases); i++) {
                unsigned char was[8];
                owned_fd int fd = openat(ground->place.fd, "clones/9/disk.qcow2", O_RDWR | O_CLOEXEC);
                assert_int_equal(pread(fd, was, cases[i].count, cases[i].at), (ssize_t)cases[i].count);
                assert_int_equal(pwrite(fd, cases[i].bytes, cases[i].count, cases[i].at), (ssize_t)cases[i].count);
                assert_fails(qcow2_overlay_read(fd, "disk", &seen, &err), COWHERD_DATA, cases[i].why);
                assert_fails(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), COWHERD_DATA, cases[i].why);
                assert_fails(store_qcow2.flatten(&ground->place, &ground->clone, NULL, NULL, &err), COWHERD_DATA, cases[i].why);
                assert_int_equal(pwrite(fd, was, cases[i].count, cases[i].at), (ssize_t)cases[i].count);
        }
        assert_false(ground_has(ground, "snapshots/11"));
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

/* qemu-img's part, played: what it is to be told, and a file without a backing file. */
struct conversion {
        const char *expected;
        bool makes_nothing;
};

static int convert(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        const struct conversion *conversion = context;
        const struct qcow2_overlay flat = {.virtual_bytes = MIB, .backing_name = "", .backing_format = "raw"};
        owned_string struct str command = {0};

        for (size_t i = 0; i < process->argv.count; i++)
                str_addf(&command, "%s%s", i == 0 ? "" : " ", process->argv.items[i]);
        assert_string_equal(str_text(&command), conversion->expected);
        assert_int_equal(process->keep_count, 1);
        if (process->on_line != NULL)
                process->on_line(process->on_line_context, "    (50.00/100%)");
        if (!conversion->makes_nothing) {
                owned_fd int made = open(process->argv.items[process->argv.count - 1], O_WRONLY | O_CLOEXEC);
                assert_int_equal(qcow2_overlay_write(made, "flat", &flat, err), 0);
        }
        *ret = (struct process_result){.output = x_strdup(""), .errors = x_strdup("")};
        return 0;
}

static void hear(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
        assert_true(done_bytes <= total_bytes && done_bytes > 0);
        *(uint64_t *)context = total_bytes;
}

static void flattening_spells_the_chain_out(void **state)
{
        struct ground *ground = *state;
        struct store_object made = begin(ground);
        struct cowherd_error err;
        uint64_t heard = 0;

        assert_int_equal(store_qcow2.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        ground->clone.base = &made;
        int fd = ground->place.fd;
        owned_str char *expected = x_asprintf(
                "qemu-img convert -O qcow2 -p json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%d/clones/9/disk.qcow2\"}"
                ",\"backing\":{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%d/snapshots/11/disk.qcow2\"}"
                ",\"backing\":{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%d/bases/7/disk.raw\"}}}}"
                " /proc/self/fd/%d/clones/9/flat.qcow2",
                fd, fd, fd, fd);
        struct conversion conversion = {.expected = expected, .makes_nothing = true};
        const struct process_runner runner = {.run = convert, .context = &conversion};
        process_set_runner(&runner);
        assert_fails(store_qcow2.flatten(&ground->place, &ground->clone, hear, &heard, &err), COWHERD_DATA, "flat.qcow2");
        assert_false(ground_has(ground, "clones/9/flat.qcow2"));
        conversion.makes_nothing = false;
        assert_int_equal(store_qcow2.flatten(&ground->place, &ground->clone, hear, &heard, &err), 0);
        assert_int_equal(heard, MIB);
        assert_string_equal(read_header(ground, "clones/9/disk.qcow2").backing_name, "");
        assert_int_equal(store_qcow2.flatten(&ground->place, &ground->clone, hear, &heard, &err), 0); /* once is enough */
        process_set_runner(NULL);
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

static void flattening_believes_the_catalogue(void **state)
{
        struct ground *ground = *state;
        (void)begin(ground);
        struct store_object other = ground->base;
        struct cowherd_error err;

        other.id = 8;
        ground->clone.base = &other;
        assert_fails(store_qcow2.flatten(&ground->place, &ground->clone, NULL, NULL, &err), COWHERD_DATA, "'../../bases/7/disk.raw' and not '../../bases/8/disk.raw'");
        ground->clone.base = NULL;
        assert_fails(store_qcow2.flatten(&ground->place, &ground->clone, NULL, NULL, &err), COWHERD_DATA, "and not ''");
        assert_int_equal(store_qcow2.destroy(&ground->place, &ground->base, &err), 0);
}

static void copies_are_whole_or_not_there(void **state)
{
        struct ground *ground = *state;
        struct store_object made = {.id = 11, .role = STORE_SNAPSHOT, .kind = STORE_TREE, .base = &ground->base, .of = &ground->clone};
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        assert_int_equal(store_copy.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(file_make_folders(ground->place.fd, "snapshots/11/making/half", 0700, &err), 0);
        assert_int_equal(store_copy.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        assert_true(ground_has(ground, "snapshots/11/tree/etc/hostname"));
        assert_false(ground_has(ground, "snapshots/11/making") || ground_has(ground, "snapshots/11/tree/half"));
        ground_write(ground, "clones/9/tree/etc/later", "later\n");
        assert_int_equal(store_copy.snapshot(&ground->place, &ground->clone, &made, &err), 0); /* it is there: not again */
        assert_false(ground_has(ground, "snapshots/11/tree/etc/later"));
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(store_copy.restore(&ground->place, &ground->clone, &made, &err), 0);
                assert_false(ground_has(ground, "clones/9/tree/etc/later") || ground_has(ground, "clones/9/restored"));
        }
        assert_false(store_copy.snapshot_stacks(STORE_BASE) || store_copy.snapshot_stacks(STORE_SNAPSHOT));
}

static void a_changed_snapshot_is_told_as_one(void **state)
{
        struct ground *ground = *state;
        struct store_object made = {.id = 11, .role = STORE_SNAPSHOT, .kind = STORE_TREE, .base = &ground->base, .of = &ground->clone};
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        assert_int_equal(store_copy.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(store_copy.snapshot(&ground->place, &ground->clone, &made, &err), 0);
        free(take(ground->fingerprint));
        assert_int_equal(store_copy.seal_base(&ground->place, &made, &ground->fingerprint, &err), 0);
        made.fingerprint = ground->fingerprint;
        ground_write(ground, "snapshots/11/tree/etc/later", "later\n");
        assert_fails(store_copy.check_base(&ground->place, &made, &err), COWHERD_DATA, "snapshot 11 was changed since it was taken, at '/etc'");
        assert_non_null(strstr(err.hint, "delete the snapshot"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ground_test(the_file_moves_and_an_overlay_goes_on),
                ground_test(sizes_are_the_disks_own),
                ground_test(what_was_written_is_not_given_up),
                ground_test(what_a_machine_has_open_is_left_alone),
                ground_test(chains_end_somewhere),
                ground_test(headers_that_lead_elsewhere_are_refused),
                ground_test(flattening_spells_the_chain_out),
                ground_test(flattening_believes_the_catalogue),
                ground_test(copies_are_whole_or_not_there),
                ground_test(a_changed_snapshot_is_told_as_one),
        };

        return cmocka_run_group_tests_name("store: points in time", tests, NULL, NULL);
}
