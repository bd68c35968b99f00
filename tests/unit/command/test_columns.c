/* SPDX-License-Identifier: Apache-2.0 */
/* columns=, format= and engine=: what is taken, what is refused with the nearest one, what an answer keeps. */
#include "command_test.h"

#include "command/answer.h"
#include "command/columns.h"

static void test_taken(void **state)
{
        static const char *const commands[] = {"list columns=name", "list columns=NAME,mac,expires format=csv", "list_bases columns=clones format=plain",
                                               "list_snapshots name=* columns=snapshot", "security_audit columns=at,error format=tsv", "list format=json"};

        (void)state;
        for (size_t i = 0; i < array_length(commands); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                check_taken(commands[i], request_parse(COWHERD_QEMU, commands[i], NULL, &request, &err), &err);
        }
}

static void test_refused(void **state)
{
        static const struct refused cases[] = {
                {"list columns=nmae", "'list' has no column 'nmae' (did you mean 'name'?)", "it has: id name base"},
                {"list columns=name,", "'list' has no column ''", "it has:"},
                {"list columns=,name", "has no column ''", NULL},
                {"list columns='name state'", "has no column 'name state'", NULL},
                {"list columns=name,Name", "column 'Name' is named twice", NULL},
                {"list columns=", "parameter 'columns' is empty", NULL},
                {"list_bases columns=mac", "'list_bases' has no column 'mac'", NULL},
                {"list format=xml", "'xml' is no value for parameter 'format'", NULL},
                {"info name=x columns=name", "'info' has no parameter 'columns'", NULL},
                {"doctor engine=lxd", "engine 'lxd' contradicts the target 'qemu'", NULL},
        };

        (void)state;
        check_all_refused(cases, array_length(cases));
}

static void test_engine(void **state)
{
        static const struct {
                enum cowherd_target target;
                const char *command;
                enum cowherd_target engine;
        } cases[] = {{COWHERD_ANY, "doctor", COWHERD_ANY},         {COWHERD_SELF, "tree", COWHERD_ANY},    {COWHERD_LXD, "doctor", COWHERD_LXD},
                     {COWHERD_ANY, "doctor engine=LXD", COWHERD_LXD}, {COWHERD_QEMU, "tree engine=qemu", COWHERD_QEMU}};

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                check_taken(cases[i].command, request_parse(cases[i].target, cases[i].command, NULL, &request, &err), &err);
                assert_int_equal(request_engine(&request), cases[i].engine);
        }
}

/* The verbs that take columns= are those that have some, and the table tells faces the same. */
static void test_table(void **state)
{
        (void)state;
        for (unsigned id = 0; id < VERB_COUNT; id++) {
                const struct verb *verb = verb_of((enum verb_id)id);
                bool takes = false;
                for (size_t i = 0; verb->keys[i] != KEY_COUNT; i++)
                        takes = takes || verb->keys[i] == KEY_COLUMNS;
                assert_int_equal(takes, columns_of_verb((enum verb_id)id) != NULL);
                assert_ptr_equal(verb->public.columns, columns_of_verb((enum verb_id)id));
        }
        assert_string_equal(cowherd_verb_find("clone")->bare, "base name");
        assert_string_equal(cowherd_verb_find("copy_from")->bare, "name remote local");
        assert_null(cowherd_verb_find("status")->bare);
}

static void test_kept(void **state)
{
        struct cowherd_answer *answer = answer_new("list");

        (void)state;
        answer_set_list(answer, "csv", "b,A,none");
        for (unsigned i = 0; i < 3; i++) {
                answer_item(answer);
                answer_number(answer, "a", i);
                answer_text(answer, i == 1 ? "c" : "b", "text");
                answer_also(answer, "again", "a");
        }
        answer_items_end(answer);
        answer_items_end(answer);
        answer_text(answer, "after", "the items");
        answer_done(answer, "3");
        owned_str char *json = cowherd_answer_json(answer);
        assert_non_null(strstr(json, "\"after\":\"the items\",\"count\":3,\"items\":[{\"b\":\"text\",\"a\":0},{\"a\":1},{\"b\":\"text\",\"a\":2}]}"));
        assert_string_equal(cowherd_answer_format(answer), "csv");
        assert_string_equal(cowherd_answer_columns(answer), "b,A,none");
        cowherd_answer_free(answer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_taken), cmocka_unit_test(test_refused), cmocka_unit_test(test_engine),
                cmocka_unit_test(test_table), cmocka_unit_test(test_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
