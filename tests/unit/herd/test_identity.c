/* SPDX-License-Identifier: Apache-2.0 */
/* No two clones have anything in common: by construction where the space is small, by chance of 2^-122 elsewhere. */
#include "herd/herd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HERD "0f5c2a10-0000-4000-8000-000000000001"
#define MANY 5000

static int by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void assert_all_different(char **texts)
{
        qsort(texts, MANY, sizeof *texts, by_text);
        for (size_t i = 1; i < MANY; i++)
                assert_string_not_equal(texts[i - 1], texts[i]);
}

static void test_nothing_in_common(void **state)
{
        static struct catalogue_row rows[MANY];
        static char *column[MANY];
        static const size_t columns[] = {
                offsetof(struct catalogue_row, mac),           offsetof(struct catalogue_row, machine_id),
                offsetof(struct catalogue_row, uuid),          offsetof(struct catalogue_row, generation_id),
                offsetof(struct catalogue_row, instance_id),   offsetof(struct catalogue_row, random_seed),
        };

        (void)state;
        for (size_t i = 0; i < MANY; i++) {
                rows[i] = (struct catalogue_row){.id = i + 1, .target = COWHERD_QEMU, .name = x_strdup("c")};
                identity_choose(&rows[i], HERD);
        }
        for (size_t c = 0; c < array_length(columns); c++) {
                for (size_t i = 0; i < MANY; i++)
                        memcpy(&column[i], (const char *)&rows[i] + columns[c], sizeof column[i]);
                assert_all_different(column);
        }
        for (size_t i = 0; i < MANY; i++)
                catalogue_row_free(&rows[i]);
}

static void test_shape(void **state)
{
        struct catalogue_row row owned_by(catalogue_row_free) = {.id = 7, .target = COWHERD_QEMU, .name = x_strdup("Web_1.A")};

        (void)state;
        identity_choose(&row, HERD);
        assert_string_equal(row.hostname, "web-1-a");
        assert_int_equal(strlen(row.machine_id), 32);
        assert_int_equal(strlen(row.uuid), 36);
        assert_int_equal(row.uuid[14], '4');
        assert_true(str_starts(row.mac, "52:54:00:"));
        assert_int_equal(strlen(row.mac), 17);
        assert_int_equal(strlen(row.random_seed), 64);
}

static void test_two_herds_differ(void **state)
{
        struct catalogue_row a owned_by(catalogue_row_free) = {.id = 1, .target = COWHERD_NSPAWN, .name = x_strdup("c")};
        struct catalogue_row b owned_by(catalogue_row_free) = {.id = 1, .target = COWHERD_NSPAWN, .name = x_strdup("c")};

        (void)state;
        identity_choose(&a, HERD);
        identity_choose(&b, "7b5c2a11-0000-4000-8000-000000000002");
        assert_string_not_equal(a.mac, b.mac);
}

static void test_pending(void **state)
{
        struct catalogue_row row = {.target = COWHERD_QEMU};

        (void)state;
        assert_non_null(strstr(identity_pending(&row), "machine-id"));
        row.keep_identity = true;
        assert_string_equal(identity_pending(&row), "");
        row = (struct catalogue_row){.target = COWHERD_NSPAWN, .identity_applied = true};
        assert_string_equal(identity_pending(&row), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_in_common),
                cmocka_unit_test(test_shape),
                cmocka_unit_test(test_two_herds_differ),
                cmocka_unit_test(test_pending),
        };

        return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
