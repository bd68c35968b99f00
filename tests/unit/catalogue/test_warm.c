/* SPDX-License-Identifier: Apache-2.0 */
/* Clones that are kept warm: rows that nothing shows, taken by one reservation each, gone with their base. */
#include "catalogue_test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 64
#define POOL 4

static struct catalogue_row warm_row(uint64_t base_id)
{
        return clone_row(NULL, base_id);
}

static uint64_t make_warm(struct herd *herd, uint64_t base_id)
{
        return make(herd, warm_row(base_id));
}

/* Reserves a clone that may be one of them: its row's id in *row. */
static int reserve_warm(struct herd *herd, struct catalogue_row *row)
{
        row->may_be_warm = true;
        return reserve(herd, row);
}

static int begin_warm(void **state)
{
        if (begin(state) != 0)
                return -1;
        struct herd *herd = *state;
        assert_int_equal(make_base(herd, "b"), 1);
        assert_int_equal(catalogue_warm_begin(herd->catalogue, &herd->err), 0);
        assert_int_equal(catalogue_warm_begin(herd->catalogue, &herd->err), 0); /* again */
        return 0;
}

/* The named clones of a base, as it counts them, and the rows that are kept warm of it. */
static void expect_counts(struct herd *herd, uint64_t base_id, uint64_t clones, size_t kept)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        owned_str char *sql = x_asprintf("SELECT clones FROM object WHERE id = %llu", (unsigned long long)base_id);

        assert_int_equal(ask(herd, sql), (int64_t)clones);
        assert_int_equal(catalogue_warm(herd->catalogue, base_id, &rows, &herd->err), 0);
        assert_int_equal(rows.count, kept);
}

static void test_unseen(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        uint64_t bases = 0, clones = 0, id = make_warm(herd, 1);

        expect_counts(herd, 1, 0, 1);
        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_CLONE, NULL, &rows, &herd->err), 0);
        assert_int_equal(catalogue_list(herd->catalogue, COWHERD_QEMU, CATALOGUE_CLONE, "*", &rows, &herd->err), 0);
        assert_int_equal(catalogue_expired(herd->catalogue, UINT64_MAX >> 1, &rows, &herd->err), 0);
        assert_int_equal(catalogue_unfinished(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 0);
        assert_int_equal(catalogue_count(herd->catalogue, COWHERD_ANY, &bases, &clones, &herd->err), 0);
        assert_int_equal(bases, 1);
        assert_int_equal(clones, 0);
        assert_fails(catalogue_rename(herd->catalogue, id, "mine", &herd->err), herd, COWHERD_NOT_FOUND, "not found");
        assert_int_equal(catalogue_get(herd->catalogue, id, &row, &herd->err), 0);
        assert_null(row.name);
}

static void test_take(void **state)
{
        struct herd *herd = *state;
        uint64_t first = make_warm(herd, 1), second = make_warm(herd, 1);
        struct catalogue_row row = clone_row("c", 1), next = clone_row("d", 1), third = clone_row("e", 1);
        owned_str char *operation = NULL;

        assert_int_equal(reserve_warm(herd, &row), 0);
        assert_true(row.was_warm);
        assert_int_equal(row.id, first);
        assert_int_equal(phase_of(herd, first), CATALOGUE_CREATING);
        expect_counts(herd, 1, 1, 1);
        row.then = "take";
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &herd->err), 0);
        assert_int_equal(phase_of(herd, first), CATALOGUE_READY);
        assert_int_equal(catalogue_operation(herd->catalogue, first, &operation, &herd->err), 0);
        assert_string_equal(operation, "take");

        assert_int_equal(reserve_warm(herd, &next), 0);
        assert_int_equal(next.id, second);
        assert_int_equal(reserve_warm(herd, &third), 0); /* none is kept any more */
        assert_false(third.was_warm);
        assert_true(third.id > second);
        expect_counts(herd, 1, 3, 0);
}

/* A name that is taken takes nothing; of several all or none. */
static void test_taken_name(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row rows[2] = {clone_row("new", 1), clone_row("C", 1)}, taken = {0}, single = clone_row("c", 1);
        uint64_t kept = make_warm(herd, 1);

        (void)make_clone(herd, "c", 1);
        assert_int_equal(reserve_warm(herd, &single), 1);
        rows[0].may_be_warm = rows[1].may_be_warm = true;
        assert_int_equal(catalogue_reserve(herd->catalogue, rows, 2, "test", NULL, NULL, &taken, &herd->err), 1);
        catalogue_row_free(&taken);
        assert_int_equal(phase_of(herd, kept), CATALOGUE_READY);
        expect_counts(herd, 1, 1, 1);
}

static void test_several(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row rows[3] = {clone_row("n-1", 1), clone_row("n-2", 1), clone_row("n-3", 1)}, taken = {0};

        (void)make_warm(herd, 1);
        (void)make_warm(herd, 1);
        for (size_t i = 0; i < array_length(rows); i++)
                rows[i].may_be_warm = true;
        assert_int_equal(catalogue_reserve(herd->catalogue, rows, array_length(rows), "test", NULL, NULL, &taken, &herd->err), 0);
        assert_true(rows[0].was_warm && rows[1].was_warm && !rows[2].was_warm);
        rows[0].then = rows[1].then = "take";
        assert_int_equal(catalogue_settle(herd->catalogue, rows, array_length(rows), &herd->err), 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent WHERE operation = 'take'"), 2);
        expect_counts(herd, 1, 3, 0);
}

/* Those of another base, in the making or about to go, are none. */
static void test_not_taken(void **state)
{
        struct herd *herd = *state;
        uint64_t other = make_base(herd, "other"), going = make_warm(herd, 1);
        struct catalogue_row making = warm_row(1), row = clone_row("c", 1);

        (void)make_warm(herd, other);
        assert_int_equal(reserve(herd, &making), 0);
        assert_int_equal(catalogue_drop_warm(herd->catalogue, 1, 0, &herd->err), 0);
        assert_int_equal(phase_of(herd, going), CATALOGUE_DELETING);
        assert_int_equal(phase_of(herd, making.id), CATALOGUE_CREATING);
        assert_int_equal(reserve_warm(herd, &row), 0);
        assert_false(row.was_warm);
        expect_counts(herd, 1, 1, 2);
        expect_counts(herd, other, 0, 1);
}

static void test_drop(void **state)
{
        struct herd *herd = *state;
        uint64_t ids[3];

        for (size_t i = 0; i < array_length(ids); i++)
                ids[i] = make_warm(herd, 1);
        assert_int_equal(catalogue_drop_warm(herd->catalogue, 1, 1, &herd->err), 0);
        assert_int_equal(phase_of(herd, ids[0]), CATALOGUE_READY);
        assert_int_equal(phase_of(herd, ids[2]), CATALOGUE_DELETING);
        assert_int_equal(catalogue_forget(herd->catalogue, &ids[1], 2, NULL, &herd->err), 0);
        expect_counts(herd, 1, 0, 1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
}

/* Its bytes wait for what is kept of it, and one in the making finds it gone. */
static void test_removed_base(void **state)
{
        struct herd *herd = *state;
        uint64_t kept = make_warm(herd, 1);
        struct catalogue_row making = warm_row(1), late = warm_row(1);
        struct strv freed owned_by(strv_free) = {0};

        assert_int_equal(reserve(herd, &making), 0);
        assert_int_equal(catalogue_remove_base(herd->catalogue, 1, &herd->err), 1);
        assert_int_equal(phase_of(herd, kept), CATALOGUE_DELETING);
        assert_fails(catalogue_settle(herd->catalogue, &making, 1, &herd->err), herd, COWHERD_NOT_FOUND, "just been removed");
        assert_int_equal(phase_of(herd, making.id), CATALOGUE_CREATING);
        assert_int_equal(reserve(herd, &late), -1);
        assert_int_equal(catalogue_forget(herd->catalogue, &making.id, 1, &freed, &herd->err), 0);
        assert_int_equal(freed.count, 0);
        assert_int_equal(catalogue_forget(herd->catalogue, &kept, 1, &freed, &herd->err), 0);
        assert_int_equal(freed.count, 1);
        assert_int_equal(phase_of(herd, 1), CATALOGUE_DELETING);
}

/* Ten thousand clones do not make it slower: it is found by an index of its own. */
static void test_index(void **state)
{
        struct herd *herd = *state;

        (void)make_warm(herd, 1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object INDEXED BY object_warm WHERE base_id = 1 AND role = 1 AND name IS NULL AND phase = 1"), 1);
}

static void take_one(const struct herd *herd, int number, volatile uint64_t *ids)
{
        struct herd ours = *herd;
        owned_str char *name = x_asprintf("p-%d", number);
        struct catalogue_row row = clone_row(name, 1);

        ours.catalogue = open_again(herd);
        if (reserve_warm(&ours, &row) != 0 || catalogue_settle(ours.catalogue, &row, 1, &ours.err) < 0)
                _exit(1);
        ids[number] = row.was_warm ? row.id : 0;
        _exit(0);
}

static void test_race(void **state)
{
        struct herd *herd = *state;
        volatile uint64_t *ids = mmap(NULL, PROCESSES * sizeof *ids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t children[PROCESSES];
        int taken = 0;

        assert_true((void *)(uintptr_t)ids != MAP_FAILED);
        for (int i = 0; i < POOL; i++)
                (void)make_warm(herd, 1);
        for (int i = 0; i < PROCESSES; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0)
                        take_one(herd, i, ids);
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status = -1;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        for (int i = 0; i < PROCESSES; i++) {
                taken += ids[i] != 0;
                for (int j = 0; j < i; j++)
                        assert_true(ids[i] == 0 || ids[i] != ids[j]);
        }
        assert_int_equal(taken, POOL);
        expect_counts(herd, 1, PROCESSES, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_unseen, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_take, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_taken_name, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_several, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_not_taken, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_drop, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_removed_base, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_index, begin_warm, end),
                cmocka_unit_test_setup_teardown(test_race, begin_warm, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
