/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting, removing bases in use, forgetting, renaming; and that the kept counts of clones agree with the rows
 * throughout. */
#include "catalogue_test.h"

static int forget(struct herd *herd, uint64_t id, struct strv *freed)
{
        return catalogue_forget(herd->catalogue, &id, 1, freed, &herd->err);
}

static int mark(struct herd *herd, uint64_t id)
{
        return catalogue_mark_deleting(herd->catalogue, &id, 1, "delete", &herd->err);
}

static void check_freed(const struct strv *freed, size_t count, uint64_t id)
{
        assert_int_equal(freed->count, count);
        if (count == 0)
                return;
        owned_str char *text = x_asprintf("%llu", (unsigned long long)id);
        assert_string_equal(freed->items[count - 1], text);
}

static void test_delete(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), id = make_clone(herd, "c", base);
        struct strv freed owned_strv = {0};

        assert_int_equal(mark(herd, id), 0);
        assert_int_equal(phase_of(herd, id), CATALOGUE_DELETING);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent WHERE operation = 'delete'"), 1);
        assert_int_equal(mark(herd, id), 1);
        assert_int_equal(clones_of(herd, base), 1); /* until its bytes are gone */

        assert_int_equal(forget(herd, id, &freed), 0);
        assert_int_equal(phase_of(herd, id), -1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
        assert_int_equal(clones_of(herd, base), 0);
        check_freed(&freed, 0, 0);
        assert_int_equal(mark(herd, id), 1);
        assert_int_equal(forget(herd, id, NULL), 0); /* somebody else was faster */
        (void)make_clone(herd, "c", base);
}

static void test_mark_all_or_none(void **state)
{
        struct herd *herd = *state;
        uint64_t ids[] = {make_base(herd, "a"), make_base(herd, "b"), 0};

        assert_int_equal(catalogue_mark_deleting(herd->catalogue, ids, 3, "delete", &herd->err), 1);
        assert_int_equal(phase_of(herd, ids[0]), CATALOGUE_READY);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, ids, 2, "delete", &herd->err), 0);
        assert_int_equal(phase_of(herd, ids[1]), CATALOGUE_DELETING);
}

static void test_in_use(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), clone = make_clone(herd, "c", base), both[] = {base, clone};

        assert_fails(mark(herd, base), herd, COWHERD_BUSY, "in use");
        assert_int_equal(phase_of(herd, base), CATALOGUE_READY);
        assert_int_equal(forget(herd, base, NULL), -1); /* what others stand on is never forgotten */
        assert_int_equal(phase_of(herd, base), CATALOGUE_READY);

        assert_int_equal(catalogue_mark_deleting(herd->catalogue, both, 2, "delete", &herd->err), 0);
        assert_int_equal(catalogue_forget(herd->catalogue, both, 2, NULL, &herd->err), 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);
}

static void test_remove_unused_base(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b");

        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 0);
        assert_int_equal(phase_of(herd, base), CATALOGUE_DELETING);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent WHERE operation = 'remove_base'"), 1);
        assert_fails(catalogue_remove_base(herd->catalogue, base, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        assert_int_equal(forget(herd, base, NULL), 0);
}

static void test_remove_used_base(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), one = make_clone(herd, "c-1", base), two = make_clone(herd, "c-2", base);
        struct catalogue_row row owned_row = {0};
        struct strv freed owned_strv = {0};

        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        assert_int_equal(catalogue_get(herd->catalogue, base, &row, &herd->err), 0);
        assert_null(row.name);
        assert_int_equal(row.phase, CATALOGUE_READY);
        assert_fails(catalogue_remove_base(herd->catalogue, base, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        uint64_t namesake = make_base(herd, "b"); /* the name is free at once */

        assert_int_equal(mark(herd, one), 0);
        assert_int_equal(forget(herd, one, &freed), 0);
        check_freed(&freed, 0, 0);
        assert_int_equal(mark(herd, two), 0);
        assert_int_equal(forget(herd, two, &freed), 0);
        check_freed(&freed, 1, base);
        assert_int_equal(phase_of(herd, base), CATALOGUE_DELETING);
        assert_int_equal(phase_of(herd, namesake), CATALOGUE_READY);
        assert_int_equal(forget(herd, base, &freed), 0);
        check_freed(&freed, 1, base);
}

/* A promoted base stands on another: each is freed by the last that stood on it. */
static void test_chain(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row promoted = base_row("upper");
        struct strv freed owned_strv = {0};

        uint64_t lower = make_base(herd, "lower");
        promoted.base_id = lower;
        uint64_t upper = make(herd, promoted), clone = make_clone(herd, "c", upper);
        assert_int_equal(catalogue_remove_base(herd->catalogue, lower, &herd->err), 1);
        assert_int_equal(catalogue_remove_base(herd->catalogue, upper, &herd->err), 1);
        assert_int_equal(forget(herd, clone, &freed), 0);
        check_freed(&freed, 1, upper);
        assert_int_equal(phase_of(herd, lower), CATALOGUE_READY);
        assert_int_equal(forget(herd, upper, &freed), 0);
        check_freed(&freed, 2, lower);
}

static void test_remove_only_bases(void **state)
{
        struct herd *herd = *state;
        uint64_t clone = make_clone(herd, "c", 0);
        struct catalogue_row making = base_row("b");

        assert_fails(catalogue_remove_base(herd->catalogue, clone, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        assert_int_equal(reserve(herd, &making), 0);
        assert_fails(catalogue_remove_base(herd->catalogue, making.id, &herd->err), herd, COWHERD_NOT_FOUND,
                     "not found");
        assert_int_equal(phase_of(herd, clone), CATALOGUE_READY);
}

/* What is undone while in the making frees its name, and a base that was removed meanwhile. */
static void test_forget_in_the_making(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b");
        struct catalogue_row rows[] = {clone_row("c-1", base), clone_row("c-2", base)}, taken owned_row = {0};
        struct strv freed owned_strv = {0};

        assert_int_equal(catalogue_reserve(herd->catalogue, rows, 2, "clone", NULL, NULL, &taken, &herd->err), 0);
        assert_int_equal(clones_of(herd, base), 2);
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        const uint64_t ids[] = {rows[0].id, rows[1].id};
        assert_int_equal(catalogue_forget(herd->catalogue, ids, 2, &freed, &herd->err), 0);
        check_freed(&freed, 1, base);
        assert_int_equal(clones_of(herd, base), 0);
}

static void test_rename(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), id = make_clone(herd, "c", base);
        struct catalogue_row row owned_row = {0}, making = clone_row("making", base);

        assert_int_equal(catalogue_rename(herd->catalogue, id, "C", &herd->err), 0); /* its own name, in another case */
        assert_int_equal(catalogue_get(herd->catalogue, id, &row, &herd->err), 0);
        assert_string_equal(row.name, "C");
        assert_fails(catalogue_rename(herd->catalogue, id, "B", &herd->err), herd, COWHERD_EXISTS, "already exists");
        assert_int_equal(reserve(herd, &making), 0);
        assert_fails(catalogue_rename(herd->catalogue, id, "Making", &herd->err), herd, COWHERD_EXISTS,
                     "already exists");
        assert_fails(catalogue_rename(herd->catalogue, making.id, "x", &herd->err), herd, COWHERD_BUSY, "'making'");
        assert_fails(catalogue_rename(herd->catalogue, 999, "x", &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        assert_fails(catalogue_rename(herd->catalogue, base, "x", &herd->err), herd, COWHERD_NOT_FOUND, "not found");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_delete, begin, end),
                cmocka_unit_test_setup_teardown(test_mark_all_or_none, begin, end),
                cmocka_unit_test_setup_teardown(test_in_use, begin, end),
                cmocka_unit_test_setup_teardown(test_remove_unused_base, begin, end),
                cmocka_unit_test_setup_teardown(test_remove_used_base, begin, end),
                cmocka_unit_test_setup_teardown(test_chain, begin, end),
                cmocka_unit_test_setup_teardown(test_remove_only_bases, begin, end),
                cmocka_unit_test_setup_teardown(test_forget_in_the_making, begin, end),
                cmocka_unit_test_setup_teardown(test_rename, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
