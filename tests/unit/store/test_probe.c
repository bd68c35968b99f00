/* SPDX-License-Identifier: Apache-2.0 */
/* What probes make for a moment: locked while in use, and swept where its maker was killed. */
#include "place.h"

#include "store/folder.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folder(int at, const char *name)
{
        return mkdirat(at, name, 0700);
}

static size_t sweep(struct ground *ground)
{
        struct cowherd_error err;
        size_t count = 99;

        assert_int_equal(folder_sweep_probes(&ground->place, &count, &err), 0);
        return count;
}

static void one_in_use_is_left(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        char name[FOLDER_PROBE_BYTES];
        owned_fd int fd = -1;

        assert_int_equal(folder_probe_begin(&ground->place, make_folder, name, &fd, &err), 0);
        assert_true(ground_has(ground, name));
        assert_int_equal(sweep(ground), 0);
        assert_true(ground_has(ground, name));
        close_at(&fd);
        fd = -1;
        assert_int_equal(sweep(ground), 1);
        assert_false(ground_has(ground, name));
}

static void what_was_left_goes_with_all_in_it(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;

        assert_int_equal(file_make_folders(ground->place.fd, ".probe-1/upper/deep", 0700, &err), 0);
        assert_int_equal(file_make_folders(ground->place.fd, ".probe-2", 0700, &err), 0);
        assert_int_equal(file_make_folders(ground->place.fd, "kept", 0700, &err), 0);
        assert_int_equal(sweep(ground), 2);
        assert_int_equal(sweep(ground), 0);
        assert_true(ground_has(ground, "kept"));
}

/* As a sweep that comes between the making and the locking. */
static int swept_at_once;
static int make_and_lose(int at, const char *name)
{
        if (mkdirat(at, name, 0700) < 0)
                return -1;
        return swept_at_once++ < 2 ? unlinkat(at, name, AT_REMOVEDIR) : 0;
}

static void one_that_is_swept_too_early_is_made_again(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        char name[FOLDER_PROBE_BYTES];
        owned_fd int fd = -1;

        swept_at_once = 0;
        assert_int_equal(folder_probe_begin(&ground->place, make_and_lose, name, &fd, &err), 0);
        assert_int_equal(swept_at_once, 3);
        assert_true(ground_has(ground, name));
}

static int make_nothing(int at, const char *name)
{
        (void)at;
        (void)name;
        errno = EROFS;
        return -1;
}

static void what_cannot_be_made_is_told(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        char name[FOLDER_PROBE_BYTES];
        int fd = -1;

        assert_int_equal(folder_probe_begin(&ground->place, make_nothing, name, &fd, &err), -1);
        assert_int_equal(err.os_errno, EROFS);
        assert_int_equal(fd, -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_in_use_is_left, ground_make, ground_remove),
                cmocka_unit_test_setup_teardown(what_was_left_goes_with_all_in_it, ground_make, ground_remove),
                cmocka_unit_test_setup_teardown(one_that_is_swept_too_early_is_made_again, ground_make, ground_remove),
                cmocka_unit_test_setup_teardown(what_cannot_be_made_is_told, ground_make, ground_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
