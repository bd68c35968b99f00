/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts as files: how they may begin and end, where they stand, and what they are given. */
#include "script.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_runs_as_empty(const char *text)
{
        struct ran ran = run_script(text);

        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.out, "");
        assert_string_equal(ran.err, "");
}

static void test_no_clause(void **state)
{
        static const char *const empty[] = {
                "",
                "\n",
                "\r\n \t\r\n",
                "/* nothing */",
                "/* a /* nested */ b */\n",
                "#!/usr/bin/env cowherd",
                "#!/usr/bin/env cowherd\n",
                "#!/usr/bin/env cowherd\r\n/* only this */\n",
                ";",
                " ; ;\n",
                "\xef\xbb\xbf",
                "\xef\xbb\xbf/* x */",
                "/**/",
                "/***/",
                "/*/**/*/",
                "\x1a",
                "-- a remark",
                "-- a remark\n-- another\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
                assert_runs_as_empty(empty[i]);
}

static void test_comments_are_told_from_clauses(void **state)
{
        (void)state;
        assert_says("/* x */ say 1 /* y */", "1\n");
        assert_says("-- a remark\nsay 1", "1\n");
}

static void test_line_ends_and_marks(void **state)
{
        (void)state;
        assert_says("\xef\xbb\xbfsay 'a'\r\nsay 'b'\r\nif 1 then do\r\n say 'c'\r\nend\r\n", "a\nb\nc\n");
        assert_says("#!/usr/bin/env cowherd\nsay 'a'", "a\n");
        assert_says("\xef\xbb\xbf#!/usr/bin/env cowherd\r\nsay 'a'\r\n", "a\n");
}

static void test_shebang_counts_as_a_line(void **state)
{
        (void)state;
        struct ran ran = run_script("#!/usr/bin/env cowherd\nx = 1/0");
        assert_has(ran.err, "t.rexx:2: ");
}

static void test_not_there(void **state)
{
        (void)state;
        struct ran ran = run_with((struct cowherd_rexx_options){.file = "absent.rexx"}, NULL, 0);
        assert_int_equal(ran.status, COWHERD_NOT_FOUND);
        assert_string_equal(ran.err, "cowherd: cannot run 'absent.rexx': file not found\n");
        ran = run_with((struct cowherd_rexx_options){.file = "/"}, NULL, 0);
        assert_int_equal(ran.status, COWHERD_NOT_FOUND);
        assert_has(ran.err, "it is a folder");
        ran = run_with((struct cowherd_rexx_options){.file = ""}, NULL, 0);
        assert_int_equal(ran.status, COWHERD_USAGE);
        assert_int_equal(fake.opened, 0);
}

static void test_no_text(void **state)
{
        (void)state;
        struct ran ran = run_with((struct cowherd_rexx_options){0}, "say 1\0say 2", 11);
        assert_int_equal(ran.status, COWHERD_DATA);
        assert_has(ran.err, "NUL byte");
}

static void test_too_long(void **state)
{
        (void)state;
        size_t length = (16 << 20) + 1;
        char *text = malloc(length);
        memset(text, '\n', length);
        struct ran ran = run_with((struct cowherd_rexx_options){0}, text, length);
        free(text);
        assert_int_equal(ran.status, COWHERD_DATA);
        assert_has(ran.err, "16 MiB");
}

static struct ran run_arguments(const char *script, int argc, const char *const *argv)
{
        return run_with((struct cowherd_rexx_options){.argc = argc, .argv = argv}, script, strlen(script));
}

static void test_arguments(void **state)
{
        (void)state;
        struct ran ran = run_arguments("parse arg all\nsay arg() '['all']'\nparse arg a b", 3,
                                       (const char *const[]){"one", "two three", "F\xc3\xbcr"});
        assert_string_equal(ran.out, "1 [one two three F\xc3\xbcr]\n");
        ran = run_arguments("say arg() arg(1,'E')", 0, NULL);
        assert_string_equal(ran.out, "0 0\n");
        ran = run_arguments("say arg() '['arg(1)']'", 1, (const char *const[]){""});
        assert_string_equal(ran.out, "1 []\n");
}

static void test_argument_that_regina_reserves(void **state)
{
        (void)state;
        struct ran ran = run_arguments("say 'ran' strip(arg(1))", 1, (const char *const[]){"//T"});
        assert_string_equal(ran.out, "ran //T\n");
}

static void test_source_names_the_file(void **state)
{
        (void)state;
        assert_says("parse source . how file\nsay how file address()", "COMMAND t.rexx COWHERD\n");
}

static void test_folder_of_the_script(void **state)
{
        char here[512], expected[520];

        (void)state;
        assert_non_null(getcwd(here, sizeof here));
        (void)run_script("say 1");
        assert_string_equal(fake.script_folder, here);
        assert_null(fake.root);
        assert_int_equal(mkdir("sub", 0700), 0);
        (void)run_with((struct cowherd_rexx_options){.file = "sub/t.rexx"}, "say 1", 5);
        (void)snprintf(expected, sizeof expected, "%s/sub", here);
        assert_string_equal(fake.script_folder, expected);
        assert_int_equal(symlink("sub/t.rexx", "link.rexx"), 0); /* where the file is, not the link */
        (void)run_with((struct cowherd_rexx_options){.file = "link.rexx"}, NULL, 0);
        assert_string_equal(fake.script_folder, expected);
}

static void test_sourceline_and_labels(void **state)
{
        (void)state;
        assert_says("/* first */\nsay sourceline() sourceline(1)\nexit\nlast:", "4 /* first */\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_no_clause),
                rexx_test(test_comments_are_told_from_clauses),
                rexx_test(test_line_ends_and_marks),
                rexx_test(test_shebang_counts_as_a_line),
                rexx_test(test_not_there),
                rexx_test(test_no_text),
                rexx_test(test_too_long),
                rexx_test(test_arguments),
                rexx_test(test_argument_that_regina_reserves),
                rexx_test(test_source_names_the_file),
                rexx_test(test_folder_of_the_script),
                rexx_test(test_sourceline_and_labels),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
