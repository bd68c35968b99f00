/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as a shell's words. */
#include "command_test.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static size_t length_of(const char *const *words)
{
        size_t count = 0;

        while (words[count] != NULL)
                count++;
        return count;
}

struct expected {
        enum key key;
        const char *text;
};

static const struct {
        const char *const *words;
        enum verb_id verb;
        struct expected values[4];
} taken[] = {
        {WORDS("clone", "base=b", "name=c"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_NAME, "c"}}},
        {WORDS("clone", "b", "c"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_NAME, "c"}}},
        {WORDS("clone", "b"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_NAME, NULL}}},
        {WORDS("clone", "c", "base=b"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_NAME, "c"}}},
        {WORDS("clone-from-base", "--base", "b", "--name=c"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_NAME, "c"}}},
        {WORDS("clone", "b", "c", "--disk-size", "2G", "--start"),
         VERB_CLONE_FROM_BASE,
         {{KEY_DISK_SIZE, "2G"}, {KEY_START, "true"}}},
        {WORDS("clone", "--start", "b", "c"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_START, "true"}}},
        {WORDS("clone", "--start", "no", "b", "c"), VERB_CLONE_FROM_BASE, {{KEY_BASE, "b"}, {KEY_START, "no"}}},
        {WORDS("clone", "b", "disk-size=2G"), VERB_CLONE_FROM_BASE, {{KEY_DISK_SIZE, "2G"}}},
        {WORDS("rename", "a", "b"), VERB_RENAME, {{KEY_NAME, "a"}, {KEY_AS, "b"}}},
        {WORDS("rename", "b", "name=a"), VERB_RENAME, {{KEY_NAME, "a"}, {KEY_AS, "b"}}},
        {WORDS("delete", "web-*", "--force"), VERB_DELETE, {{KEY_NAME, "web-*"}, {KEY_FORCE, "true"}}},
        {WORDS("list"), VERB_LIST, {{KEY_NAME, NULL}}},
        {WORDS("register_base", "b", "image=ubuntu:22.04"),
         VERB_REGISTER_BASE,
         {{KEY_NAME, "b"}, {KEY_IMAGE, "ubuntu:22.04"}}},
        {WORDS("register_base", "b", "x.qcow2"), VERB_REGISTER_BASE, {{KEY_NAME, "b"}, {KEY_IMAGE, "x.qcow2"}}},
        {WORDS("exec", "c", "--", "uname", "-a"), VERB_EXECUTE, {{KEY_NAME, "c"}, {KEY_COMMAND, "uname -a"}}},
        {WORDS("exec", "c", "--", "ls | wc"), VERB_EXECUTE, {{KEY_COMMAND, "ls | wc"}}},
        {WORDS("exec", "c", "--", "sh", "-c", "echo 'a b' $HOME", ""),
         VERB_EXECUTE,
         {{KEY_COMMAND, "sh -c 'echo '\\''a b'\\'' $HOME' ''"}}},
        {WORDS("exec", "c", "--command=-x"), VERB_EXECUTE, {{KEY_COMMAND, "-x"}}},
        {WORDS("exec", "c", "command=-x"), VERB_EXECUTE, {{KEY_COMMAND, "-x"}}},
        {WORDS("exec", "c", "command=two words"), VERB_EXECUTE, {{KEY_COMMAND, "two words"}}},
        {WORDS("exec", "c", "command={{x}}"), VERB_EXECUTE, {{KEY_COMMAND, "{{x}}"}}},
        {WORDS("exec", "--working-dir", "/tmp", "c", "--", "ls"),
         VERB_EXECUTE,
         {{KEY_WORKING_DIR, "/tmp"}, {KEY_NAME, "c"}}},
        {WORDS("help", "clone"), VERB_HELP, {{KEY_TOPIC, "clone"}}},
        {WORDS("copy_from", "c", "/etc/hosts", "hosts"),
         VERB_COPY_FROM,
         {{KEY_REMOTE, "/etc/hosts"}, {KEY_LOCAL, "hosts"}}},
};

static void test_taken(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_length(taken); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                int failed =
                        request_parse_words(COWHERD_ANY, length_of(taken[i].words), taken[i].words, &request, &err);
                if (failed != 0)
                        fail_msg("case %zu (%s) refused: %s", i, taken[i].words[0], err.text);
                assert_int_equal(request.verb->id, taken[i].verb);
                for (size_t j = 0; j < array_length(taken[i].values) && (j == 0 || taken[i].values[j].text != NULL);
                     j++) {
                        const char *text = request_text(&request, taken[i].values[j].key);
                        if (!str_equal(text, taken[i].values[j].text))
                                fail_msg("case %zu: '%s' instead of '%s'", i, text == NULL ? "(null)" : text,
                                         taken[i].values[j].text);
                }
        }
}

static const struct {
        const char *const *words;
        const char *text;
        const char *hint;
} refused[] = {
        {WORDS("clon", "b"), "verb 'clon' is not known (did you mean 'clone'?)", NULL},
        {WORDS("nspwan", "list"), "verb 'nspwan' is not known (did you mean 'nspawn'?)", NULL},
        {WORDS(""), "verb '' is not known", NULL},
        {WORDS("clone", "b", "c", "d"), "'d' is one word too many", "help clone_from_base"},
        {WORDS("clone", "b", "--nmae", "c"), "did you mean 'name'", NULL},
        {WORDS("clone", "b", "--name"), "'--name' has no value", "--name=-"},
        {WORDS("clone", "b", "--name", "--start"), "'--name' has no value", NULL},
        {WORDS("clone", "b", "-n", "c"), "option '-n' is not known", NULL},
        {WORDS("clone", "b", "-"), "option '-' is not known", NULL},
        {WORDS("clone", "b", "--name=c", "name=d"), "given twice", NULL},
        {WORDS("clone", "b", "--start", "--start"), "given twice", NULL},
        {WORDS("start", "c", "--", "ls"), "'start' has no parameter 'command'", NULL},
        {WORDS("exec", "c", "--"), "parameter 'command' is empty", NULL},
        {WORDS("clone", ""), "is empty", NULL},
        {WORDS("clone", "b", "c", "--memory=many"), "no size", NULL},
        {WORDS("clone", "b", "../x"), "does not begin with a letter", NULL},
        {WORDS("rename", "a"), "Missing required parameter 'as'", NULL},
        {WORDS("delete", "--force", "true"), "Missing required parameter 'name'", NULL},
};

static void test_refused(void **state)
{
        owned_request struct request none = {0};
        struct cowherd_error err = {0};

        (void)state;
        for (size_t i = 0; i < array_length(refused); i++) {
                owned_request struct request request = {0};
                int failed =
                        request_parse_words(COWHERD_ANY, length_of(refused[i].words), refused[i].words, &request, &err);
                check_refused(refused[i].words[0], failed, &err, refused[i].text, refused[i].hint);
        }
        check_refused("no words", request_parse_words(COWHERD_ANY, 0, NULL, &none, &err), &err, "the command is empty",
                      NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken), cmocka_unit_test(test_refused)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
