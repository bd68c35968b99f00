/* SPDX-License-Identifier: Apache-2.0 */
/* What could come next on a command line, against a herd that has one base, one clone and one snapshot. */
#include "fake_herd.h"

#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS(...) ((const char *const[]){"cowherd", "__complete", __VA_ARGS__, NULL})

static int forget(void **state)
{
        (void)state;
        fake_reset();
        return 0;
}

/* The candidates, each before a blank, without what is said about them. */
static char *completed(const char *const *words)
{
        char *text = NULL, *errors = NULL;
        size_t length, errors_length;
        owned_string struct str shown = {0};
        struct cli_output output = {.out = open_memstream(&text, &length), .err = open_memstream(&errors, &errors_length), .columns = 80};
        int argc = 0;

        while (words[argc] != NULL)
                argc++;
        assert_int_equal(cli_main(argc, words, &output), 0);
        (void)fclose(output.out);
        (void)fclose(output.err);
        assert_string_equal(errors, "");
        free(errors);
        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
                str_add_bytes(&shown, line, strcspn(line, "\t\n"));
                str_add_char(&shown, ' ');
        }
        free(text);
        return str_take(&shown);
}

static void test_whole_answers(void **state)
{
        const struct {
                const char *const *words;
                const char *candidates;
        } cases[] = {
                {WORDS("qe"), "qemu "},
                {WORDS("clo"), "clone_from_base clone "},
                {WORDS("qemu", "tr"), "tree "},
                {WORDS("qemu", "comple"), ""},
                {WORDS("comple"), "completion "},
                {WORDS("cowherd", "cl"), ""},
                {WORDS("bogus", ""), ""},
                {WORDS("--ro"), "--root= "},
                {WORDS("--root", ""), ":folders "},
                {WORDS("--root=/x"), ":folders "},
                {WORDS("./x"), ":files "},
                {WORDS("qemu", "clone", "base="), "base=deb base=web-1 "},
                {WORDS("qemu", "clone", "source=w"), "source=web-1 "},
                {WORDS("clone", "--base", ""), "deb web-1 "},
                {WORDS("clone", "--base=d"), "--base=deb "},
                {WORDS("clone", "base=deb", "na"), "name= "},
                {WORDS("clone", "base=deb", "name="), ""},
                {WORDS("clone", "deb", "de"), ""},
                {WORDS("clone", "d"), "deb disk_size= durable= "},
                {WORDS("clone", "base=deb", "--dis"), "--disk-size "},
                {WORDS("clone", "--disk-size", "2G", "--disk"), ""},
                {WORDS("clone", "--start", "start="), "start=true start=false "},
                {WORDS("clone", "--start", "b"), "base= "},
                {WORDS("clone", "identity=k"), "identity=keep "},
                {WORDS("clone", "--identity", "f"), "fresh "},
                {WORDS("delete", "web"), "web-1 "},
                {WORDS("remove-base", "d"), "deb "},
                {WORDS("restore", "web-1", "cl"), "clean "},
                {WORDS("restore", "name=web-1", "snapshot="), "snapshot=clean "},
                {WORDS("snapshot", "web-1", "snapshot="), ""},
                {WORDS("register_base", "x", "image=/im"), ":files "},
                {WORDS("register_base", "x", "--rootfs", "/"), ":folders "},
                {WORDS("setup", "base=w"), ""},
                {WORDS("list", "columns=name,clone_"), "columns=name,clone_ms "},
                {WORDS("list", "--columns", "na"), "name "},
                {WORDS("list", "format=t"), "format=table format=tsv "},
                {WORDS("exec", "web-1", "--", "de"), ""},
                {WORDS("run", "x.rexx", "a"), ":files "},
                {WORDS("completion", ""), "bash zsh fish shell= "},
                {WORDS("help", "clone"), "clone_from_base "},
                {WORDS("list", "--j"), "--json "},
                {WORDS("list", "--json", "web"), "web-1 "},
                {WORDS("usage", "engine"), ""},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                fake_reset();
                owned_str char *text = completed(cases[i].words);
                if (strcmp(text, cases[i].candidates) != 0)
                        fail_msg("case %zu: '%s' instead of '%s'", i, text, cases[i].candidates);
        }
}

static void test_what_is_asked(void **state)
{
        (void)state;
        free(completed(WORDS("--root", "/r", "lxd", "restore", "web-1", "snapshot=c")));
        assert_string_equal(fake.asked, "open /r; names lxd 4 web-1 c close");
        fake_reset();
        free(completed(WORDS("list_bases", "x")));
        assert_string_equal(fake.asked, "open -; names any 1 - x close");
        fake_reset();
        free(completed(WORDS("")));
        assert_string_equal(fake.asked, "");
        fake.open_error = (struct cowherd_error){.code = COWHERD_CONFIG, .text = "no home"};
        free(completed(WORDS("list", "x")));
        free(completed((const char *const[]){"cowherd", "__complete", NULL}));
}

/* Every verb that works, and every key of it, is offered. */
static void test_all_of_the_table(void **state)
{
        (void)state;
        owned_str char *verbs = completed(WORDS(""));
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++) {
                const struct cowherd_verb *verb = cowherd_verb_at(i);
                assert_int_equal(str_in_words(verbs, verb->name), verb->available);
                if (!verb->available || strcmp(verb->name, "run") == 0)
                        continue;
                owned_str char *keys = completed(WORDS(verb->name, "--"));
                for (const struct cowherd_parameter *parameter = verb->parameters; parameter->name != NULL; parameter++) {
                        owned_str char *key = x_asprintf("--%s", parameter->name);
                        for (char *at = key; *at != '\0'; at++)
                                *at = *at == '_' ? '-' : *at;
                        if (strcmp(key, "--stem") != 0 && !str_in_words(keys, key))
                                fail_msg("'%s' is not offered '%s': %s", verb->name, key, keys);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_whole_answers, forget, forget),
                cmocka_unit_test_setup_teardown(test_what_is_asked, forget, forget),
                cmocka_unit_test_setup_teardown(test_all_of_the_table, forget, forget),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
