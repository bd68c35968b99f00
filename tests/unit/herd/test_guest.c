/* SPDX-License-Identifier: Apache-2.0 */
/* What is done inside an instance and around its life, over an engine that only notes: words, answers, codes. */
#include "herd_test.h"

#include "herd/guest.h"
#include "sys/file.h"

static void start_one(struct fixture *fixture)
{
        do_say(fixture, 0, "clone base=golden name=a start=true");
}

static void test_an_execution_is_told(void **state)
{
        struct fixture *fixture = *state;

        start_one(fixture);
        (void)strcpy(fake_engine->output, "hello\n");
        fake_engine->output_length = 6;
        fake_engine->exit_code = 3;
        struct cowherd_answer *answer = say(fixture, 3, "execute name=a command='echo hello; exit 3' user=joe working_dir=/srv timeout=2s stdin='in put' "
                                                        "env='A=1 B=\"two words\" C=''x''''y'' D='");
        assert_true(cowherd_answer_success(answer));
        assert_field(answer, "exit_code", "3");
        assert_field(answer, "exitCode", "3");
        assert_field(answer, "stdout", "hello\n");
        assert_field(answer, "stderr", "warned");
        assert_null(cowherd_answer_get(answer, "error"));
        cowherd_answer_free(answer);
        assert_string_equal(fake_engine->executed, "[/bin/sh][-c][echo hello; exit 3] {A=1} {B=two words} {C=x'y} {D=} user=joe dir=/srv timeout=2000 input=in put");
        fake_engine->exit_code = 0;
        do_say(fixture, 0, "exec vm=a command=true shell=/bin/bash");
        assert_string_equal(fake_engine->executed, "[/bin/bash][-c][true] user=- dir=- timeout=0 input=");
}

static void test_bytes_that_are_no_text(void **state)
{
        struct fixture *fixture = *state;
        static const struct {
                const char *bytes;
                size_t length;
                const char *field, *value;
        } cases[] = {
                {"", 0, "stdout", ""},           {"\xff", 1, "stdout_base64", "/w=="},          {"a\0b", 3, "stdout_base64", "YQBi"},
                {"k\xc3\xa4se", 5, "stdout", "k\xc3\xa4se"}, {"\x80\x81\x82\x83\x84", 5, "stdout_base64", "gIGCg4Q="},
        };

        start_one(fixture);
        for (size_t i = 0; i < array_length(cases); i++) {
                memcpy(fake_engine->output, cases[i].bytes, cases[i].length);
                fake_engine->output_length = cases[i].length;
                struct cowherd_answer *answer = say(fixture, 0, "execute name=a command=x");
                assert_field(answer, cases[i].field, cases[i].value);
                cowherd_answer_free(answer);
        }
}

static void test_words_arrive_as_they_are(void **state)
{
        struct fixture *fixture = *state;
        static const char *const several[] = {"exec", "a", "--", "printf", "%s\n", "two words", "", "a'b\"c", "$HOME", "--flag"};
        static const char *const one[] = {"exec", "a", "--", "echo $HOME | cat"};

        start_one(fixture);
        cowherd_answer_free(cowherd_execute_words(fixture->herd, COWHERD_ANY, array_length(several), several));
        assert_string_equal(fake_engine->executed, "[printf][%s\n][two words][][a'b\"c][$HOME][--flag] user=- dir=- timeout=0 input=");
        cowherd_answer_free(cowherd_execute_words(fixture->herd, COWHERD_ANY, array_length(one), one));
        assert_string_equal(fake_engine->executed, "[/bin/sh][-c][echo $HOME | cat] user=- dir=- timeout=0 input=");
}

static void test_variables_that_are_none(void **state)
{
        static const char *const bad[] = {"A", "=x", "1A=x", "A-B=x", "A=\"x", "A=\"x\"y", "A='x", "A=1 B", "a.b=1"};

        (void)state;
        for (size_t i = 0; i < array_length(bad); i++) {
                struct strv list owned_by(strv_free) = {0};
                struct cowherd_error err = {0};
                assert_int_equal(guest_environment(bad[i], &list, &err), -1);
                assert_int_equal(err.code, COWHERD_USAGE);
        }
}

static void test_what_fails_is_ours(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, COWHERD_NOT_FOUND, "execute name=a command=true");
        do_say(fixture, COWHERD_NOT_FOUND, "execute name=golden command=true");
        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *answer = say(fixture, COWHERD_BUSY, "execute name=a command=true");
        assert_field(answer, "state", "stopped");
        assert_null(cowherd_answer_get(answer, "exit_code"));
        cowherd_answer_free(answer);
        do_say(fixture, 0, "start name=a");
        do_say(fixture, 0, "pause name=a");
        do_say(fixture, COWHERD_BUSY, "execute name=a command=true");
        do_say(fixture, 0, "resume name=a");
        fake_engine_fail("execute", "", COWHERD_UNAVAILABLE);
        answer = say(fixture, COWHERD_UNAVAILABLE, "execute name=a command=true");
        assert_says(answer, "executing in 'a'");
        cowherd_answer_free(answer);
        do_say(fixture, COWHERD_USAGE, "execute name=a command=");
        do_say(fixture, COWHERD_USAGE, "execute name=a command=true env=x");
        do_say(fixture, COWHERD_USAGE, "shell name=a");
        fake_of(fixture, "a")->state = ENGINE_MISSING;
        do_say(fixture, COWHERD_NOT_FOUND, "execute name=a command=true");
        do_say(fixture, COWHERD_USAGE, "copy_to name=a local=/etc/hosts remote=tmp");
        do_say(fixture, COWHERD_NOT_FOUND, "copy_to name=a local=/no/such remote=/tmp");
        do_say(fixture, COWHERD_DATA, "copy_to name=a local=/dev/null remote=/tmp");
        do_say(fixture, COWHERD_NOT_FOUND, "copy_from name=a local=/no/such/folder/x remote=/tmp/x");
        do_say(fixture, COWHERD_USAGE, "copy_from name=a local=/tmp remote=/");
}

static void test_logs(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a");
        struct cowherd_answer *answer = say(fixture, 0, "logs name=a lines=7");
        assert_field(answer, "log", "line of a\nlast of 7\n");
        cowherd_answer_free(answer);
        fake_engine_fail("logs", "", COWHERD_NOT_FOUND);
        do_say(fixture, COWHERD_NOT_FOUND, "logs name=a");
}

static void test_create_leaves_no_base(void **state)
{
        struct fixture *fixture = *state;

        struct cowherd_answer *answer = say(fixture, 0, "create image=%s/golden.raw name=c start=true wait=true memory=64M", fixture->folder);
        assert_field(answer, "operation", "create");
        assert_field(answer, "name", "c");
        assert_field(answer, "state", "running");
        cowherd_answer_free(answer);
        assert_string_equal(fake_of(fixture, "c")->memory, "67108864");
        answer = say(fixture, 0, "list_bases"); /* only the one that was registered by hand */
        assert_int_equal(cowherd_answer_items(answer), 1);
        cowherd_answer_free(answer);
        assert_settled(fixture);
        do_say(fixture, COWHERD_EXISTS, "create image=%s/golden.raw name=c", fixture->folder);
        do_say(fixture, COWHERD_NOT_FOUND, "create image=%s/no.raw name=d", fixture->folder);
        fake_engine_fail("start", "", COWHERD_IO);
        do_say(fixture, COWHERD_IO, "create image=%s/golden.raw name=d start=true", fixture->folder);
        fake_engine_fail("", "", 0);
        answer = say(fixture, 0, "create image=%s/golden.raw count=2", fixture->folder);
        assert_int_equal(cowherd_answer_items(answer), 2);
        assert_true(str_starts(cowherd_answer_item_get(answer, 0, "name"), "golden-"));
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "list_bases");
        assert_int_equal(cowherd_answer_items(answer), 1);
        cowherd_answer_free(answer);
        assert_settled(fixture);
}

static void test_a_create_that_is_killed_leaves_no_base(void **state)
{
        struct fixture *fixture = *state;
        char command[256];

        (void)snprintf(command, sizeof command, "create image=%s/golden.raw name=c start=true", fixture->folder);
        say_and_die(fixture, "start", command);
        do_say(fixture, 0, "cleanup");
        struct cowherd_answer *answer = say(fixture, 0, "list_bases");
        assert_int_equal(cowherd_answer_items(answer), 1);
        cowherd_answer_free(answer);
        do_say(fixture, COWHERD_NOT_FOUND, "info name=c");
        assert_settled(fixture);
}

static void test_a_life_with_an_end(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, 0, "clone base=golden name=a ttl=1s start=true");
        do_say(fixture, 0, "clone base=golden name=b ttl=1s");
        do_say(fixture, 0, "clone base=golden name=c ttl=1s");
        struct cowherd_answer *answer = say(fixture, 0, "extend name=c ttl=1h");
        assert_non_null(cowherd_answer_get(answer, "expires"));
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "extend name=c ttl=1m"); /* never earlier */
        assert_says(answer, "lives that long already");
        cowherd_answer_free(answer);
        do_say(fixture, COWHERD_NOT_FOUND, "extend name=x-* ttl=1m");
        do_say(fixture, COWHERD_USAGE, "extend name=c");
        const struct fake_instance *fake = fake_of(fixture, "a");
        (void)usleep(1100000);
        answer = say(fixture, 0, "cleanup name=x*"); /* a pattern says which */
        assert_field(answer, "expired", "0");
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "cleanup");
        assert_field(answer, "expired", "2");
        assert_field(answer, "ended", "1");
        cowherd_answer_free(answer);
        assert_int_equal(fake->state, ENGINE_STOPPED);
        do_say(fixture, COWHERD_NOT_FOUND, "info name=a");
        answer = say(fixture, 0, "info name=c");
        assert_true(atoll(cowherd_answer_get(answer, "ttl_left_ms")) > 3500000);
        cowherd_answer_free(answer);
        assert_settled(fixture);
}

static void test_cleanup_takes_what_is_left_under_run(void **state)
{
        struct fixture *fixture = *state;
        struct cowherd_answer *status = NULL;
        char folder[128], command[192];

        start_one(fixture);
        (void)snprintf(folder, sizeof folder, "%s/cowherd", fixture->folder);
        if (geteuid() == 0)
                (void)snprintf(folder, sizeof folder, "/run/cowherd");
        (void)snprintf(command, sizeof command, "%s/%.8s/77/deep", folder, catalogue_uuid(fixture->herd->catalogue));
        struct cowherd_error err;
        owned_str char *path = x_strdup(command);
        assert_int_equal(file_make_folders(AT_FDCWD, path, 0700, &err), 0);
        status = say(fixture, 0, "cleanup");
        assert_field(status, "orphans", "1");
        cowherd_answer_free(status);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_state(fixture, "a", "running");
}

static void test_what_was_refused_is_told(void **state)
{
        struct fixture *fixture = *state;

        do_say(fixture, COWHERD_USAGE, "clone base=golden name=../x");
        do_say(fixture, COWHERD_NOT_FOUND, "delete name=nobody");
        do_say(fixture, COWHERD_DATA, "register_base name=z image=%s/golden.raw format=qcow2", fixture->folder);
        struct cowherd_answer *answer = say(fixture, 0, "security_audit");
        assert_int_equal(cowherd_answer_items(answer), 2);
        assert_item(answer, 0, "operation", "clone_from_base");
        assert_item(answer, 0, "code", "64");
        assert_item(answer, 1, "name", "z");
        assert_item(answer, 1, "code", "65");
        cowherd_answer_free(answer);
        answer = say(fixture, 0, "security_audit name=z*");
        assert_int_equal(cowherd_answer_items(answer), 1);
        cowherd_answer_free(answer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_execution_is_told, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bytes_that_are_no_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_words_arrive_as_they_are, setup, teardown),
                cmocka_unit_test(test_variables_that_are_none),
                cmocka_unit_test_setup_teardown(test_what_fails_is_ours, setup, teardown),
                cmocka_unit_test_setup_teardown(test_logs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_create_leaves_no_base, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_create_that_is_killed_leaves_no_base, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_life_with_an_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cleanup_takes_what_is_left_under_run, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_was_refused_is_told, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
