/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts, as far as no root is needed: what is mounted where, and every refusal. */
#include "sys/mount.h"
#include "sys_test.h"

static void test_is_mounted(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *file = scratch_path(scratch, "file"), *absent = scratch_path(scratch, "absent");

        scratch_write(scratch, "file", "");
        assert_true(mount_is_mounted("/proc"));
        assert_true(mount_is_mounted("/"));
        assert_false(mount_is_mounted("/proc/self"));
        assert_false(mount_is_mounted(scratch->path) || mount_is_mounted(file) || mount_is_mounted(absent));
}

static void test_query(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *type = NULL, *source = NULL;
        char *untouched = NULL;
        struct cowherd_error err;

        assert_done(mount_query("/proc/", &type, &source, &err), &err);
        assert_string_equal(type, "proc");
        assert_non_null(source);
        assert_done(mount_query("/proc", NULL, NULL, &err), &err);
        assert_int_equal(mount_query(scratch->path, &untouched, &untouched, &err), 1);
        assert_int_equal(mount_query("/no/such/folder", &untouched, NULL, &err), 1);
        assert_null(untouched);
}

static void test_find_under(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *point = NULL, *root = NULL;
        char *none = NULL;
        struct cowherd_error err;

        assert_done(mount_find_under("/proc", &point, &err), &err);
        assert_string_equal(point, "/proc");
        assert_done(mount_find_under("/", &root, &err), &err);
        assert_int_equal(mount_find_under(scratch->path, &none, &err), 1);
        assert_int_equal(mount_find_under("/proc/self", &none, &err), 1);
        assert_failed(mount_find_under("/no/such/folder", &none, &err), &err, COWHERD_NOT_FOUND, "/no/such/folder");
        assert_null(none);
}

static void test_unmount(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *absent = scratch_path(scratch, "absent");
        struct cowherd_error err;

        assert_done(mount_unmount(scratch->path, &err), &err);
        assert_done(mount_unmount(absent, &err), &err);
}

static void test_loop(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *file = scratch_path(scratch, "file"), *absent = scratch_path(scratch, "absent");
        char *device = NULL;
        struct cowherd_error err;

        scratch_write(scratch, "file", "no filesystem");
        assert_int_equal(mount_find_loop(file, &device, &err), 1);
        assert_null(device);
        assert_failed(mount_find_loop(absent, &device, &err), &err, COWHERD_NOT_FOUND, "absent");
        assert_failed(mount_loop(absent, scratch->path, "ext4", NULL, &err), &err, COWHERD_NOT_FOUND, "absent");
        /* Refused for want of rights, or because there is no filesystem in it; no device stays bound. */
        assert_int_equal(mount_loop(file, scratch->path, "ext4", "noatime", &err), -1);
        assert_int_equal(mount_find_loop(file, &device, &err), 1);
        assert_false(mount_is_mounted(scratch->path));
}

static void test_overlay(void **state)
{
        const struct scratch *scratch = *state;
        owned_mem char *lowers = x_calloc(1, 5000);
        struct cowherd_error err;

        memset(lowers, 'x', 4999);
        assert_failed(mount_overlay(lowers, NULL, NULL, scratch->path, &err), &err, COWHERD_UNAVAILABLE, "5008 bytes");
        assert_int_equal(mount_overlay("/no/such/folder", "/no/upper", "/no/work", scratch->path, &err), -1);
        assert_contains(err.text, scratch->path);
        assert_false(mount_is_mounted(scratch->path));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_is_mounted), scratch_test(test_query), scratch_test(test_find_under),
                scratch_test(test_unmount),    scratch_test(test_loop),  scratch_test(test_overlay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
