/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a comparison: made, left, found by a sweep, and gone without a trace; and what /proc tells of processes. */
#include "compare/session.h"

#include "sys/file.h"

#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/cowherd-compare-test.XXXXXX";

static int begin(void **state)
{
        (void)state;
        return mkdtemp(folder) == NULL ? -1 : 0;
}

static int finish(void **state)
{
        struct cowherd_error err;

        (void)state;
        return file_remove_tree(AT_FDCWD, folder, &err);
}

static bool is_there(const char *name)
{
        owned_str char *path = x_asprintf("%s/%s", folder, name);

        return access(path, F_OK) == 0;
}

static void expect_of_sweep(bool only_look, size_t removed, size_t busy)
{
        owned_str char *root = x_asprintf("%s/herd", folder);
        owned_fd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct cowherd_error err = {0};
        size_t got_removed = 0, got_busy = 0;

        assert_true(fd >= 0);
        assert_int_equal(compare_sweep(fd, root, only_look, &got_removed, &got_busy, &err), 0);
        assert_int_equal(got_removed, removed);
        assert_int_equal(got_busy, busy);
}

/* What a look tells, and that it changes nothing; then the sweep itself. */
static void sweep(size_t removed, size_t busy)
{
        expect_of_sweep(true, removed, busy);
        expect_of_sweep(true, removed, busy);
        expect_of_sweep(false, removed, busy);
}

static void test_it_leaves_no_trace(void **state)
{
        owned_str char *root = x_asprintf("%s/herd", folder);
        struct site site owned_by(site_free) = SITE_NONE;
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(site_make(root, &site, &err), 0);
        assert_int_equal(access(site.raw, F_OK), 0);
        assert_int_equal(site_remove(&site, &err), 0);
        assert_false(is_there("herd")); /* which it had made itself */
}

static void test_what_was_there_stays(void **state)
{
        owned_str char *root = x_asprintf("%s/herd", folder), *tmp = x_asprintf("%s/tmp", root);
        struct site site owned_by(site_free) = SITE_NONE;
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(file_make_folders(AT_FDCWD, tmp, 0700, &err), 0);
        assert_int_equal(site_make(root, &site, &err), 0);
        assert_int_equal(site_remove(&site, &err), 0);
        assert_true(is_there("herd/tmp"));
        assert_int_equal(rmdir(tmp), 0); /* and is empty */
        assert_int_equal(rmdir(root), 0);
}

static void test_a_sweep_takes_what_nobody_holds(void **state)
{
        owned_str char *root = x_asprintf("%s/herd", folder), *other = x_asprintf("%s/tmp/17", root), *alike = x_asprintf("%s/tmp/compare-mine", root);
        struct site site owned_by(site_free) = SITE_NONE;
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(file_make_folders(AT_FDCWD, root, 0700, &err), 0);
        sweep(0, 0); /* without a tmp */
        assert_int_equal(site_make(root, &site, &err), 0);
        assert_int_equal(file_make_folders(AT_FDCWD, other, 0700, &err), 0);
        assert_int_equal(file_make_folders(AT_FDCWD, alike, 0700, &err), 0);
        sweep(0, 1);
        assert_int_equal(access(site.folder, F_OK), 0);
        site_free(&site); /* as if it was killed */
        sweep(1, 0);
        sweep(0, 0);
        owned_str char *lock = x_asprintf("%s/tmp/compare-0123456789ab.lock", root);
        int left = open(lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* a lock and nothing else */
        assert_true(left >= 0);
        (void)close(left);
        sweep(1, 0);
        assert_int_not_equal(access(lock, F_OK), 0);
        assert_int_equal(access(other, F_OK), 0); /* not a comparison's */
        assert_int_equal(access(alike, F_OK), 0);
        assert_int_equal(file_remove_tree(AT_FDCWD, root, &err), 0);
}

static void test_names(void **state)
{
        (void)state;
        assert_true(compare_is_mark("compare-0123456789ab") && compare_is_mark("compare-0123456789ab.lock"));
        assert_false(compare_is_mark("compare-0123456789a") || compare_is_mark("compare-0123456789abc") || compare_is_mark("compare-0123456789ab.x") ||
                     compare_is_mark("compare-0123456789aB") || compare_is_mark("17"));
}

/* A teardown may take ROOT/tmp away until there is a lock in it. */
static void test_its_folder_is_kept_by_its_lock(void **state)
{
        owned_str char *root = x_asprintf("%s/herd", folder), *tmp = x_asprintf("%s/tmp", root);
        struct site site owned_by(site_free) = SITE_NONE;
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(site_make(root, &site, &err), 0);
        assert_int_equal(file_remove_tree(AT_FDCWD, site.folder, &err), 0);
        assert_int_equal(rmdir(tmp), -1);
        assert_int_equal(site_remove(&site, &err), 0);
        assert_int_equal(file_remove_tree(AT_FDCWD, root, &err), 0);
}

static void test_processes(void **state)
{
        char ours[64], theirs[64];
        pid_t child = fork();

        (void)state;
        if (child == 0) {
                (void)execlp("sleep", "sleep", "31.4159265", (char *)NULL);
                _exit(127);
        }
        pid_t found = 0;
        while (found == 0 && waitpid(child, NULL, WNOHANG) == 0) /* until it has become sleep */
                found = process_with_word("31.4159265");
        assert_int_equal(found, child);
        assert_true(process_namespace(child, "pid", theirs, sizeof theirs));
        assert_true(process_namespace(getpid(), "pid", ours, sizeof ours));
        assert_string_equal(ours, theirs);
        owned_str char *name = process_status_line(child, "Name"), *none = process_status_line(child, "Nam");
        assert_string_equal(name, "sleep");
        assert_null(none);
        assert_true(process_memory(child) > 0);
        assert_true(process_memory_of_all(ours) > process_memory(child));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(process_with_word("31.4159265"), 0);
        assert_true(process_memory(child) <= 0);
        assert_false(process_namespace(child, "pid", theirs, sizeof theirs));
        process_end_below("compare-there-is-none"); /* ends nobody */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_leaves_no_trace),
                cmocka_unit_test(test_what_was_there_stays),
                cmocka_unit_test(test_a_sweep_takes_what_nobody_holds),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_its_folder_is_kept_by_its_lock),
                cmocka_unit_test(test_processes),
        };

        return cmocka_run_group_tests_name("compare place", tests, begin, finish);
}
