/* SPDX-License-Identifier: Apache-2.0 */
/* The exact commands of the zfs store, and what it makes of the answers, with a runner in place of the program. */
#include "zfs_runner.h"

#define OURS "tank/cowherd-12345678"

static void a_clone_is_one_command(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground->base.fingerprint = "@base-1a2b3c4d";
        ground->place.lock = 5;
        with_zfs(assert_int_equal(store_zfs.clone(&ground->place, &ground->clone, &err), 0),
                 {"zfs clone " OURS "/bases/7@base-1a2b3c4d " OURS "/clones/9"});
        assert_int_equal(last_lock, 5); /* who holds the object goes on holding it if we die */
}

static void a_base_is_made_sealed_and_checked(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        owned_str char *point = x_asprintf("zfs set mountpoint=%s/bases/7/tree " OURS "/bases/7", ground->path);

        if (access("/sys/module/zfs", F_OK) == 0)
                return; /* OpenZFS: both properties in one command, and read-only when sealed */
        with_zfs(assert_int_equal(store_zfs.prepare_base(&ground->place, &ground->base, &err), 0),
                 {"zfs create -o cowherd:id=7 " OURS "/bases/7"}, {"zfs set canmount=noauto " OURS "/bases/7"}, {point},
                 {"zfs mount " OURS "/bases/7"});
        with_zfs(assert_int_equal(store_zfs.seal_base(&ground->place, &ground->base, &ground->fingerprint, &err), 0),
                 {"zfs snapshot " OURS "/bases/7@base-*"});
        assert_int_equal(strlen(ground->fingerprint), strlen("@base-1a2b3c4d"));
        assert_fails(store_zfs.check_base(&ground->place, &ground->base, &err), COWHERD_DATA, "never sealed");
        ground->base.fingerprint = ground->fingerprint;
        assert_int_equal(store_zfs.check_base(&ground->place, &ground->base, &err), 0);
}

/* A base that can't be mounted is not left lying. */
static void a_base_that_fails_is_undone(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        with_zfs(assert_fails(store_zfs.prepare_base(&ground->place, &ground->base, &err), COWHERD_SYSTEM, "no luck"),
                 {"zfs create *"}, {"zfs set canmount=noauto*", 1, NULL, "cannot set property: no luck\n"},
                 {"zfs destroy -r " OURS "/bases/7"});
        assert_false(ground_has(ground, "bases/7"));
}

static void a_lost_snapshot_is_a_changed_base(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        ground->base.fingerprint = "@base-1a2b3c4d";
        with_zfs(assert_fails(store_zfs.clone(&ground->place, &ground->clone, &err), COWHERD_DATA,
                              "base 'gold' was changed"),
                 {"zfs clone *", 1, NULL, "cannot open 'tank/x@base-1a2b3c4d': dataset does not exist\n"});
}

static void messages_have_codes(void **state)
{
        static const struct {
                const char *message;
                int code;
        } cases[] = {
                {"cannot create 'tank/x': dataset already exists\n", COWHERD_EXISTS},
                {"cannot create 'tank/x': out of space\n", COWHERD_IO},
                {"cannot create 'tank/x': No space left on device\n", COWHERD_IO},
                {"cannot create 'tank/x': permission denied\n", COWHERD_DENIED},
                {"cannot open 'tank/x': dataset is busy\n", COWHERD_BUSY},
                {"internal error: unable to open ZFS device\n", COWHERD_SYSTEM},
                {"", COWHERD_SYSTEM},
        };
        struct ground *ground = *state;
        struct cowherd_error err;

        ground->base.fingerprint = "@base-1a2b3c4d";
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_str char *line = x_strndup(cases[i].message, strcspn(cases[i].message, "\n"));
                with_zfs(assert_fails(store_zfs.clone(&ground->place, &ground->clone, &err), cases[i].code, line),
                         {"zfs clone *", 1, NULL, cases[i].message});
        }
}

static void destroying_spares_dependents(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        with_zfs(assert_fails(store_zfs.destroy(&ground->place, &ground->base, &err), COWHERD_BUSY, "still has clones"),
                 {"zfs destroy -r " OURS "/bases/7", 1, NULL,
                  "cannot destroy 'tank/x': filesystem has dependent clones\nuse '-R' to destroy the following "
                  "datasets:\n"});
        with_zfs(assert_int_equal(store_zfs.destroy(&ground->place, &ground->base, &err), 0),
                 {"zfs destroy -r " OURS "/bases/7", 1, NULL, "cannot open 'tank/x': dataset does not exist\n"});
}

static void what_is_busy_is_tried_again(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        const char *busy = "cannot destroy 'tank/x': dataset is busy\n";

        with_zfs(assert_int_equal(store_zfs.destroy(&ground->place, &ground->clone, &err), 0),
                 {"zfs destroy " OURS "/clones/9", 1, NULL, busy}, {"zfs destroy " OURS "/clones/9", 1, NULL, busy},
                 {"zfs destroy " OURS "/clones/9"});
}

static void usage_is_zfs_own(void **state)
{
        struct ground *ground = *state;
        struct store_usage usage;
        struct cowherd_error err;

        with_zfs(assert_int_equal(store_zfs.usage(&ground->place, &ground->clone, &usage, &err), 0),
                 {"zfs list -H -o name " OURS "/clones/9"},
                 {"zfs get -Hp -o value used,referenced " OURS "/clones/9", 0, "1048576\n10485760\n", NULL});
        assert_int_equal(usage.unique_bytes, 1048576);
        assert_int_equal(usage.shared_bytes, 9437184);
        with_zfs(assert_int_equal(store_zfs.usage(&ground->place, &ground->clone, &usage, &err), 0),
                 {"zfs list *", 1, NULL, "cannot open 'x': dataset does not exist\n"});
        assert_true(usage.missing);
        with_zfs(assert_fails(store_zfs.usage(&ground->place, &ground->clone, &usage, &err), COWHERD_IO, "suspended"),
                 {"zfs list *", 1, NULL, "cannot open 'x': pool I/O is currently suspended\n"});
}

static void lists_datasets_and_lost_folders(void **state)
{
        struct ground *ground = *state;
        owned_strv struct strv ids = {0};
        struct cowherd_error err;

        assert_int_equal(folder_make(&ground->place, &ground->clone, NULL, &err), 0);
        with_zfs(assert_int_equal(store_zfs.list_ids(&ground->place, STORE_CLONE, &ids, &err), 0),
                 {"zfs list -H -d 1 -o name " OURS "/clones", 0,
                  OURS "/clones\n" OURS "/clones/12\n" OURS "/clones/strange\n" OURS "/clones/3\n", NULL});
        assert_int_equal(ids.count, 3);
        assert_true(strv_has(&ids, "12") && strv_has(&ids, "3") && strv_has(&ids, "9"));
}

static void setting_up_takes_only_what_is_ours(void **state)
{
        struct ground *ground = *state;
        struct store_setup setup = {.root = ground->path, .herd_uuid = "12345678-9abc", .pool = "tank"};
        struct store_made made = {0};
        struct cowherd_error err;
        const char *missing = "cannot open 'x': dataset does not exist\n";

        if (geteuid() != 0 || !process_exists("zfs")) {
                assert_int_equal(store_zfs.setup(&setup, &made, &err), -1);
                return;
        }
        with_zfs(assert_int_equal(store_zfs.setup(&setup, &made, &err), 0),
                 {"zfs list -H -o name " OURS, 1, NULL, missing},
                 {"zfs create -o mountpoint=none -o canmount=off -o cowherd:herd=12345678-9abc " OURS},
                 {"zfs list -H -o name " OURS "/bases", 1, NULL, missing},
                 {"zfs create -o canmount=off " OURS "/bases"},
                 {"zfs list -H -o name " OURS "/clones", 1, NULL, missing},
                 {"zfs create -o canmount=off " OURS "/clones"});
        assert_string_equal(made.source, OURS);
        assert_string_equal(made.folder, "pools/zfs");
        assert_true(made.ours);
        free(made.folder);
        free(made.source);
        with_zfs(assert_fails(store_zfs.setup(&setup, &made, &err), COWHERD_EXISTS, "not of this herd"),
                 {"zfs list -H -o name " OURS}, {"zfs get -Hp -o value cowherd:herd " OURS, 0, "-\n", NULL});
        assert_true(made.nothing);
        with_zfs(assert_fails(store_zfs.setup(&setup, &made, &err), COWHERD_IO, "out of space"),
                 {"zfs list -H -o name " OURS, 1, NULL, missing}, {"zfs create *", 1, NULL, "cannot create 'x': out of space\n"});
        assert_false(made.nothing);
        setup.pool = NULL;
        with_zfs(assert_fails(store_zfs.setup(&setup, &made, &err), COWHERD_SYSTEM, "initialize ZFS"),
                 {"zpool list -H -o name", 1, NULL, "internal error: failed to initialize ZFS library\n"});
        assert_true(made.nothing);
        assert_non_null(strstr(err.hint, "zpool list"));
        with_zfs(assert_fails(store_zfs.setup(&setup, &made, &err), COWHERD_USAGE, "several"),
                 {"zpool list -H -o name", 0, "tank\nother\n", NULL});
        with_zfs(assert_fails(store_zfs.setup(&setup, &made, &err), COWHERD_UNAVAILABLE, "no zfs pool"),
                 {"zpool list -H -o name", 0, "", NULL});
}

/* A pool that is not whole, or nearly full, is told with what to look at; the figures are the tool's. */
static void a_pool_tells_its_health(void **state)
{
        struct ground *ground = *state;
        static const char command[] = "zpool list -H -o health,capacity,free tank";
        struct store_health health = {0};
        struct cowherd_error err;

        with_zfs(assert_int_equal(store_zfs.health(&ground->place, &health, &err), 0), {command, 0, "ONLINE\t42%\t5.8G\n", NULL});
        assert_true(health.ok);
        assert_string_equal(health.detail, "pool 'tank' is ONLINE, 42% full, 5.8G free");
        assert_string_equal(health.advice, "");
        with_zfs(assert_int_equal(store_zfs.health(&ground->place, &health, &err), 0), {command, 0, "DEGRADED\t42%\t5.8G\n", NULL});
        assert_false(health.ok);
        assert_string_equal(health.advice, "zpool status tank");
        health = (struct store_health){0};
        with_zfs(assert_int_equal(store_zfs.health(&ground->place, &health, &err), 0), {command, 0, "ONLINE\t97%\t30M\n", NULL});
        assert_false(health.ok);
        assert_non_null(strstr(health.advice, "not needed"));
        with_zfs(assert_fails(store_zfs.health(&ground->place, &health, &err), COWHERD_SYSTEM, "no such pool"),
                 {command, 1, NULL, "cannot open 'tank': no such pool\n"});
        with_zfs(assert_fails(store_zfs.health(&ground->place, &health, &err), COWHERD_SYSTEM, "'zpool list' said"), {command, 0, "\n", NULL});
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ground_test(a_clone_is_one_command),
                ground_test(a_base_is_made_sealed_and_checked),
                ground_test(a_base_that_fails_is_undone),
                ground_test(a_lost_snapshot_is_a_changed_base),
                ground_test(messages_have_codes),
                ground_test(destroying_spares_dependents),
                ground_test(what_is_busy_is_tried_again),
                ground_test(usage_is_zfs_own),
                ground_test(lists_datasets_and_lost_folders),
                ground_test(a_pool_tells_its_health),
                ground_test(setting_up_takes_only_what_is_ours),
        };

        return cmocka_run_group_tests_name("store: zfs", tests, NULL, NULL);
}
