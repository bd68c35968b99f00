/* SPDX-License-Identifier: Apache-2.0 */
/* REQUIRE in the spellings of scripts written for RexxJS, and environments under a name of their own. */
#include "script.h"

#include <stdio.h>

static void assert_required(const char *library, const char *said)
{
        char script[512], expected[256];

        (void)snprintf(script, sizeof script, "trace off\nREQUIRE \"%s\"\nsay rc result", library);
        (void)snprintf(expected, sizeof expected, "%s\n", said);
        assert_says(script, expected);
}

static void test_spellings(void **state)
{
        static const char *const forms[] = {
                "rexxjs/address-%s",
                "registry:org.rexxjs/%s-address",
                "cwd:%s-address.js",
                "address-%s",
                "%s-address",
                "rexxjs/address-%s@1.2.3",
                "registry:org.rexxjs/%s-address@latest",
                "registry:org.rexxjs/address-%s/v1.0",
                "address-%s.rexx",
                "cwd:../../extras/addresses/%s/address-%s.js",
                "./address-%s.bundle.js",
                "../lib/address-%s.min.js",
                "address-%s-1.4.js",
                "/usr/share/rexxjs/address-%s.mjs",
                "root:address-%s",
                "org.rexxjs/address-%s",
                "address-%s@v2.js",
        };
        static const char *const targets[] = {"qemu", "lxd", "nspawn"};

        (void)state;
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
                for (size_t t = 0; t < 3; t++) {
                        char library[256], said[64];
                        const char *second = strstr(strstr(forms[i], "%s") + 1, "%s");
                        int head = second == NULL ? (int)strlen(forms[i]) : (int)(second - forms[i]);
                        const char *at = strstr(forms[i], "%s");
                        (void)snprintf(library, sizeof library, "%.*s%s%.*s%s%s", (int)(at - forms[i]), forms[i],
                                       targets[t], head - (int)(at - forms[i]) - 2, at + 2,
                                       second == NULL ? "" : targets[t], second == NULL ? "" : second + 2);
                        (void)snprintf(said, sizeof said, "0 ADDRESS %s is built in", targets[t]);
                        assert_required(library, said);
                }
        assert_commands("");
}

static void test_any_case(void **state)
{
        (void)state;
        assert_required("REXXJS/Address-QEMU", "0 ADDRESS qemu is built in");
        assert_says("'require rexxjs/address-lxd'; say rc; 'Require \"rexxjs/address-lxd\"'; say rc; \"REQUIRE "
                    "'rexxjs/address-lxd'\"; say rc",
                    "0\n0\n0\n");
}

static void test_unknown(void **state)
{
        static const char *const unknown[] = {
                "rexxjs/address-docker",
                "lib.rexx",
                "qemu",
                "sqlite-address",
                "registry:com.example/qemu-address",
                "example/address-qemu",
                "address-qemu2",
                "address-",
                "-address",
                "registry:qemu-address",
                "xaddress-qemu",
                "registry:org.rexxjs/x/qemu-address",
                "@",
                "-",
                "/",
        };

        (void)state;
        for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
                char said[128];
                (void)snprintf(said, sizeof said, "69 library '%s' is unknown", unknown[i]);
                assert_required(unknown[i], said);
        }
        assert_commands("");
}

static void test_unknown_raises_and_hints(void **state)
{
        (void)state;
        struct ran ran = run_script(
                "signal on error\nREQUIRE 'rexxjs/address-docker'\nexit 0\nerror: say rc result.hint; exit 5");
        assert_int_equal(ran.status, 5);
        assert_has(ran.out, "69 built in are rexxjs/address-qemu");
}

static void test_every_environment_takes_it(void **state)
{
        (void)state;
        assert_says("REQUIRE 'rexxjs/address-qemu'\naddress qemu\nREQUIRE 'rexxjs/address-lxd'\nsay rc "
                    "qemu_success\naddress lxd\n"
                    "REQUIRE 'rexxjs/address-nspawn'; say rc; address nspawn; REQUIRE 'rexxjs/address-qemu'; say rc",
                    "0 1\n0\n0\n");
        assert_commands("");
}

static void test_under_novalue(void **state)
{
        (void)state;
        assert_says("signal on novalue\nREQUIRE \"rexxjs/address-qemu\"\naddress qemu\nREQUIRE \"rexxjs/address-qemu\" "
                    "AS \"VM\"\nsay 'fine'\nexit\n"
                    "novalue: say 'novalue' condition('D')",
                    "fine\n");
}

static void test_alias(void **state)
{
        (void)state;
        assert_says("REQUIRE 'rexxjs/address-lxd' AS box\naddress box 'list'; say rc lxd_success\naddress value 'Box'; "
                    "'info'\n"
                    "REQUIRE 'rexxjs/address-qemu' as Box; address box; 'list'; REQUIRE 'rexxjs/address-qemu' as qemu; "
                    "say rc",
                    "0 1\n0\n");
        assert_commands("lxd list\nlxd info\nqemu list");
}

static void test_alias_that_cannot_be(void **state)
{
        static const char *const names[] = {"SYSTEM", "path",      "COMMAND", "LXD", "COWHERD", "a-b",
                                            "1x",     "qemu_(.*)", "regina",  "",    "a/b"};

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                char script[256];
                (void)snprintf(script, sizeof script,
                               "trace off; REQUIRE 'rexxjs/address-qemu' AS '\"%s\"'; say rc result", names[i]);
                struct ran ran = run_script(script);
                assert_has(ran.out, "64 '");
                assert_has(ran.out, "cannot be the name of an environment");
        }
}

static void test_wrong_words(void **state)
{
        (void)state;
        struct ran ran =
                run_script("trace off; 'REQUIRE'; say rc result; 'REQUIRE address-qemu FOR x'; say rc; 'REQUIRE "
                           "address-qemu AS'; say rc;"
                           "'REQUIRE address-qemu AS x y'; say rc; 'REQUIRE \"\"'; say rc; 'REQUIREX'; say rc");
        assert_has(ran.out, "64 Missing required parameter");
        assert_has(ran.out, "REQUIRE is to find\n64\n64\n64\n64\n0\n");
        assert_commands("cowherd REQUIREX");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_spellings),
                rexx_test(test_any_case),
                rexx_test(test_unknown),
                rexx_test(test_unknown_raises_and_hints),
                rexx_test(test_every_environment_takes_it),
                rexx_test(test_under_novalue),
                rexx_test(test_alias),
                rexx_test(test_alias_that_cannot_be),
                rexx_test(test_wrong_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
