/* SPDX-License-Identifier: Apache-2.0 */
/* Our own folders and files: made, read within limits, replaced whole, fingerprinted, shared and copied. */
#include "sys/file.h"
#include "sys_test.h"

#include <sys/wait.h>

static void test_make_folders(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *absolute = scratch_path(scratch, "x/y/z");
        struct cowherd_error err;

        assert_done(file_make_folders(scratch->fd, "a/b/c/d", 0750, &err), &err);
        assert_done(file_make_folders(scratch->fd, "a/b/c/d/", 0700, &err), &err);
        assert_done(file_make_folders(scratch->fd, "a//b/./c/../e", 0700, &err), &err);
        assert_done(file_make_folders(AT_FDCWD, absolute, 0700, &err), &err);
        assert_done(file_make_folders(AT_FDCWD, "/", 0700, &err), &err);
        assert_int_equal(scratch_stat(scratch, "a/b/c").st_mode & 0777, 0750);
        assert_true(scratch_has(scratch, "a/b/e") && scratch_has(scratch, "x/y/z"));

        scratch_write(scratch, "a/file", "");
        assert_failed(file_make_folders(scratch->fd, "a/file", 0700, &err), &err, COWHERD_EXISTS, "'a/file'");
        assert_failed(file_make_folders(scratch->fd, "a/file/sub", 0700, &err), &err, COWHERD_SYSTEM, "a/file/sub");
        assert_failed(file_make_folders(scratch->fd, "", 0700, &err), &err, COWHERD_NOT_FOUND, "");
        int fd = -7;
        assert_failed(file_open_folder(scratch->fd, "absent", &fd, &err), &err, COWHERD_NOT_FOUND, "'absent'");
        assert_int_equal(err.os_errno, ENOENT);
        assert_failed(file_open_folder(scratch->fd, "a/file", &fd, &err), &err, COWHERD_SYSTEM, "'a/file'");
        assert_int_equal(fd, -7);
}

static void test_read(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *text = NULL, *proc = NULL;
        char *untouched = NULL;
        size_t length = 0;
        struct cowherd_error err;

        scratch_write(scratch, "f", "0123456789");
        assert_done(file_read(scratch->fd, "f", 10, &text, &length, &err), &err);
        assert_string_equal(text, "0123456789");
        assert_int_equal(length, 10);
        assert_failed(file_read(scratch->fd, "f", 9, &untouched, NULL, &err), &err, COWHERD_DATA,
                      "longer than the 9 bytes");
        assert_failed(file_read(scratch->fd, "absent", 9, &untouched, NULL, &err), &err, COWHERD_NOT_FOUND, "'absent'");
        assert_failed(file_read(scratch->fd, ".", 9, &untouched, NULL, &err), &err, COWHERD_SYSTEM, "cannot read");
        assert_null(untouched);
        /* A file whose length is said to be 0. */
        assert_done(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &proc, NULL, &err), &err);
        assert_contains(proc, "Pid:");
}

static void test_replace(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *absolute = scratch_path(scratch, "sub/f");
        struct cowherd_error err;

        scratch_write(scratch, "sub/f", "old");
        scratch_write(scratch, "target", "kept");
        struct stat before = scratch_stat(scratch, "sub/f");
        assert_done(file_replace(scratch->fd, "sub/f", "new", 0640, true, &err), &err);
        assert_text(scratch, "sub/f", "new");
        struct stat after = scratch_stat(scratch, "sub/f");
        assert_int_equal(after.st_mode & 07777, 0640);
        assert_true(after.st_ino != before.st_ino);
        assert_done(file_replace(AT_FDCWD, absolute, "again", 0600, false, &err), &err);
        assert_text(scratch, "sub/f", "again");

        assert_int_equal(symlinkat("target", scratch->fd, "link"), 0);
        assert_done(file_replace(scratch->fd, "link", "mine", 0600, false, &err), &err);
        assert_text(scratch, "target", "kept");
        assert_text(scratch, "link", "mine");

        assert_failed(file_replace(scratch->fd, "no/f", "x", 0600, false, &err), &err, COWHERD_NOT_FOUND, "'no/'");
        assert_int_equal(mkdirat(scratch->fd, "sub/d", 0755), 0);
        assert_failed(file_replace(scratch->fd, "sub/d", "x", 0600, false, &err), &err, COWHERD_SYSTEM, "'d'");
        struct file_usage usage;
        assert_done(file_measure(scratch->fd, "sub", &usage, &err), &err);
        assert_int_equal(usage.files, 1); /* nothing left beside */
}

static void test_publish(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *path = scratch_path(scratch, "out/f.prom"), *folder = scratch_path(scratch, "out/d"), *none = scratch_path(scratch, "none/f");
        struct cowherd_error err;
        struct file_usage usage;

        scratch_write(scratch, "out/f.prom", "old");
        scratch_write(scratch, "out/.cowherd-publish", "what a killed one had written, and it was longer than this will be");
        assert_done(file_publish(path, "new", 0644, &err), &err);
        assert_text(scratch, "out/f.prom", "new");
        assert_int_equal(scratch_stat(scratch, "out/f.prom").st_mode & 07777, 0644);
        assert_done(file_publish(path, "again", 0600, &err), &err);
        assert_text(scratch, "out/f.prom", "again");
        assert_failed(file_publish(none, "x", 0644, &err), &err, COWHERD_NOT_FOUND, "none/");
        assert_int_equal(mkdirat(scratch->fd, "out/d", 0755), 0);
        assert_failed(file_publish(folder, "x", 0644, &err), &err, COWHERD_SYSTEM, "out/d");
        assert_done(file_measure(scratch->fd, "out", &usage, &err), &err);
        assert_int_equal(usage.files, 1);
}

/* What is there under the hidden name and not ours is neither written to nor followed. */
static void test_publish_over_others(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *path = scratch_path(scratch, "out/f");
        struct cowherd_error err;

        scratch_write(scratch, "out/theirs", "theirs");
        assert_int_equal(linkat(scratch->fd, "out/theirs", scratch->fd, "out/.cowherd-publish", 0), 0);
        assert_done(file_publish(path, "one", 0644, &err), &err);
        assert_int_equal(unlinkat(scratch->fd, "out/f", 0), 0);
        assert_int_equal(mkfifoat(scratch->fd, "out/.cowherd-publish", 0600), 0);
        assert_done(file_publish(path, "two", 0644, &err), &err);
        assert_text(scratch, "out/f", "two");
        assert_int_equal(symlinkat("theirs", scratch->fd, "out/.cowherd-publish"), 0);
        assert_failed(file_publish(path, "three", 0644, &err), &err, COWHERD_SYSTEM, ".cowherd-publish");
        assert_text(scratch, "out/f", "two");
        assert_text(scratch, "out/theirs", "theirs");
}

#define PUBLISHERS 8

/* Several at once, into two files of one folder: each is whole, and nothing is left. */
static void test_publish_at_once(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *one = scratch_path(scratch, "out/one"), *other = scratch_path(scratch, "out/other"), *text = x_malloc(4001);
        struct cowherd_error err;
        struct file_usage usage;
        pid_t children[PUBLISHERS];

        assert_int_equal(mkdirat(scratch->fd, "out", 0755), 0);
        memset(text, 'x', 4000);
        text[4000] = '\0';
        for (size_t i = 0; i < PUBLISHERS; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                        bool well = true;
                        for (size_t run = 0; well && run < 20; run++)
                                well = file_publish(i % 2 == 0 ? one : other, text, 0644, &err) == 0;
                        _exit(well ? 0 : 1);
                }
        }
        for (size_t i = 0; i < PUBLISHERS; i++) {
                int status = -1;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        assert_text(scratch, "out/one", text);
        assert_text(scratch, "out/other", text);
        assert_done(file_measure(scratch->fd, "out", &usage, &err), &err);
        assert_int_equal(usage.files, 2);
}

static void test_fingerprint(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *first = NULL, *second = NULL, *third = NULL, *none = NULL;
        struct cowherd_error err;

        scratch_write(scratch, "f", "text");
        assert_done(file_fingerprint(scratch->fd, "f", &first, &err), &err);
        assert_done(file_fingerprint(scratch->fd, "f", &second, &err), &err);
        assert_string_equal(first, second);
        (void)usleep(20000); /* a change time has the resolution of the clock's tick */
        assert_int_equal(fchmodat(scratch->fd, "f", 0444, 0), 0);
        assert_done(file_fingerprint(scratch->fd, "f", &third, &err), &err);
        assert_string_not_equal(first, third);
        assert_failed(file_fingerprint(scratch->fd, "absent", &none, &err), &err, COWHERD_NOT_FOUND, "'absent'");
}

/* A file with data at both ends of a hole, and another hole at its end. */
static int make_sparse(const struct scratch *scratch, const char *name)
{
        int fd = openat(scratch->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
        assert_int_equal(pwrite(fd, "middle", 6, 3 << 20), 6);
        assert_int_equal(ftruncate(fd, 5 << 20), 0);
        return fd;
}

static void note_progress(void *context, uint64_t done, uint64_t total)
{
        uint64_t *last = context;

        assert_true(done > *last && done <= total);
        *last = done;
}

static void test_copy(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = make_sparse(scratch, "from");
        owned_fd int to = openat(scratch->fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        uint64_t last = 0;
        const struct file_progress progress = {note_progress, &last};
        bool shared = true;
        char text[6];
        struct cowherd_error err;

        assert_done(file_copy(from, to, &shared, &progress, &err), &err);
        struct stat is = scratch_stat(scratch, "to"), was = scratch_stat(scratch, "from");
        assert_int_equal(is.st_size, 5 << 20);
        assert_true(is.st_blocks <= was.st_blocks + 8);
        assert_int_equal(pread(to, text, 6, 3 << 20), 6);
        assert_memory_equal(text, "middle", 6);
        assert_int_equal(pread(to, text, 5, 0), 5);
        assert_memory_equal(text, "begin", 5);
        assert_true(shared || last > 0);
}

/* Sharing works or is refused with 69; then nothing was copied. */
static void test_share(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = make_sparse(scratch, "from");
        owned_fd int to = openat(scratch->fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        struct cowherd_error err;

        if (file_share(from, to, &err) == 0) {
                assert_int_equal(scratch_stat(scratch, "to").st_size, 5 << 20);
                return;
        }
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_int_equal(scratch_stat(scratch, "to").st_size, 0);
        owned_fd int elsewhere = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        assert_failed(file_share(elsewhere, to, &err), &err, COWHERD_UNAVAILABLE, "cannot share blocks here");
}

static void test_copy_fails(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = make_sparse(scratch, "from");
        owned_fd int full = open("/dev/full", O_RDWR | O_CLOEXEC),
                     read_only = openat(scratch->fd, "from", O_RDONLY | O_CLOEXEC);
        struct cowherd_error err;
        bool shared = true;

        assert_int_equal(file_copy(from, full, &shared, NULL, &err), -1);
        assert_int_equal(file_copy(from, read_only, &shared, NULL, &err), -1);
        assert_int_equal(err.os_errno, EBADF);
        assert_true(shared);
}

static void test_facts(void **state)
{
        static const char *const names[] = {"ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "other"};
        const struct scratch *scratch = *state;
        owned_fd int proc = open("/proc", O_RDONLY | O_CLOEXEC), file = make_sparse(scratch, "f");
        struct cowherd_error err;
        bool known = false;

        for (size_t i = 0; i < array_length(names); i++)
                known = known || strcmp(names[i], file_system_name(scratch->fd)) == 0;
        assert_true(known);
        assert_string_equal(file_system_name(proc), "other");
        assert_string_equal(file_system_name(-1), "other");

        assert_done(file_set_immutable(file, true, &err), &err);
        assert_done(file_set_immutable(file, true, &err), &err);
        assert_done(file_set_immutable(file, false, &err), &err);
        assert_done(file_set_immutable(proc, true, &err), &err);
        assert_int_equal(file_set_immutable(-1, true, &err), -1);
        assert_done(file_sync(file, "f", &err), &err);
        assert_int_equal(file_sync(-1, "f", &err), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_make_folders), scratch_test(test_read),  scratch_test(test_replace),
                scratch_test(test_fingerprint),  scratch_test(test_copy),  scratch_test(test_share),
                scratch_test(test_copy_fails),   scratch_test(test_facts), scratch_test(test_publish),
                scratch_test(test_publish_over_others), scratch_test(test_publish_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
