/* SPDX-License-Identifier: Apache-2.0 */
/* The verb table holds together: names are one verb's alone, fallbacks and examples are what the parser takes, help
 * fits. */
#include "command_test.h"

#include <ctype.h>

static void check_width(const char *topic)
{
        char *text = NULL;
        struct cowherd_error err = {0};

        check_taken(topic == NULL ? "help" : topic, cowherd_help(topic, &text, &err), &err);
        for (const char *line = text; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                if (length > 80)
                        fail_msg("help on %s: more than 80 columns: %.*s", topic == NULL ? "all" : topic, (int)length,
                                 line);
                if (length > 0 && line[length - 1] == ' ')
                        fail_msg("help on %s: blank at the end of: %.*s", topic == NULL ? "all" : topic, (int)length,
                                 line);
                line += length + (line[length] == '\n');
        }
        free(text);
}

static void test_names_are_unique(void **state)
{
        owned_strv struct strv names = {0};

        (void)state;
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++) {
                const struct cowherd_verb *verb = cowherd_verb_at(i);
                assert_false(strv_has(&names, verb->name));
                strv_add(&names, verb->name);
                assert_ptr_equal(cowherd_verb_find(verb->name), verb);
                assert_non_null(verb->summary);
                assert_true(islower(verb->summary[0]) || strncmp(verb->summary, "REXX", 4) == 0);
                for (const char *at = verb->aliases; at != NULL && *at != '\0'; at += strspn(at, " ")) {
                        owned_str char *alias = x_strndup(at, strcspn(at, " "));
                        assert_false(strv_has(&names, alias));
                        assert_ptr_equal(cowherd_verb_find(alias), verb);
                        strv_add(&names, alias);
                        at += strlen(alias);
                }
        }
        assert_int_equal(VERB_COUNT, 43);
        assert_null(cowherd_verb_at(VERB_COUNT));
        assert_null(cowherd_verb_find(""));
        assert_null(cowherd_verb_suggest("xyzzyxyzzy"));
}

static void test_parameters(void **state)
{
        (void)state;
        for (unsigned id = 0; id < VERB_COUNT; id++) {
                const struct verb *verb = verb_of((enum verb_id)id);
                owned_strv struct strv names = {0};
                size_t count = 0;
                for (; verb->public.parameters[count].name != NULL; count++) {
                        const struct cowherd_parameter *parameter = &verb->public.parameters[count];
                        assert_false(strv_has(&names, parameter->name));
                        strv_add(&names, parameter->name);
                        assert_non_null(parameter->help);
                        assert_true(str_ends(parameter->help, "."));
                        assert_true(verb->keys[count] < KEY_COUNT);
                }
                assert_int_equal(verb->keys[count], KEY_COUNT);
                assert_true(strv_has(&names, "dry_run") && strv_has(&names, "stem"));
        }
}

/* Every example is a command that the parser takes, and so are all fallbacks of its verb. */
static void test_examples(void **state)
{
        (void)state;
        for (unsigned id = 0; id < VERB_COUNT; id++) {
                const struct cowherd_verb *verb = &verb_of((enum verb_id)id)->public;
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                assert_non_null(verb->example);
                check_taken(
                        verb->example,
                        request_parse(verb->of_self ? COWHERD_SELF : COWHERD_LXD, verb->example, NULL, &request, &err),
                        &err);
                assert_int_equal(request.verb->id, id);
        }
}

static void test_what_works_now(void **state)
{
        static const char works[] =
                "status setup teardown register_base list_bases info remove_base clone_from_base list start stop restart "
                "pause resume start_if_stopped stop_if_running wait create execute copy_to copy_from shell logs extend "
                "security_audit usage rename "
                "delete cleanup doctor compare advise run help snapshot restore list_snapshots delete_snapshot promote flatten tree completion metrics";

        (void)state;
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++)
                assert_int_equal(cowherd_verb_at(i)->available, str_in_words(works, cowherd_verb_at(i)->name));
}

static void test_help_names_every_verb(void **state)
{
        struct cowherd_error err = {0};
        char *text = NULL;

        (void)state;
        check_taken("help", cowherd_help(NULL, &text, &err), &err);
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++) {
                owned_str char *line = x_asprintf("\n  %s ", cowherd_verb_at(i)->name);
                const char *at = strstr(text, line);
                if (at == NULL)
                        fail_msg("the overview does not name '%s'", cowherd_verb_at(i)->name);
                /* Its mark stands before the next verb's line, which is two blanks and a letter. */
                const char *mark = strstr(at, "(not in this version)"), *next = at + 1;
                do
                        next = strchr(next + 1, '\n');
                while (next != NULL && strncmp(next, "\n    ", 5) == 0);
                assert_int_equal(mark != NULL && mark < next, !cowherd_verb_at(i)->available);
        }
        free(text);
}

static void test_help_fits(void **state)
{
        static const char *const topics[] = {"syntax", "types",  "targets", "QEMU",  "lxd",
                                             "nspawn", "stores", "answers", "codes", "rexx"};

        (void)state;
        check_width(NULL);
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++)
                check_width(cowherd_verb_at(i)->name);
        for (size_t i = 0; i < array_length(topics); i++)
                check_width(topics[i]);
}

static void test_help_refused(void **state)
{
        struct cowherd_error err = {0};
        char *text = NULL;

        (void)state;
        check_refused("help", cowherd_help("clone_form_base", &text, &err), &err, "did you mean 'clone_from_base'",
                      "help");
        check_refused("help", cowherd_help("tpyes", &text, &err), &err, "did you mean 'types'", NULL);
        check_refused("help", cowherd_help("qqqqqqqqqq", &text, &err), &err, "there is no help on", NULL);
        assert_null(text);
}

static void test_targets(void **state)
{
        enum cowherd_target target = COWHERD_ANY;

        (void)state;
        assert_true(cowherd_target_parse("QEMU", &target));
        assert_int_equal(target, COWHERD_QEMU);
        assert_true(cowherd_target_parse("Nspawn", &target));
        assert_int_equal(target, COWHERD_NSPAWN);
        assert_false(cowherd_target_parse("docker", &target));
        assert_false(cowherd_target_parse("any", &target));
        assert_false(cowherd_target_parse("", &target));
        assert_int_equal(target, COWHERD_NSPAWN);
        assert_string_equal(cowherd_target_name(COWHERD_SELF), "cowherd");
}

static void test_names_by_target(void **state)
{
        static const char *const everywhere[] = {"a", "A-1", "web-1", "x9"},
                                 *const qemu_only[] = {"a_b", "a.b", "vm.1_x"}, *const nowhere[] = {"",        "1a",
                                                                                                    "-a",      "a-",
                                                                                                    "a b",     "a*",
                                                                                                    "_a",      ".a",
                                                                                                    "a/b",     "a\x7f",
                                                                                                    "\xc3\xa9"};
        struct cowherd_error err = {0};

        (void)state;
        for (size_t i = 0; i < array_length(everywhere); i++)
                for (unsigned target = 0; target <= COWHERD_ANY; target++)
                        check_taken(everywhere[i], name_check((enum cowherd_target)target, everywhere[i], &err), &err);
        for (size_t i = 0; i < array_length(qemu_only); i++) {
                check_taken(qemu_only[i], name_check(COWHERD_QEMU, qemu_only[i], &err), &err);
                check_taken(qemu_only[i], name_check(COWHERD_ANY, qemu_only[i], &err), &err);
                check_refused(qemu_only[i], name_check(COWHERD_LXD, qemu_only[i], &err), &err, "holds '_' or '.'",
                              "a name is");
                check_refused(qemu_only[i], name_check(COWHERD_NSPAWN, qemu_only[i], &err), &err, "holds '_' or '.'",
                              NULL);
        }
        for (size_t i = 0; i < array_length(nowhere); i++)
                for (unsigned target = 0; target <= COWHERD_ANY; target++)
                        check_refused(nowhere[i], name_check((enum cowherd_target)target, nowhere[i], &err), &err,
                                      "name '", "a name is");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_are_unique),
                cmocka_unit_test(test_parameters),
                cmocka_unit_test(test_examples),
                cmocka_unit_test(test_what_works_now),
                cmocka_unit_test(test_help_names_every_verb),
                cmocka_unit_test(test_help_fits),
                cmocka_unit_test(test_help_refused),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_names_by_target),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
