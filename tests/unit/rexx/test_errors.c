/* SPDX-License-Identifier: Apache-2.0 */
/* What REXX itself objects to: told with file and line, and never with a status of success. */
#include "script.h"

#include <stdio.h>
#include <unistd.h>

static void assert_fails(const char *script, const char *message)
{
        struct ran ran = run_script(script);

        assert_int_equal(ran.status, COWHERD_DATA);
        assert_has(ran.err, message);
        assert_has_not(ran.err, "running \"");
}

static void test_does_not_parse(void **state)
{
        (void)state;
        assert_fails("say 1\nif x then do\n say 2\n", "t.rexx:3: incomplete DO/SELECT/IF (REXX error 14)\n");
        assert_fails("say 1\nsay \"abc\n", "t.rexx:2: unmatched double quote (\") (REXX error 6.3)\n");
        assert_fails("say 1\nx = foo bar)\n", "t.rexx:2: syntax error (REXX error 64.1)\n");
        assert_fails("say 1\n/* never closed\n", "(REXX error 6.1)\n");
}

static void test_nothing_runs_of_what_does_not_parse(void **state)
{
        (void)state;
        struct ran ran = run_script("address qemu 'delete name=x'\nx = )\n");
        assert_string_equal(ran.out, "");
        assert_commands("");
        assert_string_equal(ran.err, "t.rexx:2: syntax error (REXX error 64.1)\n");
}

static void test_error_stream_is_put_back(void **state)
{
        (void)state;
        (void)run_script("x = )\n");
        struct ran ran = run_script("address system 'echo heard >&2'\nx = 1/0");
        assert_has(ran.err, "heard\n");
        assert_has(ran.err, "t.rexx:2: arithmetic overflow; divisor must not be zero (REXX error 42.3)\n");
        assert_int_equal(ran.status, COWHERD_DATA);
}

static void test_stops_while_it_runs(void **state)
{
        (void)state;
        assert_fails("say 1\nx=1+\"a\"\nexit 5", "t.rexx:2: bad arithmetic conversion (REXX error 41");
        assert_fails("call sub\nexit\nsub: say nofunc(3); return",
                     "t.rexx:3: could not find routine \"NOFUNC\" (REXX error 43.1)\n");
        assert_fails("signal nowhere", "t.rexx:1: ");
        assert_fails("interpret 'x = )'", "t.rexx:1: ");
}

static void test_trapped_error_is_the_scripts_own(void **state)
{
        (void)state;
        struct ran ran = run_script("signal on syntax\nx = 1/0\nexit 0\nsyntax: say 'trapped' rc; exit 3");
        assert_string_equal(ran.out, "trapped 42\n");
        assert_string_equal(ran.err, "");
        assert_int_equal(ran.status, 3);
}

static void test_hints_for_other_languages(void **state)
{
        (void)state;
        assert_fails("say 1\n// a comment (x\n", "a comment is written /* … */");
        assert_fails("say 1\nif x = 1 { \nsay 2 }\n", "blocks are DO … END");
        assert_fails("x = [1, 2]\n", "lists are stems");
}

static void test_names_with_quotes(void **state)
{
        (void)state;
        struct cowherd_rexx_options options = {.file = "PROG"};
        struct ran ran = run_with(options, "x = )\n", 6);
        assert_string_equal(ran.err, "PROG:1: syntax error (REXX error 64.1)\n");
        options.file = "./t.rexx";
        ran = run_with(options, "x = 1/0\n", 8);
        assert_has(ran.err, "./t.rexx:1: arithmetic overflow");
}

static int status_of(const char *script)
{
        return run_script(script).status;
}

static void test_exit_status(void **state)
{
        (void)state;
        assert_int_equal(status_of("exit"), 0);
        assert_int_equal(status_of("return"), 0);
        assert_int_equal(status_of("say 1"), 0);
        assert_int_equal(status_of("exit ''"), 0);
        assert_int_equal(status_of("exit 7"), 7);
        assert_int_equal(status_of("return 7"), 7);
        assert_int_equal(status_of("exit ' 7 '"), 7);
        assert_int_equal(status_of("exit 7.0"), 7);
        assert_int_equal(status_of("exit 1e2"), 100);
        assert_int_equal(status_of("exit 255"), 255);
}

static void test_exit_status_is_never_cut_to_success(void **state)
{
        (void)state;
        assert_int_equal(status_of("exit 256"), 255);
        assert_int_equal(status_of("exit 65536"), 255);
        assert_int_equal(status_of("exit -1"), 255);
        assert_int_equal(status_of("exit '1e99999'"), 255);
}

static void test_exit_with_a_text(void **state)
{
        (void)state;
        struct ran ran = run_script("exit 'no base'");
        assert_int_equal(ran.status, COWHERD_USAGE);
        assert_has(ran.err, "t.rexx: the script ended with 'no base', which is no exit status");
        assert_int_equal(status_of("exit 1.5"), COWHERD_USAGE);
        assert_int_equal(status_of("exit rc"), COWHERD_USAGE);
        assert_int_equal(status_of("exit '0x10'"), COWHERD_USAGE);
        assert_int_equal(status_of("exit '00'x"), COWHERD_USAGE);
        assert_int_equal(status_of("exit 'nan'"), COWHERD_USAGE);
}

static void test_herd_that_cannot_be_opened(void **state)
{
        (void)state;
        fake.refuse = COWHERD_DENIED;
        struct ran ran = run_script("say 'never'");
        assert_int_equal(ran.status, COWHERD_DENIED);
        assert_string_equal(ran.out, "");
        assert_string_equal(ran.err, "cowherd: the root folder '/nowhere' cannot be used\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_does_not_parse),
                rexx_test(test_nothing_runs_of_what_does_not_parse),
                rexx_test(test_error_stream_is_put_back),
                rexx_test(test_stops_while_it_runs),
                rexx_test(test_trapped_error_is_the_scripts_own),
                rexx_test(test_hints_for_other_languages),
                rexx_test(test_names_with_quotes),
                rexx_test(test_exit_status),
                rexx_test(test_exit_status_is_never_cut_to_success),
                rexx_test(test_exit_with_a_text),
                rexx_test(test_herd_that_cannot_be_opened),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
