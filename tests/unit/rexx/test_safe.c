/* SPDX-License-Identifier: Apache-2.0 */
/* --safe: only our own commands; nothing run, nothing written, also by what Regina's own "safe" mode forgets. */
#include "script.h"

#include <stdio.h>
#include <unistd.h>

static struct ran run_safe(const char *text)
{
        return run_with((struct cowherd_rexx_options){.safe = true}, text, strlen(text));
}

static void test_own_commands_work(void **state)
{
        (void)state;
        fake_answer("delete", "success=0\nerror=no\ncode=66\n");
        struct ran ran = run_safe("REQUIRE 'rexxjs/address-qemu'; address qemu 'list name={{rc}}'; say rc; address "
                                  "qemu 'delete'; say rc (linein('t.rexx') \\= ''); exit 7");
        assert_string_equal(ran.out, "0\n66 1\n");
        assert_int_equal(ran.status, 7);
        assert_commands("qemu list name=0\nqemu delete");
}

static void test_refused(void **state)
{
        static const char *const clauses[] = {
                "address system 'touch made'",
                "address path 'touch made'",
                "address command 'touch made'",
                "address cmd 'touch made'",
                "address regina 'other.rexx'",
                "address rexx 'other.rexx'",
                "call lineout 'made', 'x'",
                "call charout 'made', 'x'",
                "x = stream('made', 'C', 'OPEN WRITE')",
                "x = popen('touch made')",
                "call open 'made', 'W'",
                "x = open('h', 'made', 'W')",
                "interpret 'call open \"made\", \"W\"'",
                "options arexx_bifs; x = open('h', 'made', 'W')",
                "x = fork()",
                "options arexx_bifs; x = export('00000000'x, 'abc')",
                "options arexx_bifs; x = import('00000000'x, 4)",
                "call rxfuncadd 'a', 'b', 'c'",
                "options arexx_bifs; x = getspace(100)",
                "options arexx_bifs; call freespace '00000000'x, 4",
                "call rxfuncdrop 'OPEN'",
                "options ext_commands_as_funcs; call touch 'made'",
                "x = value('PATH', 'x', 'SYSTEM')",
                "call rxqueue 'C', 'a@127.0.0.1'",
                "options arexx_bifs; x = storage('00000000'x, 'abc')",
                "call putenv 'PATH=x'",
        };

        (void)state;
        for (size_t i = 0; i < sizeof clauses / sizeof clauses[0]; i++) {
                char script[256];
                (void)snprintf(script, sizeof script, "%s\nsay 'on' rc", clauses[i]);
                struct ran ran = run_safe(script);
                if (ran.status != COWHERD_DATA || strstr(ran.out, "on") != NULL)
                        fail_msg("%s: status %d, '%s', '%s'", clauses[i], ran.status, ran.out, ran.err);
                assert_int_not_equal(access("made", F_OK), 0);
                assert_has(ran.err, "safe");
        }
}

static void test_nothing_lasts(void **state)
{
        (void)state;
        (void)run_safe("say 1");
        struct ran ran =
                run_script("address system 'echo hi'; say rc; call open 'made', 'W'; call close 'made'; say 'on'");
        assert_string_equal(ran.out, "hi\n0\non\n");
        assert_int_equal(access("made", F_OK), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_own_commands_work),
                rexx_test(test_refused),
                rexx_test(test_nothing_lasts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
