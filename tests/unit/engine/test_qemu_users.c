/* SPDX-License-Identifier: Apache-2.0 */
/* The range of user ids that machines run under, as /etc/subuid has it, and the id of each. */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "base/str.h"

#include "../image/scratch.h"

static const struct qemu_users untouched = {QEMU_USERS_FIRST, QEMU_USERS_COUNT};

static void finds(const char *text, uid_t first, uint32_t count)
{
        struct qemu_users users = untouched;
        struct cowherd_error err = {0};

        assert_int_equal(qemu_users_parse(text, "/etc/subuid", &users, &err), 0);
        assert_int_equal(users.first, first);
        assert_int_equal(users.count, count);
}

static void test_found(void **state)
{
        (void)state;
        finds("", QEMU_USERS_FIRST, QEMU_USERS_COUNT);
        finds("root:100000:65536\n", QEMU_USERS_FIRST, QEMU_USERS_COUNT);
        finds("cowherd-qemux:100000:65536\nxcowherd-qemu:1:2\n#cowherd-qemu:1:2\n", QEMU_USERS_FIRST, QEMU_USERS_COUNT);
        finds("cowherd-qemu:1879048192:268435455\n", 1879048192, 268435455);
        finds("root:100000:65536\ncowherd-qemu:3000000000:65536", 3000000000u, 65536);
        finds("cowherd-qemu:65536:65536\ncowherd-qemu:200000:65536\n", 65536, 65536);
        finds("cowherd-qemu:65536:4294901758\n", 65536, 4294901758u); /* all there is */
}

static void refuses(const char *range)
{
        struct qemu_users users = untouched;
        struct cowherd_error err = {0};
        owned_str char *text = x_asprintf("root:100000:65536\n%s\n", range);

        assert_int_equal(qemu_users_parse(text, "/etc/subuid", &users, &err), -1);
        assert_int_equal(err.code, COWHERD_CONFIG);
        assert_non_null(strstr(err.text, "/etc/subuid:2: '"));
        assert_non_null(strstr(err.text, range));
        assert_non_null(strstr(err.hint, "cowherd-qemu:FIRST:COUNT"));
        assert_memory_equal(&users, &untouched, sizeof users);
}

static void test_refused(void **state)
{
        static const char *const bad[] = {
                "cowherd-qemu:",
                "cowherd-qemu:200000",
                "cowherd-qemu:200000:",
                "cowherd-qemu:200000:65535", /* few would be shared */
                "cowherd-qemu:0:65536",      /* root's */
                "cowherd-qemu:65535:65536",
                "cowherd-qemu:-1:65536",
                "cowherd-qemu:200000:65536 ",
                "cowherd-qemu:200000:65536:1",
                "cowherd-qemu:65536:4294901759",      /* to "nobody" */
                "cowherd-qemu:4294967294:65536",      /* beyond 32 bits */
                "cowherd-qemu:18446744073709551615:65536",
                "cowherd-qemu:200000:18446744073709551616",
        };

        (void)state;
        for (size_t i = 0; i < array_length(bad); i++)
                refuses(bad[i]);
}

static void test_each_its_own(void **state)
{
        static const struct qemu_users few = {3000000000u, 65536};

        (void)state;
        assert_int_equal(qemu_users_pick(&untouched, NULL, 5), 0x70000005u);
        assert_int_equal(qemu_users_pick(&untouched, "00000010-2222-4333-8444-555555555555", 6), 0x70000016u);
        assert_int_equal(qemu_users_pick(&few, "00000010-2222-4333-8444-555555555555", 6), 3000000022u);
        assert_int_equal(qemu_users_pick(&few, "ffffffff-2222-4333-8444-555555555555", 0), 3000065535u);
        assert_int_equal(qemu_users_pick(&few, "ffffffff-2222-4333-8444-555555555555", 1), 3000000000u);
        assert_in_range(qemu_users_pick(&few, NULL, UINT64_MAX), few.first, few.first + few.count - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_found),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_each_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
