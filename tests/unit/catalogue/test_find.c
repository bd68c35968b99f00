/* SPDX-License-Identifier: Apache-2.0 */
/* Finding by name and id, lists by target, role and pattern, what is unfinished or expired, counts. */
#include "catalogue_test.h"

static uint64_t make_on(const struct herd *herd, enum cowherd_target target, const char *name)
{
        struct catalogue_row row = clone_row(name, 0);

        row.target = target;
        return make(herd, row);
}

static int find(struct herd *herd, enum cowherd_target target, const char *name, uint64_t *ret_id)
{
        struct catalogue_row row owned_row = {0};

        int got = catalogue_find(herd->catalogue, target, name, &row, &herd->err);
        *ret_id = row.id;
        return got;
}

static void test_find(void **state)
{
        struct herd *herd = *state;
        uint64_t found, qemu = make_on(herd, COWHERD_QEMU, "web"), lxd = make_on(herd, COWHERD_LXD, "Web");
        uint64_t nspawn = make_on(herd, COWHERD_NSPAWN, "db");
        struct catalogue_row making = clone_row("making", 0);

        assert_int_equal(find(herd, COWHERD_QEMU, "WEB", &found), 0);
        assert_int_equal(found, qemu);
        assert_int_equal(find(herd, COWHERD_LXD, "web", &found), 0);
        assert_int_equal(found, lxd);
        assert_int_equal(find(herd, COWHERD_ANY, "db", &found), 0);
        assert_int_equal(found, nspawn);
        assert_int_equal(reserve(herd, &making), 0);
        assert_int_equal(find(herd, COWHERD_ANY, "making", &found), 0);
        assert_int_equal(found, making.id);

        assert_fails(find(herd, COWHERD_ANY, "web", &found), herd, COWHERD_USAGE, "'web'");
        assert_non_null(strstr(herd->err.hint, "qemu or lxd"));
}

static void test_not_found(void **state)
{
        struct herd *herd = *state;
        uint64_t found;

        assert_fails(find(herd, COWHERD_ANY, "vm-bse", &found), herd, COWHERD_NOT_FOUND, "'vm-bse' not found");
        assert_string_equal(herd->err.hint, "");
        (void)make_on(herd, COWHERD_QEMU, "vm-base");
        assert_fails(find(herd, COWHERD_QEMU, "vm-bse", &found), herd, COWHERD_NOT_FOUND, "not found");
        assert_string_equal(herd->err.hint, "did you mean 'vm-base'?");
        assert_fails(find(herd, COWHERD_ANY, "vm-bse", &found), herd, COWHERD_NOT_FOUND, "not found");
        assert_string_equal(herd->err.hint, "did you mean 'vm-base'?");
        assert_fails(find(herd, COWHERD_LXD, "vm-bse", &found), herd, COWHERD_NOT_FOUND, "not found on lxd");
        assert_string_equal(herd->err.hint, "");
        assert_fails(find(herd, COWHERD_QEMU, "", &found), herd, COWHERD_NOT_FOUND, "not found");
        assert_fails(find(herd, COWHERD_QEMU, "' OR 1=1 --", &found), herd, COWHERD_NOT_FOUND, "not found");
}

static void test_get(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), clone = make_clone(herd, "c", base);
        struct catalogue_row row owned_row = {0}, of_removed owned_row = {0}, none = {0};

        assert_int_equal(catalogue_get(herd->catalogue, clone, &row, &herd->err), 0);
        assert_string_equal(row.base_name, "b");
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        assert_int_equal(catalogue_get(herd->catalogue, clone, &of_removed, &herd->err), 0);
        assert_null(of_removed.base_name);
        assert_int_equal(of_removed.base_id, base);
        assert_int_equal(catalogue_get(herd->catalogue, clone + 1, &none, &herd->err), 1);
        assert_int_equal(catalogue_get(herd->catalogue, UINT64_MAX, &none, &herd->err), 1);
}

/* The names of a list, each followed by a blank. */
static void check_list(struct herd *herd, enum cowherd_target target, enum catalogue_role role, const char *pattern,
                       const char *expected)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct str names owned_string = {0};

        assert_int_equal(catalogue_list(herd->catalogue, target, role, pattern, &rows, &herd->err), 0);
        for (size_t i = 0; i < rows.count; i++)
                str_addf(&names, "%s ", rows.items[i].name);
        assert_string_equal(str_text(&names), expected);
}

static void test_list(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "base");
        struct catalogue_row making = clone_row("web-making", 0);

        (void)make_on(herd, COWHERD_NSPAWN, "Web-3");
        (void)make_on(herd, COWHERD_QEMU, "web-2");
        (void)make_on(herd, COWHERD_QEMU, "WEB-1");
        (void)make_on(herd, COWHERD_QEMU, "db_1");
        (void)make_on(herd, COWHERD_LXD, "Alpha");
        (void)make_clone(herd, "zoe", base);
        assert_int_equal(reserve(herd, &making), 0);

        check_list(herd, COWHERD_QEMU, CATALOGUE_CLONE, NULL, "db_1 WEB-1 web-2 zoe ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, NULL, "db_1 WEB-1 web-2 zoe Alpha Web-3 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "web-*", "WEB-1 web-2 Web-3 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "wEb-?", "WEB-1 web-2 Web-3 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "*-2", "web-2 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "WEB-2", "web-2 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "web", "");
        check_list(herd, COWHERD_ANY, CATALOGUE_CLONE, "", "");
        check_list(herd, COWHERD_QEMU, CATALOGUE_CLONE, "db?1", "db_1 ");
        check_list(herd, COWHERD_ANY, CATALOGUE_BASE, "*", "base ");
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        check_list(herd, COWHERD_ANY, CATALOGUE_BASE, NULL, "");
}

static void test_list_appends(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        for (int i = 0; i < 40; i++) {
                owned_str char *name = x_asprintf("c-%d", i);
                (void)make_clone(herd, name, 0);
        }
        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_CLONE, NULL, &rows, &herd->err), 0);
        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_CLONE, "c-1*", &rows, &herd->err), 0);
        assert_int_equal(rows.count, 40 + 11);
}

/* What cannot be read takes back what its call appended, and only that. */
static void test_list_fails_whole(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        const uint64_t ids[] = {make_base(herd, "a"), make_base(herd, "b")};

        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_BASE, NULL, &rows, &herd->err), 0);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, ids, 2, "delete", &herd->err), 0);
        tell(herd, "UPDATE object SET role = 7 WHERE name = 'b'", true);
        assert_fails(catalogue_unfinished(herd->catalogue, &rows, &herd->err), herd, COWHERD_CONFIG, "damaged");
        assert_int_equal(rows.count, 2);
        assert_string_equal(rows.items[1].name, "b");
}

static void test_unfinished(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct catalogue_row making = base_row("making");
        uint64_t ready = make_base(herd, "ready"), going = make_clone(herd, "going", ready);

        assert_int_equal(catalogue_unfinished(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 0);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, &going, 1, "delete", &herd->err), 0);
        assert_int_equal(reserve(herd, &making), 0);
        assert_int_equal(catalogue_unfinished(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 2);
        assert_int_equal(rows.items[0].id, going);
        assert_int_equal(rows.items[0].phase, CATALOGUE_DELETING);
        assert_string_equal(rows.items[0].base_name, "ready");
        assert_int_equal(rows.items[1].id, making.id);
        assert_int_equal(rows.items[1].phase, CATALOGUE_CREATING);
}

static void test_expired(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct catalogue_row soon = clone_row("soon", 0), late = clone_row("late", 0), making = clone_row("making", 0);

        soon.expires_ms = making.expires_ms = 1000;
        late.expires_ms = 3000;
        (void)make(herd, late);
        (void)make(herd, soon);
        (void)make_clone(herd, "never", 0);
        assert_int_equal(reserve(herd, &making), 0);
        assert_int_equal(catalogue_expired(herd->catalogue, 999, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 0);
        assert_int_equal(catalogue_expired(herd->catalogue, 1000, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 1);
        assert_string_equal(rows.items[0].name, "soon");
        assert_int_equal(catalogue_expired(herd->catalogue, 9000, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 3);
        assert_string_equal(rows.items[2].name, "late");
}

static void check_count(struct herd *herd, enum cowherd_target target, uint64_t expected_bases,
                        uint64_t expected_clones)
{
        uint64_t bases = 99, clones = 99;

        assert_int_equal(catalogue_count(herd->catalogue, target, &bases, &clones, &herd->err), 0);
        assert_int_equal(bases, expected_bases);
        assert_int_equal(clones, expected_clones);
}

static void test_count(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row making = clone_row("making", 0);

        check_count(herd, COWHERD_ANY, 0, 0);
        uint64_t base = make_base(herd, "b");
        (void)make_base(herd, "b2");
        (void)make_clone(herd, "c", base);
        (void)make_on(herd, COWHERD_LXD, "l");
        assert_int_equal(reserve(herd, &making), 0);
        check_count(herd, COWHERD_QEMU, 2, 1);
        check_count(herd, COWHERD_LXD, 0, 1);
        check_count(herd, COWHERD_NSPAWN, 0, 0);
        check_count(herd, COWHERD_ANY, 2, 2);
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        check_count(herd, COWHERD_QEMU, 1, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_find, begin, end),
                cmocka_unit_test_setup_teardown(test_not_found, begin, end),
                cmocka_unit_test_setup_teardown(test_get, begin, end),
                cmocka_unit_test_setup_teardown(test_list, begin, end),
                cmocka_unit_test_setup_teardown(test_list_appends, begin, end),
                cmocka_unit_test_setup_teardown(test_list_fails_whole, begin, end),
                cmocka_unit_test_setup_teardown(test_unfinished, begin, end),
                cmocka_unit_test_setup_teardown(test_expired, begin, end),
                cmocka_unit_test_setup_teardown(test_count, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
