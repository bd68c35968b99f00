/* SPDX-License-Identifier: Apache-2.0 */
/* Many processes at once, and processes killed: one catalogue, one winner, nothing lost, nothing left half-made. */
#include "catalogue_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 64
#define WORKERS 8
#define WORK 40

/* What children tell their parent; they begin together when `go` is set. */
struct shared {
        volatile int go;
        char uuids[PROCESSES][40];
        uint64_t ids[PROCESSES];
        uint64_t taken[PROCESSES];
};

static struct shared *share(void)
{
        struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        assert_true(shared != MAP_FAILED);
        return shared;
}

static void pause_ms(long ms)
{
        const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&time, NULL);
}

/* What a process does; its exit status. */
typedef int work_fn(const struct herd *herd, struct shared *shared, int number);

/* Runs `work` in as many processes at once; each must end with 0. */
static void run_in_processes(const struct herd *herd, struct shared *shared, int count, work_fn *work)
{
        pid_t children[PROCESSES];

        for (int i = 0; i < count; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0) {
                        while (!shared->go)
                                pause_ms(1);
                        _exit(work(herd, shared, i));
                }
        }
        shared->go = 1;
        for (int i = 0; i < count; i++) {
                int status = -1;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
}

static int open_first(const struct herd *herd, struct shared *shared, int number)
{
        struct catalogue *catalogue = NULL;
        struct cowherd_error err = {0};

        if (catalogue_open(herd->fd, herd->folder, true, &catalogue, &err) != 0) {
                print_error("%s\n", err.text);
                return 1;
        }
        (void)strncpy(shared->uuids[number], catalogue_uuid(catalogue), sizeof shared->uuids[number] - 1);
        catalogue_audit(catalogue, COWHERD_SELF, "open", NULL, 0, NULL);
        return 0;
}

static void test_creation_race(void **state)
{
        struct herd *herd = *state;
        struct shared *shared = share();

        run_in_processes(herd, shared, PROCESSES, open_first);
        for (int i = 0; i < PROCESSES; i++)
                assert_string_equal(shared->uuids[i], shared->uuids[0]);
        assert_false(exists(herd, ".new"));
        assert_int_equal(ask(herd, "SELECT count(*) FROM audit"), PROCESSES);
        assert_int_equal(munmap(shared, sizeof *shared), 0);
}

static int reserve_same(const struct herd *herd, struct shared *shared, int number)
{
        struct catalogue *catalogue = open_again(herd);
        struct catalogue_row row = clone_row(number % 2 == 0 ? "same" : "SAME", 0), taken = {0};
        struct cowherd_error err = {0};

        int got = catalogue_reserve(catalogue, &row, 1, "clone", NULL, NULL, &taken, &err);
        if (got < 0)
                print_error("%s\n", err.text);
        shared->ids[number] = row.id;
        shared->taken[number] = taken.id;
        return got < 0 || (got == 1) != (taken.id != 0) ? 1 : 0;
}

static void test_one_name(void **state)
{
        struct herd *herd = *state;
        struct shared *shared = share();
        uint64_t winner = 0;
        int winners = 0;

        run_in_processes(herd, shared, PROCESSES, reserve_same);
        for (int i = 0; i < PROCESSES; i++) {
                if (shared->ids[i] != 0) {
                        winner = shared->ids[i];
                        winners++;
                }
        }
        assert_int_equal(winners, 1);
        for (int i = 0; i < PROCESSES; i++)
                if (shared->ids[i] == 0)
                        assert_int_equal(shared->taken[i], winner);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 1);
        assert_int_equal(munmap(shared, sizeof *shared), 0);
}

/* Makes clones and deletes every other one. */
static int make_many(const struct herd *herd, struct shared *shared, int number)
{
        struct herd ours = *herd;

        (void)shared;
        ours.catalogue = open_again(herd);
        for (int i = 0; i < WORK; i++) {
                owned_str char *name = x_asprintf("c-%d-%d", number, i);
                uint64_t id = make_clone(&ours, name, 1);
                if (i % 2 == 0)
                        continue;
                if (catalogue_mark_deleting(ours.catalogue, &id, 1, "delete", &ours.err) != 0 ||
                    catalogue_forget(ours.catalogue, &id, 1, NULL, &ours.err) != 0)
                        return 1;
        }
        return 0;
}

static void test_many_writers(void **state)
{
        struct herd *herd = *state;
        struct shared *shared = share();

        assert_int_equal(make_base(herd, "b"), 1);
        run_in_processes(herd, shared, WORKERS, make_many);
        assert_int_equal(clones_of(herd, 1), WORKERS * WORK / 2);
        assert_int_equal(ask(herd, "SELECT seq FROM sqlite_sequence WHERE name = 'object'"), WORKERS * WORK + 1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent"), 0);
        assert_int_equal(ask(herd, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
        assert_int_equal(munmap(shared, sizeof *shared), 0);
}

/* Runs `work` in a child that ends by a kill. */
static void run_killed(const struct herd *herd, work_fn *work)
{
        pid_t child = fork();
        int status = 0;

        assert_true(child >= 0);
        if (child == 0)
                _exit(work(herd, NULL, 0));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
}

static int reserve_and_die(const struct herd *herd, struct shared *shared, int number)
{
        struct herd ours = *herd;
        struct catalogue_row row = clone_row("half", 1);

        (void)shared;
        ours.catalogue = open_again(herd);
        if (reserve(&ours, &row) != 0)
                return 1;
        (void)raise(SIGKILL);
        return number;
}

static void test_killed_between(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        assert_int_equal(make_base(herd, "b"), 1);
        run_killed(herd, reserve_and_die);
        assert_int_equal(catalogue_unfinished(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 1);
        assert_string_equal(rows.items[0].name, "half");
        assert_int_equal(rows.items[0].phase, CATALOGUE_CREATING);
        assert_int_equal(ask(herd, "SELECT count(*) FROM intent WHERE operation = 'test' AND object_id = 2"), 1);
        assert_int_equal(clones_of(herd, 1), 1);

        /* Whoever settles it takes it away again. */
        assert_int_equal(catalogue_forget(herd->catalogue, &rows.items[0].id, 1, NULL, &herd->err), 0);
        assert_int_equal(clones_of(herd, 1), 0);
        (void)make_clone(herd, "half", 1);
}

static int die_in_callback(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        (void)context;
        (void)row;
        (void)raise(SIGKILL);
        return fail(err, COWHERD_INTERNAL, "still alive");
}

static int die_within_transaction(const struct herd *herd, struct shared *shared, int number)
{
        struct catalogue *catalogue = open_again(herd);
        struct catalogue_row row = clone_row("half", 1), taken = {0};
        struct cowherd_error err = {0};

        (void)shared;
        (void)number;
        return catalogue_reserve(catalogue, &row, 1, "clone", die_in_callback, NULL, &taken, &err);
}

/* Before the commit there is nothing, and no lock stays behind. */
static void test_killed_within(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(make_base(herd, "b"), 1);
        run_killed(herd, die_within_transaction);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 1);
        assert_int_equal(clones_of(herd, 1), 0);
        assert_int_equal(make_clone(herd, "half", 1), 2);
}

/* The same with nobody else there: whoever opens next finds a log without its index. */
static void test_killed_alone(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(make_base(herd, "b"), 1);
        catalogue_close(herd->catalogue);
        run_killed(herd, die_within_transaction);
        run_killed(herd, reserve_and_die);
        herd->catalogue = open_again(herd);
        assert_int_equal(phase_of(herd, 2), CATALOGUE_CREATING);
        assert_int_equal(clones_of(herd, 1), 1);
}

static int hold_lock(const struct herd *herd, struct shared *shared, int number)
{
        struct catalogue *catalogue = open_again(herd);
        struct cowherd_error err = {0};

        if (transaction_begin(catalogue, &err) < 0)
                return 1;
        shared->ids[number] = 1;
        pause_ms(300);
        return transaction_end(catalogue, 0, &err) == 0 ? 0 : 1;
}

/* A writer waits for another for as long as it takes, within its minute. */
static void test_waits(void **state)
{
        struct herd *herd = *state;
        struct shared *shared = share();
        pid_t child = fork();
        int status = -1;

        assert_true(child >= 0);
        if (child == 0)
                _exit(hold_lock(herd, shared, 0));
        while (*(volatile uint64_t *)&shared->ids[0] == 0)
                pause_ms(1);
        (void)make_base(herd, "b");
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(munmap(shared, sizeof *shared), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_creation_race, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_one_name, begin, end),
                cmocka_unit_test_setup_teardown(test_many_writers, begin, end),
                cmocka_unit_test_setup_teardown(test_killed_between, begin, end),
                cmocka_unit_test_setup_teardown(test_killed_within, begin, end),
                cmocka_unit_test_setup_teardown(test_killed_alone, begin, end),
                cmocka_unit_test_setup_teardown(test_waits, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
