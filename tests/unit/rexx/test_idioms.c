/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in which scripts are really written, each one to the letter. */
#include "script.h"

#include <stdio.h>

static const char cloned[] =
        "success=1\noperation=clone_from_base\noutput=cloned\nname=c\ndisk=/x/disk\nalso basedOn=b\n";
static const char exists[] = "success=0\noperation=register_base\nerror=base 'b' already exists\ncode=73\n";

static void test_seed_script(void **state)
{
        static const char seed[] =
                "/* Same interface across all implementations! */\n\n/* QEMU */\nREQUIRE "
                "\"rexxjs/address-qemu\"\nADDRESS QEMU\n"
                "\"register_base name=vm-base image=debian.qcow2\"\n\"clone_from_base base=vm-base name=vm-1\"\n\n/* "
                "LXD */\n"
                "REQUIRE \"rexxjs/address-lxd\"\nADDRESS LXD\n\"register_base name=ct-base image=ubuntu:22.04\"\n"
                "\"clone_from_base base=ct-base name=ct-1\"\n\n/* nspawn */\nREQUIRE "
                "\"rexxjs/address-nspawn\"\nADDRESS NSPAWN\n"
                "\"register_base name=ns-base distro=ubuntu\"\n\"clone_from_base base=ns-base name=ns-1\"\n";

        (void)state;
        assert_says(seed, "");
        assert_commands(
                "qemu register_base name=vm-base image=debian.qcow2\nqemu clone_from_base base=vm-base name=vm-1\n"
                "lxd register_base name=ct-base image=ubuntu:22.04\nlxd clone_from_base base=ct-base name=ct-1\n"
                "nspawn register_base name=ns-base distro=ubuntu\nnspawn clone_from_base base=ns-base name=ns-1");
}

static void test_expression_is_a_command(void **state)
{
        (void)state;
        assert_says("ADDRESS NSPAWN\nDO i = 1 TO 3\n\"clone_from_base base=ns-base name=web-\" || i   /* an expression "
                    "is a command */\nEND",
                    "");
        assert_commands(
                "nspawn clone_from_base base=ns-base name=web-1\nnspawn clone_from_base base=ns-base name=web-2\n"
                "nspawn clone_from_base base=ns-base name=web-3");
}

static void test_result_success_in_a_condition(void **state)
{
        (void)state;
        fake_answer("clone", cloned);
        fake_answer("register_base", exists);
        struct ran ran =
                run_script("TRACE OFF\nADDRESS QEMU\n\"clone base=b name=c\"\nIF RESULT.success THEN SAY "
                           "RESULT.output; ELSE SAY RESULT.error\n"
                           "\"register_base name=b\"\nIF RESULT.success THEN SAY RESULT.output; ELSE SAY RESULT.error");
        assert_string_equal(ran.out, "cloned\nbase 'b' already exists\n");
}

static void test_loop_over_a_list(void **state)
{
        (void)state;
        fake_answer("list", "success=1\ncount=2\nitem\nname=a\nstate=running\nitem\nname=b\nstate=stopped\n");
        assert_says("ADDRESS LXD\n\"list\"\nDO i = 1 TO RESULT.0; SAY RESULT.i.name RESULT.i.state; END",
                    "a running\nb stopped\n");
}

static void test_loop_over_a_list_that_failed(void **state)
{
        (void)state;
        fake_answer("list", "success=0\nerror=no lxd\ncode=69\n");
        struct ran ran =
                run_script("TRACE OFF\nADDRESS LXD\n\"list\"\nDO i = 1 TO RESULT.0; SAY RESULT.i.name; END; SAY 'on'");
        assert_string_equal(ran.out, "on\n");
}

static void test_already_exists(void **state)
{
        (void)state;
        fake_answer("register_base", exists);
        struct ran ran = run_script("TRACE OFF\nADDRESS QEMU\n\"register_base name=b\"\nIF POS(\"already exists\", "
                                    "RESULT.error) > 0 THEN SAY 'there'\n"
                                    "\"list\"\nIF POS(\"already exists\", RESULT.error) > 0 THEN SAY 'stale'");
        assert_string_equal(ran.out, "there\n");
}

static void test_system_between_own_commands(void **state)
{
        (void)state;
        assert_says(
                "ADDRESS QEMU\n\"list\"\nADDRESS SYSTEM \"true\"; IF RC = 0 THEN SAY 'made'\n\"list name=b\"; SAY RC",
                "made\n0\n");
        assert_commands("qemu list\nqemu list name=b");
}

static void test_variables_of_the_target(void **state)
{
        (void)state;
        fake_answer("clone", cloned);
        assert_says("ADDRESS QEMU \"clone base=b name=c memory=512M cpus=1\"; IF QEMU_SUCCESS = 1 THEN SAY QEMU_DISK "
                    "QEMU_BASED_ON",
                    "/x/disk b\n");
}

static void test_guest_shell_stays_in_the_guest(void **state)
{
        (void)state;
        assert_says("ADDRESS LXD\n\"execute name=c command='apt update && apt install -y nodejs'\"", "");
        assert_commands("lxd execute name=c command='apt update && apt install -y nodejs'");
}

static void test_clean_up_first(void **state)
{
        (void)state;
        fake_answer("delete", "success=0\nerror=clone 'maybe-absent' not found\ncode=66\n");
        struct ran ran =
                run_script("ADDRESS QEMU\n\"delete name=maybe-absent\"\n\"clone base=b name=maybe-absent\"; SAY RC");
        assert_string_equal(ran.out, "0\n");
        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.err,
                            "t.rexx:2: \"delete name=maybe-absent\": clone 'maybe-absent' not found (RC=66)\n");
}

static void test_signal_on_error(void **state)
{
        (void)state;
        fake_answer("clone", "success=0\nerror=base 'x' not found\ncode=66\n");
        struct ran ran = run_script("SIGNAL ON ERROR\nADDRESS QEMU\n\"clone base=x\"\nEXIT 0\nERROR:\nSAY 'line' "
                                    "SIGL': 'ERRORTEXT\nEXIT RC");
        assert_string_equal(ran.out, "line 3: base 'x' not found\n");
        assert_int_equal(ran.status, 66);
}

static void test_braces_that_are_not_ours(void **state)
{
        (void)state;
        assert_says("ADDRESS LXD \"execute name=c command='echo ${HOME}'\"", "");
        assert_commands("lxd execute name=c command='echo ${HOME}'");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_seed_script),
                rexx_test(test_expression_is_a_command),
                rexx_test(test_result_success_in_a_condition),
                rexx_test(test_loop_over_a_list),
                rexx_test(test_loop_over_a_list_that_failed),
                rexx_test(test_already_exists),
                rexx_test(test_system_between_own_commands),
                rexx_test(test_variables_of_the_target),
                rexx_test(test_guest_shell_stays_in_the_guest),
                rexx_test(test_clean_up_first),
                rexx_test(test_signal_on_error),
                rexx_test(test_braces_that_are_not_ours),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
