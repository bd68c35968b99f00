/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and spreads, which pairs are wanted, and what a run needs before it begins. */
#include "compare/pair.h"
#include "compare/room.h"
#include "compare/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1024ull * 1024)

static void assert_near(double value, double expected, double most)
{
        if (fabs(value - expected) > most)
                fail_msg("it is %g and not %g", value, expected);
}

static void assert_number(const json_t *object, const char *name, double expected)
{
        assert_true(json_is_number(json_object_get(object, name)));
        assert_near(json_number_value(json_object_get(object, name)), expected, 1e-9);
}

static void test_quantiles_lie_between_neighbours(void **state)
{
        static const double values[] = {1, 2, 3, 4, 10};
        static const struct {
                double part, expected;
        } cases[] = {{0, 1}, {0.5, 3}, {0.25, 2}, {0.95, 8.8}, {1, 10}};

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++)
                assert_near(quantile_of(values, array_length(values), cases[i].part), cases[i].expected, 1e-9);
        assert_near(quantile_of(values, 2, 0.5), 1.5, 1e-9);
        assert_near(quantile_of(values, 1, 0.95), 1, 1e-9);
        assert_near(quantile_of(NULL, 0, 0.5), 0, 1e-9);
}

static void test_a_summary_does_not_depend_on_the_order(void **state)
{
        struct series series = {0};

        (void)state;
        for (int i = 0; i < 100; i++)
                series_add(&series, (i * 37) % 101);
        json_t *summary = series_summary(&series), *samples = series_samples(&series);
        assert_number(summary, "min", 0);
        assert_number(summary, "n", 100);
        assert_near(series_median(&series), json_number_value(json_object_get(summary, "median")), 0.01);
        assert_true(json_number_value(json_object_get(summary, "p05")) < json_number_value(json_object_get(summary, "p95")));
        assert_int_equal(json_array_size(samples), 100);
        assert_near(json_number_value(json_array_get(samples, 1)), 37, 1e-9); /* samples stay in the order in which they came */
        json_decref(summary);
        json_decref(samples);
        series_free(&series);
}

static void test_what_is_not_known_is_not_a_number(void **state)
{
        struct series none = {0}, one = {0};

        (void)state;
        json_t *summary = series_summary(&none);
        assert_true(json_is_null(summary));
        json_decref(summary);
        series_add(&one, 7);
        summary = series_summary(&one);
        assert_number(summary, "median", 7);
        assert_null(json_object_get(summary, "p05")); /* of one value nobody knows the spread */
        assert_null(json_object_get(summary, "p95"));
        json_decref(summary);
        series_free(&one);
}

static void test_numbers_say_no_more_than_was_measured(void **state)
{
        static const struct {
                double value;
                const char *text;
        } cases[] = {{0.123456, "0.1235"}, {12.34567, "12.346"}, {1234.5678, "1234.6"}, {200704, "200704.0"}, {25501696, "25501696"}};

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                json_t *number = number_of(cases[i].value);
                owned_str char *text = json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
                assert_string_equal(text, cases[i].text);
                json_decref(number);
        }
}

static void test_a_quick_run_takes_the_first_choice(void **state)
{
        const struct compare_options all = {0}, quick = {.quick = true}, one = {.engine = "NSPAWN", .store = "copy", .quick = true};

        (void)state;
        assert_true(pair_is_wanted(&all, "nspawn", "hardlink", "btrfs"));
        assert_false(pair_is_wanted(&quick, "nspawn", "hardlink", "btrfs"));
        assert_true(pair_is_wanted(&quick, "nspawn", "btrfs", "btrfs"));
        assert_true(pair_is_wanted(&quick, "nspawn", "overlay", "btrfs"));
        assert_true(pair_is_wanted(&one, "nspawn", "copy", "btrfs"));
        assert_false(pair_is_wanted(&one, "nspawn", "btrfs", "btrfs"));
        assert_false(pair_is_wanted(&one, "qemu", "copy", "qcow2"));
}

static void test_every_store_has_its_raw_tool(void **state)
{
        static const char *const pairs[][2] = {{"qcow2", "qemu-img create -b"}, {"reflink", "cp -a --reflink"}, {"copy", "cp -a"}},
                                        *const trees[][2] = {{"btrfs", "btrfs subvolume snapshot"}, {"zfs", "zfs clone"}, {"hardlink", "cp -al"}, {"copy", "cp -a"}};

        (void)state;
        for (size_t i = 0; i < array_length(pairs); i++)
                assert_string_equal(raw_of(COWHERD_QEMU, pairs[i][0])->name, pairs[i][1]);
        for (size_t i = 0; i < array_length(trees); i++)
                assert_string_equal(raw_of(COWHERD_NSPAWN, trees[i][0])->name, trees[i][1]);
        assert_string_equal(raw_of(COWHERD_LXD, "lxd_pool")->name, "lxc copy");
        assert_null(raw_of(COWHERD_QEMU, "btrfs"));
}

static void test_needs_grow_with_what_is_asked_for(void **state)
{
        const struct images images = {.disk = {.path = (char *)(uintptr_t)"/d", .bytes = 100 * MIB}, .tree = {.path = (char *)(uintptr_t)"/t", .bytes = 10 * MIB}};
        const struct compare_options all = {0}, quick = {.quick = true}, qemu = {.engine = "qemu", .store = "qcow2"}, many = {.engine = "qemu", .store = "copy", .clones = 1000};

        (void)state;
        assert_true(needs_of(&quick, &images).disk_bytes < needs_of(&all, &images).disk_bytes);
        assert_true(needs_of(&qemu, &images).disk_bytes < needs_of(&quick, &images).disk_bytes);
        assert_true(needs_of(&many, &images).disk_bytes > 1000 * 100 * MIB);
        assert_true(needs_of(&qemu, &images).memory_bytes > 1024 * MIB);
        assert_true(needs_of(&(struct compare_options){.engine = "nspawn"}, &images).memory_bytes < 1024 * MIB);
}

static void test_too_little_is_said_with_both_numbers(void **state)
{
        const struct needs space = {.disk_bytes = 1ull << 62}, memory = {.memory_bytes = 2048 * MIB}, little = {.disk_bytes = 1, .memory_bytes = 1};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(needs_check(&space, "/tmp", 1, &err), -1);
        assert_int_equal(err.code, COWHERD_IO);
        assert_non_null(strstr(err.text, "too little space"));
        assert_non_null(strstr(err.text, "it takes up to 4"));
        assert_int_equal(needs_check(&memory, "/tmp", 512 * MIB, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_non_null(strstr(err.text, "512.0 MiB"));
        assert_non_null(strstr(err.text, "2.0 GiB"));
        assert_int_equal(needs_check(&little, "/tmp", 1, &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_quantiles_lie_between_neighbours),
                cmocka_unit_test(test_a_summary_does_not_depend_on_the_order),
                cmocka_unit_test(test_what_is_not_known_is_not_a_number),
                cmocka_unit_test(test_numbers_say_no_more_than_was_measured),
                cmocka_unit_test(test_a_quick_run_takes_the_first_choice),
                cmocka_unit_test(test_every_store_has_its_raw_tool),
                cmocka_unit_test(test_needs_grow_with_what_is_asked_for),
                cmocka_unit_test(test_too_little_is_said_with_both_numbers),
        };

        return cmocka_run_group_tests_name("compare numbers", tests, NULL, NULL);
}
