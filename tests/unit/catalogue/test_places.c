/* SPDX-License-Identifier: Apache-2.0 */
/* Places, settings, and the audit with its trimming. */
#include "catalogue_test.h"

static char *text(const char *value)
{
        return (char *)(uintptr_t)value; /* borrowed: these places are never freed */
}

static void test_place(void **state)
{
        struct herd *herd = *state;
        struct catalogue_place place = {text("btrfs"),           text("btrfs"), text("pools/btrfs"),
                                        text("pools/btrfs.img"), 20ull << 30,   true};
        struct catalogue_place first owned_place = {0}, second owned_place = {0}, none = {0};
        struct strv names owned_strv = {0};

        assert_int_equal(catalogue_get_place(herd->catalogue, "btrfs", &none, &herd->err), 1);
        assert_int_equal(catalogue_put_place(herd->catalogue, &place, &herd->err), 0);
        assert_int_equal(catalogue_get_place(herd->catalogue, "btrfs", &first, &herd->err), 0);
        assert_string_equal(first.name, "btrfs");
        assert_string_equal(first.store, "btrfs");
        assert_string_equal(first.folder, "pools/btrfs");
        assert_string_equal(first.source, "pools/btrfs.img");
        assert_true(first.size_bytes == 20ull << 30);
        assert_true(first.ours);

        place.source = NULL;
        place.ours = false;
        assert_int_equal(catalogue_put_place(herd->catalogue, &place, &herd->err), 0); /* again: replaced */
        assert_int_equal(catalogue_get_place(herd->catalogue, "btrfs", &second, &herd->err), 0);
        assert_null(second.source);
        assert_false(second.ours);

        place.name = text("a");
        assert_int_equal(catalogue_put_place(herd->catalogue, &place, &herd->err), 0);
        strv_add(&names, "before");
        assert_int_equal(catalogue_list_places(herd->catalogue, &names, &herd->err), 0);
        assert_int_equal(names.count, 3);
        assert_string_equal(names.items[1], "a");
        assert_string_equal(names.items[2], "btrfs");
        assert_int_equal(catalogue_drop_place(herd->catalogue, "btrfs", &herd->err), 0);
        assert_int_equal(catalogue_get_place(herd->catalogue, "btrfs", &none, &herd->err), 1);
        assert_int_equal(catalogue_drop_place(herd->catalogue, "btrfs", &herd->err), 0);
}

static void test_place_in_use(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = base_row("b");
        bool used = true;

        assert_int_equal(catalogue_place_in_use(herd->catalogue, "btrfs", &used, &herd->err), 0);
        assert_false(used);
        row.place = text("btrfs");
        assert_int_equal(reserve(herd, &row), 0); /* what is in the making uses it already */
        assert_int_equal(catalogue_place_in_use(herd->catalogue, "btrfs", &used, &herd->err), 0);
        assert_true(used);
        assert_int_equal(catalogue_place_in_use(herd->catalogue, "", &used, &herd->err), 0);
        assert_false(used);
}

static void check_setting(struct herd *herd, const char *key, const char *expected)
{
        owned_str char *value = NULL;

        assert_int_equal(catalogue_get_setting(herd->catalogue, key, &value, &herd->err), 0);
        assert_true(str_equal(value, expected));
}

static void test_setting(void **state)
{
        struct herd *herd = *state;

        check_setting(herd, "qemu.store", NULL);
        assert_int_equal(catalogue_set_setting(herd->catalogue, "qemu.store", "reflink", &herd->err), 0);
        check_setting(herd, "qemu.store", "reflink");
        check_setting(herd, "qemu", NULL);
        assert_int_equal(catalogue_set_setting(herd->catalogue, "qemu.store", "", &herd->err), 0);
        check_setting(herd, "qemu.store", "");
        assert_int_equal(catalogue_set_setting(herd->catalogue, "qemu.store", NULL, &herd->err), 0);
        check_setting(herd, "qemu.store", NULL);
}

static void test_audit(void **state)
{
        struct herd *herd = *state;

        catalogue_audit(herd->catalogue, COWHERD_LXD, "clone_from_base", "vm-1", COWHERD_EXISTS,
                        "'vm-1' already exists");
        catalogue_audit(herd->catalogue, COWHERD_SELF, "cleanup", NULL, 0, NULL);
        assert_int_equal(
                ask(herd,
                    "SELECT count(*) FROM audit WHERE id = 1 AND target = 1 AND operation = 'clone_from_base' AND "
                    "name = 'vm-1' AND code = 73 AND text = '''vm-1'' already exists'"),
                1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM audit WHERE id = 2 AND name IS NULL AND text IS NULL"), 1);
        assert_in_range(ask(herd, "SELECT strftime('%s', 'now') - max(at_ms) / 1000 + 1 FROM audit"), 0, 60);
}

static void test_audit_is_trimmed(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(transaction_begin(herd->catalogue, &herd->err), 0); /* to be quick: one commit for them all */
        for (int i = 0; i < CATALOGUE_AUDIT_LINES + 1000; i++)
                catalogue_audit(herd->catalogue, COWHERD_QEMU, "status", NULL, 0, NULL);
        assert_int_equal(transaction_end(herd->catalogue, 0, &herd->err), 0);
        assert_in_range(ask(herd, "SELECT count(*) FROM audit"), CATALOGUE_AUDIT_LINES, CATALOGUE_AUDIT_LINES + 100);
        assert_int_equal(ask(herd, "SELECT max(id) FROM audit"), CATALOGUE_AUDIT_LINES + 1000);
        assert_int_equal(ask(herd, "SELECT max(id) - min(id) + 1 - count(*) FROM audit"), 0);
}

/* The audit never fails the work that it tells of. */
static void test_audit_fails_quietly(void **state)
{
        struct herd *herd = *state;
        struct catalogue *other = open_again(herd);

        herd->catalogue->wait_ms = 20;
        assert_int_equal(transaction_begin(other, &herd->err), 0);
        catalogue_audit(herd->catalogue, COWHERD_QEMU, "status", NULL, 0, NULL);
        assert_int_equal(transaction_end(other, 0, &herd->err), 0);
        catalogue_audit(herd->catalogue, COWHERD_QEMU, "status", NULL, 0, NULL);
        assert_int_equal(ask(herd, "SELECT count(*) FROM audit"), 1);
        tell(herd, "DROP TABLE audit", true);
        catalogue_audit(herd->catalogue, COWHERD_QEMU, "status", NULL, 0, NULL);
        catalogue_close(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_place, begin, end),
                cmocka_unit_test_setup_teardown(test_place_in_use, begin, end),
                cmocka_unit_test_setup_teardown(test_setting, begin, end),
                cmocka_unit_test_setup_teardown(test_audit, begin, end),
                cmocka_unit_test_setup_teardown(test_audit_is_trimmed, begin, end),
                cmocka_unit_test_setup_teardown(test_audit_fails_quietly, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
