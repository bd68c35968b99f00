/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are to outlive us: what they have, how their end is told, and that none stays which was not kept. */
#include "sys/process_detach.h"

#include "../image/scratch.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static struct process_birth start(const char *script, const int *descriptors, size_t count, int output)
{
        struct process_detach what = {.descriptors = descriptors, .descriptor_count = count, .output = output};
        struct process_birth birth = {.channel = -1};
        struct cowherd_error err = {0};

        strv_add(&what.argv, "/bin/sh");
        strv_add(&what.argv, "-c");
        strv_add(&what.argv, script);
        if (process_detach(&what, &birth, &err) < 0)
                print_message("# %s\n", err.text);
        strv_free(&what.argv);
        assert_true(birth.pid > 0);
        return birth;
}

static int new_output(const struct scratch *scratch)
{
        int fd = openat(scratch->fd, "output", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        return fd;
}

static bool ends(int pidfd)
{
        struct pollfd ready = {.fd = pidfd, .events = POLLIN};

        return poll(&ready, 1, 5000) == 1;
}

static void tells_how_it_ended(void **state)
{
        owned_fd int output = new_output(*state);
        int status = -1;

        struct process_birth birth owned_by(process_birth_free) =
                start("echo said; echo wrong >&2; exit 7", NULL, 0, output);
        assert_true(process_birth_ended(&birth, 5000, &status));
        assert_int_equal(status, 7);
        owned_str char *said = scratch_read(*state, "output");
        assert_string_equal(said, "said\nwrong\n");
        struct process_birth killed owned_by(process_birth_free) = start("kill -9 $$", NULL, 0, output);
        assert_true(process_birth_ended(&killed, 5000, &status));
        assert_int_equal(status, 128 + SIGKILL);
        struct process_birth sleeps owned_by(process_birth_free) = start("exec sleep 100", NULL, 0, output);
        assert_false(process_birth_ended(&sleeps, 20, &status));
}

/* Its descriptors are 3 and 4, whatever numbers they have here; no other of ours is among them. */
static void has_what_it_is_given(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int output = new_output(scratch);
        int status = -1;

        scratch_write(scratch, "a", "A");
        scratch_write(scratch, "b", "B");
        owned_fd int a = openat(scratch->fd, "a", O_RDONLY), b = openat(scratch->fd, "b", O_RDONLY),
                     leaky = dup(scratch->fd);
        const int both[] = {b, a};
        assert_true(leaky > 2);
        struct process_birth birth owned_by(process_birth_free) =
                start("cat <&3; cat <&4; for fd in /proc/self/fd/*; do echo ${fd##*/}; done | sort -n | tr '\\n' ' ' "
                      ">&2; pwd; echo $LC_ALL; umask",
                      both, 2, output);
        assert_true(process_birth_ended(&birth, 5000, &status));
        owned_str char *said = scratch_read(scratch, "output");
        assert_non_null(said);
        assert_true(str_starts(said, "BA0 1 2 3 4 "));
        assert_non_null(strstr(said, "/\nC\n0077\n"));
}

static void what_is_freed_is_killed(void **state)
{
        owned_fd int output = new_output(*state);
        struct process_birth birth = start("exec sleep 100", NULL, 0, output);
        owned_fd int pidfd = pidfd_open(birth.pid, 0);

        assert_true(pidfd >= 0);
        process_birth_free(&birth);
        assert_true(ends(pidfd));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left to us */
}

/* kill -9 of the one who started it. */
static void what_was_not_kept_dies_with_us(void **state)
{
        owned_fd int output = new_output(*state);
        int ends_of_pipe[2], number = 0;

        assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
        pid_t starter = fork();
        assert_true(starter >= 0);
        if (starter == 0) {
                struct process_birth birth = start("exec sleep 100", NULL, 0, output);
                number = birth.pid;
                (void)!write(ends_of_pipe[1], &number, sizeof number);
                (void)pause();
                _exit(1);
        }
        assert_int_equal(read(ends_of_pipe[0], &number, sizeof number), sizeof number);
        owned_fd int pidfd = pidfd_open(number, 0);
        assert_true(pidfd >= 0);
        assert_int_equal(kill(starter, SIGKILL), 0);
        assert_int_equal(waitpid(starter, NULL, 0), starter);
        assert_true(ends(pidfd));
        close_at(&ends_of_pipe[0]);
        close_at(&ends_of_pipe[1]);
}

static void what_is_kept_goes_on(void **state)
{
        owned_fd int output = new_output(*state);
        struct process_birth birth = start("exec sleep 100", NULL, 0, output);
        owned_fd int pidfd = pidfd_open(birth.pid, 0);
        struct pollfd ready = {.fd = pidfd, .events = POLLIN};
        struct cowherd_error err;

        assert_int_equal(process_birth_keep(&birth, &err), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* it is not our child */
        process_birth_free(&birth);                       /* nothing any more */
        assert_int_equal(poll(&ready, 1, 50), 0);
        assert_int_equal(pidfd_send_signal(pidfd, SIGKILL, NULL, 0), 0);
        assert_true(ends(pidfd));
}

static void tells_what_is_not_installed(void **state)
{
        owned_fd int output = new_output(*state);
        struct process_detach what = {.output = output};
        struct process_birth birth = {.channel = -1};
        struct cowherd_error err = {0};

        strv_add(&what.argv, "cowherd-no-such-program");
        assert_int_equal(process_detach(&what, &birth, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        strv_free(&what.argv);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(tells_how_it_ended, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(has_what_it_is_given, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_is_freed_is_killed, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_was_not_kept_dies_with_us, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_is_kept_goes_on, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(tells_what_is_not_installed, scratch_make, scratch_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
