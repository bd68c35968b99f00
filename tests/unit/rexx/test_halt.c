/* SPDX-License-Identifier: Apache-2.0 */
/* Signals become HALT: the script can clean up, and where it does not, the status says which signal it was. */
#include "script.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_ms(long ms)
{
        struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&time, NULL);
}

/* A process that sends this one a signal after a while. */
static pid_t signal_later(int number, long ms)
{
        pid_t parent = getpid(), child = fork();

        if (child == 0) {
                pause_ms(ms);
                (void)kill(parent, number);
                _exit(0);
        }
        return child;
}

static void assert_halted(int number, const char *name)
{
        char lines[64], expected[128];

        (void)snprintf(lines, sizeof lines, "success=1\nraise=%d\n", number);
        fake_answer("clone", lines);
        struct ran ran = run_script("address qemu\nsay 'a'\n'clone'\nsay 'never'");
        assert_int_equal(ran.status, 128 + number);
        assert_string_equal(ran.out, "a\n");
        (void)snprintf(expected, sizeof expected, "t.rexx:3: stopped by SIG%s\n", name);
        assert_has(ran.err, expected);
        fake_reset();
}

static void test_untrapped(void **state)
{
        (void)state;
        assert_halted(SIGINT, "INT");
        assert_halted(SIGTERM, "TERM");
        assert_halted(SIGHUP, "HUP");
}

static void test_clean_up_runs(void **state)
{
        (void)state;
        fake_answer("clone", "success=1\nraise=2\n");
        struct ran ran = run_script("signal on halt\naddress lxd\n'clone name=a'\nsay 'never'; exit 0\n"
                                    "halt: say 'H' condition('C') rc; 'delete name=a'; say rc result.success; exit 9");
        assert_string_equal(ran.out, "H HALT 0\n0 1\n");
        assert_int_equal(ran.status, 9);
        assert_commands("lxd clone name=a\nlxd delete name=a");
        assert_string_equal(ran.err, "");
}

static void test_call_on_halt_goes_on(void **state)
{
        (void)state;
        fake_answer("clone", "success=1\nraise=15\n");
        struct ran ran = run_script("call on halt\naddress lxd\n'clone'\nsay 'on'\nexit 3\nhalt: say 'H'; return");
        assert_string_equal(ran.out, "on\nH\n"); /* a CALL waits for the end of the clause */
        assert_int_equal(ran.status, 3);
}

static void test_second_signal_ends_the_clean_up(void **state)
{
        (void)state;
        fake_answer("clone", "success=1\nraise=2\n");
        struct ran ran =
                run_script("signal on halt\naddress lxd\n'clone'\nexit\nhalt: say 'H'; 'clone again'; say 'never'");
        assert_string_equal(ran.out, "H\n");
        assert_int_equal(ran.status, 130);
}

static void test_in_the_last_command(void **state)
{
        (void)state;
        fake_answer("clone", "success=1\nraise=15\n");
        struct ran ran = run_script("say 'a'; address lxd 'clone'");
        assert_int_equal(ran.status, 143);
        assert_has(ran.err, "stopped by SIGTERM");
        ran = run_script("say 'on'"); /* nothing of it is left for the next program */
        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.out, "on\n");
}

static void test_on_a_thread_of_the_herd(void **state)
{
        (void)state;
        fake_answer("clone", "success=1\nraise_in_thread=2\n");
        struct ran ran = run_script("signal on halt\naddress qemu\n'clone'\nsay 'never'\nexit\nhalt: say 'H'");
        assert_string_equal(ran.out, "H\n");
        assert_int_equal(ran.status, 0);
}

static void test_endless_loop(void **state)
{
        (void)state;
        pid_t child = signal_later(SIGINT, 200);
        struct ran ran = run_script("signal on halt\ndo forever; n = 1; end\nhalt: say 'H'; 'doctor'; exit 4");
        assert_int_equal(ran.status, 4);
        assert_string_equal(ran.out, "H\n");
        assert_commands("cowherd doctor");
        (void)waitpid(child, NULL, 0);
}

static void test_during_a_shell_command(void **state)
{
        (void)state;
        pid_t child = signal_later(SIGHUP, 200);
        struct ran ran =
                run_script("signal on halt\naddress system 'sleep 1'\nsay 'never'; exit\nhalt: say 'H'; exit 4");
        assert_string_equal(ran.out, "H\n");
        assert_int_equal(ran.status, 4);
        (void)waitpid(child, NULL, 0);
}

static void test_ignored_stays_ignored(void **state)
{
        (void)state;
        (void)signal(SIGHUP, SIG_IGN); /* as nohup does */
        fake_answer("clone", "success=1\nraise=1\n");
        struct ran ran = run_script("address lxd 'clone'; say 'on'");
        assert_int_equal(ran.status, 0);
        assert_string_equal(ran.out, "on\n");
        (void)signal(SIGHUP, SIG_DFL);
}

static void test_handlers_are_put_back(void **state)
{
        struct sigaction action;

        (void)state;
        (void)run_script("say 1");
        (void)sigaction(SIGINT, NULL, &action);
        assert_true(action.sa_handler == SIG_DFL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                rexx_test(test_untrapped),
                rexx_test(test_clean_up_runs),
                rexx_test(test_call_on_halt_goes_on),
                rexx_test(test_second_signal_ends_the_clean_up),
                rexx_test(test_in_the_last_command),
                rexx_test(test_on_a_thread_of_the_herd),
                rexx_test(test_endless_loop),
                rexx_test(test_during_a_shell_command),
                rexx_test(test_ignored_stays_ignored),
                rexx_test(test_handlers_are_put_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
