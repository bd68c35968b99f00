/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: labels of their own for each clone, what stands on what, and how they go, with their clone or after it. */
#include "catalogue_test.h"

static struct catalogue_row snapshot_row(const char *label, uint64_t clone, uint64_t base)
{
        struct catalogue_row row = clone_row(NULL, base);

        row.role = CATALOGUE_SNAPSHOT;
        row.of_id = clone;
        row.label = (char *)(uintptr_t)label;
        return row;
}

static uint64_t snap(struct herd *herd, const char *label, uint64_t clone, uint64_t base)
{
        return make(herd, snapshot_row(label, clone, base));
}

/* A snapshot of a store that stacks: the clone goes on upon it. */
static uint64_t stack(struct herd *herd, const char *label, struct catalogue_row *clone)
{
        struct catalogue_row rows[2] = {snapshot_row(label, clone->id, clone->base_id)}, taken owned_row = {0};

        assert_int_equal(catalogue_reserve(herd->catalogue, rows, 1, "snapshot", NULL, NULL, &taken, &herd->err), 0);
        if (clone->of_id == 0)
                clone->of_id = clone->base_id;
        clone->base_id = rows[0].id;
        rows[1] = *clone;
        assert_int_equal(catalogue_settle(herd->catalogue, rows, 2, &herd->err), 0);
        return rows[0].id;
}

static struct catalogue_row clone_of(struct herd *herd, const char *name, uint64_t base)
{
        struct catalogue_row row = clone_row(name, base);

        row.id = make(herd, row);
        return row;
}

static void check_label(struct herd *herd, uint64_t id, const char *label)
{
        struct catalogue_row row owned_row = {0};

        assert_int_equal(catalogue_get(herd->catalogue, id, &row, &herd->err), 0);
        if (label == NULL)
                assert_null(row.label);
        else
                assert_string_equal(row.label, label);
}

static void test_labels(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), c = make_clone(herd, "c", base), d = make_clone(herd, "d", base);
        struct catalogue_row again = snapshot_row("Clean", c, base), row owned_row = {0}, clone owned_row = {0};

        uint64_t id = snap(herd, "clean", c, base);
        (void)snap(herd, "clean", d, base);
        (void)snap(herd, NULL, c, base);
        (void)snap(herd, NULL, c, base);
        assert_fails(reserve(herd, &again), herd, COWHERD_EXISTS, "snapshot 'Clean' already exists");
        assert_int_equal(catalogue_get(herd->catalogue, c, &clone, &herd->err), 0);
        assert_int_equal(catalogue_find_snapshot(herd->catalogue, &clone, "CLEAN", &row, &herd->err), 0);
        assert_int_equal(row.id, id);
        assert_string_equal(row.base_name, "c");
        assert_int_equal(clones_of(herd, base), 6);
}

static void test_not_found(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), c = make_clone(herd, "c", base);
        struct catalogue_row row owned_row = {0}, clone owned_row = {0}, making = snapshot_row("half", c, base);

        assert_int_equal(catalogue_get(herd->catalogue, c, &clone, &herd->err), 0);
        assert_fails(catalogue_find_snapshot(herd->catalogue, &clone, "clean", &row, &herd->err), herd, COWHERD_NOT_FOUND,
                     "snapshot 'clean' of 'c' not found");
        assert_non_null(strstr(herd->err.hint, "no snapshots"));
        (void)snap(herd, "clean", c, base);
        assert_fails(catalogue_find_snapshot(herd->catalogue, &clone, "claen", &row, &herd->err), herd, COWHERD_NOT_FOUND,
                     "did you mean 'clean'?");
        assert_int_equal(reserve(herd, &making), 0);
        assert_fails(catalogue_find_snapshot(herd->catalogue, &clone, "half", &row, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
}

static void test_list(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row c = clone_of(herd, "c", make_base(herd, "b"));
        struct catalogue_rows rows owned_rows = {0};
        uint64_t bases = 0, clones = 0;

        uint64_t one = stack(herd, "z", &c), two = stack(herd, "a", &c);
        assert_int_equal(catalogue_snapshots(herd->catalogue, c.id, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 2);
        assert_int_equal(rows.items[0].id, one);
        assert_int_equal(rows.items[1].id, two);
        assert_int_equal(catalogue_count(herd->catalogue, COWHERD_QEMU, &bases, &clones, &herd->err), 0);
        assert_int_equal(clones, 1);
        catalogue_rows_free(&rows);
        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_QEMU, CATALOGUE_CLONE, NULL, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 1);
        assert_string_equal(rows.items[0].base_name, "b");
        assert_int_equal(rows.items[0].base_id, two);
}

/* A clone of a removed base can be stacked all the same; a new clone can't stand there. */
static void test_on_a_removed_base(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b");
        struct catalogue_row c = clone_of(herd, "c", base), late = clone_row("late", base);

        assert_int_equal(catalogue_remove_base(herd->catalogue, base, &herd->err), 1);
        (void)stack(herd, "s", &c);
        assert_int_equal(clones_of(herd, base), 1);
        assert_fails(reserve(herd, &late), herd, COWHERD_NOT_FOUND, "not found");
}

static void test_remove(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row c = clone_of(herd, "c", make_base(herd, "b"));

        uint64_t alone = snap(herd, "alone", c.id, c.base_id), used = stack(herd, "used", &c);
        assert_int_equal(catalogue_remove_snapshot(herd->catalogue, alone, &herd->err), 0);
        assert_int_equal(phase_of(herd, alone), CATALOGUE_DELETING);
        assert_int_equal(catalogue_remove_snapshot(herd->catalogue, used, &herd->err), 1);
        assert_int_equal(phase_of(herd, used), CATALOGUE_READY);
        check_label(herd, used, NULL);
        assert_fails(catalogue_remove_snapshot(herd->catalogue, used, &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        (void)stack(herd, "used", &c); /* the label is free again */

        /* The clone moves off: what waited for that goes. */
        struct catalogue_row moved = c;
        moved.base_id = 0;
        assert_int_equal(catalogue_settle(herd->catalogue, &moved, 1, &herd->err), 0);
        assert_int_equal(phase_of(herd, used), CATALOGUE_READY); /* the other one stands on it */
}

static int forget(struct herd *herd, uint64_t id, struct strv *freed)
{
        return catalogue_forget(herd->catalogue, &id, 1, freed, &herd->err);
}

/* A chain goes with its clone, the newest first. */
static void test_deleted_with_the_clone(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row c = clone_of(herd, "c", make_base(herd, "b"));
        struct strv freed owned_strv = {0};

        uint64_t one = stack(herd, "one", &c), two = stack(herd, "two", &c), nameless = stack(herd, NULL, &c);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, &c.id, 1, "delete", &herd->err), 0);
        assert_int_equal(phase_of(herd, one), CATALOGUE_DELETING);
        assert_int_equal(phase_of(herd, nameless), CATALOGUE_DELETING);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent WHERE operation = 'delete'"), 4);
        assert_int_equal(forget(herd, c.id, &freed), 0);
        assert_int_equal(freed.count, 3);
        assert_int_equal(strtoull(freed.items[0], NULL, 10), nameless);
        assert_int_equal(strtoull(freed.items[1], NULL, 10), two);
        assert_int_equal(strtoull(freed.items[2], NULL, 10), one);
}

/* What others stand on waits for them, with all that it stands on itself. */
static void test_outlives_the_clone(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row c = clone_of(herd, "c", make_base(herd, "b")), d = clone_row("d", 0);
        struct strv freed owned_strv = {0};

        uint64_t one = stack(herd, "one", &c), two = stack(herd, NULL, &c), three = stack(herd, "three", &c);
        d.base_id = two;
        d.of_id = c.id;
        d.id = make(herd, d);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, &c.id, 1, "delete", &herd->err), 0);
        assert_int_equal(phase_of(herd, three), CATALOGUE_DELETING);
        assert_int_equal(phase_of(herd, two), CATALOGUE_READY);
        assert_int_equal(phase_of(herd, one), CATALOGUE_READY);
        check_label(herd, one, NULL);
        assert_int_equal(forget(herd, c.id, &freed), 0);
        assert_int_equal(freed.count, 1);
        assert_int_equal(forget(herd, three, &freed), 0);
        assert_int_equal(freed.count, 1);
        assert_int_equal(catalogue_mark_deleting(herd->catalogue, &d.id, 1, "delete", &herd->err), 0);
        assert_int_equal(forget(herd, d.id, &freed), 0);
        assert_int_equal(freed.count, 2);
        assert_int_equal(strtoull(freed.items[1], NULL, 10), two);
        assert_int_equal(forget(herd, two, &freed), 0);
        assert_int_equal(freed.count, 3);
        assert_int_equal(strtoull(freed.items[2], NULL, 10), one);
}

static void test_nameless(void **state)
{
        struct herd *herd = *state;
        uint64_t base = make_base(herd, "b"), c = make_clone(herd, "c", base);
        struct catalogue_rows rows owned_rows = {0};
        struct catalogue_row d = clone_row("d", 0);

        uint64_t used = snap(herd, NULL, c, base), unused = snap(herd, NULL, c, base);
        d.base_id = used;
        d.of_id = c;
        (void)make(herd, d);
        (void)snap(herd, "kept", c, base);
        assert_int_equal(catalogue_nameless(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 1);
        assert_int_equal(rows.items[0].id, unused);
        assert_int_equal(catalogue_free_nameless(herd->catalogue, used, &herd->err), 1);
        assert_int_equal(catalogue_free_nameless(herd->catalogue, unused, &herd->err), 0);
        assert_int_equal(phase_of(herd, unused), CATALOGUE_DELETING);
        assert_int_equal(catalogue_free_nameless(herd->catalogue, unused, &herd->err), 1);
}

static void test_operation(void **state)
{
        struct herd *herd = *state;
        uint64_t c = make_clone(herd, "c", 0);
        owned_str char *operation = NULL;

        assert_int_equal(catalogue_operation(herd->catalogue, c, &operation, &herd->err), 1);
        assert_int_equal(catalogue_begin(herd->catalogue, c, "restore 7", &herd->err), 0);
        assert_int_equal(catalogue_operation(herd->catalogue, c, &operation, &herd->err), 0);
        assert_string_equal(operation, "restore 7");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_labels, begin, end),
                cmocka_unit_test_setup_teardown(test_not_found, begin, end),
                cmocka_unit_test_setup_teardown(test_list, begin, end),
                cmocka_unit_test_setup_teardown(test_on_a_removed_base, begin, end),
                cmocka_unit_test_setup_teardown(test_remove, begin, end),
                cmocka_unit_test_setup_teardown(test_deleted_with_the_clone, begin, end),
                cmocka_unit_test_setup_teardown(test_outlives_the_clone, begin, end),
                cmocka_unit_test_setup_teardown(test_nameless, begin, end),
                cmocka_unit_test_setup_teardown(test_operation, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
