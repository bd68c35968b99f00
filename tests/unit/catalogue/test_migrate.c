/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogues of version 1: brought up whole, with all they hold, by one process or by many, and killed at any moment. */
#include "catalogue_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What version 1 was, taken out of what is now. */
#define BACK_TO_1                                                                                                      \
        "DROP INDEX object_label; ALTER TABLE object DROP COLUMN of_id; ALTER TABLE object DROP COLUMN label;"         \
        "PRAGMA user_version = 1"

/* A catalogue of version 1 with a base and its clone; nobody has it open. */
static void make_old(struct herd *herd, bool keep_log)
{
        uint64_t base = make_base(herd, "b");

        (void)make_clone(herd, "c", base);
        catalogue_close(herd->catalogue);
        herd->catalogue = NULL;
        tell(herd, BACK_TO_1, keep_log);
        assert_int_equal(ask(herd, "PRAGMA user_version"), 1);
}

static void check_new(struct herd *herd)
{
        struct catalogue_row base owned_row = {0}, clone owned_row = {0};

        herd->catalogue = open_again(herd);
        assert_int_equal(ask(herd, "PRAGMA user_version"), CATALOGUE_VERSION);
        assert_int_equal(catalogue_find(herd->catalogue, COWHERD_QEMU, "b", &base, &herd->err), 0);
        assert_int_equal(catalogue_find(herd->catalogue, COWHERD_QEMU, "c", &clone, &herd->err), 0);
        assert_int_equal(clones_of(herd, base.id), 1);
        assert_string_equal(clone.base_name, "b");
        assert_int_equal(clone.of_id, 0);
        assert_null(clone.label);
        uint64_t next = make_clone(herd, "next", base.id);
        assert_int_equal(next, clone.id + 1);
        assert_int_equal(ask(herd, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

static void test_brought_up(void **state)
{
        make_old(*state, false);
        check_new(*state);
}

static void test_brought_up_from_the_log(void **state)
{
        make_old(*state, true);
        check_new(*state);
}

/* A made one and one that was brought up are the same to SQLite. */
static void test_same_schema(void **state)
{
        struct herd *herd = *state;
        sqlite3_stmt *statement = NULL;

        assert_int_equal(sqlite3_prepare_v2(herd->catalogue->db,
                                            "SELECT group_concat(name || type || ifnull(dflt_value, '')) FROM pragma_table_info('object')",
                                            -1, &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        owned_str char *question = x_asprintf("SELECT group_concat(name || type || ifnull(dflt_value, '')) = '%s' FROM pragma_table_info('object')",
                                              (const char *)sqlite3_column_text(statement, 0));
        (void)sqlite3_finalize(statement);
        make_old(herd, false);
        herd->catalogue = open_again(herd);
        assert_int_equal(ask(herd, question), 1);
        assert_int_equal(ask(herd, "SELECT sql LIKE '%(of_id, label) WHERE role = 2' FROM sqlite_schema WHERE name = 'object_label'"), 1);
}

static void open_and_leave(const struct herd *herd)
{
        struct catalogue *catalogue = NULL;
        struct cowherd_error err = {0};

        _exit(catalogue_open(herd->fd, herd->folder, false, &catalogue, &err) == 0 ? 0 : 1);
}

static void test_by_many(void **state)
{
        struct herd *herd = *state;
        pid_t children[8];

        make_old(herd, false);
        for (size_t i = 0; i < array_length(children); i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0)
                        open_and_leave(herd);
        }
        for (size_t i = 0; i < array_length(children); i++) {
                int status = 0;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        check_new(herd);
}

/* SQLite counts the steps of its machine: kills at every hundredth of them, until one opening gets through. */
static int kill_here(void *context)
{
        (void)context;
        return raise(SIGKILL);
}

static void be_killed_after(const struct herd *herd, int steps)
{
        struct catalogue catalogue = {.path = path_of(herd, ""), .wait_ms = 1000};
        struct cowherd_error err = {0};

        if (sqlite3_open(catalogue.path, &catalogue.db) != SQLITE_OK)
                _exit(1);
        sqlite3_progress_handler(catalogue.db, steps, kill_here, NULL);
        _exit(migrate(&catalogue, &err) == 0 ? 0 : 1);
}

static void test_killed(void **state)
{
        struct herd *herd = *state;
        int status = -1, kills = 0;

        make_old(herd, false);
        for (int steps = 1; status != 0; steps += 1 + steps / 16) {
                pid_t child = fork();
                assert_true(child >= 0);
                if (child == 0)
                        be_killed_after(herd, steps);
                assert_int_equal(waitpid(child, &status, 0), child);
                kills += status != 0;
                if (status == 0)
                        break;
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                assert_int_equal(ask(herd, "PRAGMA user_version"), 1);
                assert_int_equal(ask(herd, "SELECT count(*) FROM pragma_table_info('object') WHERE name IN ('of_id', 'label')"), 0);
        }
        assert_true(kills > 10);
        check_new(herd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_brought_up, begin, end),
                cmocka_unit_test_setup_teardown(test_brought_up_from_the_log, begin, end),
                cmocka_unit_test_setup_teardown(test_same_schema, begin, end),
                cmocka_unit_test_setup_teardown(test_by_many, begin, end),
                cmocka_unit_test_setup_teardown(test_killed, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
