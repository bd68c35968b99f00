/* SPDX-License-Identifier: Apache-2.0 */
/* What the report is made of: escaping, words for figures, axes, ranks, and what changed between two documents. */
#include "report/document.h"
#include "report/markup.h"
#include "report/ranks.h"
#include "report/report.h"
#include "report/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void text_never_becomes_markup(void **state)
{
        owned_string struct str out = {0};

        (void)state;
        markup_text(&out, "<script>\"&'</script>\a\033[31m \xef\xbf\xbf\t\xc3\xa4");
        assert_string_equal(str_text(&out), "&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;\xef\xbf\xbd\xef\xbf\xbd[31m \xef\xbf\xbd\t\xc3\xa4");
}

static void figures_have_three_digits_and_a_unit(void **state)
{
        static const struct {
                bool is_bytes;
                double value;
                const char *text;
        } cases[] = {
                {false, 0, "0.000 ms"},    {false, 0.0123, "0.012 ms"}, {false, 0.63, "0.63 ms"},  {false, 9.949, "9.95 ms"}, {false, 9.96, "10.0 ms"},
                {false, 132.4, "132 ms"},  {false, 999.4, "999 ms"},    {false, 999.6, "1.00 s"},  {false, 4260, "4.26 s"},   {false, 599e3, "599 s"},
                {false, 900e3, "15.0 min"}, {true, 0, "0 B"},           {true, 12288, "12.0 KiB"}, {true, 1e18, "888.2 PiB"},
        };
        char buffer[MARKUP_VALUE_BYTES];

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++)
                assert_string_equal(markup_value(cases[i].is_bytes, cases[i].value, buffer), cases[i].text);
        assert_string_equal(markup_count(13995, buffer), "13,995");
        assert_string_equal(markup_count(999, buffer), "999");
        assert_string_equal(markup_count(1e18, buffer), "1,000,000,000,000,000,000");
}

static void ratios_are_honest(void **state)
{
        char buffer[MARKUP_VALUE_BYTES];

        (void)state;
        assert_string_equal(markup_ratio(false, 1, 16, buffer), "16× quicker");
        assert_string_equal(markup_ratio(false, 1.5, 1, buffer), "1.5× slower");
        assert_string_equal(markup_ratio(false, 1, 1.02, buffer), "as quick");
        assert_string_equal(markup_ratio(true, 12288, 200704, buffer), "16× smaller");
        assert_string_equal(markup_ratio(true, 2, 1, buffer), "2.0× bigger");
        assert_string_equal(markup_ratio(false, 1, 12992, buffer), "12,992× quicker");
        assert_string_equal(markup_ratio(false, 0, 1, buffer), "");
}

static void axes_show_the_least_and_hold_the_most(void **state)
{
        static const double ranges[][2] = {{0.3, 0.5}, {1, 39}, {0.31, 614}, {0.001, 1e7}, {1, 1}, {0, 5}, {0, 0}, {12288, 213e6}, {1e-9, 1e18}, {10, 1000}};

        (void)state;
        for (size_t i = 0; i < array_length(ranges); i++)
                for (int is_bytes = 0; is_bytes < 2; is_bytes++) {
                        struct scale scale = scale_of(is_bytes, ranges[i][0], ranges[i][1]);
                        assert_int_equal(scale.is_log, ranges[i][0] > 0 && ranges[i][1] / ranges[i][0] > 40);
                        assert_true(scale.high >= ranges[i][1] * 0.999999);
                        assert_in_range(scale.tick_count, 2, 8);
                        if (ranges[i][0] > 0)
                                assert_true(scale_position(&scale, ranges[i][0]) > 1);
                        assert_true(scale_position(&scale, ranges[i][1]) <= 100);
                        assert_true(scale_position(&scale, scale.low) <= 0.0001);
                        assert_true(scale_position(&scale, -5) <= 0);
                }
}

/* Against tables: U = 0 of 5 and 5 (exactly p = 0.0079), of 8 and 8; equal lists; ties. */
static void ranks_tell_chance(void **state)
{
        static const double a[] = {1, 2, 3, 4, 5, 6, 7, 8}, b[] = {11, 12, 13, 14, 15, 16, 17, 18}, same[] = {3, 3, 3, 3, 3, 3, 3, 3};
        static const double mixed[] = {1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5};

        (void)state;
        assert_true(ranks_p(a, 5, b, 5) < 0.0125 && ranks_p(a, 5, b, 5) > 0.005);
        assert_true(ranks_p(a, 8, b, 8) < 0.001);
        assert_true(ranks_p(a, 8, mixed, 8) > 0.5);
        assert_true(ranks_p(same, 8, same, 8) == 1);
        assert_true(ranks_p(same, 5, a, 5) > 0.5);
        assert_true(ranks_p(a, 0, b, 0) == 1);
}

static json_t *document_of(const char *text)
{
        json_error_t why;
        json_t *document = json_loads(text, 0, &why);

        if (document == NULL)
                fail_msg("%s: %s", why.text, text);
        return document;
}

static void other_documents_are_refused(void **state)
{
        static const struct {
                const char *text, *says;
        } cases[] = {
                {"{}", "no comparison"},
                {"[]", "no comparison"},
                {"{\"compare\":1}", "no comparison"},
                {"{\"compare\":\"1\",\"figures\":[]}", "no comparison"},
                {"{\"compare\":2,\"figures\":[]}", "version 2 (expected 1)"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_document json_t *document = document_of(cases[i].text);
                struct cowherd_error err = {0};
                assert_int_equal(report_html(document, "/nowhere/x.html", &err), -1);
                assert_int_equal(err.code, COWHERD_DATA);
                assert_non_null(strstr(err.text, cases[i].says));
                assert_true(err.hint[0] != '\0');
        }
}

static void a_file_that_is_none_is_told(void **state)
{
        char path[] = "/tmp/cowherd-report-XXXXXX";
        int fd = mkstemp(path);
        struct cowherd_error err = {0};
        json_t *document = NULL;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "{\"compare\":1,\n", 14), 14);
        (void)close(fd);
        assert_int_equal(report_read(path, &document, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_non_null(strstr(err.text, "is not JSON"));
        (void)unlink(path);
        assert_int_equal(report_read(path, &document, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
        assert_null(document);
}

static void what_was_not_measured_stays_out(void **state)
{
        owned_document json_t *document = document_of("{\"compare\":1,\"figures\":[null,7,{},{\"figure\":\"clone\",\"ours\":{\"median\":-1}},"
                                                      "{\"figure\":\"clone\",\"ours\":{\"median\":\"3\"}},{\"figure\":\"clone\",\"ours\":{\"median\":1e300}},"
                                                      "{\"engine\":\"qemu\",\"store\":\"x\",\"figure\":\"clone\",\"unit\":\"ms\",\"ours\":{\"median\":3,\"p05\":9,\"p95\":1},\"raw\":null}]}");
        struct figure figure;
        struct pair pairs[DOCUMENT_PAIRS];
        size_t known = 0, count = 0;

        (void)state;
        for (; document_figure_at(document, count, &figure); count++)
                known += figure.ours.known;
        assert_int_equal(count, 7);
        assert_int_equal(known, 1);
        assert_true(document_figure_of(document, "qemu", "x", "clone", &figure));
        assert_false(figure.ours.has_range); /* from 9 to 1 is none */
        assert_false(figure.raw.known);
        assert_int_equal(document_pairs(document, pairs), 1);
}

/* A document with one figure: its samples, or only its spread, and the raw tool's samples. */
static json_t *one_figure(const char *unit, const char *spread, const char *samples, const char *raw)
{
        owned_str char *text = x_asprintf("{\"compare\":1,\"figures\":[{\"engine\":\"qemu\",\"store\":\"qcow2\",\"figure\":\"clone\",\"title\":\"t\","
                                          "\"unit\":\"%s\",\"ours\":%s,\"samples\":%s%s}]}",
                                          unit, spread, samples, raw);

        return document_of(text);
}

struct comparison {
        const char *unit, *old_spread, *old_samples, *old_raw, *new_spread, *new_samples, *new_raw;
        enum report_verdict verdict;
        const char *told_by;
};

#define RAW(median, samples) ",\"raw_name\":\"the tool\",\"raw\":{\"median\":" median "},\"raw_samples\":" samples
#define SLOW "[20,21,22,23,24,25]"
#define FAST "[10,11,12,13,14,15]"

static const struct comparison comparisons[] = {
        {"ms", "{\"median\":12.5}", FAST, "", "{\"median\":22.5}", SLOW, "", REPORT_WORSE, "Mann-Whitney, p = 0.00"},
        {"ms", "{\"median\":22.5}", SLOW, "", "{\"median\":12.5}", FAST, "", REPORT_BETTER, "of 6 and 6 runs"},
        {"ms", "{\"median\":12.5}", FAST, "", "{\"median\":13.0}", "[10.5,11.5,12.5,13.5,14.5,15.5]", "", REPORT_NOISE, "Mann-Whitney"},
        {"ms", "{\"median\":12.5}", FAST, "", "{\"median\":12.5}", FAST, "", REPORT_SAME, ""},
        {"ms", "{\"median\":10,\"p05\":9,\"p95\":12}", "null", "", "{\"median\":13,\"p05\":11,\"p95\":14}", "null", "", REPORT_NOISE, "the spreads overlap"},
        {"ms", "{\"median\":10,\"p05\":9,\"p95\":11}", "[9,10,11]", "", "{\"median\":13,\"p05\":12,\"p95\":14}", "[12,13,14]", "", REPORT_WORSE, "do not overlap"},
        {"bytes", "{\"median\":16384}", "null", "", "{\"median\":12288}", "null", "", REPORT_BETTER, "without a spread"},
        {"ms", "{\"median\":12.5}", FAST, RAW("12.5", FAST), "{\"median\":22.5}", SLOW, RAW("22.5", SLOW), REPORT_MACHINE, "the tool changed as much"},
        {"ms", "{\"median\":12.5}", FAST, RAW("12.5", FAST), "{\"median\":22.5}", SLOW, RAW("12.5", FAST), REPORT_WORSE, "Mann-Whitney"},
        {"ms", "{\"median\":12.5}", FAST, RAW("22.5", SLOW), "{\"median\":22.5}", SLOW, RAW("12.5", FAST), REPORT_WORSE, "Mann-Whitney"},
};

static void a_change_is_told_from_noise(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_length(comparisons); i++) {
                const struct comparison *wanted = &comparisons[i];
                owned_document json_t *old = one_figure(wanted->unit, wanted->old_spread, wanted->old_samples, wanted->old_raw),
                                      *now = one_figure(wanted->unit, wanted->new_spread, wanted->new_samples, wanted->new_raw);
                struct report_changes changes owned_by(report_changes_free) = {0};
                struct cowherd_error err = {0};
                assert_int_equal(report_against(old, now, &changes, &err), 0);
                assert_int_equal(changes.count, 1);
                if (changes.items[0].verdict != wanted->verdict || strstr(changes.items[0].told_by, wanted->told_by) == NULL)
                        fail_msg("comparison %zu: %s, %s", i, report_verdict_name(changes.items[0].verdict), changes.items[0].told_by);
        }
}

static void what_came_and_went_is_told(void **state)
{
        owned_document json_t *old = document_of("{\"compare\":1,\"machine\":{\"kernel\":\"5\",\"load_before\":0.2},\"figures\":[{\"figure\":\"start\",\"unit\":\"ms\",\"ours\":{\"median\":3}}]}"),
                              *now = document_of("{\"compare\":1,\"machine\":{\"kernel\":\"6\",\"load_before\":4},\"quick\":true,\"figures\":[{\"figure\":\"clone\",\"unit\":\"ms\",\"ours\":{\"median\":3}}]}");
        struct report_changes changes owned_by(report_changes_free) = {0};
        owned_string struct str lines = {0};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(report_against(old, now, &changes, &err), 0);
        assert_int_equal(changes.count, 2);
        assert_int_equal(changes.items[0].verdict, REPORT_NEW);
        assert_int_equal(changes.items[1].verdict, REPORT_GONE);
        assert_true(strv_has(&changes.conditions, "kernel: 5 before, 6 now"));
        assert_true(strv_has(&changes.conditions, "load as it began: 0.2 before, 4.0 now"));
        assert_true(strv_has(&changes.conditions, "a full run before, a quick one now"));
        report_changes_lines(&changes, &lines);
        assert_non_null(strstr(str_text(&lines), "1 new, 1 gone, 0 the same or noise"));
        struct cowherd_answer *answer = answer_new("compare");
        report_changes_answer(&changes, answer);
        answer_done(answer, "done");
        assert_int_equal(cowherd_answer_items(answer), 2);
        assert_string_equal(cowherd_answer_item_get(answer, 0, "now_ms"), "3.00");
        assert_null(cowherd_answer_item_get(answer, 0, "before_ms"));
        assert_string_equal(cowherd_answer_item_get(answer, 1, "verdict"), "gone");
        cowherd_answer_free(answer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(text_never_becomes_markup),
                cmocka_unit_test(figures_have_three_digits_and_a_unit),
                cmocka_unit_test(ratios_are_honest),
                cmocka_unit_test(axes_show_the_least_and_hold_the_most),
                cmocka_unit_test(ranks_tell_chance),
                cmocka_unit_test(other_documents_are_refused),
                cmocka_unit_test(a_file_that_is_none_is_told),
                cmocka_unit_test(what_was_not_measured_stays_out),
                cmocka_unit_test(a_change_is_told_from_noise),
                cmocka_unit_test(what_came_and_went_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
