/* SPDX-License-Identifier: Apache-2.0 */
/* Copying between trees that don't trust each other. */
#include "sys/file.h"

#include "sys_test.h"

static const struct file_plain plain;

static int copy(const struct scratch *scratch, const char *name, const struct file_plain *how,
                struct cowherd_error *err)
{
        owned_fd int from = scratch_folder(scratch, "from"), to = scratch_folder(scratch, "to");

        *err = (struct cowherd_error){0};
        return file_copy_plain(from, name, to, name, how, err);
}

static void modes_and_links_are_kept(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        scratch_write(scratch, "from/d/e/file", "text");
        assert_int_equal(fchmodat(scratch->fd, "from/d/e/file", 0751, 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", scratch->fd, "from/d/link"), 0);
        assert_int_equal(fchmodat(scratch->fd, "from/d/e", 0500, 0), 0);
        assert_done(copy(scratch, "d", &plain, &err), &err);
        assert_text(scratch, "to/d/e/file", "text");
        assert_int_equal(scratch_stat(scratch, "to/d/e/file").st_mode & 07777, 0751);
        assert_int_equal(scratch_stat(scratch, "to/d/e").st_mode & 07777, 0500);
        assert_true(S_ISLNK(scratch_stat(scratch, "to/d/link").st_mode));
        assert_int_equal(fchmodat(scratch->fd, "from/d/e", 0700, 0) | fchmodat(scratch->fd, "to/d/e", 0700, 0), 0);
}

static void setuid_goes_only_where_it_is_wanted(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        scratch_write(scratch, "from/su", "text");
        assert_int_equal(fchmodat(scratch->fd, "from/su", 04755, 0), 0);
        assert_done(copy(scratch, "su", &plain, &err), &err);
        assert_int_equal(scratch_stat(scratch, "to/su").st_mode & 07777, 0755);
        assert_done(copy(scratch, "su", &(struct file_plain){.keep_setuid = true}, &err), &err);
        assert_int_equal(scratch_stat(scratch, "to/su").st_mode & 07777, 04755);
}

static void what_is_there_is_replaced_and_not_followed(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        scratch_write(scratch, "from/d/file", "new");
        scratch_write(scratch, "from/d/sub/x", "new");
        scratch_write(scratch, "to/d/stays", "old");
        scratch_write(scratch, "outside/file", "mine");
        owned_str char *outside = scratch_path(scratch, "outside/file");
        assert_int_equal(symlinkat(outside, scratch->fd, "to/d/file"), 0);
        assert_done(copy(scratch, "d", &plain, &err), &err);
        assert_text(scratch, "outside/file", "mine");
        assert_text(scratch, "to/d/file", "new");
        assert_text(scratch, "to/d/stays", "old");
        assert_done(copy(scratch, "d", &plain, &err), &err); /* again */
        assert_text(scratch, "to/d/sub/x", "new");
}

static void a_planted_folder_is_refused(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        owned_str char *outside = scratch_path(scratch, "outside");

        scratch_write(scratch, "from/d/file", "new");
        scratch_write(scratch, "outside/x", "");
        (void)scratch_folder(scratch, "to");
        assert_int_equal(symlinkat(outside, scratch->fd, "to/d"), 0);
        assert_failed(copy(scratch, "d", &plain, &err), &err, COWHERD_EXISTS, "where a folder is to be");
        assert_false(scratch_has(scratch, "outside/file"));
        scratch_write(scratch, "from/f", "new");
        (void)scratch_folder(scratch, "to/f");
        assert_failed(copy(scratch, "f", &plain, &err), &err, COWHERD_EXISTS, "where a file is to be");
}

static void count_it(void *context, const char *path)
{
        (void)path;
        ++*(unsigned *)context;
}

static void fifos_and_sockets_are_left_out_and_told(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;
        unsigned count = 0;

        scratch_write(scratch, "from/d/file", "text");
        assert_int_equal(mkfifoat(scratch->fd, "from/d/fifo", 0644), 0);
        assert_failed(copy(scratch, "d", &plain, &err), &err, COWHERD_DATA, "is a fifo");
        struct file_plain how = {.left_out = count_it, .context = &count};
        assert_done(copy(scratch, "d", &how, &err), &err);
        assert_int_equal(count, 1);
        assert_text(scratch, "to/d/file", "text");
        assert_false(scratch_has(scratch, "to/d/fifo"));
        assert_int_equal(mkfifoat(scratch->fd, "from/fifo", 0644), 0);
        assert_failed(copy(scratch, "fifo", &how, &err), &err, COWHERD_DATA, "is a fifo");
}

static void nothing_is_left_of_a_failure(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        (void)scratch_folder(scratch, "from");
        assert_failed(copy(scratch, "nothing", &plain, &err), &err, COWHERD_NOT_FOUND, "nothing");
        scratch_write(scratch, "from/f", "new");
        (void)scratch_folder(scratch, "to/f");
        assert_int_equal(copy(scratch, "f", &plain, &err), -1);
        owned_str char *path = scratch_path(scratch, "to");
        struct file_usage usage;
        assert_done(file_measure(AT_FDCWD, path, &usage, &err), &err);
        assert_int_equal(usage.files, 0); /* folders apart */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(modes_and_links_are_kept),
                scratch_test(setuid_goes_only_where_it_is_wanted),
                scratch_test(what_is_there_is_replaced_and_not_followed),
                scratch_test(a_planted_folder_is_refused),
                scratch_test(fifos_and_sockets_are_left_out_and_told),
                scratch_test(nothing_is_left_of_a_failure),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
