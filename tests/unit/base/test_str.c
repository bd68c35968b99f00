/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows, lists, patterns, UTF-8 and misspelt words. */
#include "base/str.h"
#include "base_test.h"

static void test_grows(void **state)
{
        owned_string struct str text = {0};

        (void)state;
        assert_string_equal(str_text(&text), "");
        for (int i = 0; i < 1000; i++)
                str_addf(&text, "%d,", i % 10);
        assert_int_equal(text.length, 2000);
        str_add_bytes(&text, "a\0b", 3);
        assert_int_equal(text.length, 2003);
        assert_int_equal(text.data[2003], '\0');
        assert_memory_equal(text.data + 1998, "9,a\0b", 5);

        owned_str char *taken = str_take(&text);
        assert_memory_equal(taken, "0,1,", 4);
        assert_int_equal(text.length, 0);
        owned_str char *empty = str_take(&text);
        assert_string_equal(empty, "");
}

static void test_list(void **state)
{
        owned_strv struct strv list = {0};

        (void)state;
        assert_false(strv_has(&list, "a"));
        for (int i = 0; i < 100; i++)
                strv_addf(&list, "n%d", i);
        strv_take(&list, x_strdup("last"));
        assert_int_equal(list.count, 101);
        assert_null(list.items[101]);
        assert_true(strv_has(&list, "n99"));
        assert_true(strv_has(&list, "last"));
        assert_false(strv_has(&list, "N99"));
}

static void test_questions(void **state)
{
        (void)state;
        assert_true(str_is_empty(NULL) && str_is_empty("") && !str_is_empty(" "));
        assert_true(str_starts("lxc/x", "lxc") && str_starts("a", "") && !str_starts("lx", "lxc"));
        assert_true(str_ends("b.qcow2", ".qcow2") && str_ends("a", "") && !str_ends("qcow2", ".qcow2"));
        assert_true(str_equal(NULL, NULL) && !str_equal(NULL, "") && str_equal("a", "a") && !str_equal("a", "A"));
        assert_true(str_equal_case("QeMu", "qemu") && !str_equal_case("qemu", "qemu2") && !str_equal_case("a", NULL));
        assert_false(str_equal_case("[", "{")); /* 0x20 apart, but no letters */
        assert_true(str_in_words("a bc  def", "BC") && str_in_words("a bc  def", "def"));
        assert_false(str_in_words("a bc", "b") || str_in_words("a bc", "bcd") || str_in_words(NULL, "a"));
        assert_false(str_in_words("a b", "a b"));
}

static void test_patterns(void **state)
{
        static const struct {
                const char *pattern, *name;
                bool matches;
        } cases[] = {
                {"web-*", "web-1", true},
                {"web-*", "web-", true},
                {"web-*", "webb", false},
                {"*", "", true},
                {"?", "", false},
                {"?", "a", true},
                {"w?b", "WEB", true},
                {"*b*d", "abcd", true},
                {"*b*d", "abdc", false},
                {"a*b*c", "aXbYbZc", true},
                {"", "", true},
                {"", "a", false},
                {"***", "abc", true},
                {"a", "ab", false},
                {"*a", "aaaaaaab", false},
                {"[a]", "a", false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                if (str_matches(cases[i].pattern, cases[i].name) != cases[i].matches)
                        fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].name);
        assert_true(str_is_pattern("a*") && str_is_pattern("?") && !str_is_pattern("web-1"));
}

static void test_utf8(void **state)
{
        static const char *const good[] = {"", "plain", "ä€𝄞", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
        static const char *const bad[] = {
                "\x80", "\xc0\xaf",         "\xc1\xbf",         "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\xaf",
                "\xff", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82",     "\xe2\x28\xa1", "a\xc3",
        };

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                assert_true(str_is_utf8(good[i], strlen(good[i])));
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                if (str_is_utf8(bad[i], strlen(bad[i])))
                        fail_msg("number %zu was taken", i);
        assert_true(str_is_utf8("a\0b", 3));
        assert_false(str_is_utf8("€", 2)); /* cut in the middle */
}

static void test_distance(void **state)
{
        char longer[65];

        (void)state;
        assert_int_equal(str_distance("", ""), 0);
        assert_int_equal(str_distance("", "abc"), 3);
        assert_int_equal(str_distance("clone", "CLONE"), 0);
        assert_int_equal(str_distance("clone", "clnoe"), 1); /* neighbours swapped */
        assert_int_equal(str_distance("clone", "clones"), 1);
        assert_int_equal(str_distance("kitten", "sitting"), 3);
        memset(longer, 'a', 64);
        longer[64] = '\0';
        assert_int_equal(str_distance(longer, longer), 99);
        assert_int_equal(str_distance(longer + 1, longer + 1), 0);
}

static void test_nearest(void **state)
{
        static const char *const verbs[] = {"clone_from_base", "register_base", "list_bases", "list",
                                            "status",          "delete"};
        const size_t count = sizeof verbs / sizeof verbs[0];

        (void)state;
        assert_string_equal(str_nearest("lsit", verbs, count), "list");
        assert_string_equal(str_nearest("registerbase", verbs, count), "register_base");
        assert_string_equal(str_nearest("deleet", verbs, count), "delete");
        assert_string_equal(str_nearest("reg", verbs, count), "register_base"); /* the beginning of one */
        assert_null(str_nearest("xyzzy", verbs, count));
        assert_null(str_nearest("", verbs, count));
        assert_null(str_nearest("list", verbs, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grows),    cmocka_unit_test(test_list), cmocka_unit_test(test_questions),
                cmocka_unit_test(test_patterns), cmocka_unit_test(test_utf8), cmocka_unit_test(test_distance),
                cmocka_unit_test(test_nearest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
