/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: none of a strange name, none that is not installed. */
#include "sys/module.h"
#include "sys_test.h"

static void test_refused(void **state)
{
        void *symbol = NULL;
        struct cowherd_error err;

        (void)state;
        assert_failed(module_symbol("no-such-module", "x", &symbol, &err), &err, COWHERD_UNAVAILABLE, "'cowherd-no-such-module.so'");
        assert_contains(err.hint, "/");
        assert_failed(module_symbol("../../tmp/x", "x", &symbol, &err), &err, COWHERD_INTERNAL, "not a module's name");
        assert_null(symbol);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
