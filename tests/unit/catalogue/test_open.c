/* SPDX-License-Identifier: Apache-2.0 */
/* Making and opening: nothing made unasked, private to its user, one UUID for good, durable when told. */
#include "catalogue_test.h"

#include <sys/stat.h>
#include <unistd.h>

static void test_nothing_unasked(void **state)
{
        struct herd *herd = *state;
        struct catalogue *catalogue = NULL;

        assert_int_equal(catalogue_open(herd->fd, herd->folder, false, &catalogue, &herd->err), 1);
        assert_null(catalogue);
        assert_false(exists(herd, ""));
        assert_false(exists(herd, ".new"));
}

static void check_mode(const struct herd *herd, const char *suffix)
{
        owned_str char *path = path_of(herd, suffix);
        struct stat it;

        assert_int_equal(stat(path, &it), 0);
        assert_int_equal(it.st_mode & 07777, 0600);
}

static void check_modes_under(struct herd *herd, mode_t mask)
{
        mode_t before = umask(mask);

        herd->catalogue = open_again(herd);
        (void)make_base(herd, "b");
        (void)umask(before);
        check_mode(herd, "");
        check_mode(herd, "-wal");
        check_mode(herd, "-shm");
}

static void test_private(void **state)
{
        check_modes_under(*state, 0);
}

static void test_private_despite_umask(void **state)
{
        check_modes_under(*state, 0777);
}

static void test_header(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(ask(herd, "PRAGMA application_id"), CATALOGUE_APPLICATION);
        assert_int_equal(ask(herd, "PRAGMA user_version"), CATALOGUE_VERSION);
        assert_int_equal(ask(herd, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
        assert_false(exists(herd, ".new"));
}

static void test_uuid(void **state)
{
        struct herd *herd = *state;
        const char *uuid = catalogue_uuid(herd->catalogue);

        assert_int_equal(strlen(uuid), 36);
        assert_int_equal(strspn(uuid, "0123456789abcdef-"), 36);
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        for (size_t at = 8; at <= 23; at += 5)
                assert_int_equal(uuid[at], '-');

        struct catalogue *again = open_again(herd);
        assert_string_equal(catalogue_uuid(again), uuid);
        catalogue_close(again);
}

static void test_uuid_is_its_own(void **state)
{
        const struct herd *herd = *state;
        void *other_state = NULL;

        begin(&other_state);
        const struct herd *other = other_state;
        assert_string_not_equal(catalogue_uuid(herd->catalogue), catalogue_uuid(other->catalogue));
        end(&other_state);
}

/* What a killed maker leaves must neither stand in the way nor be taken for a catalogue. */
static void test_leftovers(void **state)
{
        struct herd *herd = *state;

        write_file(herd, ".new", "half a database", 15);
        write_file(herd, ".new-wal", "half a log", 10);
        write_file(herd, ".new-journal", "half a journal", 14);
        herd->catalogue = open_again(herd);
        (void)make_base(herd, "b");
        assert_false(exists(herd, ".new"));
        assert_false(exists(herd, ".new-wal"));
        assert_false(exists(herd, ".new-journal"));
}

/* SQLite would drop its locks on the first connection if we closed a descriptor of ours on the same file. */
static void test_twice_in_one_process(void **state)
{
        struct herd *herd = *state;
        struct catalogue *other = open_again(herd);
        struct catalogue_row row owned_row = {0};

        uint64_t id = make_base(herd, "b");
        assert_int_equal(catalogue_get(other, id, &row, &herd->err), 0);
        catalogue_close(other);
        (void)make_base(herd, "b2");
}

static int64_t synchronous(const struct herd *herd)
{
        sqlite3_stmt *statement = NULL;

        assert_int_equal(sqlite3_prepare_v2(herd->catalogue->db, "PRAGMA synchronous", -1, &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        int64_t answer = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
        return answer;
}

static void test_durable(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(synchronous(herd), 1); /* NORMAL */
        assert_int_equal(catalogue_set_durable(herd->catalogue, true, &herd->err), 0);
        assert_int_equal(synchronous(herd), 2); /* FULL */
        (void)make_base(herd, "b");
        assert_int_equal(catalogue_set_durable(herd->catalogue, false, &herd->err), 0);
        assert_int_equal(synchronous(herd), 1);
}

/* All that was committed is there after a close that did not carry the log over. */
static void test_log_stays(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row owned_row = {0};

        uint64_t id = make_base(herd, "b");
        catalogue_close(herd->catalogue);
        assert_true(exists(herd, "-wal"));
        herd->catalogue = open_again(herd);
        assert_int_equal(catalogue_get(herd->catalogue, id, &row, &herd->err), 0);
        assert_string_equal(row.name, "b");
        catalogue_close(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing_unasked, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_private, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_private_despite_umask, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_header, begin, end),
                cmocka_unit_test_setup_teardown(test_uuid, begin, end),
                cmocka_unit_test_setup_teardown(test_uuid_is_its_own, begin, end),
                cmocka_unit_test_setup_teardown(test_leftovers, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_twice_in_one_process, begin, end),
                cmocka_unit_test_setup_teardown(test_durable, begin, end),
                cmocka_unit_test_setup_teardown(test_log_stays, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
