/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a tree that a guest wrote: whatever it planted, nothing outside is read, written or removed. */
#include "sys/file.h"
#include "sys_test.h"

/* A tree beside a secret, with symlinks that lead from the one to the other in every way. */
static int make_tree(const struct scratch *scratch)
{
        scratch_write(scratch, "secret", "secret");
        scratch_write(scratch, "tree/etc/hostname", "guest");
        int tree = scratch_folder(scratch, "tree");
        owned_str char *absolute = scratch_path(scratch, "secret");
        owned_str char *folder = x_strdup(scratch->path);

        assert_int_equal(symlinkat("../secret", tree, "up"), 0);
        assert_int_equal(symlinkat(absolute, tree, "absolute"), 0);
        assert_int_equal(symlinkat(folder, tree, "folder"), 0);
        assert_int_equal(symlinkat("/proc/self/root", tree, "magic"), 0);
        assert_int_equal(symlinkat("/etc", tree, "inside"), 0);
        assert_int_equal(symlinkat("/etc/absent", tree, "nowhere"), 0);
        assert_int_equal(mkfifoat(tree, "fifo", 0600), 0);
        return tree;
}

static void test_open(void **state)
{
        const struct scratch *scratch = *state;
        static const char *const out[] = {"up",        "absolute",      "folder/secret",
                                          "../secret", "/../../secret", "magic/etc/passwd"};
        owned_fd int tree = make_tree(scratch);
        struct cowherd_error err;

        for (size_t i = 0; i < array_length(out); i++) {
                int fd = -7;
                if (file_open_in_root(tree, out[i], O_RDONLY, 0, &fd, &err) == 0 || fd != -7)
                        fail_msg("'%s' was opened", out[i]);
                assert_int_equal(err.code, COWHERD_NOT_FOUND);
        }
        owned_fd int through = -1;
        assert_done(file_open_in_root(tree, "/inside/../etc/hostname", O_RDONLY, 0, &through, &err), &err);
        char text[8];
        assert_int_equal(read(through, text, sizeof text), 5);
        assert_memory_equal(text, "guest", 5);

        int fd = -7;
        assert_failed(file_open_in_root(tree, "fifo", O_RDONLY, 0, &fd, &err), &err, COWHERD_DATA,
                      "neither a file nor a folder");
        assert_failed(file_open_in_root(tree, "fifo", O_WRONLY | O_CREAT, 0600, &fd, &err), &err, COWHERD_DATA,
                      "neither");
        assert_failed(file_open_in_root(tree, "inside", O_RDONLY | O_NOFOLLOW, 0, &fd, &err), &err, COWHERD_DATA,
                      "neither");
        assert_int_equal(fd, -7);
}

static void test_create(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = make_tree(scratch), made = -1, again = -1;
        int fd = -7;
        struct cowherd_error err;

        assert_done(file_open_in_root(tree, "inside/new", O_WRONLY | O_CREAT, 0640, &made, &err), &err);
        assert_true(scratch_has(scratch, "tree/etc/new"));
        assert_done(file_open_in_root(tree, "inside/new", O_WRONLY | O_CREAT, 0640, &again, &err), &err);
        assert_failed(file_open_in_root(tree, "inside/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &fd, &err), &err,
                      COWHERD_EXISTS, "new");
        assert_failed(file_open_in_root(tree, "nowhere", O_WRONLY | O_CREAT, 0640, &fd, &err), &err, COWHERD_EXISTS,
                      "nowhere");
        assert_false(scratch_has(scratch, "tree/etc/absent"));
}

static void test_write(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = make_tree(scratch);
        struct cowherd_error err;

        assert_done(file_write_in_root(tree, "up", "mine", 0600, &err), &err);
        assert_done(file_write_in_root(tree, "/absolute", "mine", 0600, &err), &err);
        assert_done(file_write_in_root(tree, "fifo", "mine", 0600, &err), &err);
        assert_done(file_write_in_root(tree, "inside/hostname", "new", 0644, &err), &err);
        assert_done(file_write_in_root(tree, "//a/./b//../c/d", "deep", 0444, &err), &err);
        assert_text(scratch, "secret", "secret");
        assert_text(scratch, "tree/up", "mine");
        assert_text(scratch, "tree/absolute", "mine");
        assert_text(scratch, "tree/fifo", "mine");
        assert_text(scratch, "tree/etc/hostname", "new");
        assert_text(scratch, "tree/a/c/d", "deep");
        assert_int_equal(scratch_stat(scratch, "tree/a/c/d").st_mode & 07777, 0444);

        assert_failed(file_write_in_root(tree, "etc", "x", 0600, &err), &err, COWHERD_SYSTEM, "'etc'");
        assert_failed(file_write_in_root(tree, "etc/", "x", 0600, &err), &err, COWHERD_INTERNAL,
                      "does not name a file");
        assert_failed(file_write_in_root(tree, "etc/..", "x", 0600, &err), &err, COWHERD_INTERNAL,
                      "does not name a file");
        assert_failed(file_write_in_root(tree, "etc/hostname/x", "x", 0600, &err), &err, COWHERD_SYSTEM,
                      "etc/hostname");
        /* A folder that is a symlink to nowhere, or to outside, is not made there. */
        assert_int_equal(file_write_in_root(tree, "nowhere/x", "x", 0600, &err), -1);
        assert_int_equal(file_write_in_root(tree, "folder/x", "x", 0600, &err), -1);
        assert_false(scratch_has(scratch, "x") || scratch_has(scratch, "tree/etc/absent"));

        struct file_usage usage;
        assert_done(file_measure(tree, "etc", &usage, &err), &err);
        assert_int_equal(usage.files, 1); /* nothing left beside what could not be replaced */
}

static void test_remove(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = make_tree(scratch);
        bool removed = false;
        struct cowherd_error err;

        assert_done(file_remove_in_root(tree, "up", &removed, &err), &err);
        assert_true(removed);
        assert_done(file_remove_in_root(tree, "folder/secret", &removed, &err), &err);
        assert_false(removed);
        assert_done(file_remove_in_root(tree, "../secret", &removed, &err), &err);
        assert_false(removed);
        assert_done(file_remove_in_root(tree, "etc/hostname/x", NULL, &err), &err);
        assert_done(file_remove_in_root(tree, "/inside/hostname", &removed, &err), &err);
        assert_true(removed);
        assert_false(scratch_has(scratch, "tree/etc/hostname"));
        assert_text(scratch, "secret", "secret");
        assert_int_equal(file_remove_in_root(tree, "etc", &removed, &err), -1);
        assert_true(removed && scratch_has(scratch, "tree/etc"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_open),
                scratch_test(test_create),
                scratch_test(test_write),
                scratch_test(test_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
