/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: one line whatever is in it, cut where it is too long, and the code that fits errno. */
#include "base/error.h"
#include "base_test.h"

#include <errno.h>

#undef fail /* cmocka has a macro of the name */

static void test_fail(void **state)
{
        struct cowherd_error err = {.os_errno = 5, .hint = "old"};

        (void)state;
        assert_int_equal(fail(&err, COWHERD_EXISTS, "clone '%s' already exists", "vm-1"), -1);
        assert_int_equal(err.code, COWHERD_EXISTS);
        assert_int_equal(err.os_errno, 0);
        assert_string_equal(err.text, "clone 'vm-1' already exists");
        assert_string_equal(err.hint, "");
}

static void test_one_line(void **state)
{
        struct cowherd_error err;

        (void)state;
        (void)fail(&err, COWHERD_DATA, "'%s' is bad", "a\nb\tc\x7f\x1b[31m");
        assert_string_equal(err.text, "'a?b?c??[31m' is bad");
        (void)fail_hint(&err, "try\n'%s'", "ä");
        assert_string_equal(err.hint, "try?'ä'");
        assert_string_equal(err.text, "'a?b?c??[31m' is bad");
}

static void test_too_long(void **state)
{
        char text[3000];
        struct cowherd_error err;

        (void)state;
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        (void)fail(&err, COWHERD_DATA, "%s", text);
        assert_int_equal(strlen(err.text), COWHERD_ERROR_TEXT_BYTES - 1);
        errno = EIO;
        (void)fail_errno(&err, "%s", text);
        assert_int_equal(strlen(err.text), COWHERD_ERROR_TEXT_BYTES - 1);
        (void)fail_while(&err, "reading");
        assert_int_equal(strlen(err.text), COWHERD_ERROR_TEXT_BYTES - 1);
        assert_memory_equal(err.text, "reading: xxx", 12);
        (void)fail_hint(&err, "%s", text);
        assert_int_equal(strlen(err.hint), COWHERD_ERROR_HINT_BYTES - 1);
}

static void test_context(void **state)
{
        struct cowherd_error err;

        (void)state;
        (void)fail(&err, COWHERD_BUSY, "it is in use");
        (void)fail_hint(&err, "stop it first");
        assert_int_equal(fail_while(&err, "removing '%s'", "vm-1"), -1);
        assert_int_equal(fail_while(&err, "removing '%s'", "vm-1"), -1); /* which is said once */
        assert_string_equal(err.text, "removing 'vm-1': it is in use");
        assert_string_equal(err.hint, "stop it first");
        assert_int_equal(err.code, COWHERD_BUSY);
}

/* An argument may be the old text of the very same error. */
static void test_from_itself(void **state)
{
        struct cowherd_error err;

        (void)state;
        (void)fail(&err, COWHERD_BUSY, "inner");
        (void)fail(&err, COWHERD_DATA, "outer of '%s'", err.text);
        assert_string_equal(err.text, "outer of 'inner'");
}

static void test_errno(void **state)
{
        static const struct {
                int os_errno;
                enum cowherd_code code;
        } cases[] = {
                {ENOSPC, COWHERD_IO},        {EDQUOT, COWHERD_IO},     {EIO, COWHERD_IO},
                {EROFS, COWHERD_IO},         {EACCES, COWHERD_DENIED}, {EPERM, COWHERD_DENIED},
                {EBUSY, COWHERD_BUSY},       {EAGAIN, COWHERD_BUSY},   {ETXTBSY, COWHERD_BUSY},
                {ENOENT, COWHERD_NOT_FOUND}, {EEXIST, COWHERD_EXISTS}, {EINVAL, COWHERD_SYSTEM},
                {EMFILE, COWHERD_SYSTEM},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct cowherd_error err;
                errno = cases[i].os_errno;
                assert_int_equal(fail_errno(&err, "cannot open '%s'", "f"), -1);
                assert_int_equal(err.code, (int)cases[i].code);
                assert_int_equal(err.os_errno, cases[i].os_errno);
                assert_memory_equal(err.text, "cannot open 'f': ", 17);
                assert_string_equal(err.text + 17, strerror(cases[i].os_errno));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fail),    cmocka_unit_test(test_one_line),    cmocka_unit_test(test_too_long),
                cmocka_unit_test(test_context), cmocka_unit_test(test_from_itself), cmocka_unit_test(test_errno),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
