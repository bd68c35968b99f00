/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as text: what they mean, and the table of bad words. */
#include "command_test.h"

static void test_values(void **state)
{
        static const struct {
                const char *command;
                const char *text;
        } cases[] = {
                {"execute name=c command=ls", "ls"},
                {"execute name=c command='ls -l'", "ls -l"},
                {"execute name=c command=\"ls -l\"", "ls -l"},
                {"execute name=c command='it''s'", "it's"},
                {"execute name=c command=\"say \"\"hi\"\"\"", "say \"hi\""},
                {"execute name=c command=''''", "'"},
                {"execute name=c command='\"'", "\""},
                {"execute name=c command='a\\nb'", "a\\nb"},
                {"execute name=c command=a\\b", "a\\b"},
                {"execute name=c command=k=v=w", "k=v=w"},
                {"execute name=c command==", "="},
                {"execute name=c command=it's", "it's"},
                {"execute name=c command='two\nlines'", "two\nlines"},
                {"execute name=c command='apt update && apt install -y nodejs'", "apt update && apt install -y nodejs"},
                {"execute name=c command=-x", "-x"},
                {"execute name=c command=${HOME}{{.Names}}", "${HOME}{{.Names}}"},
                {"execute name=c command=\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
                {"  \t\n execute \t name=c \n command=ls \r\n", "ls"},
                {"EXECUTE Name=c COMMAND=Ls", "Ls"},
                {"exec vm=c command=ls", "ls"},
                {"exec container=c command=ls", "ls"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                check_taken(cases[i].command, request_parse(COWHERD_LXD, cases[i].command, NULL, &request, &err), &err);
                assert_int_equal(request.verb->id, VERB_EXECUTE);
                assert_string_equal(request_text(&request, KEY_NAME), "c");
                assert_string_equal(request_text(&request, KEY_COMMAND), cases[i].text);
        }
}

static void test_types(void **state)
{
        owned_request struct request request = {0};
        struct cowherd_error err = {0};
        const char *command =
                "clone base=b name=c count=3 memory=512M cpus=2 disk_size=2GiB ttl=90m start=yes identity=KEEP "
                "network= stem=out.";

        (void)state;
        check_taken(command, request_parse(COWHERD_QEMU, command, NULL, &request, &err), &err);
        assert_int_equal(request.verb->id, VERB_CLONE_FROM_BASE);
        assert_int_equal(request.target, COWHERD_QEMU);
        assert_int_equal(request_number(&request, KEY_COUNT_OF), 3);
        assert_int_equal(request_number(&request, KEY_MEMORY), 512u << 20);
        assert_int_equal(request_number(&request, KEY_CPUS), 2);
        assert_int_equal(request_number(&request, KEY_DISK_SIZE), UINT64_C(2) << 30);
        assert_int_equal(request_number(&request, KEY_TTL), 90 * 60 * 1000);
        assert_true(request_flag(&request, KEY_START));
        assert_string_equal(request_text(&request, KEY_IDENTITY), "keep");
        assert_true(request_has(&request, KEY_NETWORK));
        assert_string_equal(request_text(&request, KEY_NETWORK), "");
        assert_string_equal(request_text(&request, KEY_STEM), "out.");
        assert_false(request_flag(&request, KEY_DURABLE));
}

static void test_fallbacks(void **state)
{
        owned_request struct request request = {0};
        struct cowherd_error err = {0};

        (void)state;
        check_taken("clone", request_parse(COWHERD_QEMU, "copy source=b destination=c", NULL, &request, &err), &err);
        assert_string_equal(request_text(&request, KEY_BASE), "b");
        assert_string_equal(request_text(&request, KEY_NAME), "c");
        assert_false(request_has(&request, KEY_IDENTITY));
        assert_string_equal(request_text(&request, KEY_IDENTITY), "fresh");
        assert_int_equal(request_number(&request, KEY_COUNT_OF), 1);
        assert_false(request_flag(&request, KEY_DRY_RUN));
        assert_null(request_text(&request, KEY_MEMORY));
}

#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

/* One sentence each, code 64, the word that is wrong in it, and the nearest known one. */
static void test_bad_words(void **state)
{
        static const struct refused cases[] = {
                {"", "the command is empty", NULL},
                {" \t\n", "the command is empty", NULL},
                {"clone_form_base base=b", "verb 'clone_form_base' is not known (did you mean 'clone_from_base'?)",
                 "help"},
                {"lisst", "did you mean 'list'", NULL},
                {"remov name=x", "did you mean 'remove'?)", NULL},
                {"xyzzy", "verb 'xyzzy' is not known", NULL},
                {"'list'", "verb ''list'' is not known", NULL},
                {"clone base=b nmae=c", "has no parameter 'nmae' (did you mean 'name'?)", "it takes: base name"},
                {"clone base=b frob=c", "has no parameter 'frob'", "it takes"},
                {"clone base=b dry-run=true", "did you mean 'dry_run'", NULL},
                {"clone base", "'base' has no value", "key=value"},
                {"clone base = b", "'base' has no value", "without blanks"},
                {"clone base=b c", "'c' has no value", NULL},
                {"clone =b", "has no key", NULL},
                {"exec name=c command=ls env=A=\"x y\"", "has no value", "quoted as a whole"},
                {"execute name=c command=echo \"a b\"", "has no value", "quoted as a whole"},
                {"execute name=c \"command\"=ls", "has no value", "quoted as a whole"},
                {"clone base='b", "the value of 'base' has no closing quote", "twice"},
                {"clone base=\"b'", "no closing quote", NULL},
                {"clone base='b''", "no closing quote", NULL},
                {"clone base='b'c name=d", "goes on after its closing quote", NULL},
                {"clone base=b base=c", "parameter 'base' is given twice", NULL},
                {"clone base=b BASE=c", "parameter 'base' is given twice", NULL},
                {"clone base=b source=c", "parameter 'base' is given twice ('source' is another name", NULL},
                {"clone name=c", "Missing required parameter 'base'", "clone_from_base base="},
                {"clone base= name=c", "parameter 'base' is empty (expected a name)", NULL},
                {"delete", "Missing required parameter 'name'", NULL},
                {"rename name=a", "Missing required parameter 'as'", NULL},
                {"clone base=b memory=lots", "'lots' is no size for parameter 'memory' (expected a size such as", NULL},
                {"clone base=b memory=", "'' is no size", NULL},
                {"clone base=b memory=-1", "no size", NULL},
                {"clone base=b memory=1.5G", "no size", NULL},
                {"clone base=b memory=99999999999999999999G", "no size", NULL},
                {"clone base=b memory=17179869184G", "no size", NULL},
                {"clone base=b memory=1K", "out of range for parameter 'memory' (expected 1M..64T)", NULL},
                {"clone base=b cpus=0", "'0' is out of range for parameter 'cpus' (expected 1..1024)", NULL},
                {"clone base=b cpus=1025", "out of range", NULL},
                {"clone base=b cpus=two", "no count", NULL},
                {"clone base=b cpus=0x2", "no count", NULL},
                {"clone base=b count=0", "out of range", NULL},
                {"clone base=b count=10001", "out of range", NULL},
                {"clone base=b count=+1", "no count", NULL},
                {"clone base=b ttl=soon", "no duration", NULL},
                {"clone base=b ttl=0", "'0' is out of range for parameter 'ttl' (expected at least 1s)", NULL},
                {"clone base=b start=maybe", "no boolean for parameter 'start' (expected true or false)", NULL},
                {"clone base=b dry_run=", "no boolean", NULL},
                {"clone base=b identity=frsh", "'frsh' is no value for parameter 'identity' (did you mean 'fresh'?)",
                 NULL},
                {"clone base=b store=magic", "expected one of qcow2|reflink", NULL},
                {"clone base=b stem=out", "no stem", NULL},
                {"clone base=b stem=out.x", "no stem", NULL},
                {"clone base=b stem=.", "no stem", NULL},
                {"clone base=b stem=9.", "no stem", NULL},
                {"clone base=../x", "name '../x' does not begin with a letter", "a name is"},
                {"clone base=b name=-x", "does not begin with a letter", NULL},
                {"clone base=b name=1x", "does not begin with a letter", NULL},
                {"clone base=b name=x-", "does not end in a letter or digit", NULL},
                {"clone base=b name=x.", "does not end in a letter or digit", NULL},
                {"clone base=b name=a/b", "holds a character that no name may hold", NULL},
                {"clone base=b name=a,b", "no name may hold", NULL},
                {"clone base=b name='a b'", "no name may hold", NULL},
                {"clone base=b name='a\nb'", "no name may hold", NULL},
                {"clone base=b name='a\"b'", "no name may hold", NULL},
                {"clone base=b name=caf\xc3\xa9", "no name may hold", NULL},
                {"clone base=b name=" NAME_63 "4", "longer than 63", NULL},
                {"clone base=b name=" NAME_63 " count=1", "longer than 63", "NAME-1"},
                {"clone base=b name=web-*", "is a pattern, and only one name is taken here", NULL},
                {"info name=a/*", "no name may hold", NULL},
                {"delete name=*/x", "no name may hold", NULL},
                {"register_base name=x", "Missing required parameter 'image', 'rootfs'", "exactly one"},
                {"register_base name=x image=a distro=debian", "parameters 'image' and 'distro' exclude each other",
                 "exactly one"},
                {"register_base name=x disk=a from=b", "'image' and 'from' exclude", NULL},
                {"register_base name=x rootfs=/a tarball=/b", "'rootfs' and 'tarball' exclude", NULL},
                {"register_base name=x image=", "parameter 'image' is empty", NULL},
                {"register_base name=x rootfs=", "parameter 'rootfs' is empty", NULL},
                {"register_base name=x image=a release=12", "parameter 'release' goes with 'distro' only", NULL},
                {"register_base name=x distro=debian adopt=true", "'adopt' goes with 'image' or 'rootfs' only", NULL},
                {"register_base name=x rootfs=/a format=raw", "'format' goes with 'image' only", NULL},
                {"register_base name=x image=a format=iso", "no value for parameter 'format'", NULL},
                {"setup size=1", "out of range", NULL},
                {"run file=x.rexx", "is spoken to cowherd itself", NULL},
                {"execute name=c command=", "parameter 'command' is empty", NULL},
        };

        (void)state;
        check_all_refused(cases, array_length(cases));
}

static void test_long_words_are_cut(void **state)
{
        owned_string struct str command = {0};
        owned_request struct request request = {0};
        struct cowherd_error err = {0};

        (void)state;
        str_add(&command, "clone base=b ");
        for (int i = 0; i < 100000; i++)
                str_add_char(&command, 'x');
        str_add(&command, "=1");
        int failed = request_parse(COWHERD_QEMU, str_text(&command), NULL, &request, &err);
        check_refused("a long key", failed, &err, "has no parameter 'xxx", NULL);
        assert_true(strlen(err.text) < 200);
}

static void test_targets(void **state)
{
        owned_request struct request self = {0}, help = {0}, doctor = {0}, any = {0};
        struct cowherd_error err = {0};

        (void)state;
        check_refused("list", request_parse(COWHERD_SELF, "list", NULL, &self, &err), &err,
                      "'list' is spoken to an engine", "ADDRESS QEMU");
        check_taken("help", request_parse(COWHERD_NSPAWN, "help", NULL, &help, &err), &err);
        check_taken("doctor", request_parse(COWHERD_LXD, "doctor", NULL, &doctor, &err), &err);
        check_taken("run", request_parse(COWHERD_ANY, "run file=x", NULL, &any, &err), &err);
}

/* The stem is known even where the command is not understood, so that the script's own stem hears of it. */
static void test_stem_of_bad_command(void **state)
{
        static const char *const commands[] = {"bogus stem=out.", "clone stem=out. base", "clone stem=out. base='x",
                                               "clone frob=1 stem=out.", "list stem=out. name=.."};

        (void)state;
        for (size_t i = 0; i < array_length(commands); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                assert_int_equal(request_parse(COWHERD_QEMU, commands[i], NULL, &request, &err), -1);
                assert_non_null(request_text(&request, KEY_STEM));
                assert_string_equal(request_text(&request, KEY_STEM), "out.");
        }
}

static char *variable(void *context, const char *name)
{
        (void)context;
        if (str_equal_case(name, "name"))
                return x_strdup("web-1");
        if (str_equal_case(name, "evil"))
                return x_strdup("x y=z name=other \"'");
        if (str_equal(name, "stem.1.tail") || str_equal(name, "a_b!?"))
                return x_strdup("compound");
        return str_equal(name, "braces") ? x_strdup("{{name}}") : NULL;
}

static void test_variables(void **state)
{
        static const struct {
                const char *value;
                const char *text;
        } cases[] = {
                {"{{name}}", "web-1"},
                {"'{{name}} and {{NAME}}'", "web-1 and web-1"},
                {"a{{name}}b", "aweb-1b"},
                {"{{stem.1.tail}}{{a_b!?}}", "compoundcompound"},
                {"{{evil}}", "x y=z name=other \"'"},
                {"\"{{evil}}\"", "x y=z name=other \"'"},
                {"{{braces}}", "{{name}}"},
                {"{{{{name}}", "{{name}}"},
                {"{{{name}}}", "{web-1}"},
                {"{{{{{{name}}", "{{web-1"},
                {"${HOME}", "${HOME}"},
                {"{{.Names}}", "{{.Names}}"},
                {"'{{ name }}'", "{{ name }}"},
                {"{{9}}", "{{9}}"},
                {"{{name", "{{name"},
                {"{{name}", "{{name}"},
                {"{{}}", "{{}}"},
                {"'awk {print $1}'", "awk {print $1}"},
                {"{", "{"},
                {"{{", "{{"},
                {"{{{", "{{{"},
                {"}}", "}}"},
        };
        const struct cowherd_resolver resolver = {.value = variable};

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                owned_str char *command = x_asprintf("execute name=c command=%s", cases[i].value);
                check_taken(command, request_parse(COWHERD_QEMU, command, &resolver, &request, &err), &err);
                assert_string_equal(request_text(&request, KEY_COMMAND), cases[i].text);
                assert_string_equal(request_text(&request, KEY_NAME), "c");
        }
}

static void test_variables_refused(void **state)
{
        const struct cowherd_resolver resolver = {.value = variable};
        owned_request struct request unset = {0}, bad = {0}, verb = {0}, plain = {0};
        struct cowherd_error err = {0};

        (void)state;
        check_refused("unset", request_parse(COWHERD_QEMU, "clone base={{nobody}}", &resolver, &unset, &err), &err,
                      "parameter 'base': variable 'nobody' is not set", NULL);
        check_refused("evil", request_parse(COWHERD_QEMU, "clone base=b name={{evil}}", &resolver, &bad, &err), &err,
                      "no name may hold", NULL);
        check_refused("verb", request_parse(COWHERD_QEMU, "{{name}} base=b", &resolver, &verb, &err), &err,
                      "verb '{{name}}'", NULL);
        check_taken("none", request_parse(COWHERD_QEMU, "execute name=c command={{{{name}}", NULL, &plain, &err), &err);
        assert_string_equal(request_text(&plain, KEY_COMMAND), "{{{{name}}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_fallbacks),
                cmocka_unit_test(test_bad_words),
                cmocka_unit_test(test_long_words_are_cut),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_stem_of_bad_command),
                cmocka_unit_test(test_variables),
                cmocka_unit_test(test_variables_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
