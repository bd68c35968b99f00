/* SPDX-License-Identifier: Apache-2.0 */
/* Removing trees: all of it, whatever stands in the way, and nothing else. */
#include "sys/file.h"
#include "sys_test.h"

static void test_kinds(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        scratch_write(scratch, "outside/kept", "kept");
        scratch_write(scratch, "tree/a/b/file", "x");
        scratch_write(scratch, "tree/a/-rf", "x");
        assert_int_equal(symlinkat("../outside", scratch->fd, "tree/link"), 0);
        assert_int_equal(symlinkat("..", scratch->fd, "tree/up"), 0);
        assert_int_equal(mkfifoat(scratch->fd, "tree/fifo", 0600), 0);
        assert_done(file_remove_tree(scratch->fd, "tree", &err), &err);
        assert_false(scratch_has(scratch, "tree"));
        assert_text(scratch, "outside/kept", "kept");

        assert_int_equal(symlinkat("outside", scratch->fd, "link"), 0);
        assert_done(file_remove_tree(scratch->fd, "link", &err), &err);
        assert_false(scratch_has(scratch, "link"));
        assert_text(scratch, "outside/kept", "kept");

        owned_str char *absolute = scratch_path(scratch, "outside//");
        assert_done(file_remove_tree(AT_FDCWD, absolute, &err), &err);
        assert_false(scratch_has(scratch, "outside"));
}

static void test_not_there(void **state)
{
        const struct scratch *scratch = *state;
        static const char *const refused[] = {"", ".", "..", "/", "a/..", "a/.", "///"};
        struct cowherd_error err;

        assert_done(file_remove_tree(scratch->fd, "absent", &err), &err);
        assert_done(file_remove_tree(scratch->fd, "absent/too", &err), &err);
        scratch_write(scratch, "a/file", "x");
        for (size_t i = 0; i < array_length(refused); i++)
                assert_failed(file_remove_tree(scratch->fd, refused[i], &err), &err, COWHERD_INTERNAL,
                              "not a path to remove");
        assert_failed(file_remove_tree(scratch->fd, "a/file/x", &err), &err, COWHERD_SYSTEM, "a/file");
        assert_text(scratch, "a/file", "x");
}

/* Deeper than any path may be long, with no more descriptors than before. */
static void test_deep(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = scratch_folder(scratch, "tree");
        unsigned before = open_descriptors();
        struct cowherd_error err;

        limit_descriptors(100);
        make_deep(tree, "a-folder-with-quite-a-long-name-in-a-very-deep-tree", 1500);
        make_deep(tree, "d", 300);
        assert_done(file_remove_tree(scratch->fd, "tree", &err), &err);
        assert_false(scratch_has(scratch, "tree"));
        assert_int_equal(open_descriptors(), before);
}

static void test_wide(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int tree = scratch_folder(scratch, "tree");
        struct cowherd_error err;

        for (int i = 0; i < 5000; i++) {
                char name[32];
                (void)snprintf(name, sizeof name, "file-number-%d", i);
                assert_int_equal(symlinkat("x", tree, name), 0);
        }
        assert_done(file_remove_tree(scratch->fd, "tree", &err), &err);
        assert_false(scratch_has(scratch, "tree"));
}

/* Folders without any permission, which stop whoever is not root; and the immutable flag, which stops root as well. */
static void test_in_the_way(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int file = -1, folder = -1;
        struct cowherd_error err;

        scratch_write(scratch, "tree/locked/in/file", "x");
        scratch_write(scratch, "tree/frozen/file", "x");
        file = openat(scratch->fd, "tree/frozen/file", O_RDONLY | O_CLOEXEC);
        folder = openat(scratch->fd, "tree/frozen", O_RDONLY | O_CLOEXEC);
        assert_done(file_set_immutable(file, true, &err), &err);
        assert_done(file_set_immutable(folder, true, &err), &err);
        assert_int_equal(fchmodat(scratch->fd, "tree/locked/in", 0, 0), 0);
        assert_int_equal(fchmodat(scratch->fd, "tree/locked", 0500, 0), 0);
        assert_done(file_remove_tree(scratch->fd, "tree", &err), &err);
        assert_false(scratch_has(scratch, "tree"));
}

/* Something is mounted in it: refused before anything is gone. /proc is such a folder on every machine. */
static void test_mounted(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        (void)scratch;
        assert_failed(file_remove_tree(AT_FDCWD, "/proc", &err), &err, COWHERD_BUSY, "/proc");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_kinds), scratch_test(test_not_there),  scratch_test(test_deep),
                scratch_test(test_wide),  scratch_test(test_in_the_way), scratch_test(test_mounted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
