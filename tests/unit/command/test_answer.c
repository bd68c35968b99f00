/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: order of fields, what replaces what, and JSON that another library reads back. */
#include "command/answer.h"
#include "command_test.h"

#include <jansson.h>

static void free_answer(struct cowherd_answer **answer)
{
        cowherd_answer_free(*answer);
}
#define owned_answer __attribute__((cleanup(free_answer)))

static void free_json(json_t **json)
{
        json_decref(*json);
}
#define owned_json __attribute__((cleanup(free_json)))

/* An answer's JSON, read back; to be freed. */
static json_t *read_back(const struct cowherd_answer *answer)
{
        owned_str char *text = cowherd_answer_json(answer);
        json_error_t why;
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &why);

        if (json == NULL)
                fail_msg("%s at %d: %s", why.text, why.column, text);
        assert_null(strchr(text, '\n'));
        return json;
}

/* The names of an answer's fields, apart by blanks; to be freed. */
static char *names_of(const struct cowherd_answer *answer)
{
        owned_string struct str names = {0};
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_field(answer, i)) != NULL; i++)
                str_addf(&names, "%s%s", i > 0 ? " " : "", field->name);
        return str_take(&names);
}

static void test_success(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("clone_from_base");

        (void)state;
        answer_text(answer, "name", "vm-1");
        answer_text(answer, "path", NULL);
        answer_number(answer, "size_bytes", INT64_MAX);
        answer_ms(answer, "clone_ms", 0.3149);
        answer_flag(answer, "identity", true);
        answer_also(answer, "vm", "name");
        answer_also(answer, "nothing", "absent");
        answer_set_stem(answer, "out.");
        answer_done(answer, "clone '%s' made", "vm-1");

        owned_str char *names = names_of(answer);
        assert_string_equal(names, "success operation output name size_bytes clone_ms identity vm");
        assert_int_equal(cowherd_answer_code(answer), 0);
        assert_true(cowherd_answer_success(answer));
        assert_string_equal(cowherd_answer_text(answer), "clone 'vm-1' made");
        assert_string_equal(cowherd_answer_get(answer, "success"), "1");
        assert_string_equal(cowherd_answer_get(answer, "vm"), "vm-1");
        assert_string_equal(cowherd_answer_stem(answer), "out.");
        assert_null(cowherd_answer_get(answer, "error"));
        assert_false(cowherd_answer_is_list(answer));
        assert_true(cowherd_answer_field(answer, 7)->also);
        assert_null(cowherd_answer_field(answer, 8));

        owned_json json_t *json = read_back(answer);
        assert_int_equal(json_integer_value(json_object_get(json, "success")), 1);
        assert_true(json_is_real(json_object_get(json, "clone_ms")));
        assert_string_equal(json_string_value(json_object_get(json, "vm")), "vm-1");
        assert_null(json_object_get(json, "items"));
}

static void test_failure(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("info");
        struct cowherd_error err = {
                .code = COWHERD_NOT_FOUND, .text = "base 'x' not found", .hint = "list_bases lists them"};

        (void)state;
        answer_text(answer, "name", "x");
        answer_done(answer, "too early");
        answer_failed(answer, &err);
        answer_text(answer, "path", "/tmp");
        answer_text(answer, "name", "y");

        owned_str char *names = names_of(answer);
        assert_string_equal(names, "success operation error code hint name path");
        assert_int_equal(cowherd_answer_code(answer), 66);
        assert_false(cowherd_answer_success(answer));
        assert_string_equal(cowherd_answer_text(answer), "base 'x' not found");
        assert_string_equal(cowherd_answer_get(answer, "name"), "y");
        owned_json json_t *json = read_back(answer);
        assert_int_equal(json_integer_value(json_object_get(json, "success")), 0);
        assert_int_equal(json_integer_value(json_object_get(json, "code")), 66);
        assert_null(json_object_get(json, "output"));

        err.hint[0] = '\0';
        answer_failed(answer, &err);
        assert_null(cowherd_answer_get(answer, "hint"));
}

/* An answer that nobody finished is a failure, never a silent success. */
static void test_unfinished(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("");
        owned_answer struct cowherd_answer *coded = answer_new("list");
        const struct cowherd_error err = {.text = "no code"};

        (void)state;
        assert_false(cowherd_answer_success(answer));
        assert_int_equal(cowherd_answer_code(answer), 70);
        assert_string_equal(cowherd_answer_text(answer), "");
        answer_failed(coded, &err);
        assert_int_equal(cowherd_answer_code(coded), 70);
        cowherd_answer_free(NULL);
}

static void test_exit_code(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("execute");
        const struct cowherd_error err = {.code = COWHERD_BUSY, .text = "timed out"};

        (void)state;
        answer_number(answer, "exit_code", 3);
        answer_done(answer, "ended with 3");
        assert_int_equal(cowherd_answer_code(answer), 3);
        answer_failed(answer, &err);
        assert_int_equal(cowherd_answer_code(answer), 75);
}

static void test_list(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("list");

        (void)state;
        answer_list(answer);
        assert_string_equal(cowherd_answer_get(answer, "count"), "0");
        for (int i = 0; i < 12; i++) {
                owned_str char *name = x_asprintf("web-%d", i);
                answer_item(answer);
                answer_text(answer, "name", name);
                if (i == 5)
                        answer_text(answer, "odd", "one");
                answer_number(answer, "clone_ms", (uint64_t)i);
                answer_text(answer, "name", i == 7 ? "replaced" : name);
                answer_also(answer, "vm", "name");
        }
        answer_items_end(answer);
        answer_number(answer, "failed", 0);
        answer_done(answer, "12 clones");

        owned_str char *names = names_of(answer);
        assert_string_equal(names, "success operation output failed count");
        assert_int_equal(cowherd_answer_items(answer), 12);
        assert_string_equal(cowherd_answer_get(answer, "count"), "12");
        assert_string_equal(cowherd_answer_item_get(answer, 7, "vm"), "replaced");
        assert_string_equal(cowherd_answer_item_get(answer, 5, "odd"), "one");
        assert_string_equal(cowherd_answer_item_get(answer, 6, "clone_ms"), "6");
        assert_null(cowherd_answer_item_get(answer, 6, "odd"));
        assert_null(cowherd_answer_item_get(answer, 12, "name"));
        assert_null(cowherd_answer_item_field(answer, 0, 3));
        owned_json json_t *json = read_back(answer);
        const json_t *items = json_object_get(json, "items");
        assert_int_equal(json_array_size(items), 12);
        assert_string_equal(json_string_value(json_object_get(json_array_get(items, 11), "name")), "web-11");
}

static void test_empty_list(void **state)
{
        owned_answer struct cowherd_answer *answer = answer_new("list");

        (void)state;
        answer_list(answer);
        answer_done(answer, "no clones");
        owned_json json_t *json = read_back(answer);
        assert_true(json_is_array(json_object_get(json, "items")));
        assert_int_equal(json_array_size(json_object_get(json, "items")), 0);
        assert_int_equal(json_integer_value(json_object_get(json, "count")), 0);
}

/* Text comes back as it was; what is not UTF-8 as U+FFFD, a byte each. */
static void test_json_text(void **state)
{
        static const struct {
                const char *in;
                const char *out;
        } cases[] = {
                {"", ""},
                {"plain", "plain"},
                {"\"\\/", "\"\\/"},
                {"\b\f\n\r\t\x01\x1f\x7f", "\b\f\n\r\t\x01\x1f\x7f"},
                {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x84", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x84"},
                {"\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80", "\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80"},
                {"a\xff"
                 "b",
                 "a\xef\xbf\xbd"
                 "b"},
                {"\xc3", "\xef\xbf\xbd"},
                {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xf0\x9f\x90", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                {"\x80\xc3\"", "\xef\xbf\xbd\xef\xbf\xbd\""},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_answer struct cowherd_answer *answer = answer_new("execute");
                answer_text(answer, "stdout", cases[i].in);
                answer_done(answer, "done");
                owned_json json_t *json = read_back(answer);
                assert_string_equal(json_string_value(json_object_get(json, "stdout")), cases[i].out);
        }
}

static void test_long_texts(void **state)
{
        enum { LENGTH = 300000 };
        owned_answer struct cowherd_answer *answer = answer_new("execute");
        owned_str char *text = x_calloc(LENGTH + 1, 1);

        (void)state;
        memset(text, 'x', LENGTH);
        answer_text(answer, "before", "b");
        answer_text(answer, "stdout", text);
        answer_text(answer, "after", "a");
        answer_done(answer, "%s", text);
        assert_string_equal(cowherd_answer_get(answer, "stdout"), text);
        assert_string_equal(cowherd_answer_get(answer, "before"), "b");
        assert_string_equal(cowherd_answer_text(answer), text);
        owned_json json_t *json = read_back(answer);
        assert_int_equal(json_string_length(json_object_get(json, "stdout")), LENGTH);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_success),   cmocka_unit_test(test_failure),    cmocka_unit_test(test_unfinished),
                cmocka_unit_test(test_exit_code), cmocka_unit_test(test_list),       cmocka_unit_test(test_empty_list),
                cmocka_unit_test(test_json_text), cmocka_unit_test(test_long_texts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
