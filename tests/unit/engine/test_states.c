/* SPDX-License-Identifier: Apache-2.0 */
/* Real states from real locks, taken by another process as QEMU and systemd-nspawn take them. */
#include "base/str.h"
#include "engine/drivers.h"
#include "engine/held.h"

#include "../image/scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

struct holder {
        pid_t pid;
};

/* Another process that has that lock on a file until it is stopped. */
static struct holder hold(const struct scratch *scratch, const char *path, short type, off_t start, off_t length)
{
        struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
        struct holder holder;
        int ready[2];
        char byte;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        holder.pid = fork();
        assert_true(holder.pid >= 0);
        if (holder.pid == 0) {
                int fd = openat(scratch->fd, path, O_RDWR | O_CLOEXEC);
                if (fcntl(fd, F_OFD_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1)
                        (void)pause();
                _exit(1);
        }
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        return holder;
}

static void let_go(struct holder holder)
{
        assert_int_equal(kill(holder.pid, SIGKILL), 0);
        assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
}

static enum engine_state state_of(const struct engine_driver *engine, const struct scratch *scratch, const char *path)
{
        struct engine_instance instance = {.id = 1, .name = "x", .folder = scratch->fd, .path = path};
        enum engine_state state = ENGINE_PAUSED;
        struct cowherd_error err;

        assert_int_equal(engine->states(&instance, 1, &state, &err), 0);
        return state;
}

static void qemu_runs_while_its_disk_is_locked(void **state)
{
        const struct scratch *scratch = *state;

        scratch_write(scratch, "clones/5/disk.qcow2", "disk");
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_STOPPED);
        struct holder holder =
                hold(scratch, "clones/5/disk.qcow2", F_RDLCK, 100, 2); /* consistent-read and write, as QEMU */
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_RUNNING);
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"),
                         ENGINE_RUNNING); /* asking takes nothing away */
        let_go(holder);
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_STOPPED);
}

static void a_reader_is_no_machine(void **state)
{
        const struct scratch *scratch = *state;

        scratch_write(scratch, "clones/5/disk.qcow2", "disk");
        struct holder holder = hold(scratch, "clones/5/disk.qcow2", F_RDLCK, 100, 1);
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_STOPPED);
        let_go(holder);
}

static void qemu_tells_what_is_missing(void **state)
{
        const struct scratch *scratch = *state;

        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_MISSING);
        scratch_write(scratch, "clones/5/other", "");
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_MISSING);
        assert_int_equal(symlinkat("/etc/passwd", scratch->fd, "clones/5/disk.qcow2"), 0);
        assert_int_equal(state_of(&engine_qemu, scratch, "clones/5/disk.qcow2"), ENGINE_UNKNOWN);
}

static void states_come_in_order(void **state)
{
        const struct scratch *scratch = *state;
        struct engine_instance instances[3] = {
                {.folder = scratch->fd, .path = "clones/1/disk.qcow2"},
                {.folder = scratch->fd, .path = "clones/2/disk.raw"},
                {.folder = scratch->fd, .path = "clones/3/disk.qcow2"},
        };
        enum engine_state states[3];
        struct cowherd_error err;

        scratch_write(scratch, "clones/2/disk.raw", "disk");
        scratch_write(scratch, "clones/3/disk.qcow2", "disk");
        struct holder holder = hold(scratch, "clones/2/disk.raw", F_RDLCK, 100, 104);
        assert_int_equal(engine_qemu.states(instances, 3, states, &err), 0);
        let_go(holder);
        assert_int_equal(states[0], ENGINE_MISSING);
        assert_int_equal(states[1], ENGINE_RUNNING);
        assert_int_equal(states[2], ENGINE_STOPPED);
        assert_int_equal(engine_qemu.states(NULL, 0, NULL, &err), 0);
}

static void nspawn_runs_while_its_lock_file_is_locked(void **state)
{
        const struct scratch *scratch = *state;

        scratch_write(scratch, "clones/5/tree/etc/os-release", "ID=debian\n");
        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_STOPPED);
        scratch_write(scratch, "clones/5/.#tree.lck", "");
        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_STOPPED); /* left by a killed one */
        struct holder holder = hold(scratch, "clones/5/.#tree.lck", F_WRLCK, 0, 0);
        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_RUNNING);
        let_go(holder);
        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_STOPPED);
}

static void nspawn_tells_what_is_missing(void **state)
{
        const struct scratch *scratch = *state;
        char path[600];

        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_MISSING);
        scratch_write(scratch, "clones/5/.#tree.lck", "");
        assert_int_equal(state_of(&engine_nspawn, scratch, "clones/5/tree"), ENGINE_MISSING);
        assert_int_equal(mkdirat(scratch->fd, "tree", 0755), 0);
        assert_int_equal(state_of(&engine_nspawn, scratch, "tree"), ENGINE_STOPPED); /* a path without a folder */
        memset(path, '/', sizeof path);
        memcpy(path, "clones/5", 8);
        path[sizeof path - 1] = '\0';
        assert_int_equal(state_of(&engine_nspawn, scratch, path), ENGINE_UNKNOWN); /* too long for its lock's name */
}

static void asks_without_stopping_at_a_fifo(void **state)
{
        const struct scratch *scratch = *state;

        assert_int_equal(mkfifoat(scratch->fd, "fifo", 0600), 0);
        assert_true(engine_lock_held(scratch->fd, "fifo", 0, 0) <= 0);
        assert_int_equal(engine_lock_held(scratch->fd, "nothing", 0, 0), -1);
        assert_int_equal(errno, ENOENT);
}

static void names_states(void **state)
{
        (void)state;
        assert_string_equal(engine_state_name(ENGINE_RUNNING), "running");
        assert_string_equal(engine_state_name(ENGINE_MISSING), "missing");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(qemu_runs_while_its_disk_is_locked, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(a_reader_is_no_machine, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(qemu_tells_what_is_missing, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(states_come_in_order, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(nspawn_runs_while_its_lock_file_is_locked, scratch_make,
                                                scratch_remove),
                cmocka_unit_test_setup_teardown(nspawn_tells_what_is_missing, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(asks_without_stopping_at_a_fifo, scratch_make, scratch_remove),
                cmocka_unit_test(names_states),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
