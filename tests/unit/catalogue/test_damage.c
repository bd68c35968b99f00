/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not ours, newer, damaged, forbidden, full or locked: the right code, a hint, and not a byte changed.
 */
#include "catalogue_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check_refused(struct herd *herd, const char *part)
{
        struct catalogue *catalogue = NULL;
        owned_str char *path = path_of(herd, "");

        assert_fails(catalogue_open(herd->fd, herd->folder, true, &catalogue, &herd->err), herd, COWHERD_CONFIG, part);
        assert_null(catalogue);
        assert_non_null(strstr(herd->err.text, path));
        assert_string_not_equal(herd->err.hint, "");
}

static void check_refused_unharmed(struct herd *herd, const char *part)
{
        size_t before_length, after_length;
        owned_str char *before = bytes_of(herd, "", &before_length);

        check_refused(herd, part);
        owned_str char *after = bytes_of(herd, "", &after_length);
        assert_int_equal(before_length, after_length);
        assert_memory_equal(before, after, before_length);
}

static void close_all(struct herd *herd)
{
        catalogue_close(herd->catalogue);
        herd->catalogue = NULL;
}

static void test_newer(void **state)
{
        struct herd *herd = *state;

        close_all(herd);
        tell(herd, "PRAGMA user_version = 9; CREATE TABLE more (x)", false);
        assert_false(exists(herd, "-wal"));
        check_refused_unharmed(herd, "newer");
        assert_false(exists(herd, "-wal"));
}

/* The header still tells the old version: the new one stands in the log. */
static void test_newer_in_the_log(void **state)
{
        struct herd *herd = *state;
        size_t before_length, after_length;

        close_all(herd);
        tell(herd, "PRAGMA user_version = 9; CREATE TABLE more (x)", true);
        owned_str char *before = bytes_of(herd, "-wal", &before_length);
        check_refused_unharmed(herd, "version 9");
        owned_str char *after = bytes_of(herd, "-wal", &after_length);
        assert_int_equal(before_length, after_length);
        assert_memory_equal(before, after, before_length);
}

static void test_no_database(void **state)
{
        struct herd *herd = *state;
        char text[200];

        memset(text, 'x', sizeof text);
        write_file(herd, "", text, sizeof text);
        check_refused_unharmed(herd, "is not a catalogue");
        write_file(herd, "", text, 20);
        check_refused_unharmed(herd, "is not a catalogue");
        write_file(herd, "", "", 0);
        check_refused(herd, "is not a catalogue");
}

static void test_another_program(void **state)
{
        struct herd *herd = *state;

        tell(herd, "PRAGMA user_version = 1; CREATE TABLE theirs (x)", false);
        check_refused_unharmed(herd, "another program");
}

static void test_no_version(void **state)
{
        struct herd *herd = *state;

        close_all(herd);
        tell(herd, "PRAGMA user_version = 0", false);
        check_refused_unharmed(herd, "no version");
}

static void test_no_uuid(void **state)
{
        struct herd *herd = *state;

        close_all(herd);
        tell(herd, "DELETE FROM setting", false);
        check_refused(herd, "no UUID");
}

static void test_folder_in_its_place(void **state)
{
        struct herd *herd = *state;
        owned_str char *path = path_of(herd, "");

        assert_int_equal(mkdir(path, 0700), 0);
        check_refused(herd, "no regular file");
}

static void test_missing_table(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = base_row("b");

        close_all(herd);
        tell(herd, "DROP TABLE intent", false);
        herd->catalogue = open_again(herd);
        assert_fails(reserve(herd, &row), herd, COWHERD_CONFIG, "is damaged");
        assert_string_not_equal(herd->err.hint, "");
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);
}

static void test_cut(void **state)
{
        struct herd *herd = *state;
        owned_str char *path = path_of(herd, "");

        close_all(herd);
        tell(herd, "PRAGMA user_version = 1", false);
        assert_int_equal(truncate(path, 4096), 0);
        check_refused_unharmed(herd, "is damaged");
}

static void test_overwritten(void **state)
{
        struct herd *herd = *state;
        size_t length;

        close_all(herd);
        tell(herd, "PRAGMA user_version = 1", false);
        owned_str char *bytes = bytes_of(herd, "", &length);
        memset(bytes + 100, 0xa5, length - 100);
        write_file(herd, "", bytes, length);
        check_refused_unharmed(herd, "is damaged");
}

/* A row with a target that leads past the tables of whoever reads it. */
static void test_impossible_row(void **state)
{
        struct herd *herd = *state;
        struct catalogue_row row = {0};

        uint64_t id = make_base(herd, "b");
        tell(herd, "UPDATE object SET target = 77", true);
        assert_fails(catalogue_get(herd->catalogue, id, &row, &herd->err), herd, COWHERD_CONFIG,
                     "cannot be understood");
}

/* Runs a test in a child that may not write here; it answers with its exit status, 0 for good. */
static void check_in_child(struct herd *herd, int (*check)(struct herd *herd))
{
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0)
                _exit(check(herd));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static int open_as_nobody(struct herd *herd)
{
        struct catalogue *catalogue = NULL;

        if (geteuid() == 0 && seteuid(65534) < 0)
                return 1;
        if (catalogue_open(herd->fd, herd->folder, true, &catalogue, &herd->err) != -1)
                return 2;
        return herd->err.code == COWHERD_DENIED && strstr(herd->err.text, herd->folder) != NULL ? 0 : 3;
}

static void test_denied(void **state)
{
        struct herd *herd = *state;
        owned_str char *path = path_of(herd, "");

        close_all(herd);
        assert_int_equal(chmod(herd->folder, 0755), 0);
        assert_int_equal(chmod(path, 0400), 0); /* SQLite would open it for reading, silently */
        check_in_child(herd, open_as_nobody);
        assert_int_equal(chmod(path, 0444), 0);
        check_in_child(herd, open_as_nobody);
}

static void test_denied_to_make(void **state)
{
        struct herd *herd = *state;

        assert_int_equal(chmod(herd->folder, 0555), 0);
        check_in_child(herd, open_as_nobody);
        assert_int_equal(chmod(herd->folder, 0755), 0);
        assert_false(exists(herd, ""));
}

static int make_beyond_limit(struct herd *herd)
{
        const struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
        struct catalogue *catalogue = NULL;

        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
                return 1;
        if (catalogue_open(herd->fd, herd->folder, true, &catalogue, &herd->err) != -1)
                return 2;
        return herd->err.code == COWHERD_IO ? 0 : 3;
}

static void test_no_room_to_make(void **state)
{
        struct herd *herd = *state;

        check_in_child(herd, make_beyond_limit);
        assert_false(exists(herd, ""));
        assert_false(exists(herd, ".new"));
        herd->catalogue = open_again(herd);
}

static void set_page_limit(const struct herd *herd, int64_t pages)
{
        owned_str char *text = x_asprintf("PRAGMA max_page_count = %lld", (long long)pages);

        assert_int_equal(sqlite3_exec(herd->catalogue->db, text, NULL, NULL, NULL), SQLITE_OK);
}

static void test_full(void **state)
{
        struct herd *herd = *state;
        char *text = x_malloc(200000);
        struct catalogue_row row = base_row("b");

        memset(text, 'x', 199999);
        text[199999] = '\0';
        row.image = text;
        set_page_limit(herd, ask(herd, "PRAGMA page_count"));
        assert_fails(reserve(herd, &row), herd, COWHERD_IO, "full");
        assert_string_not_equal(herd->err.hint, "");
        assert_int_equal(row.id, 0);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);
        set_page_limit(herd, 100000);
        assert_int_equal(reserve(herd, &row), 0); /* no transaction was left open */
        free(text);
}

static void test_locked_too_long(void **state)
{
        struct herd *herd = *state;
        struct catalogue *other = open_again(herd);
        struct catalogue_row row = base_row("b");

        assert_int_equal(transaction_begin(other, &herd->err), 0);
        herd->catalogue->wait_ms = 30;
        assert_fails(reserve(herd, &row), herd, COWHERD_BUSY, "locked");
        assert_fails(catalogue_rename(herd->catalogue, 1, "x", &herd->err), herd, COWHERD_BUSY, "locked");
        assert_int_equal(transaction_end(other, 0, &herd->err), 0);
        assert_int_equal(reserve(herd, &row), 0);
        catalogue_close(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_newer, begin, end),
                cmocka_unit_test_setup_teardown(test_newer_in_the_log, begin, end),
                cmocka_unit_test_setup_teardown(test_no_database, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_another_program, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_no_version, begin, end),
                cmocka_unit_test_setup_teardown(test_no_uuid, begin, end),
                cmocka_unit_test_setup_teardown(test_folder_in_its_place, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_missing_table, begin, end),
                cmocka_unit_test_setup_teardown(test_cut, begin, end),
                cmocka_unit_test_setup_teardown(test_overwritten, begin, end),
                cmocka_unit_test_setup_teardown(test_impossible_row, begin, end),
                cmocka_unit_test_setup_teardown(test_denied, begin, end),
                cmocka_unit_test_setup_teardown(test_denied_to_make, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_no_room_to_make, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_full, begin, end),
                cmocka_unit_test_setup_teardown(test_locked_too_long, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
