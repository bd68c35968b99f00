/* SPDX-License-Identifier: Apache-2.0 */
/* Which environment a command goes to, what RC it leaves, and what is traced of it. */
#include "script.h"

static const char not_found[] = "success=0\noperation=delete\nerror=vm 'x' not found\ncode=66\n";

static void test_environments(void **state)
{
        (void)state;
        assert_says("'doctor'; address qemu; 'list'; address lxd; 'list a=1'; address NSPAWN 'status'; address value "
                    "'qEmU'; 'info'",
                    "");
        assert_commands("cowherd doctor\nqemu list\nlxd list a=1\nnspawn status\nqemu info");
        assert_int_equal(fake.opened, 1);
        assert_int_equal(fake.closed, 1);
}

static void test_shell_form_to_cowherd(void **state)
{
        (void)state;
        assert_says("' QEMU  list name=x'; 'lxdx list'; address lxd; 'qemu list'; ", "");
        assert_commands("qemu   list name=x\ncowherd lxdx list\nlxd qemu list");
}

static void test_unknown_environment(void **state)
{
        (void)state;
        struct ran ran =
                run_script("address virtualbox\n'list'\nsay rc result.success result.code errortext\nsay 'on'");
        assert_string_equal(ran.out, "69 0 69 environment 'VIRTUALBOX' is unknown\non\n");
        assert_has(ran.err, "t.rexx:2: \"list\": environment 'VIRTUALBOX' is unknown (");
        assert_has(ran.err, "(RC=69)");
        assert_int_equal(ran.status, 0);
        assert_commands("");
}

static void test_unknown_environment_raises(void **state)
{
        (void)state;
        struct ran ran = run_script(
                "signal on error\naddress foo 'list'\nexit 0\nerror: say 'trapped' rc condition('D'); exit rc");
        assert_string_equal(ran.out, "trapped 69 list\n");
        assert_int_equal(ran.status, 69);
}

static void test_code_and_error(void **state)
{
        (void)state;
        fake_answer("delete", not_found);
        struct ran ran = run_script("address qemu\nsignal on error\n'list'; say rc\n'delete name=x'\nsay 'not here'\n"
                                    "error: say rc sigl condition('D') condition('C'); exit 3");
        assert_string_equal(ran.out, "0\n66 4 delete name=x ERROR\n");
        assert_int_equal(ran.status, 3);
}

static void test_error_by_call(void **state)
{
        (void)state;
        fake_answer("delete", not_found);
        struct ran ran = run_script("call on error name failed\naddress lxd 'delete name=x'; say 'on' "
                                    "rc\nexit\nfailed: say 'E' rc; return");
        assert_string_equal(ran.out, "E 66\non 66\n");
}

static void test_no_trap_goes_on(void **state)
{
        (void)state;
        fake_answer("delete", not_found);
        struct ran ran = run_script("address qemu\n'delete name=x'; say 'on' rc");
        assert_string_equal(ran.out, "on 66\n");
        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.err, "t.rexx:2: \"delete name=x\": vm 'x' not found (RC=66)\n");
}

static void test_exit_code_of_a_guest(void **state)
{
        (void)state;
        fake_answer("execute", "success=1\noperation=execute\noutput=the command ended with 3\nexit_code=3\ncode=3\n");
        struct ran ran = run_script(
                "address qemu\n'execute name=a command=false'\nsay rc result.success result.exit_code '['errortext']'\n"
                "signal on error; 'execute name=a command=false'\nexit 0\nerror: say 'E' rc; exit rc");
        assert_string_equal(ran.out, "3 1 3 []\nE 3\n");
        assert_int_equal(ran.status, 3);
}

static void test_trace_shows_message_and_hint(void **state)
{
        (void)state;
        fake_answer("clone", "success=0\nerror=base 'vm-bse' not found\nhint=did you mean 'vm-base'?\ncode=66\n");
        fake_answer("delete", "success=0\nerror=vm 'x' not found (see list)\nhint=see list\ncode=66\n");
        struct ran ran = run_script("nop\naddress qemu\n'clone base=vm-bse'\n\n'delete name=x'; 'delete name=x'");
        assert_string_equal(
                ran.err, "t.rexx:3: \"clone base=vm-bse\": base 'vm-bse' not found (did you mean 'vm-base'?) (RC=66)\n"
                         "t.rexx:5: \"delete name=x\": vm 'x' not found (see list) (RC=66)\n"
                         "t.rexx:5: \"delete name=x\": vm 'x' not found (see list) (RC=66)\n");
}

static void test_trace_off_is_silent(void **state)
{
        (void)state;
        fake_answer("delete", not_found);
        struct ran ran = run_script("trace off\naddress qemu\n'delete name=x'\nsay rc");
        assert_string_equal(ran.out, "66\n");
        assert_string_equal(ran.err, "");
}

static void test_trace_results_stays_whole(void **state)
{
        (void)state;
        fake_answer("delete", not_found);
        struct ran ran = run_script("trace c\naddress qemu\n'list'\n'delete name=x'\n'list'");
        assert_has(ran.err, "3 *-* 'list'");
        assert_has(ran.err, "4 *-* 'delete name=x'\nt.rexx:4: \"delete name=x\": vm 'x' not found (RC=66)\n");
        assert_has(ran.err, "5 *-* 'list'");
        assert_has_not(ran.err, "+++");
}

static void test_long_command_is_cut_in_trace(void **state)
{
        (void)state;
        fake_answer("x", not_found);
        struct ran ran = run_script("address qemu copies('x', 5000)\nsay rc");
        assert_string_equal(ran.out, "66\n");
        assert_true(strlen(ran.err) < 250);
}

static void test_system_is_rexx_own(void **state)
{
        (void)state;
        struct ran ran = run_script("address system 'echo hi'; say rc; address path 'true'; say rc; address command "
                                    "'sh -c \"exit 4\"'; say rc\n"
                                    "address system 'echo a; echo b' with output stem s.; say s.0 s.2");
        assert_string_equal(ran.out, "hi\n0\n0\n4\n2 b\n");
        assert_commands("");
}

static void test_functions_are_no_shell_commands(void **state)
{
        (void)state;
        struct ran ran = run_script("call touch 'made'\nsay 'not here'");
        assert_int_equal(ran.status, COWHERD_DATA);
        assert_string_equal(ran.out, "");
        assert_has(ran.err, "t.rexx:1: could not find routine \"TOUCH\" (REXX error 43.1)");
        assert_null(getenv("REGINA_OPTIONS"));
}

static void test_nul_in_a_command(void **state)
{
        (void)state;
        struct ran ran = run_script("address qemu 'delete name=a' || '00'x || 'b'; say rc errortext");
        assert_string_equal(ran.out, "64 the command has a NUL byte in it\n");
        assert_commands("");
}

static void test_let_is_explained(void **state)
{
        (void)state;
        struct ran ran = run_script("address qemu\nlet x = 5\nsay rc");
        assert_string_equal(ran.out, "64\n");
        assert_has(ran.err, "t.rexx:2: \"0\": '0' is no command: the clause is a comparison (an assignment has no LET "
                            "before it in REXX: x = 5)");
        assert_commands("");
}

static void test_progress_and_root_are_passed_on(void **state)
{
        (void)state;
        struct cowherd_rexx_options options = {.root = "/tmp/some root",
                                               .progress = (cowherd_progress_fn *)(void (*)(void))abort};
        struct ran ran = run_with(options, "'doctor'", 8);
        assert_int_equal(ran.status, 0);
        assert_string_equal(fake.root, "/tmp/some root");
        assert_ptr_equal(fake.progress, options.progress);
}

static void test_thousand_commands(void **state)
{
        (void)state;
        assert_says("address foo\ntrace off\ndo 1000\n'x'\nend\nsay rc", "69\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_environments),
                rexx_test(test_shell_form_to_cowherd),
                rexx_test(test_unknown_environment),
                rexx_test(test_unknown_environment_raises),
                rexx_test(test_code_and_error),
                rexx_test(test_error_by_call),
                rexx_test(test_no_trap_goes_on),
                rexx_test(test_exit_code_of_a_guest),
                rexx_test(test_trace_shows_message_and_hint),
                rexx_test(test_trace_off_is_silent),
                rexx_test(test_trace_results_stays_whole),
                rexx_test(test_long_command_is_cut_in_trace),
                rexx_test(test_system_is_rexx_own),
                rexx_test(test_functions_are_no_shell_commands),
                rexx_test(test_nul_in_a_command),
                rexx_test(test_let_is_explained),
                rexx_test(test_progress_and_root_are_passed_on),
                rexx_test(test_thousand_commands),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
