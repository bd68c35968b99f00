/* SPDX-License-Identifier: Apache-2.0 */
/* What killed makers, removers and renamers leave: swept, or found again. */
#include "catalogue_test.h"

#include <fcntl.h>
#include <unistd.h>

static bool sweep(struct herd *herd)
{
        bool found = false;

        assert_int_equal(catalogue_sweep(herd->fd, herd->folder, &found, &herd->err), 0);
        return found;
}

static void test_nothing_to_sweep(void **state)
{
        struct herd *herd = *state;

        assert_false(sweep(herd));
        herd->catalogue = open_again(herd);
        assert_false(sweep(herd));
        assert_true(exists(herd, ""));
        assert_true(exists(herd, "-wal"));
}

static void test_half_a_new_one(void **state)
{
        struct herd *herd = *state;

        write_file(herd, ".new", "half", 4);
        write_file(herd, ".new-journal", "half", 4);
        assert_true(sweep(herd));
        assert_false(exists(herd, ".new"));
        assert_false(exists(herd, ".new-journal"));
        assert_false(exists(herd, ""));
        assert_false(sweep(herd));
}

/* One that somebody is making at this moment is left alone. */
static void test_one_in_the_making(void **state)
{
        struct herd *herd = *state;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

        write_file(herd, ".new", "half", 4);
        owned_str char *path = path_of(herd, ".new");
        owned_fd int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_false(sweep(herd));
        assert_true(exists(herd, ".new"));
}

/* SQLite would carry the log of a catalogue that is gone over into the next one. */
static void test_log_of_one_that_is_gone(void **state)
{
        struct herd *herd = *state;
        owned_str char *path = path_of(herd, "");

        (void)make_base(herd, "old");
        catalogue_close(herd->catalogue);
        herd->catalogue = NULL;
        assert_true(exists(herd, "-wal"));
        assert_int_equal(unlink(path), 0);
        herd->catalogue = open_again(herd);
        assert_int_equal(ask(herd, "SELECT count(*) FROM object"), 0);

        catalogue_close(herd->catalogue);
        herd->catalogue = NULL;
        assert_int_equal(unlink(path), 0);
        assert_true(sweep(herd));
        assert_false(exists(herd, "-wal"));
        assert_false(exists(herd, "-shm"));
}

/* A rename that an engine has to hear of shows among what is unfinished, READY as its row is. */
static void test_rename_in_two_places(void **state)
{
        struct herd *herd = *state;
        struct catalogue_rows rows owned_rows = {0}, none owned_rows = {0};
        uint64_t id = make_base(herd, "b");

        assert_int_equal(catalogue_begin(herd->catalogue, id, "rename", &herd->err), 0);
        assert_int_equal(catalogue_rename(herd->catalogue, id, "c", &herd->err), 0);
        assert_int_equal(catalogue_unfinished(herd->catalogue, &rows, &herd->err), 0);
        assert_int_equal(rows.count, 1);
        assert_int_equal(rows.items[0].phase, CATALOGUE_READY);
        assert_string_equal(rows.items[0].name, "c");
        assert_int_equal(catalogue_end(herd->catalogue, id, &herd->err), 0);
        assert_int_equal(catalogue_unfinished(herd->catalogue, &none, &herd->err), 0);
        assert_int_equal(none.count, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing_to_sweep, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_half_a_new_one, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_one_in_the_making, begin_empty, end),
                cmocka_unit_test_setup_teardown(test_log_of_one_that_is_gone, begin, end),
                cmocka_unit_test_setup_teardown(test_rename_in_two_places, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
