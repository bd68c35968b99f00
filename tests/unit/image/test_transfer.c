/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file or a folder on its way in and out of a guest: what arrives is what was sent, and what a hostile guest sends does not get out
 * of the one name that was asked for.
 */
#include "image/archive_module.h"

#include "scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <signal.h>

struct entry {
        const char *name;
        mode_t type;
        const char *text; /* of a file; a symlink's or hard link's target */
        bool hard;
        mode_t mode;
};

/* "t.tar" of entries up to one without a name. */
static void write_stream(const struct scratch *s, const struct entry *entries)
{
        owned_str char *path = scratch_path(s, "t.tar");
        struct archive *a = archive_write_new();

        assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        for (; entries->name != NULL; entries++) {
                struct archive_entry *header = archive_entry_new();
                bool file = entries->type == AE_IFREG && !entries->hard;
                archive_entry_set_pathname(header, entries->name);
                archive_entry_set_filetype(header, entries->type);
                archive_entry_set_perm(header, entries->mode != 0 ? entries->mode : entries->type == AE_IFDIR ? 0755 : 0644);
                archive_entry_set_uid(header, 12345);
                archive_entry_set_gid(header, 12345);
                if (entries->hard)
                        archive_entry_set_hardlink(header, entries->text);
                else if (entries->type == AE_IFLNK)
                        archive_entry_set_symlink(header, entries->text);
                if (entries->type == AE_IFCHR)
                        archive_entry_set_rdev(header, 0x0103);
                archive_entry_set_size(header, file && entries->text != NULL ? (la_int64_t)strlen(entries->text) : 0);
                assert_int_equal(archive_write_header(a, header), ARCHIVE_OK);
                if (file && entries->text != NULL)
                        assert_int_equal(archive_write_data(a, entries->text, strlen(entries->text)), (la_ssize_t)strlen(entries->text));
                archive_entry_free(header);
        }
        assert_int_equal(archive_write_close(a), ARCHIVE_OK);
        archive_write_free(a);
}

static int receive(const struct scratch *s, struct cowherd_error *err)
{
        owned_fd int from = openat(s->fd, "t.tar", O_RDONLY | O_CLOEXEC);
        owned_fd int folder = -1;

        (void)mkdirat(s->fd, "here", 0755);
        folder = openat(s->fd, "here", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(from >= 0 && folder >= 0);
        return archive_module_unpack_entry(from, "asked", folder, "named", &ARCHIVE_LIMITS, err);
}

static void what_is_sent_arrives(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err;
        struct stat facts;
        char target[32] = {0};

        assert_int_equal(mkdirat(s->fd, "folder", 0750), 0);
        scratch_write(s, "folder/file", "hello");
        scratch_write(s, "folder/empty", "");
        assert_int_equal(fchmodat(s->fd, "folder/file", 0741, 0), 0);
        assert_int_equal(symlinkat("/somewhere/else", s->fd, "folder/link"), 0);
        assert_int_equal(linkat(s->fd, "folder/file", s->fd, "folder/again", 0), 0);
        assert_int_equal(mkfifoat(s->fd, "folder/pipe", 0600), 0);
        owned_fd int to = openat(s->fd, "t.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(archive_module_pack_entry(s->fd, "folder", "asked", to, &err), 0);
        assert_int_equal(receive(s, &err), 0);
        assert_int_equal(fstatat(s->fd, "here/named", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(facts.st_mode & 07777, 0750);
        assert_int_equal(fstatat(s->fd, "here/named/file", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(facts.st_mode & 07777, 0741);
        assert_int_equal(facts.st_nlink, 2);
        assert_int_equal(facts.st_size, 5);
        assert_int_equal(facts.st_uid, geteuid());
        assert_int_equal(fstatat(s->fd, "here/named/empty", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(readlinkat(s->fd, "here/named/link", target, sizeof target - 1) > 0);
        assert_string_equal(target, "/somewhere/else");
        assert_int_equal(fstatat(s->fd, "here/named/pipe", &facts, AT_SYMLINK_NOFOLLOW), -1);
}

static void a_file_alone_arrives(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err;
        struct stat facts;

        scratch_write(s, "-x odd\nname", "hello");
        owned_fd int to = openat(s->fd, "t.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(archive_module_pack_entry(s->fd, "-x odd\nname", "asked", to, &err), 0);
        assert_int_equal(receive(s, &err), 0);
        assert_int_equal(fstatat(s->fd, "here/named", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(facts.st_size, 5);
}

static void a_reader_that_goes_away_is_an_error(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};
        int ends[2];

        scratch_write(s, "file", "hello");
        assert_int_equal(pipe(ends), 0);
        (void)close(ends[0]);
        assert_int_equal(archive_module_pack_entry(s->fd, "file", "asked", ends[1], &err), -1); /* and no SIGPIPE */
        (void)close(ends[1]);
        assert_int_not_equal(err.code, 0);
}

static void what_leads_out_is_refused(void **state)
{
        const struct scratch *s = *state;
        static const struct entry streams[][4] = {
                {{"other", AE_IFREG, "x", false, 0}},
                {{"/asked", AE_IFREG, "x", false, 0}},
                {{"../asked", AE_IFREG, "x", false, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"asked/../../out", AE_IFREG, "x", false, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"askedmore", AE_IFREG, "x", false, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"asked/l", AE_IFLNK, "..", false, 0}, {"asked/l/out", AE_IFREG, "x", false, 0}},
                {{"asked", AE_IFLNK, "..", false, 0}, {"asked/out", AE_IFREG, "x", false, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"asked/l", AE_IFREG, "/etc/passwd", true, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"asked/l", AE_IFREG, "asked/../../t.tar", true, 0}},
                {{"asked", AE_IFDIR, NULL, false, 0}, {"asked/l", AE_IFREG, "other", true, 0}},
        };

        for (size_t i = 0; i < array_length(streams); i++) {
                struct cowherd_error err = {0};
                struct stat facts;
                write_stream(s, streams[i]);
                if (receive(s, &err) == 0 || err.code != COWHERD_DENIED)
                        {
                        print_error("stream %zu: code %d, '%s'\n", i, err.code, err.text);
                        _fail(__FILE__, __LINE__);
                }
                assert_int_equal(fstatat(s->fd, "out", &facts, AT_SYMLINK_NOFOLLOW), -1);
                assert_int_equal(fstatat(s->fd, "here/other", &facts, AT_SYMLINK_NOFOLLOW), -1);
                owned_str char *left = x_asprintf("rm -rf '%s/here'", s->path);
                assert_int_equal(system(left), 0);
        }
}

static void what_is_damaged_is_refused(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};

        scratch_write(s, "t.tar", "");
        assert_int_equal(receive(s, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        scratch_write(s, "t.tar", "no tar at all, but long enough to be looked at as one would be ...");
        assert_int_equal(receive(s, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        static const struct entry whole[] = {{"asked", AE_IFREG, "hello hello hello", false, 0}, {NULL, 0, NULL, false, 0}};
        write_stream(s, whole);
        owned_str char *path = scratch_path(s, "t.tar");
        assert_int_equal(truncate(path, 1500), 0);
        assert_int_equal(receive(s, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
}

static void what_serves_an_attacker_alone_is_left(void **state)
{
        const struct scratch *s = *state;
        static const struct entry entries[] = {
                {"asked", AE_IFDIR, NULL, false, 02777}, {"asked/su", AE_IFREG, "x", false, 06755}, {"asked/dev", AE_IFCHR, NULL, false, 0}, {NULL, 0, NULL, false, 0}};
        struct cowherd_error err;
        struct stat facts;

        write_stream(s, entries);
        assert_int_equal(receive(s, &err), 0);
        assert_int_equal(fstatat(s->fd, "here/named", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(facts.st_mode & 07000, 0);
        assert_int_equal(fstatat(s->fd, "here/named/su", &facts, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(facts.st_mode & 07777, 0755);
        assert_int_equal(facts.st_uid, geteuid());
        assert_int_equal(fstatat(s->fd, "here/named/dev", &facts, AT_SYMLINK_NOFOLLOW), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_sent_arrives, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(a_file_alone_arrives, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(a_reader_that_goes_away_is_an_error, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_leads_out_is_refused, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_is_damaged_is_refused, scratch_make, scratch_remove),
                cmocka_unit_test_setup_teardown(what_serves_an_attacker_alone_is_left, scratch_make, scratch_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
