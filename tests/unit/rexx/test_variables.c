/* SPDX-License-Identifier: Apache-2.0 */
/* What a command leaves in the script's variables, and what it does not; {{name}} the other way. */
#include "script.h"

static const char clone[] =
        "success=1\noperation=clone_from_base\noutput=cloned 'b' to 'c'\nid=c1\nname=c\nbase=b\ndisk=/x/disk\n"
        "clone_ms=0.42\nalso basedOn=b\nalso cloneTimeMs=0.42\n";
static const char list[] =
        "success=1\noperation=list\noutput=2 clones\ncount=2\nitem\nname=a\nstate=running\nalso basedOn=x\n"
        "item\nname=b\nstate=stopped\n";
static const char failure[] = "success=0\noperation=delete\nerror=vm 'x' not found\ncode=66\nhint=see list\n";

static void test_result_and_fields(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        assert_says("address qemu 'clone base=b name=c'\nsay rc result\nsay result.success result.OPERATION "
                    "result.disk result.clone_ms\n"
                    "say result.output result.0",
                    "0 cloned 'b' to 'c'\n1 clone_from_base /x/disk 0.42\ncloned 'b' to 'c' 0\n");
}

static void test_target_variables(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        assert_says("address qemu 'clone'\nsay QEMU_SUCCESS QEMU_OUTPUT QEMU_DISK qemu_based_on qemu_basedon "
                    "qemu_clone_time_ms\n"
                    "address lxd 'clone'; say LXD_NAME; address nspawn 'clone'; say NSPAWN_NAME",
                    "1 cloned 'b' to 'c' /x/disk b b 0.42\nc\nc\n");
}

static void test_humps_in_stems(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        fake_answer("list", list);
        assert_says("address qemu; 'clone'\nsay result.basedOn result.based_on result.cloneTimeMs\n'list'; say "
                    "result.1.basedOn result.1.based_on",
                    "b b 0.42\nx x\n");
}

static void test_list(void **state)
{
        (void)state;
        fake_answer("list", list);
        assert_says("address lxd 'list'\nsay result.0 result.count lxd_count\ndo i = 1 to result.0; say result.i.name "
                    "result.i.state; end",
                    "2 2 2\na running\nb stopped\n");
}

static void test_empty_list(void **state)
{
        (void)state;
        fake_answer("list", "success=1\ncount=0\noutput=no clones\nlist\n");
        assert_says("address lxd 'list'\nsay result.0 result.count\ndo i = 1 to result.0; say 'never'; end", "0 0\n");
}

static void test_nothing_stale(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        fake_answer("list", list);
        fake_answer("delete", failure);
        struct ran ran = run_script(
                "address qemu; 'clone'; 'list'\nsay symbol('RESULT.DISK') symbol('QEMU_DISK') symbol('QEMU_BASED_ON')\n"
                "trace off\naddress qemu 'delete'\n"
                "say symbol('RESULT.1.NAME') symbol('RESULT.OUTPUT') symbol('QEMU_OUTPUT') symbol('QEMU_COUNT') "
                "result.0\n"
                "say result errortext qemu_error qemu_success result.code result.hint\n"
                "address qemu 'info'; say symbol('RESULT.ERROR') symbol('QEMU_ERROR') symbol('QEMU_HINT') "
                "'['errortext']' result");
        assert_string_equal(ran.out, "LIT LIT LIT\nLIT LIT LIT LIT 0\nvm 'x' not found vm 'x' not found vm 'x' not "
                                     "found 0 66 see list\nLIT LIT LIT [] done\n");
}

static void test_unknown_environment_leaves_nothing_stale(void **state)
{
        (void)state;
        fake_answer("list", list);
        struct ran ran = run_script("trace off; address qemu 'list'; address foo 'list'; say result.0 "
                                    "symbol('RESULT.1.NAME') result.error");
        assert_string_equal(ran.out, "0 LIT environment 'FOO' is unknown\n");
}

static void test_targets_do_not_disturb_each_other(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        assert_says("address qemu 'clone'; address lxd 'list'; say qemu_disk symbol('LXD_DISK') symbol('RESULT.DISK')",
                    "/x/disk LIT LIT\n");
}

static void test_own_variables_stay(void **state)
{
        (void)state;
        assert_says("qemu_image = 'mine'; count = 5; result_x = 1\naddress qemu 'list'; say qemu_image count result_x",
                    "mine 5 1\n");
}

static void test_the_count_trap(void **state)
{
        (void)state;
        fake_answer("list", list);
        assert_says("count = 5\naddress qemu 'list'\nsay symbol('RESULT.COUNT') result.count qemu_count",
                    "LIT RESULT.5 2\n");
}

static void test_stem(void **state)
{
        (void)state;
        static const char lines[] = "stem=out.\nsuccess=1\noutput=1 clone\ncount=1\nitem\nname=a\n";
        fake_answer("list", lines);
        assert_says("out.1.name = 'old'; out.2.name = 'old'; out.x = 'old'\naddress qemu 'list stem=out.'\n"
                    "say out.0 out.1.name symbol('OUT.2.NAME') symbol('OUT.X') out.success out.output result.1.name",
                    "1 a LIT LIT 1 1 clone a\n");
}

static void test_stem_of_a_failure(void **state)
{
        (void)state;
        fake_answer("list", "stem=Out.\nsuccess=0\nerror=no\ncode=69\n");
        struct ran ran = run_script("trace off; address qemu 'list stem=Out.'\nsay out.success out.error out.0");
        assert_string_equal(ran.out, "0 no 0\n");
}

static void test_procedure_has_its_own(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        fake_answer("list", list);
        assert_says("address qemu; 'list'\ncall one; say result.0 result.1.name\ncall two; say result.name\nexit\n"
                    "one: procedure; 'clone'; say result.name result.0; return\n"
                    "two: procedure expose result.; 'clone'; return",
                    "c 0\n2 a\nc\n");
}

static void test_call_drops_only_result(void **state)
{
        (void)state;
        fake_answer("clone", clone);
        assert_says("address qemu 'clone'\ncall sub\nsay symbol('RESULT') result.name\nexit\nsub: return", "LIT c\n");
}

static void test_long_and_odd_values(void **state)
{
        (void)state;
        static char lines[70000] = "success=1\noutput=o\nname=a=b='\"\xff\xc3\xa4 {{x}}\nstdout=";
        size_t used = strlen(lines);
        memset(lines + used, 'x', 60000);
        fake_answer("info", lines);
        assert_says("address qemu 'info'\nsay length(result.stdout) length(qemu_stdout) right(result.stdout, 3)\nsay "
                    "result.name",
                    "60000 60000 xxx\n"
                    "a=b='\"\xff\xc3\xa4 {{x}}\n");
}

static void test_resolver(void **state)
{
        (void)state;
        assert_says("name = 'a b=c'; v.1 = 'one'; i = 1; v.i.x = 'two'\naddress qemu 'info name={{name}} b={{v.1}} "
                    "c={{v.i.x}} d={{V.I}} e={{Name}}'",
                    "");
        assert_commands("qemu info name=a b=c b=one c=two d=one e=a b=c");
}

static void test_resolver_of_an_unset_variable(void **state)
{
        (void)state;
        struct ran ran = run_script("trace off; drop nothing\naddress qemu; 'info name={{nothing}}'; say rc "
                                    "result.error; 'info name={{nothing.1}}'; say rc;"
                                    " 'info name={{no way}}'; say rc; 'info name={{1}}'; say rc");
        assert_has(ran.out, "64 a variable is not set\n64\n64\n");
}

static void test_resolver_inside_procedure(void **state)
{
        (void)state;
        struct ran ran = run_script(
                "trace off; x = 'outer'; y = 'seen'\naddress qemu; call sub; 'info a={{x}}'\nexit\n"
                "sub: procedure expose y; 'info b={{x}}'; say rc; x = 'inner'; 'info c={{x}} {{y}}'; return");
        assert_string_equal(ran.out, "64\n");
        assert_commands("qemu info c=inner seen\nqemu info a=outer");
}

static void test_resolver_sees_the_answer_before(void **state)
{
        (void)state;
        fake_answer("list", list);
        assert_says("address qemu; 'list'; i = 2; 'delete name={{result.i.name}}'", "");
        assert_commands("qemu list\nqemu delete name=b");
}

static void test_resolver_of_any_bytes(void **state)
{
        (void)state;
        struct ran ran = run_script("trace off; x = 'e4ff0a'x; address qemu; 'info name={{x}}'; say rc; x = 'a' || "
                                    "'00'x || 'b'; 'info name={{x}}'; say rc errortext\n"
                                    "x = ''; 'info name={{x}}'; say rc; x = copies('ab', 2000); 'info {{x}}'; say rc");
        assert_string_equal(ran.out, "0\n64 the value of {{x}} has a NUL byte in it\n0\n0\n");
        assert_string_equal(fake.log[0], "qemu info name=\xe4\xff\n");
        assert_string_equal(fake.log[fake.commands - 2], "qemu info name=");
        assert_int_equal(strlen(fake.log[fake.commands - 1]), 4010);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_result_and_fields),
                rexx_test(test_target_variables),
                rexx_test(test_humps_in_stems),
                rexx_test(test_list),
                rexx_test(test_empty_list),
                rexx_test(test_nothing_stale),
                rexx_test(test_unknown_environment_leaves_nothing_stale),
                rexx_test(test_targets_do_not_disturb_each_other),
                rexx_test(test_own_variables_stay),
                rexx_test(test_the_count_trap),
                rexx_test(test_stem),
                rexx_test(test_stem_of_a_failure),
                rexx_test(test_procedure_has_its_own),
                rexx_test(test_call_drops_only_result),
                rexx_test(test_long_and_odd_values),
                rexx_test(test_resolver),
                rexx_test(test_resolver_of_an_unset_variable),
                rexx_test(test_resolver_inside_procedure),
                rexx_test(test_resolver_sees_the_answer_before),
                rexx_test(test_resolver_of_any_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
