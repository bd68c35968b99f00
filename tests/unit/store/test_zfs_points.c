/* SPDX-License-Identifier: Apache-2.0 */
/* The exact commands of points in time on zfs: its own snapshots, and datasets that wait for the last of theirs. */
#include "zfs_runner.h"

#define OURS "tank/cowherd-12345678"
#define NOT_THERE 1, NULL, "cannot open 'tank/x': dataset does not exist\n"
#define HAS_CHILDREN 1, NULL, "cannot destroy 'tank/x': filesystem has children\nuse '-r' to destroy the following datasets:\n"
#define LIST_OF_CLONE "zfs list -H -d1 -t snapshot -o name,defer_destroy " OURS "/clones/9"
#define LIST_OF_ALL "zfs list -H -r -t snapshot -o name,defer_destroy " OURS

/* Snapshot 11 of clone 9, whose folder is there. */
static struct store_object begin(struct ground *ground)
{
        struct cowherd_error err;

        assert_int_equal(folder_make(&ground->place, &ground->clone, NULL, &err), 0);
        return (struct store_object){.id = 11, .role = STORE_SNAPSHOT, .kind = STORE_TREE, .base = &ground->base, .of = &ground->clone};
}

static void a_snapshot_is_one_command(void **state)
{
        struct ground *ground = *state;
        struct store_object snapshot = begin(ground);
        owned_str char *fingerprint = NULL;
        struct cowherd_error err;

        with_zfs(assert_int_equal(store_zfs.snapshot(&ground->place, &ground->clone, &snapshot, &err), 0),
                 {"zfs snapshot " OURS "/clones/9@s11"});
        with_zfs(assert_int_equal(store_zfs.snapshot(&ground->place, &ground->clone, &snapshot, &err), 0),
                 {"zfs snapshot *", 1, NULL, "cannot create snapshot 'x': dataset already exists\n"});
        assert_int_equal(store_zfs.seal_base(&ground->place, &snapshot, &fingerprint, &err), 0);
        assert_string_equal(fingerprint, "@s11");
        assert_fails(store_zfs.activate(&ground->place, &snapshot, &fingerprint, &err), COWHERD_UNAVAILABLE, "only a clone");
}

static void the_newest_is_rolled_back_to(void **state)
{
        struct ground *ground = *state;
        struct store_object snapshot = begin(ground);
        struct cowherd_error err;

        with_zfs(assert_int_equal(store_zfs.restore(&ground->place, &ground->clone, &snapshot, &err), 0),
                 {LIST_OF_CLONE, 0, OURS "/clones/9@s11\toff\n", NULL}, {"zfs rollback " OURS "/clones/9@s11"});
}

static void an_older_one_takes_the_place(void **state)
{
        struct ground *ground = *state;
        struct store_object snapshot = begin(ground);
        const char *both = OURS "/clones/9@s11\toff\n" OURS "/clones/9@s12\toff\n" OURS "/clones/9@p13\ton\n";
        struct cowherd_error err;

        with_zfs(assert_int_equal(store_zfs.restore(&ground->place, &ground->clone, &snapshot, &err), 0),
                 {LIST_OF_CLONE, 0, both, NULL},
                 {"zfs rollback *", 1, NULL, "cannot rollback to 'x': more recent snapshots exist\n"},
                 {"zfs clone " OURS "/clones/9@s11 " OURS "/clones/9-next"}, {"zfs destroy " OURS "/clones/9", HAS_CHILDREN},
                 {LIST_OF_CLONE, 0, both, NULL}, {"zfs destroy " OURS "/clones/9", HAS_CHILDREN},
                 {"zfs create -o canmount=off " OURS "/removed"}, {"zfs set mountpoint=none " OURS "/clones/9"},
                 {"zfs rename " OURS "/clones/9 " OURS "/removed/9-*"}, {"zfs rename " OURS "/clones/9-next " OURS "/clones/9"});
        assert_false(ground_has(ground, "clones/9/next"));
        assert_true(ground_has(ground, "removed"));
        /* Killed before the last rename, and called again. */
        assert_int_equal(mkdirat(ground->place.fd, "clones/9/next", 0700), 0);
        with_zfs(assert_int_equal(store_zfs.restore(&ground->place, &ground->clone, &snapshot, &err), 0),
                 {"zfs list -H -o name " OURS "/clones/9", NOT_THERE}, {"zfs destroy " OURS "/clones/9", NOT_THERE},
                 {"zfs rename " OURS "/clones/9-next " OURS "/clones/9"});
}

static void a_snapshot_is_found_where_its_dataset_went(void **state)
{
        struct ground *ground = *state;
        struct store_object snapshot = begin(ground), clone = {.id = 15, .role = STORE_CLONE, .kind = STORE_TREE, .base = &snapshot};
        const char *all = OURS "/bases/7@base-1a2b3c4d\toff\n" OURS "/removed/9-00000000@s11\toff\n" OURS "/removed/9-00000000@s3\ton\n";
        owned_strv struct strv ids = {0};
        struct cowherd_error err;

        snapshot.fingerprint = "@s11";
        with_zfs(assert_int_equal(store_zfs.clone(&ground->place, &clone, &err), 0), {LIST_OF_CLONE, NOT_THERE},
                 {LIST_OF_ALL, 0, all, NULL}, {"zfs clone " OURS "/removed/9-00000000@s11 " OURS "/clones/15"});
        with_zfs(assert_int_equal(store_zfs.list_ids(&ground->place, STORE_SNAPSHOT, &ids, &err), 0), {LIST_OF_ALL, 0, all, NULL});
        assert_int_equal(ids.count, 1); /* the one that is marked for destruction is nobody's any more */
        assert_string_equal(ids.items[0], "11");
        clone.id = 16;
        with_zfs(assert_fails(store_zfs.clone(&ground->place, &clone, &err), COWHERD_DATA, "snapshot 11 was changed"),
                 {LIST_OF_CLONE, NOT_THERE}, {LIST_OF_ALL, 0, "", NULL});
        assert_false(ground_has(ground, "clones/16"));
}

static void what_waits_goes_with_its_last_snapshot(void **state)
{
        struct ground *ground = *state;
        struct store_object snapshot = begin(ground);
        struct cowherd_error err;

        assert_int_equal(file_make_folders(ground->place.fd, "removed/9-00000000", 0700, &err), 0);
        with_zfs(assert_int_equal(store_zfs.destroy(&ground->place, &snapshot, &err), 0), {LIST_OF_CLONE, NOT_THERE},
                 {LIST_OF_ALL, 0, OURS "/removed/9-00000000@s11\toff\n", NULL}, {"zfs destroy -d " OURS "/removed/9-00000000@s11"},
                 {"zfs destroy " OURS "/removed/9-00000000", HAS_CHILDREN});
        assert_true(ground_has(ground, "removed/9-00000000"));
        with_zfs(assert_int_equal(store_zfs.destroy(&ground->place, &ground->clone, &err), 0), {"zfs destroy " OURS "/clones/9"},
                 {"zfs destroy " OURS "/removed/9-00000000"}, {"zfs destroy " OURS "/removed"});
        assert_false(ground_has(ground, "removed"));
}

static void a_promoted_base_is_a_clone_of_a_snapshot_that_goes_with_it(void **state)
{
        struct ground *ground = *state;
        struct store_object base = begin(ground);
        owned_str char *point = x_asprintf("zfs set mountpoint=%s/bases/11/tree " OURS "/bases/11", ground->path);
        struct cowherd_error err;

        if (access("/sys/module/zfs", F_OK) == 0)
                return; /* OpenZFS sets both properties in one command */
        base.role = STORE_BASE;
        with_zfs(assert_int_equal(store_zfs.snapshot(&ground->place, &ground->clone, &base, &err), 0),
                 {"zfs list -H -o name " OURS "/bases/11", NOT_THERE}, {"zfs snapshot " OURS "/clones/9@p11"},
                 {"zfs clone " OURS "/clones/9@p11 " OURS "/bases/11"}, {"zfs destroy -d " OURS "/clones/9@p11"},
                 {"zfs set canmount=noauto " OURS "/bases/11"}, {point}, {"zfs mount " OURS "/bases/11"});
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ground_test(a_snapshot_is_one_command),
                ground_test(the_newest_is_rolled_back_to),
                ground_test(an_older_one_takes_the_place),
                ground_test(a_snapshot_is_found_where_its_dataset_went),
                ground_test(what_waits_goes_with_its_last_snapshot),
                ground_test(a_promoted_base_is_a_clone_of_a_snapshot_that_goes_with_it),
        };

        return cmocka_run_group_tests_name("store: points in time on zfs", tests, NULL, NULL);
}
