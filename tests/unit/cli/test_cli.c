/* SPDX-License-Identifier: Apache-2.0 */
/* The shell face against a herd that only notes what it is asked: what reaches it, what is printed, the exit status. */
#include "cli_test.h"

#include <unistd.h>

#include <jansson.h>

#define WORDS(...) ((const char *const[]){"cowherd", __VA_ARGS__, NULL})

/* What one run of the program gave. */
struct run {
        int status;
        char *out;
        char *err;
};

static void run_free(struct run *run)
{
        free(run->out);
        free(run->err);
}
define_owned(struct run, run_free)
#define owned_run owned_by(run_free)

        static struct run run_in(size_t columns, const char *const *words)
{
        struct run run = {0};
        size_t out_length, err_length;
        struct cli_output output = {.out = open_memstream(&run.out, &out_length),
                                    .err = open_memstream(&run.err, &err_length),
                                    .columns = columns};
        int argc = 0;

        while (words[argc] != NULL)
                argc++;
        run.status = cli_main(argc, words, &output);
        (void)fclose(output.out);
        (void)fclose(output.err);
        return run;
}

static struct run run_words(const char *const *words)
{
        return run_in(80, words);
}

static int forget(void **state)
{
        (void)state;
        fake_reset();
        return 0;
}

static void check_has(const char *text, const char *part)
{
        if (strstr(text, part) == NULL)
                fail_msg("no '%s' in: %s", part, text);
}

static void test_what_reaches_the_herd(void **state)
{
        const struct {
                const char *const *words;
                const char *asked;
        } cases[] = {
                {WORDS("list"), "open -; any [list] close"},
                {WORDS("qemu", "list"), "open -; qemu [list] close"},
                {WORDS("LXD", "list"), "open -; lxd [list] close"},
                {WORDS("--root", "/r", "nspawn", "list"), "open /r; nspawn [list] close"},
                {WORDS("--root=/r", "list"), "open /r; any [list] close"},
                {WORDS("list", "--root", "/r"), "open /r; any [list] close"},
                {WORDS("qemu", "--json", "clone", "b", "c"), "open -; qemu [clone] [b] [c] close"},
                {WORDS("clone", "b", "c", "--json", "--start"), "open -; any [clone] [b] [c] [--start] close"},
                {WORDS("--dry-run", "delete", "c"), "open -; any [delete] [dry_run=true] [c] close"},
                {WORDS("delete", "c", "--dry-run"), "open -; any [delete] [dry_run=true] [c] close"},
                {WORDS("exec", "c", "--", "ls", "--json", "--help"),
                 "open -; any [exec] [c] [--] [ls] [--json] [--help] close"},
                {WORDS("--dry-run", "exec", "c", "--", "ls"), "open -; any [exec] [dry_run=true] [c] [--] [ls] close"},
                {WORDS("cowherd", "doctor"), "open -; cowherd [doctor] close"},
                {WORDS("bogus", "x"), "open -; any [bogus] [x] close"},
                {WORDS("qemu", "run", "x"), "open -; qemu [run] [x] close"},
                {WORDS("--json", "help", "clone"), "open -; any [help] [clone] close"},
                {WORDS("run", "x.rexx", "a", "--json"), "rexx x.rexx [a] [--json]"},
                {WORDS("run", "--safe", "--root", "/r", "x.rexx", "--safe"), "rexx safe x.rexx [--safe] root /r"},
                {WORDS("--root=/r", "run", "file=x.rexx"), "rexx x.rexx root /r"},
                {WORDS("x.rexx", "a b", ""), "rexx x.rexx [a b] []"},
                {WORDS("X.REX"), "rexx X.REX"},
                {WORDS("./x.cmd"), "rexx ./x.cmd"},
                {WORDS("--safe", "/etc/hostname.rexx"), "rexx safe /etc/hostname.rexx"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                fake_reset();
                owned_run struct run run = run_words(cases[i].words);
                if (run.status != 0)
                        fail_msg("case %zu: %d: %s", i, run.status, run.err);
                assert_string_equal(fake.asked, cases[i].asked);
                assert_string_equal(run.err, "");
        }
}

/* A file with no verb's name is a script; a verb's name stays a verb, whatever file lies there. */
static void test_existing_file_is_a_script(void **state)
{
        char folder[] = "/tmp/cli-XXXXXX", before[4096];

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_non_null(getcwd(before, sizeof before));
        assert_int_equal(chdir(folder), 0);
        static const char *const names[] = {"script", "list"};
        for (size_t i = 0; i < array_length(names); i++) {
                FILE *file = fopen(names[i], "w");
                assert_non_null(file);
                (void)fclose(file);
        }
        owned_run struct run script = run_words(WORDS("script", "x"));
        assert_int_equal(script.status, 0);
        assert_string_equal(fake.asked, "rexx script [x]");
        fake_reset();
        owned_run struct run verb = run_words(WORDS("list"));
        assert_int_equal(verb.status, 0);
        assert_string_equal(fake.asked, "open -; any [list] close");
        fake_reset();
        owned_run struct run plan = run_words(WORDS("--dry-run", "run", "script"));
        assert_string_equal(fake.asked, "");
        assert_int_equal(plan.status, 0);
        assert_string_equal(plan.out, "  1. run the script 'script'\n");
        for (size_t i = 0; i < array_length(names); i++)
                assert_int_equal(unlink(names[i]), 0);
        owned_run struct run gone = run_words(WORDS("--dry-run", "run", "script"));
        assert_int_equal(gone.status, 66);
        assert_int_equal(chdir(before), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void test_refused_words(void **state)
{
        const struct {
                const char *const *words;
                const char *text;
        } cases[] = {
                {WORDS("--bogus", "list"), "cowherd: option '--bogus' is not known\nhint: "},
                {WORDS("-x"), "option '-x' is not known"},
                {WORDS("--root"), "option '--root' has no value"},
                {WORDS("--root=", "list"), "option '--root' is empty"},
                {WORDS("list", "--root"), "option '--root' has no value"},
                {WORDS("qemu"), "no verb is said to 'qemu'"},
                {WORDS("--safe"), "no verb is said"},
                {WORDS("--safe", "list"), "option '--safe' belongs to 'run'"},
                {WORDS("run"), "Missing required parameter 'file'"},
                {WORDS("run", "file="), "parameter 'file' is empty"},
                {WORDS("run", "--bogus", "x"), "option '--bogus' is not known"},
                {WORDS("help", "a", "b"), "'help' takes one topic, not 2"},
                {WORDS("help", "bogusbogus"), "there is no help on 'bogusbogus'"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_run struct run run = run_words(cases[i].words);
                assert_int_equal(run.status, 64);
                check_has(run.err, cases[i].text);
                assert_string_equal(fake.asked, "");
        }
}

static void test_no_words(void **state)
{
        owned_run struct run run = run_words((const char *const[]){"cowherd", NULL});

        (void)state;
        assert_int_equal(run.status, 64);
        assert_string_equal(run.out, "");
        check_has(run.err, "cowherd help");
        check_fits(run.err, 80);
}

static void test_help(void **state)
{
        const struct {
                const char *const *words;
                const char *text;
        } cases[] = {
                {WORDS("help"), "First steps:"},
                {WORDS("--help"), "First steps:"},
                {WORDS("-h"), "First steps:"},
                {WORDS("help", "clone"), "clone_from_base: "},
                {WORDS("help", "topic=clone"), "clone_from_base: "},
                {WORDS("clone", "--help"), "clone_from_base: "},
                {WORDS("qemu", "clone", "b", "-h"), "clone_from_base: "},
                {WORDS("qemu", "--help"), "qemu: virtual machines"},
                {WORDS("--help", "qemu"), "qemu: virtual machines"},
                {WORDS("qemu", "help"), "First steps:"},
                {WORDS("help", "codes"), "codes: "},
                {WORDS("run", "--help"), "run: run a REXX script"},
                {WORDS("cowherd", "--help"), "First steps:"},
                {WORDS("tree", "--help"), "tree: show bases and clones as a tree"},
                {WORDS("--version"), "cowherd " COWHERD_VERSION "\n"},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_run struct run run = run_words(cases[i].words);
                if (run.status != 0)
                        fail_msg("case %zu: %s", i, run.err);
                check_has(run.out, cases[i].text);
                check_fits(run.out, 80);
                assert_string_equal(fake.asked, "");
        }
}

static struct cowherd_answer *failure(const char *operation, int code)
{
        struct cowherd_answer *answer = answer_new(operation);
        struct cowherd_error err = {
                .code = code, .text = "base 'vm-bse' not found (did you mean 'vm-base'?)", .hint = "look\x1b here"};

        answer_failed(answer, &err);
        return answer;
}

static void test_failure(void **state)
{
        fake.answer = failure("clone_from_base", 66);
        owned_run struct run run = run_words(WORDS("clone", "vm-bse"));

        (void)state;
        assert_int_equal(run.status, 66);
        assert_string_equal(run.out, "");
        assert_string_equal(run.err, "cowherd: base 'vm-bse' not found (did you mean 'vm-base'?)\nhint: look? here\n");
}

static void test_json(void **state)
{
        json_error_t why;

        (void)state;
        fake.answer = failure("clone_from_base", 66);
        owned_run struct run failed = run_words(WORDS("--json", "clone", "vm-bse"));
        json_t *json = json_loads(failed.out, 0, &why);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "code")), 66);
        json_decref(json);
        assert_int_equal(failed.status, 66);
        assert_string_equal(failed.err, "");

        fake.open_error =
                (struct cowherd_error){.code = COWHERD_CONFIG, .text = "root '/a\"b\\\x01\xff' is bad", .hint = "h"};
        owned_run struct run closed = run_words(WORDS("list", "--json"));
        json = json_loads(closed.out, 0, &why);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "operation")), "list");
        assert_string_equal(json_string_value(json_object_get(json, "error")), "root '/a\"b\\?"
                                                                               "?' is bad");
        json_decref(json);
        assert_int_equal(closed.status, 78);
        assert_string_equal(closed.err, "");

        owned_run struct run refused = run_words(WORDS("--json", "--bogus"));
        json = json_loads(refused.out, 0, &why);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "code")), 64);
        json_decref(json);
        assert_string_equal(refused.err, "");
}

static void test_sentence(void **state)
{
        fake.answer = answer_new("clone_from_base");
        answer_text(fake.answer, "name", "vm-1");
        answer_done(fake.answer, "clone 'vm-1'  made\x1b");
        owned_run struct run run = run_words(WORDS("clone", "b", "vm-1"));

        (void)state;
        assert_int_equal(run.status, 0);
        assert_string_equal(run.out, "clone 'vm-1'  made?\n");
}

static void add_clone(struct cowherd_answer *answer, const char *name, const char *base, const char *state)
{
        answer_item(answer);
        answer_number(answer, "id", 7);
        answer_text(answer, "name", name);
        answer_text(answer, "base", base);
        answer_text(answer, "engine", "qemu");
        answer_text(answer, "store", "qcow2");
        answer_text(answer, "state", state);
        answer_ms(answer, "clone_ms", 0.31);
        answer_also(answer, "vm", "name");
}

static void test_table(void **state)
{
        fake.answer = answer_new("list");
        add_clone(fake.answer, "vm-1", "vm-base", "stopped");
        add_clone(fake.answer, "web-17", "", "running");
        answer_items_end(fake.answer);
        answer_done(fake.answer, "2 clones");
        owned_run struct run run = run_words(WORDS("list"));

        (void)state;
        assert_string_equal(run.out, "NAME    ENGINE  BASE     STATE    STORE  CLONE_MS\n"
                                     "vm-1    qemu    vm-base  stopped  qcow2      0.31\n"
                                     "web-17  qemu    -        running  qcow2      0.31\n");
}

/* Whatever is in it, the table fits, and the name is whole. */
static void test_wide_table(void **state)
{
        const char *long_name = "a23456789012345678901234567890123456789012345678901234567890123";

        (void)state;
        for (size_t columns = 40; columns <= 100; columns += 20) {
                fake.answer = answer_new("list");
                add_clone(fake.answer, columns < 80 ? "vm-1" : long_name, long_name,
                          "st\xc3\xb6pp\xc3\xa9"
                          "d\n\x1b[31m");
                answer_items_end(fake.answer);
                answer_done(fake.answer, "1 clone");
                owned_run struct run run = run_in(columns, WORDS("list"));
                check_fits(run.out, columns);
                check_has(run.out, columns < 80 ? "vm-1 " : long_name);
                assert_null(strchr(run.out, '\x1b'));
        }
}

static void test_bases_and_status(void **state)
{
        (void)state;
        fake.answer = answer_new("list_bases");
        answer_item(fake.answer);
        answer_text(fake.answer, "name", "vm-base");
        answer_text(fake.answer, "engine", "qemu");
        answer_text(fake.answer, "format", "qcow2");
        answer_number(fake.answer, "size_bytes", UINT64_C(3) << 29);
        answer_number(fake.answer, "clones", 12);
        answer_text(fake.answer, "store", "qcow2");
        answer_done(fake.answer, "1 base");
        owned_run struct run bases = run_words(WORDS("list_bases"));
        assert_string_equal(bases.out, "NAME     ENGINE  FORMAT  STORE     SIZE  CLONES\n"
                                       "vm-base  qemu    qcow2   qcow2  1.5 GiB      12\n");

        fake.answer = answer_new("status");
        answer_item(fake.answer);
        answer_text(fake.answer, "engine", "lxd");
        answer_flag(fake.answer, "available", false);
        answer_text(fake.answer, "reason",
                    "no socket at '/var/lib/lxd/unix.socket', which is where a daemon of this version would be found");
        answer_text(fake.answer, "advice", "apt install lxd");
        answer_done(fake.answer, "0 of 1 engines are ready");
        owned_run struct run status = run_words(WORDS("status"));
        check_has(status.out, "ENGINE  AVAILABLE\nlxd     no\n\nlxd: no socket at");
        check_has(status.out, "\nlxd: hint: apt install lxd\n");
        check_fits(status.out, 80);
}

static void test_empty_list(void **state)
{
        fake.answer = answer_new("list");
        answer_list(fake.answer);
        answer_done(fake.answer, "no clones");
        owned_run struct run run = run_words(WORDS("list"));

        (void)state;
        assert_string_equal(run.out, "no clones\n");
}

static void test_info(void **state)
{
        fake.answer = answer_new("info");
        answer_text(fake.answer, "name", "vm-1");
        answer_number(fake.answer, "space_bytes", 16384);
        answer_flag(fake.answer, "durable", true);
        answer_text(fake.answer, "empty", "");
        answer_also(fake.answer, "vm", "name");
        answer_done(fake.answer, "clone 'vm-1' is stopped");
        owned_run struct run run = run_words(WORDS("info", "vm-1"));

        (void)state;
        assert_string_equal(run.out, "name: vm-1\nspace_bytes: 16.0 KiB\ndurable: yes\n");
}

static void test_plan(void **state)
{
        static const char *const steps[] = {
                "take the name 'vm-1'", "write the overlay clones/7/disk.qcow2, which is told at such length that it "
                                        "goes on in a second line"};

        (void)state;
        fake.answer = answer_new("clone_from_base");
        for (size_t i = 0; i < array_length(steps); i++) {
                answer_item(fake.answer);
                answer_number(fake.answer, "step", i + 1);
                answer_text(fake.answer, "what", steps[i]);
        }
        answer_items_end(fake.answer);
        answer_done(fake.answer, "nothing done: this is the plan");
        owned_run struct run run = run_words(WORDS("--dry-run", "clone", "b", "vm-1"));
        assert_string_equal(run.out,
                            "nothing done: this is the plan\n"
                            "  1. take the name 'vm-1'\n"
                            "  2. write the overlay clones/7/disk.qcow2, which is told at such length that it\n"
                            "     goes on in a second line\n");
        check_fits(run.out, 80);
}

static void test_checklist(void **state)
{
        struct cowherd_error err = {.code = COWHERD_UNAVAILABLE, .text = "1 problem found"};

        (void)state;
        fake.answer = answer_new("doctor");
        answer_item(fake.answer);
        answer_text(fake.answer, "check", "engine qemu");
        answer_flag(fake.answer, "ok", true);
        answer_text(fake.answer, "detail", "7.2");
        answer_item(fake.answer);
        answer_text(fake.answer, "check", "engine lxd");
        answer_flag(fake.answer, "ok", false);
        answer_text(fake.answer, "detail", "there is no socket");
        answer_text(fake.answer, "advice", "apt install lxd");
        answer_items_end(fake.answer);
        answer_failed(fake.answer, &err);
        owned_run struct run run = run_words(WORDS("doctor"));
        assert_int_equal(run.status, 69);
        assert_string_equal(run.out, "ok       engine qemu: 7.2\n"
                                     "problem  engine lxd: there is no socket\n"
                                     "         hint: apt install lxd\n");
        assert_string_equal(run.err, "cowherd: 1 problem found\n");
}

/* Several of which one failed: the table of all on stdout, the failure on stderr. */
static void test_some_failed(void **state)
{
        struct cowherd_error err = {.code = COWHERD_EXISTS, .text = "1 of 2 failed"};

        (void)state;
        fake.answer = answer_new("clone_from_base");
        add_clone(fake.answer, "a-1", "b", "stopped");
        answer_item(fake.answer);
        answer_text(fake.answer, "name", "a-2");
        answer_text(fake.answer, "error", "no space");
        answer_items_end(fake.answer);
        answer_failed(fake.answer, &err);
        owned_run struct run run = run_words(WORDS("clone", "b", "a", "count=2"));
        assert_int_equal(run.status, 73);
        check_has(run.out, "a-1");
        check_has(run.out, "no space");
        assert_string_equal(run.err, "cowherd: 1 of 2 failed\n");
}

static void test_statuses(void **state)
{
        (void)state;
        fake.script_status = 7;
        owned_run struct run script = run_words(WORDS("run", "x.rexx"));
        assert_int_equal(script.status, 7);
        fake.open_error = (struct cowherd_error){.code = COWHERD_DENIED, .text = "no"};
        owned_run struct run closed = run_words(WORDS("list"));
        assert_int_equal(closed.status, 77);
        assert_string_equal(closed.err, "cowherd: no\n");
        fake_reset();
        fake.answer = failure("execute", 69);
        owned_run struct run later = run_words(WORDS("exec", "c", "--", "ls"));
        assert_int_equal(later.status, cowherd_verb_find("execute")->available ? 125 : 69);
        owned_run struct run json_script = run_words(WORDS("--json", "run", "x.rexx"));
        assert_int_equal(json_script.status, 64);
}

static void test_execute_passes_through(void **state)
{
        fake.answer = answer_new("execute");
        answer_number(fake.answer, "exit_code", 3);
        answer_text(fake.answer, "stdout", "one\ttwo\n\x1b[0m");
        answer_text(fake.answer, "stderr", "bad\n");
        answer_done(fake.answer, "ended with 3");
        owned_run struct run run = run_words(WORDS("exec", "c", "--", "x"));

        (void)state;
        assert_int_equal(run.status, 3);
        assert_string_equal(run.out, "one\ttwo\n\x1b[0m");
        assert_string_equal(run.err, "bad\n");
}

/* Bytes that the answer keeps as base64 are bytes again; a console's lines are printed as they are where no terminal is driven by them. */
static void test_bytes_and_logs(void **state)
{
        (void)state;
        fake.answer = answer_new("execute");
        answer_number(fake.answer, "exit_code", 0);
        answer_text(fake.answer, "stdout_base64", "gIGCg4Q=");
        answer_text(fake.answer, "stderr_base64", "/w==");
        answer_flag(fake.answer, "cut", true);
        answer_done(fake.answer, "ended with 0");
        owned_run struct run run = run_words(WORDS("exec", "c", "--", "x"));
        assert_string_equal(run.out, "\x80\x81\x82\x83\x84");
        check_has(run.err, "\xff");
        check_has(run.err, "16 MiB");
        fake_reset();
        fake.answer = answer_new("logs");
        answer_text(fake.answer, "log", "one\n\x1b[1mtwo\r\n");
        answer_done(fake.answer, "the last lines");
        owned_run struct run logs = run_words(WORDS("logs", "c"));
        assert_string_equal(logs.out, "one\n\x1b[1mtwo\r\n");
        fake_reset();
        fake.answer = failure("shell", 75);
        owned_run struct run shell = run_words(WORDS("shell", "c"));
        assert_int_equal(shell.status, 125);
}

/* What could not be written was not said. */
static void test_full_disk(void **state)
{
        char *err = NULL;
        size_t length;
        struct cli_output output = {
                .out = fopen("/dev/full", "w"), .err = open_memstream(&err, &length), .columns = 80};

        (void)state;
        assert_non_null(output.out);
        assert_int_equal(cli_main(2, WORDS("help"), &output), 74);
        (void)fclose(output.out);
        (void)fclose(output.err);
        check_has(err, "cannot write the output");
        free(err);
}

static void test_progress(void **state)
{
        char *text = NULL;
        size_t length;
        struct cli_output output = {.err = open_memstream(&text, &length), .columns = 30};
        struct cli_progress progress = {.output = &output};

        (void)state;
        cli_draw_progress(&progress, "copying 'a file with a very long name.qcow2'", 50, 200);
        cli_draw_progress(&progress, "too soon to be drawn", 51, 200);
        cli_end_progress(&progress);
        cli_end_progress(&progress);
        (void)fclose(output.err);
        assert_string_equal(text, "\r\033[K 25% copying 'a file with a v\r\033[K");
        free(text);
}

#define UNIT(name) cmocka_unit_test_setup_teardown(name, forget, forget)

int main(void)
{
        const struct CMUnitTest tests[] = {
                UNIT(test_what_reaches_the_herd),
                UNIT(test_existing_file_is_a_script),
                UNIT(test_refused_words),
                UNIT(test_no_words),
                UNIT(test_help),
                UNIT(test_failure),
                UNIT(test_json),
                UNIT(test_sentence),
                UNIT(test_table),
                UNIT(test_wide_table),
                UNIT(test_bases_and_status),
                UNIT(test_empty_list),
                UNIT(test_info),
                UNIT(test_plan),
                UNIT(test_some_failed),
                UNIT(test_statuses),
                UNIT(test_execute_passes_through),
                UNIT(test_bytes_and_logs),
                UNIT(test_full_disk),
                UNIT(test_progress),
                UNIT(test_checklist),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
