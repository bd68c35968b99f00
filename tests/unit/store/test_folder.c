/* SPDX-License-Identifier: Apache-2.0 */
/* What the folder stores have in common, and the two that are little more: copy and reflink. */
#include "place.h"

#include <sys/stat.h>
#include <sys/xattr.h>

static void ids_are_written_as_numbers_are(void **state)
{
        static const char *const yes[] = {"0", "7", "10", "18446744073709551615"};
        static const char *const no[] = {"", "07", "-1", "+1", " 1", "1 ", "x", "1.tmp", "18446744073709551616", "."};

        (void)state;
        for (size_t i = 0; i < array_length(yes); i++)
                assert_true(folder_is_id(yes[i]));
        for (size_t i = 0; i < array_length(no); i++)
                assert_false(folder_is_id(no[i]));
}

static void makes_folders_once(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct stat found;

        assert_int_equal(folder_make(&ground->place, &ground->clone, NULL, &err), 0);
        assert_int_equal(fstatat(ground->place.fd, "clones/9", &found, 0), 0);
        assert_int_equal(found.st_mode & 0777, 0700); /* setuid programs of a tree are nobody's */
        assert_fails(folder_make(&ground->place, &ground->clone, NULL, &err), COWHERD_EXISTS, "clones/9");
        assert_true(folder_exists(&ground->place, &ground->clone));
        assert_false(folder_exists(&ground->place, &ground->base));
}

static void lists_only_ids(void **state)
{
        struct ground *ground = *state;
        owned_strv struct strv ids = {0};
        struct cowherd_error err;

        assert_int_equal(folder_list_ids(&ground->place, STORE_CLONE, &ids, &err), 0);
        assert_int_equal(ids.count, 0);
        assert_int_equal(folder_make(&ground->place, &ground->clone, NULL, &err), 0);
        assert_int_equal(mkdirat(ground->place.fd, "clones/009", 0700), 0);
        assert_int_equal(mkdirat(ground->place.fd, "clones/.probe-1", 0700), 0);
        assert_int_equal(folder_list_ids(&ground->place, STORE_CLONE, &ids, &err), 0);
        assert_int_equal(ids.count, 1);
        assert_string_equal(ids.items[0], "9");
}

static void device_numbers_do_not_count(void **state)
{
        (void)state;
        assert_true(folder_same_file_fingerprint("2049:12:4096:5.6", "64:12:4096:5.6"));
        assert_false(folder_same_file_fingerprint("2049:12:4096:5.6", "2049:12:4096:5.7"));
        assert_false(folder_same_file_fingerprint("2049:12:4096:5.6", NULL));
        assert_false(folder_same_file_fingerprint(NULL, NULL));
        assert_false(folder_same_file_fingerprint("", ""));
}

static void sees_what_changed_in_a_tree(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        assert_int_equal(store_copy.check_base(&ground->place, &ground->base, &err), 0);

        ground_write(ground, "bases/7/tree/etc/motd", "hello");
        assert_fails(store_copy.check_base(&ground->place, &ground->base, &err), COWHERD_DATA,
                     "base 'gold' was changed");
        assert_non_null(strstr(err.text, "'/etc'"));
        assert_true(err.hint[0] != '\0');
}

/* A file's bytes are no folder's business: only the walk sees them. */
static void sees_a_change_deep_in_a_tree(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        assert_int_equal(store_copy.deep_check_base(&ground->place, &ground->base, &err), 0);
        owned_fd int file = openat(ground->place.fd, "bases/7/tree/etc/hostname", O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(file, "more", 4), 4);
        assert_int_equal(store_copy.check_base(&ground->place, &ground->base, &err), 0);
        assert_fails(store_copy.deep_check_base(&ground->place, &ground->base, &err), COWHERD_DATA, "deep in its tree");
        ground->base.kind = STORE_DISK;
        assert_int_equal(store_copy.deep_check_base(&ground->place, &ground->base, &err), 0);
}

static void sees_a_changed_root_and_a_lost_tree(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        ground_write(ground, "bases/7/tree/new", "");
        assert_fails(store_copy.check_base(&ground->place, &ground->base, &err), COWHERD_DATA, "'/'");
        assert_int_equal(renameat(ground->place.fd, "bases/7/tree", ground->place.fd, "bases/7/away"), 0);
        assert_fails(store_copy.check_base(&ground->place, &ground->base, &err), COWHERD_DATA, "gone");
        ground->base.fingerprint = NULL;
        assert_int_equal(renameat(ground->place.fd, "bases/7/away", ground->place.fd, "bases/7/tree"), 0);
        assert_fails(store_copy.check_base(&ground->place, &ground->base, &err), COWHERD_DATA, "changed");
}

static void keeps_the_size_of_a_tree(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct file_usage usage = {.allocated_bytes = 1};

        assert_int_equal(folder_make(&ground->place, &ground->base, NULL, &err), 0);
        assert_int_equal(folder_read_size(&ground->place, &ground->base, &usage, &err), 0);
        assert_int_equal(usage.allocated_bytes, 0);
        usage = (struct file_usage){.allocated_bytes = UINT64_MAX, .apparent_bytes = 2, .files = 3, .digest = 4};
        assert_int_equal(folder_write_size(&ground->place, &ground->base, &usage, &err), 0);
        usage = (struct file_usage){0};
        assert_int_equal(folder_read_size(&ground->place, &ground->base, &usage, &err), 0);
        assert_true(usage.allocated_bytes == UINT64_MAX && usage.apparent_bytes == 2 && usage.files == 3 &&
                    usage.digest == 4);
        ground_write(ground, "bases/7/size", "rubbish\n");
        assert_fails(folder_read_size(&ground->place, &ground->base, &usage, &err), COWHERD_DATA, "four numbers");
}

static void copies_disks_with_their_holes(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct stat found;

        ground_be_disks(ground, "raw");
        ground_seal(ground, &store_copy);
        ground->clone.virtual_bytes = 4 << 20;
        ground->place.durable = true;
        assert_int_equal(store_copy.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(fstatat(ground->place.fd, "clones/9/disk.raw", &found, 0), 0);
        assert_int_equal(found.st_size, 4 << 20);
        assert_true(found.st_blocks * 512 < 1 << 20);
        assert_int_equal(found.st_mode & 07777, 0600); /* the base's is 0444 */
        assert_int_equal(fstatat(ground->place.fd, "bases/7/disk.raw", &found, 0), 0);
        assert_int_equal(found.st_mode & 07777, 0444);
        assert_int_equal(store_copy.check_base(&ground->place, &ground->base, &err), 0);
}

static void leaves_nothing_of_a_clone_that_fails(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground_be_disks(ground, "raw");
        assert_fails(store_copy.clone(&ground->place, &ground->clone, &err), COWHERD_NOT_FOUND, "bases/7/disk.raw");
        assert_false(ground_has(ground, "clones/9"));
        ground_seal(ground, &store_copy);
        ground->clone.virtual_bytes = 4096;
        assert_fails(store_copy.clone(&ground->place, &ground->clone, &err), COWHERD_USAGE, "smaller");
        assert_false(ground_has(ground, "clones/9"));
}

static void refuses_an_id_that_is_taken(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground_seal(ground, &store_copy);
        assert_int_equal(store_copy.clone(&ground->place, &ground->clone, &err), 0);
        ground_write(ground, "clones/9/tree/mine", "mine");
        assert_fails(store_copy.clone(&ground->place, &ground->clone, &err), COWHERD_EXISTS, "clones/9");
        assert_true(ground_has(ground, "clones/9/tree/mine"));
}

static void copies_trees_with_their_root(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct stat found;
        char value[8];

        ground_seal(ground, &store_copy);
        owned_str char *base = x_asprintf("%s/bases/7/tree", ground->path);
        owned_str char *tree = x_asprintf("%s/clones/9/tree", ground->path);
        bool attributes = setxattr(base, "user.herd", "cow", 3, 0) == 0;
        assert_int_equal(store_copy.clone(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(stat(tree, &found), 0);
        assert_int_equal(found.st_mode & 07777, 0751);
        assert_true(ground_has(ground, "clones/9/tree/etc/hostname"));
        if (attributes)
                assert_int_equal(getxattr(tree, "user.herd", value, sizeof value), 3);
        struct store_usage usage;
        assert_int_equal(store_copy.usage(&ground->place, &ground->clone, &usage, &err), 0);
        assert_false(usage.missing);
        for (int i = 0; i < 2; i++)
                assert_int_equal(store_copy.destroy(&ground->place, &ground->clone, &err), 0);
        assert_int_equal(store_copy.usage(&ground->place, &ground->clone, &usage, &err), 0);
        assert_true(usage.missing);
}

/* Where the filesystem can't share, reflink must say so before and by failing whole, never by a copy. */
static void reflink_shares_or_refuses(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct store_probe probe;

        ground_be_disks(ground, "raw");
        ground_seal(ground, &store_reflink);
        assert_int_equal(store_reflink.probe(&ground->place, STORE_DISK, &probe, &err), 0);
        if (probe.usable) {
                assert_int_equal(store_reflink.clone(&ground->place, &ground->clone, &err), 0);
        } else {
                assert_true(probe.reason[0] != '\0');
                assert_fails(store_reflink.clone(&ground->place, &ground->clone, &err), COWHERD_UNAVAILABLE, "");
                assert_false(ground_has(ground, "clones/9"));
        }
        assert_int_equal(store_reflink.probe(&ground->place, STORE_INSTANCE, &probe, &err), 0);
        assert_false(probe.usable);
}

static void btrfs_says_what_it_needs(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        struct store_probe probe;

        assert_int_equal(store_btrfs.probe(&ground->place, STORE_DISK, &probe, &err), 0);
        assert_false(probe.usable);
        assert_int_equal(store_btrfs.probe(&ground->place, STORE_TREE, &probe, &err), 0);
        if (!str_equal(file_system_name(ground->place.fd), "btrfs")) {
                assert_false(probe.usable);
                assert_non_null(strstr(probe.reason, "setup store=btrfs"));
        }
}

static void btrfs_pools_have_a_sensible_size(void **state)
{
        struct ground *ground = *state;
        struct store_setup setup = {.root = ground->path, .herd_uuid = "12345678", .size_bytes = 1 << 20};
        struct store_made made = {0};
        struct cowherd_error err;

        if (str_equal(file_system_name(ground->place.fd), "btrfs"))
                return; /* the root itself will do */
        if (geteuid() != 0) {
                assert_fails(store_btrfs.setup(&setup, &made, &err), COWHERD_DENIED, "root");
                return;
        }
        assert_fails(store_btrfs.setup(&setup, &made, &err), COWHERD_USAGE, "too small");
        setup.size_bytes = 1ull << 60;
        assert_fails(store_btrfs.setup(&setup, &made, &err), COWHERD_IO, "no space");
        assert_true(err.hint[0] != '\0');
        assert_false(ground_has(ground, "pools/btrfs.img"));
        assert_false(ground_has(ground, "pools/btrfs.img.new"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ground_test(ids_are_written_as_numbers_are),
                ground_test(makes_folders_once),
                ground_test(lists_only_ids),
                ground_test(device_numbers_do_not_count),
                ground_test(sees_what_changed_in_a_tree),
                ground_test(sees_a_change_deep_in_a_tree),
                ground_test(sees_a_changed_root_and_a_lost_tree),
                ground_test(keeps_the_size_of_a_tree),
                ground_test(copies_disks_with_their_holes),
                ground_test(leaves_nothing_of_a_clone_that_fails),
                ground_test(refuses_an_id_that_is_taken),
                ground_test(copies_trees_with_their_root),
                ground_test(reflink_shares_or_refuses),
                ground_test(btrfs_says_what_it_needs),
                ground_test(btrfs_pools_have_a_sensible_size),
        };

        return cmocka_run_group_tests_name("store: folders", tests, NULL, NULL);
}
