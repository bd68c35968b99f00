/* SPDX-License-Identifier: Apache-2.0 */
/* What a tree takes: holes, several names of one file, symlinks, and what other files share. */
#include "sys/file.h"
#include "sys_test.h"

static void test_measure(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = scratch_folder(scratch, "tree");
        struct file_usage usage, same, single;
        struct cowherd_error err;

        scratch_write(scratch, "tree/a/file", "0123456789");
        assert_int_equal(linkat(tree, "a/file", tree, "second", 0), 0);
        assert_int_equal(symlinkat("/etc", tree, "link"), 0);
        owned_fd int sparse = openat(tree, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(sparse, 1 << 30), 0);

        assert_done(file_measure(scratch->fd, "tree", &usage, &err), &err);
        assert_int_equal(usage.files, 3);
        assert_int_equal(usage.apparent_bytes, 10 + 4 + (1 << 30));
        assert_true(usage.allocated_bytes < 1 << 20);
        assert_done(file_measure(tree, ".", &same, &err), &err);
        assert_memory_equal(&same, &usage, sizeof usage);
        assert_done(file_measure(tree, "second", &single, &err), &err);
        assert_int_equal(single.files, 1);
        assert_int_equal(single.apparent_bytes, 10);
        assert_int_equal(single.allocated_bytes, (uint64_t)scratch_stat(scratch, "tree/second").st_blocks * 512);
        assert_done(file_measure(tree, "link", &single, &err), &err);
        assert_int_equal(single.apparent_bytes, 4);
        assert_failed(file_measure(tree, "absent", &single, &err), &err, COWHERD_NOT_FOUND, "'absent'");
}

static void test_deep(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = scratch_folder(scratch, "tree");
        struct file_usage usage;
        struct cowherd_error err;

        limit_descriptors(100);
        make_deep(tree, "folder", 900);
        assert_done(file_measure(scratch->fd, "tree", &usage, &err), &err);
        assert_int_equal(usage.files, 1);
        assert_done(file_remove_tree(scratch->fd, "tree", &err), &err);
}

static void test_shared(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = openat(scratch->fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        owned_fd int to = openat(scratch->fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        owned_mem char *data = x_calloc(1, 1 << 20);
        uint64_t shared = 4711;
        struct cowherd_error err;

        memset(data, 'x', 1 << 20);
        assert_int_equal(write(from, data, 1 << 20), 1 << 20);
        assert_done(file_sync(from, "from", &err), &err);
        assert_done(file_shared_bytes(scratch->fd, "from", &shared, &err), &err);
        assert_int_equal(shared, 0);
        bool can = file_share(from, to, &err) == 0;
        assert_done(file_shared_bytes(scratch->fd, ".", &shared, &err), &err);
        assert_int_equal(shared, can ? 2 << 20 : 0);
        assert_failed(file_shared_bytes(scratch->fd, "absent", &shared, &err), &err, COWHERD_NOT_FOUND, "'absent'");
}

/* What is old becomes a hole, once there is twice of what is kept; the end and the length stay, and the writer goes on. */
static void test_forget_start(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int fd = openat(scratch->fd, "log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        owned_mem char *data = x_calloc(1, 1 << 20);
        char end[5] = "";
        struct cowherd_error err;

        memset(data, 'x', 1 << 20);
        assert_int_equal(write(fd, data, 1 << 20), 1 << 20);
        assert_int_equal(write(fd, "end", 3), 3);
        assert_done(file_forget_start(fd, 1 << 20, "log", &err), &err); /* not yet */
        struct stat before = scratch_stat(scratch, "log");
        assert_done(file_forget_start(fd, 65536, "log", &err), &err);
        struct stat after = scratch_stat(scratch, "log");
        assert_int_equal(after.st_size, before.st_size);
        assert_true(after.st_blocks < before.st_blocks && after.st_blocks * 512 >= 65536 && after.st_blocks * 512 <= 3 * 65536);
        assert_int_equal(write(fd, "!", 1), 1);
        assert_int_equal(pread(fd, end, 4, (1 << 20)), 4);
        assert_string_equal(end, "end!");
        assert_int_equal(pread(fd, end, 1, 0), 1);
        assert_int_equal(end[0], 0);
        assert_int_equal(pread(fd, end, 1, (1 << 20) - 60000), 1);
        assert_int_equal(end[0], 'x');

        owned_fd int folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_done(file_forget_start(folder, 1, "a folder", &err), &err);
        assert_failed(file_forget_start(-1, 1, "none", &err), &err, COWHERD_SYSTEM, "'none'");
}

int main(void)
{
        const struct CMUnitTest tests[] = {scratch_test(test_measure), scratch_test(test_deep),
                                           scratch_test(test_shared), scratch_test(test_forget_start)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
