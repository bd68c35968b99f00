/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: one holder, free when its descriptor is closed, and right when the file is removed under a waiter. */
#include "sys/lock.h"
#include "sys_test.h"

#include <pthread.h>
#include <signal.h>

static void test_take(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int first = -1, second = -1;
        struct cowherd_error err;

        assert_done(lock_take(scratch->fd, "a.lock", false, &first, &err), &err);
        assert_true((fcntl(first, F_GETFD) & FD_CLOEXEC) != 0);
        assert_int_equal(lock_take(scratch->fd, "a.lock", false, &second, &err), 1);
        assert_int_equal(second, -1);
        (void)close(take_fd(first));
        assert_done(lock_take(scratch->fd, "a.lock", true, &second, &err), &err);
        assert_done(lock_take(scratch->fd, "b.lock", false, &first, &err), &err);
}

static void test_fails(void **state)
{
        const struct scratch *scratch = *state;
        int fd = -7;
        struct cowherd_error err;

        assert_failed(lock_take(scratch->fd, "no/a.lock", false, &fd, &err), &err, COWHERD_NOT_FOUND, "no/a.lock");
        assert_int_equal(symlinkat("/dev/null", scratch->fd, "link.lock"), 0);
        assert_failed(lock_take(scratch->fd, "link.lock", false, &fd, &err), &err, COWHERD_SYSTEM, "link.lock");
        assert_int_equal(fd, -7);
        lock_remove(scratch->fd, "nothing", &(int){-1});
}

static void test_looked_at(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int held = -1;
        bool is_held = true;
        struct cowherd_error err;

        assert_done(lock_is_held(scratch->fd, "seen.lock", &is_held, &err), &err);
        assert_false(is_held || scratch_has(scratch, "seen.lock"));
        assert_done(lock_take(scratch->fd, "seen.lock", false, &held, &err), &err);
        assert_done(lock_is_held(scratch->fd, "seen.lock", &is_held, &err), &err);
        assert_true(is_held);
        close_at(&held);
        held = -1;
        assert_done(lock_is_held(scratch->fd, "seen.lock", &is_held, &err), &err);
        assert_false(is_held);
        assert_done(lock_take(scratch->fd, "seen.lock", false, &held, &err), &err); /* who looked has not kept it */
        assert_failed(lock_is_held(scratch->fd, "seen.lock/x", &is_held, &err), &err, COWHERD_SYSTEM, "seen.lock/x");
}

/* A table: each number has one holder; who holds it is the open file, in whatever process it is open. */
static void test_numbers(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int ours = -1, theirs = -1;
        struct cowherd_error err;

        assert_done(lock_open_table(scratch->fd, "table", &ours, &err), &err);
        assert_done(lock_open_table(scratch->fd, "table", &theirs, &err), &err);
        assert_true((fcntl(ours, F_GETFD) & FD_CLOEXEC) != 0);
        for (uint64_t number = 1; number <= 3; number++)
                assert_done(lock_take_number(ours, number, false, &err), &err);
        assert_done(lock_take_number(ours, 2, true, &err), &err); /* again */
        assert_int_equal(lock_take_number(theirs, 2, false, &err), 1);
        assert_done(lock_take_number(theirs, 4, false, &err), &err);
        assert_done(lock_take_number(theirs, INT64_MAX, false, &err), &err);
        int inherited = dup(ours); /* as a tool has it */
        close_at(&ours);
        ours = -1;
        assert_int_equal(lock_take_number(theirs, 3, false, &err), 1);
        close_at(&inherited);
        assert_done(lock_take_number(theirs, 3, false, &err), &err);
        assert_failed(lock_take_number(theirs, UINT64_MAX, false, &err), &err, COWHERD_SYSTEM, "18446744073709551615");
        assert_failed(lock_open_table(scratch->fd, "no/table", &ours, &err), &err, COWHERD_NOT_FOUND, "no/table");
}

struct waiter {
        int folder, fd, result;
        pthread_t thread;
        struct cowherd_error err;
};

static void *wait_for_lock(void *context)
{
        struct waiter *waiter = context;

        waiter->result = lock_take(waiter->folder, "a.lock", true, &waiter->fd, &waiter->err);
        return NULL;
}

static void *wait_for_number(void *context)
{
        struct waiter *waiter = context;

        waiter->result = lock_take_number(waiter->fd, 5, true, &waiter->err);
        return NULL;
}

/* The waiter ends up with the lock of the file that has the name, not of the one that was removed. */
static void test_removed_under_waiter(void **state)
{
        const struct scratch *scratch = *state;
        struct waiter waiter = {.folder = scratch->fd, .fd = -1, .result = -1};
        owned_fd int held = -1, other = -1;
        struct cowherd_error err;

        assert_done(lock_take(scratch->fd, "a.lock", false, &held, &err), &err);
        assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_lock, &waiter), 0);
        (void)usleep(50000);
        assert_int_equal(waiter.fd, -1);
        lock_remove(scratch->fd, "a.lock", &held);
        assert_int_equal(held, -1);
        assert_int_equal(pthread_join(waiter.thread, NULL), 0);
        assert_done(waiter.result, &waiter.err);
        assert_true(scratch_has(scratch, "a.lock"));
        assert_int_equal(lock_take(scratch->fd, "a.lock", false, &other, &err), 1);
        (void)close(waiter.fd);
}

static void note_signal(int number)
{
        (void)number;
}

/* A handled signal ends the wait: somebody pressed Ctrl-C. */
static void test_interrupted(void **state)
{
        const struct scratch *scratch = *state;
        struct sigaction action = {.sa_handler = note_signal}, before;
        struct waiter waiter = {.folder = scratch->fd, .fd = -1, .result = 0};
        owned_fd int held = -1;
        struct cowherd_error err;

        assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
        assert_done(lock_take(scratch->fd, "a.lock", false, &held, &err), &err);
        assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_lock, &waiter), 0);
        (void)usleep(50000);
        assert_int_equal(pthread_kill(waiter.thread, SIGUSR1), 0);
        assert_int_equal(pthread_join(waiter.thread, NULL), 0);
        assert_failed(waiter.result, &waiter.err, COWHERD_BUSY, "interrupted");
        assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

/* A number is waited for, until its holder is gone or somebody presses Ctrl-C. */
static void test_number_waited_for(void **state)
{
        const struct scratch *scratch = *state;
        struct sigaction action = {.sa_handler = note_signal}, before;
        struct waiter waiter = {.fd = -1};
        int held = -1;
        struct cowherd_error err;

        assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
        assert_done(lock_open_table(scratch->fd, "table", &held, &err), &err);
        assert_done(lock_open_table(scratch->fd, "table", &waiter.fd, &err), &err);
        assert_done(lock_take_number(held, 5, false, &err), &err);
        for (unsigned round = 0; round < 2; round++) {
                waiter.result = 7;
                assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_number, &waiter), 0);
                (void)usleep(50000);
                assert_int_equal(waiter.result, 7);
                if (round == 0)
                        assert_int_equal(pthread_kill(waiter.thread, SIGUSR1), 0);
                else
                        close_at(&held);
                assert_int_equal(pthread_join(waiter.thread, NULL), 0);
                if (round == 0)
                        assert_failed(waiter.result, &waiter.err, COWHERD_BUSY, "interrupted");
        }
        assert_done(waiter.result, &waiter.err);
        close_at(&waiter.fd);
        assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_take),        scratch_test(test_fails), scratch_test(test_removed_under_waiter),
                scratch_test(test_interrupted), scratch_test(test_looked_at), scratch_test(test_numbers),             scratch_test(test_number_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
