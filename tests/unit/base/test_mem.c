/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership: what is given away is not freed, what is replaced is, and closing leaves errno alone. */
#include "base/mem.h"
#include "base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static char *make(bool give)
{
        owned_str char *text = x_asprintf("%s-%d", "vm", 1);

        return give ? take(text) : NULL;
}

static void test_take(void **state)
{
        owned_str char *text = make(true);

        (void)state;
        assert_string_equal(text, "vm-1");
        assert_null(make(false)); /* a leak would be AddressSanitizer's to tell */
}

static void test_replace(void **state)
{
        owned_str char *text = NULL;

        (void)state;
        x_replace(&text, "one two");
        x_replace(&text, text + 4);
        assert_string_equal(text, "two");
        x_replace(&text, NULL);
        assert_null(text);
        assert_null(x_strdup(NULL));
}

static int scoped(int *ret_inner)
{
        owned_fd int kept = open("/dev/null", O_RDONLY | O_CLOEXEC), lost = open("/dev/null", O_RDONLY | O_CLOEXEC);

        *ret_inner = lost;
        errno = ENOTTY;
        return take_fd(kept);
}

static void test_descriptors(void **state)
{
        int lost = -1, kept = scoped(&lost);

        (void)state;
        assert_int_equal(errno, ENOTTY);
        assert_true(fcntl(kept, F_GETFD) >= 0);
        assert_int_equal(fcntl(lost, F_GETFD), -1);
        assert_int_equal(close(kept), 0);
}

/* Nothing asked for is still memory of its own. */
static void test_nothing(void **state)
{
        owned_mem void *none = x_malloc(0), *no_items = x_calloc(0, 8);
        owned_str char *part = x_strndup("abcdef", 3);

        (void)state;
        assert_ptr_not_equal(none, no_items);
        assert_string_equal(part, "abc");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_take),
                cmocka_unit_test(test_replace),
                cmocka_unit_test(test_descriptors),
                cmocka_unit_test(test_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
