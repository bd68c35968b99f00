/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people write them: what is not wholly a number, or does not fit, is none and changes nothing. */
#include "base/number.h"
#include "base_test.h"

#define UNTOUCHED 4711u

struct number_case {
        const char *text;
        uint64_t value;
        bool good;
};

static void check(bool (*parse)(const char *, uint64_t *), const struct number_case *cases, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                uint64_t value = UNTOUCHED;
                if (parse(cases[i].text, &value) != cases[i].good)
                        fail_msg("'%s' was %s", cases[i].text, cases[i].good ? "refused" : "taken");
                if (value != (cases[i].good ? cases[i].value : UNTOUCHED))
                        fail_msg("'%s' is %llu", cases[i].text, (unsigned long long)value);
        }
}
#define check_all(parse, cases) check(parse, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_count(void **state)
{
        static const struct number_case cases[] = {
                {"0", 0, true},
                {"007", 7, true},
                {"18446744073709551615", UINT64_MAX, true},
                {"18446744073709551616", 0, false},
                {"99999999999999999999999", 0, false},
                {"", 0, false},
                {"-1", 0, false},
                {"+1", 0, false},
                {" 1", 0, false},
                {"1 ", 0, false},
                {"1.5", 0, false},
                {"0x10", 0, false},
                {"1e3", 0, false},
        };

        (void)state;
        check_all(number_parse, cases);
}

static void test_size(void **state)
{
        static const struct number_case cases[] = {
                {"512", 512, true},
                {"512b", 512, true},
                {"1K", 1024, true},
                {"1kB", 1024, true},
                {"1KiB", 1024, true},
                {"512M", UINT64_C(512) << 20, true},
                {"2G", UINT64_C(2) << 30, true},
                {"2GiB", UINT64_C(2) << 30, true},
                {"2gb", UINT64_C(2) << 30, true},
                {"3T", UINT64_C(3) << 40, true},
                {"16777215T", UINT64_C(16777215) << 40, true},
                {"16777216T", 0, false}, /* 2^64 */
                {"1P", 0, false},
                {"2 G", 0, false},
                {"2Gi", 0, false},
                {"G", 0, false},
                {"-2G", 0, false},
                {"1.5G", 0, false},
                {"2GG", 0, false},
        };

        (void)state;
        check_all(number_parse_size, cases);
}

static void test_duration(void **state)
{
        static const struct number_case cases[] = {
                {"500ms", 500, true},  {"30s", 30000, true},  {"30", 30000, true},
                {"10m", 600000, true}, {"2h", 7200000, true}, {"1d", 86400000, true},
                {"2H", 7200000, true}, {"0", 0, true},        {"2w", 0, false},
                {"s", 0, false},       {"1h30m", 0, false},   {"18446744073709551615s", 0, false},
                {"1 s", 0, false},
        };

        (void)state;
        check_all(number_parse_duration, cases);
}

static void test_boolean(void **state)
{
        static const char *const yes[] = {"true", "TRUE", "Yes", "1"}, *const no[] = {"false", "no", "NO", "0"};
        static const char *const neither[] = {"", "2", "on", "off", "y", "true ", "yes no", "truefalse"};

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                bool value = false, other = true;
                assert_true(number_parse_boolean(yes[i], &value));
                assert_true(value);
                assert_true(number_parse_boolean(no[i], &other));
                assert_false(other);
        }
        for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
                bool value = true;
                if (number_parse_boolean(neither[i], &value) || !value)
                        fail_msg("'%s' was taken", neither[i]);
        }
}

static void test_format(void **state)
{
        char buffer[NUMBER_TEXT_BYTES];

        (void)state;
        assert_string_equal(number_format_size(0, buffer), "0 B");
        assert_string_equal(number_format_size(1023, buffer), "1023 B");
        assert_string_equal(number_format_size(1024, buffer), "1.0 KiB");
        assert_string_equal(number_format_size(12288, buffer), "12.0 KiB");
        assert_string_equal(number_format_size(UINT64_C(3) << 29, buffer), "1.5 GiB");
        assert_string_equal(number_format_size(UINT64_MAX, buffer), "16384.0 PiB");
        assert_string_equal(number_format_ms(0.314, buffer), "0.31");
        assert_string_equal(number_format_ms(4.7, buffer), "4.70");
        assert_string_equal(number_format_ms(47.25, buffer), "47.2");
        assert_string_equal(number_format_ms(132.4, buffer), "132");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_count),   cmocka_unit_test(test_size),   cmocka_unit_test(test_duration),
                cmocka_unit_test(test_boolean), cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
