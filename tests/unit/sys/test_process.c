/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: what they see, what is read of them, and how each way to end is told. */
#include "sys/clock.h"
#include "sys/process.h"
#include "sys_test.h"

#include <signal.h>

/* A script for /bin/sh in its argv: for tests alone, the product never uses a shell. */
static struct process shell(const char *script)
{
        struct process process = {0};

        process_add(&process, "sh", "-c", script, NULL);
        return process;
}

static void test_output(void **state)
{
        owned_process struct process process = shell("printf 'a\\0b'; printf 'one\\ntwo' >&2; exit 3");
        owned_process_result struct process_result result = {0};
        struct cowherd_error err;

        (void)state;
        assert_done(process_run(&process, &result, &err), &err);
        assert_int_equal(result.status, 3);
        assert_int_equal(result.output_length, 3);
        assert_memory_equal(result.output, "a\0b", 4);
        assert_string_equal(result.errors, "one\ntwo");
}

static void test_surroundings(void **state)
{
        owned_process struct process process =
                shell("echo $PATH $LC_ALL $MINE $FOREIGN-; readlink /proc/self/fd/0; ls /proc/self/fd");
        owned_str char *output = NULL;
        struct cowherd_error err;
        owned_fd int leaked = fcntl(0, F_DUPFD, 50);

        (void)state;
        assert_true(leaked >= 50);
        assert_int_equal(setenv("FOREIGN", "no", 1), 0);
        assert_int_equal(setenv("PATH", "/tmp", 1), 0);
        strv_add(&process.environment, "MINE=yes");
        assert_done(process_check(&process, &output, &err), &err);
        assert_string_equal(
                output,
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin C yes -\n/dev/null\n0\n1\n2\n3\n");
}

/* Words are words: nothing is split, expanded or taken for a shell's. */
static void test_arguments(void **state)
{
        owned_process struct process process = {0};
        owned_str char *output = NULL;
        struct cowherd_error err;

        (void)state;
        process_add(&process, "printf", "[%s]", "a b", "$(id)", "", "*", "'\"", "\n", NULL);
        assert_done(process_check(&process, &output, &err), &err);
        assert_string_equal(output, "[a b][$(id)][][*]['\"][\n]");
}

static void test_keeps(void **state)
{
        const struct scratch *scratch = *state;
        owned_process struct process process = shell("printf kept >&9; ls /proc/self/fd");
        owned_str char *output = NULL;
        struct cowherd_error err;

        int fd = openat(scratch->fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        owned_fd int nine = fcntl(fd, F_DUPFD_CLOEXEC, 9), other = fcntl(fd, F_DUPFD, 4);
        (void)close(fd);
        assert_int_equal(nine, 9);
        assert_true(other >= 4);
        process.keep[process.keep_count++] = nine;
        assert_done(process_check(&process, &output, &err), &err);
        assert_text(scratch, "file", "kept");
        assert_string_equal(output, "0\n1\n2\n3\n9\n");
        assert_true((fcntl(nine, F_GETFD) & FD_CLOEXEC) != 0); /* of ours nothing changed */
}

static void test_status(void **state)
{
        static const struct {
                const char *script, *words;
                enum cowherd_code code;
        } cases[] = {
                {"echo first >&2; echo 'the reason ' >&2; echo >&2; exit 4", "'sh' failed with status 4: the reason",
                 COWHERD_SYSTEM},
                {"echo 'said on stdout'; exit 1", "status 1: said on stdout", COWHERD_SYSTEM},
                {"exit 7", "'sh' failed with status 7", COWHERD_SYSTEM},
                {"printf '10%%\\r20%%\\rbroken\\r' >&2; exit 1", "status 1: broken", COWHERD_SYSTEM},
                {"kill -9 $$", "'sh' was ended by signal 9", COWHERD_SYSTEM},
                {"echo 'write: No space left on device' >&2; exit 1", "No space left", COWHERD_IO},
        };
        char *untouched = NULL;
        struct cowherd_error err;

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_process struct process process = shell(cases[i].script);
                assert_failed(process_check(&process, &untouched, &err), &err, cases[i].code, cases[i].words);
                assert_null(strchr(err.text, '\r'));
        }
        assert_null(untouched);
}

static void test_absent(void **state)
{
        static const char *const names[] = {"no-such-program", "/no/such/program", "relative/program", "", "/tmp"};
        struct process_result result = {.status = 4711};
        struct cowherd_error err;

        (void)state;
        for (size_t i = 0; i < array_length(names); i++) {
                owned_process struct process process = {0};
                process_add(&process, names[i], NULL);
                assert_failed(process_run(&process, &result, &err), &err, COWHERD_UNAVAILABLE, "is not installed");
                assert_false(process_exists(names[i]));
        }
        assert_int_equal(result.status, 4711);
        assert_true(process_exists("sh") && process_exists("/bin/sh"));
        owned_process struct process nothing = {0};
        assert_failed(process_run(&nothing, &result, &err), &err, COWHERD_INTERNAL, "without a name");
}

/* The whole group goes, also what the program started and did not wait for. */
static void test_timeout(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *script = x_asprintf("(sleep 30; true) & echo $! > %s/pid; wait", scratch->path);
        owned_process struct process process = shell(script);
        struct process_result result = {0};
        struct cowherd_error err;
        double before = clock_ms();

        process.timeout_ms = 300;
        assert_failed(process_run(&process, &result, &err), &err, COWHERD_BUSY, "did not end within 300 ms");
        assert_true(clock_ms() - before >= 300 && clock_ms() - before < 10000);
        owned_str char *pid = scratch_read(scratch, "pid");
        assert_non_null(pid);
        (void)usleep(100000);
        owned_str char *status_path = x_asprintf("/proc/%d/stat", atoi(pid));
        FILE *status = fopen(status_path, "re"); /* it may wait as a zombie for whoever adopted it */
        char state_letter = 'Z';
        if (status != NULL) {
                assert_int_equal(fscanf(status, "%*d %*s %c", &state_letter), 1);
                (void)fclose(status);
        }
        assert_true(state_letter == 'Z' || state_letter == 'X');
}

/* One that does not listen to TERM gets KILL. */
static void test_stubborn(void **state)
{
        owned_process struct process process = shell("trap '' TERM; while :; do sleep 1; done");
        struct process_result result = {0};
        struct cowherd_error err;

        (void)state;
        process.timeout_ms = 100;
        assert_failed(process_run(&process, &result, &err), &err, COWHERD_BUSY, "did not end");
}

/* Ended in time, with a limit: no error, and its group was its own. */
static void test_in_time(void **state)
{
        owned_process struct process process = shell("echo $(cut -d' ' -f5 /proc/$$/stat) $$");
        owned_str char *output = NULL;
        struct cowherd_error err;
        int group, pid;

        (void)state;
        process.timeout_ms = 30000;
        assert_done(process_check(&process, &output, &err), &err);
        assert_int_equal(sscanf(output, "%d %d", &group, &pid), 2);
        assert_int_equal(group, pid);

        owned_str char *again = NULL;
        process.timeout_ms = 0;
        assert_done(process_check(&process, &again, &err), &err);
        assert_int_equal(sscanf(again, "%d %d", &group, &pid), 2);
        assert_int_equal(group, getpgrp());
}

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number)
{
        interrupted = number;
}

/* An interrupt for the group reaches a program in a group of its own, and then whoever started it. */
static void test_interrupt(void **state)
{
        owned_process struct process process = shell("trap 'echo got; exit 5' INT; kill -INT $PPID; sleep 5 & wait");
        owned_process_result struct process_result result = {0};
        struct sigaction action = {.sa_handler = note_interrupt}, before;
        struct cowherd_error err;

        (void)state;
        assert_int_equal(sigaction(SIGINT, &action, &before), 0);
        process.timeout_ms = 20000;
        assert_done(process_run(&process, &result, &err), &err);
        assert_int_equal(sigaction(SIGINT, &before, NULL), 0);
        assert_string_equal(result.output, "got\n");
        assert_int_equal(result.status, 5);
        assert_int_equal(interrupted, SIGINT);
}

static void test_too_much(void **state)
{
        owned_process struct process process = {0};
        struct process_result result = {0};
        struct cowherd_error err;

        (void)state;
        process_add(&process, "yes", NULL);
        assert_failed(process_run(&process, &result, &err), &err, COWHERD_SYSTEM, "printed more than");
        assert_null(result.output);
}

static void test_long_errors(void **state)
{
        owned_process struct process process = shell("seq 1 200000 >&2; echo last >&2");
        owned_process_result struct process_result result = {0};
        struct cowherd_error err;

        (void)state;
        assert_done(process_run(&process, &result, &err), &err);
        assert_true(strlen(result.errors) <= 8192);
        assert_contains(result.errors, "\n200000\nlast\n");
}

/* A daemon left behind holds the pipes open: the answer comes when the program itself has ended. */
static void test_left_behind(void **state)
{
        owned_process struct process process = shell("echo started; sleep 12 & ");
        owned_str char *output = NULL;
        struct cowherd_error err;
        double before = clock_ms();

        (void)state;
        assert_done(process_check(&process, &output, &err), &err);
        assert_string_equal(output, "started\n");
        assert_true(clock_ms() - before < 10000);
}

static void add_line(void *context, const char *line)
{
        struct str *lines = context;

        str_addf(lines, "<%s>", line);
}

static void test_lines(void **state)
{
        owned_process struct process process =
                shell("printf 'one\\n10%%\\r' >&2; sleep 0.05; printf '20%%\\rtwo\\n\\nlast' >&2");
        owned_string struct str lines = {0};
        struct cowherd_error err;

        (void)state;
        process.lines_to_progress = true;
        process.on_line = add_line;
        process.on_line_context = &lines;
        assert_done(process_check(&process, NULL, &err), &err);
        assert_string_equal(str_text(&lines), "<one><10%><20%><two><last>");
}

static int record(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct str *seen = context;

        (void)err;
        for (size_t i = 0; i < process->argv.count; i++)
                str_addf(seen, "%s|", process->argv.items[i]);
        *ret = (struct process_result){.output = x_strdup("replayed"), .errors = x_strdup(""), .output_length = 8};
        return 0;
}

static void test_runner(void **state)
{
        owned_process struct process process = {0};
        owned_string struct str seen = {0};
        owned_str char *output = NULL;
        const struct process_runner runner = {record, &seen};
        struct cowherd_error err;

        (void)state;
        process_add(&process, "no-such-program", "--json", NULL);
        process_set_runner(&runner);
        assert_done(process_check(&process, &output, &err), &err);
        process_set_runner(NULL);
        assert_string_equal(output, "replayed");
        assert_string_equal(str_text(&seen), "no-such-program|--json|");
        assert_failed(process_check(&process, NULL, &err), &err, COWHERD_UNAVAILABLE, "not installed");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_output),      cmocka_unit_test(test_surroundings),
                cmocka_unit_test(test_arguments),   scratch_test(test_keeps),
                cmocka_unit_test(test_status),      cmocka_unit_test(test_absent),
                scratch_test(test_timeout),         cmocka_unit_test(test_stubborn),
                cmocka_unit_test(test_in_time),     cmocka_unit_test(test_interrupt),
                cmocka_unit_test(test_too_much),    cmocka_unit_test(test_long_errors),
                cmocka_unit_test(test_left_behind), cmocka_unit_test(test_lines),
                cmocka_unit_test(test_runner),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
