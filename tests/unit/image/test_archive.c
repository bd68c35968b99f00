/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tarballs, hostile ones above all. They are written by libarchive itself, entry by entry, as no tar program would.
 * What must never happen is seen from outside the tree: a file beside it that appears or changes.
 */
#include "image/archive_module.h"

#include "scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/xattr.h>

struct entry {
        const char *name;
        mode_t type;      /* AE_IF… */
        const char *text; /* of a file */
        const char *link; /* a symlink's target, or with `hard` a hard link's */
        bool hard;
        mode_t mode;  /* 0: as usual for its type */
        int64_t size; /* said instead of the text's, the rest being a hole */
};

static void write_entry(struct archive *a, const struct entry *entry)
{
        struct archive_entry *header = archive_entry_new();
        bool folder = entry->type == AE_IFDIR;

        archive_entry_set_pathname(header, entry->name);
        archive_entry_set_filetype(header, entry->type);
        archive_entry_set_perm(header, entry->mode != 0 ? entry->mode : folder ? 0755 : 0644);
        archive_entry_set_uid(header, geteuid());
        archive_entry_set_gid(header, getegid());
        archive_entry_set_mtime(header, 1000000000, 0);
        if (entry->type == AE_IFCHR)
                archive_entry_set_rdev(header, 0x0103);
        if (entry->link != NULL && entry->hard)
                archive_entry_set_hardlink(header, entry->link);
        else if (entry->link != NULL)
                archive_entry_set_symlink(header, entry->link);
        size_t length = entry->text == NULL ? 0 : strlen(entry->text);
        archive_entry_set_size(header, entry->size != 0 ? entry->size : (int64_t)length);
        if (entry->size != 0)
                archive_entry_sparse_add_entry(header, 0, (int64_t)length);
        assert_int_equal(archive_write_header(a, header), ARCHIVE_OK);
        if (length > 0)
                assert_int_equal(archive_write_data(a, entry->text, length), (la_ssize_t)length);
        archive_entry_free(header);
}

/* Writes "t.tar" of entries up to one without a name. */
static void write_tarball(const struct scratch *s, const struct entry *entries)
{
        owned_str char *path = scratch_path(s, "t.tar");
        struct archive *a = archive_write_new();
        locale_t names = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(names);

        assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        for (; entries->name != NULL; entries++)
                write_entry(a, entries);
        assert_int_equal(archive_write_close(a), ARCHIVE_OK);
        archive_write_free(a);
        (void)uselocale(before);
        freelocale(names);
}

static int unpack_within(const struct scratch *s, const struct archive_limits *limits, uint64_t *ret_devices,
                         struct cowherd_error *err)
{
        owned_str char *path = scratch_path(s, "t.tar");

        (void)mkdirat(s->fd, "tree", 0755);
        owned_fd int tree = openat(s->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(tree >= 0);
        return archive_module_unpack(path, tree, limits, NULL, ret_devices, err);
}

static int unpack(const struct scratch *s, const struct entry *entries, uint64_t *ret_devices,
                  struct cowherd_error *err)
{
        write_tarball(s, entries);
        return unpack_within(s, &ARCHIVE_LIMITS, ret_devices, err);
}

static void refused(const struct scratch *s, const struct entry *entries, const char *name, const char *reason)
{
        struct cowherd_error err = {0};

        assert_int_equal(unpack(s, entries, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, name);
        assert_contains(err.text, reason);
}

static void a_root_filesystem_comes_out_as_it_went_in(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};
        struct stat one, two;
        uint64_t devices = 99;
        char target[64] = "";

        const struct entry entries[] = {
                {"./", AE_IFDIR, .mode = 0755},
                {"./etc/", AE_IFDIR, .mode = 0750},
                {"./etc/hostname", AE_IFREG, .text = "box\n"},
                {"./etc/mtab", AE_IFLNK, .link = "/proc/mounts"},
                {"./bin", AE_IFLNK, .link = "usr/bin"},
                {"./usr/bin/su", AE_IFREG, .text = "elf", .mode = 04755},
                {"./usr/bin/su2", AE_IFREG, .link = "./usr/bin/su", .hard = true},
                {"./dev/null", AE_IFCHR},
                {"./dev/zero", AE_IFREG, .link = "dev/null", .hard = true},
                {"./run/fifo", AE_IFIFO},
                {"./F\xc5\x91tan\xc3\xba.crt", AE_IFREG, .text = "pem"},
                {NULL},
        };
        assert_int_equal(unpack(s, entries, &devices, &err), 0);
        assert_text(s, "tree/etc/hostname", "box\n");
        assert_text(s, "tree/F\xc5\x91tan\xc3\xba.crt", "pem");
        assert_int_equal(readlinkat(s->fd, "tree/etc/mtab", target, sizeof target), 12);
        assert_string_equal(target, "/proc/mounts");
        assert_int_equal(fstatat(s->fd, "tree/usr/bin/su", &one, 0), 0);
        assert_int_equal(one.st_mode & 07777, 04755);
        assert_int_equal(one.st_mtime, 1000000000);
        assert_int_equal(fstatat(s->fd, "tree/usr/bin/su2", &two, 0), 0);
        assert_int_equal(one.st_ino, two.st_ino);
        assert_int_equal(fstatat(s->fd, "tree/etc", &one, 0), 0);
        assert_int_equal(one.st_mode & 07777, 0750);
        assert_int_equal(one.st_mtime, 1000000000);
        assert_true(scratch_has(s, "tree/run/fifo"));
        assert_false(scratch_has(s, "tree/dev/null"));
        assert_false(scratch_has(s, "tree/dev/zero"));
        assert_int_equal(devices, 2);
}

static void names_that_go_up_are_refused(void **state)
{
        const struct scratch *s = *state;

        refused(s, (struct entry[]){{"../evil", AE_IFREG, .text = "x"}, {NULL}}, "'../evil'", "goes up by '..'");
        refused(s, (struct entry[]){{"a/../../evil", AE_IFREG, .text = "x"}, {NULL}}, "'a/../../evil'",
                "goes up by '..'");
        refused(s, (struct entry[]){{"a/..", AE_IFDIR}, {NULL}}, "'a/..", "goes up by '..'");
        assert_false(scratch_has(s, "evil"));
}

static void names_that_only_look_like_going_up_are_fine(void **state)
{
        struct cowherd_error err = {0};

        assert_int_equal(unpack(*state, (struct entry[]){{"..a/b..", AE_IFREG, .text = "x"}, {NULL}}, NULL, &err), 0);
        assert_text(*state, "tree/..a/b..", "x");
}

static void absolute_names_are_refused(void **state)
{
        const struct scratch *s = *state;
        owned_str char *name = scratch_path(s, "evil");

        refused(s, (struct entry[]){{name, AE_IFREG, .text = "x"}, {NULL}}, name, "absolute name");
        assert_false(scratch_has(s, "evil"));
}

static void a_file_through_a_planted_symlink_is_refused(void **state)
{
        const struct scratch *s = *state;

        refused(s, (struct entry[]){{"out", AE_IFLNK, .link = ".."}, {"out/evil", AE_IFREG, .text = "x"}, {NULL}},
                "'out/evil'", "behind a symlink");
        refused(s,
                (struct entry[]){{"abs", AE_IFLNK, .link = s->path}, {"abs/sub/evil", AE_IFREG, .text = "x"}, {NULL}},
                "'abs/sub/evil'", "behind a symlink");
        refused(s,
                (struct entry[]){
                        {"d", AE_IFDIR}, {"in", AE_IFLNK, .link = "d"}, {"in/f", AE_IFREG, .text = "x"}, {NULL}},
                "'in/f'", "behind a symlink");
        refused(s, (struct entry[]){{"up", AE_IFLNK, .link = ".."}, {"up/evil/", AE_IFDIR}, {NULL}}, "'up/evil/'",
                "behind a symlink");
        assert_false(scratch_has(s, "evil"));
        assert_false(scratch_has(s, "sub"));
}

static void a_file_over_a_planted_symlink_replaces_it(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};

        scratch_write(s, "victim", "untouched");
        assert_int_equal(
                unpack(s,
                       (struct entry[]){{"f", AE_IFLNK, .link = "../victim"}, {"f", AE_IFREG, .text = "new"}, {NULL}},
                       NULL, &err),
                0);
        assert_text(s, "tree/f", "new");
        assert_text(s, "victim", "untouched");
}

static void a_folder_over_a_planted_symlink_leaves_the_outside_alone(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};
        struct stat found;

        scratch_write(s, "victim/f", "x");
        assert_int_equal(fchmodat(s->fd, "victim", 0700, 0), 0);
        (void)unpack(s, (struct entry[]){{"d", AE_IFLNK, .link = "../victim"}, {"d/", AE_IFDIR, .mode = 0777}, {NULL}},
                     NULL, &err);
        assert_int_equal(fstatat(s->fd, "victim", &found, 0), 0);
        assert_int_equal(found.st_mode & 07777, 0700);
        assert_text(s, "victim/f", "x");
}

static void hard_links_out_of_the_tree_are_refused(void **state)
{
        const struct scratch *s = *state;
        owned_str char *victim = scratch_path(s, "victim");

        scratch_write(s, "victim", "secret");
        refused(s, (struct entry[]){{"h", AE_IFREG, .link = victim, .hard = true}, {NULL}}, "'h'", "hard link");
        refused(s, (struct entry[]){{"h", AE_IFREG, .link = "../victim", .hard = true}, {NULL}}, "'h'", "hard link");
        refused(s,
                (struct entry[]){
                        {"o", AE_IFLNK, .link = ".."}, {"h", AE_IFREG, .link = "o/victim", .hard = true}, {NULL}},
                "'o/victim'", "behind a symlink");
        assert_false(scratch_has(s, "tree/h"));
}

static void a_hard_link_to_a_symlink_does_not_follow_it(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};

        scratch_write(s, "victim", "untouched");
        const struct entry entries[] = {
                {"l", AE_IFLNK, .link = "../victim"},
                {"h", AE_IFREG, .link = "l", .hard = true},
                {"h", AE_IFREG, .text = "new"},
                {NULL},
        };
        (void)unpack(s, entries, NULL, &err);
        assert_text(s, "victim", "untouched");
}

static void more_than_the_limits_is_refused(void **state)
{
        const struct scratch *s = *state;
        const struct archive_limits few = {.entries = 2, .bytes = 1 << 20, .ratio = 1000, .ratio_bytes = 1 << 20};
        const struct archive_limits small = {.entries = 9, .bytes = 5, .ratio = 1000, .ratio_bytes = 1 << 20};
        struct cowherd_error err = {0};

        write_tarball(s, (struct entry[]){{"a", AE_IFREG}, {"b", AE_IFREG}, {"c", AE_IFREG}, {NULL}});
        assert_int_equal(unpack_within(s, &few, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, "more than 2 entries");
        write_tarball(s, (struct entry[]){{"a", AE_IFREG, .text = "123"}, {"b", AE_IFREG, .text = "456"}, {NULL}});
        assert_int_equal(unpack_within(s, &small, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, "more than 5 bytes");
}

static void a_giant_that_is_only_said_is_refused_before_it_is_made(void **state)
{
        const struct scratch *s = *state;

        refused(s, (struct entry[]){{"giant", AE_IFREG, .text = "x", .size = INT64_C(1) << 50}, {NULL}}, "t.tar",
                "unpacks to more than");
        assert_false(scratch_has(s, "tree/giant"));
}

static void a_bomb_is_refused_by_its_ratio(void **state)
{
        const struct scratch *s = *state;
        const struct archive_limits limits = {.entries = 9, .bytes = 1 << 30, .ratio = 100, .ratio_bytes = 1 << 20};
        owned_str char *path = scratch_path(s, "t.tar");
        struct archive *a = archive_write_new();
        struct archive_entry *header = archive_entry_new();
        owned_mem char *zeros = x_calloc(1, 1 << 20);
        struct cowherd_error err = {0};

        assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        archive_entry_set_pathname(header, "zeros");
        archive_entry_set_filetype(header, AE_IFREG);
        archive_entry_set_size(header, 64 << 20);
        assert_int_equal(archive_write_header(a, header), ARCHIVE_OK);
        for (int i = 0; i < 64; i++)
                assert_int_equal(archive_write_data(a, zeros, 1 << 20), 1 << 20);
        archive_entry_free(header);
        assert_int_equal(archive_write_close(a), ARCHIVE_OK);
        archive_write_free(a);
        assert_int_equal(unpack_within(s, &limits, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, "unpack to more than");
}

static void what_is_cut_or_no_archive_is_refused(void **state)
{
        const struct scratch *s = *state;
        owned_str char *path = scratch_path(s, "t.tar");
        struct cowherd_error err = {0};

        write_tarball(s, (struct entry[]){{"a", AE_IFREG, .text = "some text that is longer than nothing"}, {NULL}});
        assert_int_equal(truncate(path, 520), 0);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        scratch_write(s, "t.tar", "this is a letter and not a tarball, whatever its name says");
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, "not a whole tarball");
        scratch_write(s, "t.tar", "");
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
}

static void only_harmless_attributes_are_kept(void **state)
{
        const struct scratch *s = *state;
        owned_str char *path = scratch_path(s, "t.tar"), *file = scratch_path(s, "tree/f");
        struct archive *a = archive_write_new();
        struct archive_entry *header = archive_entry_new();
        struct cowherd_error err = {0};
        char value[16];

        archive_entry_set_pathname(header, "f");
        archive_entry_set_filetype(header, AE_IFREG);
        archive_entry_set_perm(header, 0644);
        archive_entry_set_uid(header, geteuid());
        archive_entry_set_gid(header, getegid());
        archive_entry_set_size(header, 0);
        archive_entry_xattr_add_entry(header, "user.colour", "red", 3);
        archive_entry_xattr_add_entry(header, "user.overlay.opaque", "y", 1);
        archive_entry_xattr_add_entry(header, "trusted.overlay.redirect", "/etc", 4);
        assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        assert_int_equal(archive_write_header(a, header), ARCHIVE_OK);
        archive_entry_free(header);
        assert_int_equal(archive_write_close(a), ARCHIVE_OK);
        archive_write_free(a);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), 0);
        assert_int_equal(getxattr(file, "user.colour", value, sizeof value), 3);
        assert_int_equal(getxattr(file, "user.overlay.opaque", value, sizeof value), -1);
        assert_int_equal(getxattr(file, "trusted.overlay.redirect", value, sizeof value), -1);
}

static void the_process_stays_where_it_is(void **state)
{
        struct cowherd_error err = {0};
        owned_str char *before = getcwd(NULL, 0);
        mode_t mask = umask(027);

        assert_int_equal(unpack(*state, (struct entry[]){{"f", AE_IFREG, .mode = 0666}, {NULL}}, NULL, &err), 0);
        owned_str char *after = getcwd(NULL, 0);
        assert_string_equal(before, after);
        assert_int_equal(umask(mask), 027);
        struct stat found;
        assert_int_equal(fstatat(((const struct scratch *)*state)->fd, "tree/f", &found, 0), 0);
        assert_int_equal(found.st_mode & 07777, 0666);
}

/* Opens a tree with a link, a hard link, a hole and a hostile distro's name, packs it, and unpacks it again. */
static void what_is_packed_unpacks_the_same(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};
        struct stat one, two;

        scratch_write(s, "from/etc/hostname", "box\n");
        assert_int_equal(linkat(s->fd, "from/etc/hostname", s->fd, "from/etc/again", 0), 0);
        assert_int_equal(symlinkat("/proc/mounts", s->fd, "from/etc/mtab"), 0);
        scratch_write(s, "from/hole", "begin");
        owned_fd int hole = openat(s->fd, "from/hole", O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(hole, "mid", 3, 8 << 20), 3);
        assert_int_equal(ftruncate(hole, 16 << 20), 0);
        owned_fd int from = openat(s->fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(archive_module_pack(from, "de\"bian\n", "12", s->fd, "meta.tar", "t.tar", &err), 0);
        assert_int_equal(fstatat(s->fd, "t.tar", &one, 0), 0);
        assert_true(one.st_size < 4 << 20);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), 0);
        assert_text(s, "tree/etc/hostname", "box\n");
        assert_int_equal(fstatat(s->fd, "tree/etc/hostname", &one, 0), 0);
        assert_int_equal(fstatat(s->fd, "tree/etc/again", &two, 0), 0);
        assert_int_equal(one.st_ino, two.st_ino);
        owned_fd int again = openat(s->fd, "tree/hole", O_RDONLY | O_CLOEXEC);
        char text[4] = "";
        assert_int_equal(fstat(again, &one), 0);
        assert_int_equal(one.st_size, 16 << 20);
        assert_int_equal(pread(again, text, 3, 8 << 20), 3);
        assert_string_equal(text, "mid");
        assert_true(scratch_has(s, "tree/etc/mtab"));
}

static void the_metadata_says_what_it_is(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};

        scratch_write(s, "from/etc/hostname", "box\n");
        owned_fd int from = openat(s->fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(archive_module_pack(from, "de\"bian\n", NULL, s->fd, "t.tar", "rootfs.tar", &err), 0);
        assert_int_equal(unpack_within(s, &ARCHIVE_LIMITS, NULL, &err), 0);
        owned_str char *text = scratch_read(s, "tree/metadata.yaml");
        assert_non_null(text);
        assert_contains(text, "architecture: \"");
        assert_contains(text, "creation_date: ");
        assert_contains(text, "  os: \"de\\\"bian\"\n");
        assert_contains(text, "  release: \"\"\n");
}

static void packing_never_replaces_a_file(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};

        scratch_write(s, "rootfs.tar", "precious");
        scratch_write(s, "from/etc/hostname", "box\n");
        owned_fd int from = openat(s->fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(archive_module_pack(from, "debian", "12", s->fd, "meta.tar", "rootfs.tar", &err), -1);
        assert_int_equal(err.code, COWHERD_EXISTS);
        assert_text(s, "rootfs.tar", "precious");
        assert_false(scratch_has(s, "meta.tar"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(a_root_filesystem_comes_out_as_it_went_in),
                scratch_test(names_that_go_up_are_refused),
                scratch_test(names_that_only_look_like_going_up_are_fine),
                scratch_test(absolute_names_are_refused),
                scratch_test(a_file_through_a_planted_symlink_is_refused),
                scratch_test(a_file_over_a_planted_symlink_replaces_it),
                scratch_test(a_folder_over_a_planted_symlink_leaves_the_outside_alone),
                scratch_test(hard_links_out_of_the_tree_are_refused),
                scratch_test(a_hard_link_to_a_symlink_does_not_follow_it),
                scratch_test(more_than_the_limits_is_refused),
                scratch_test(a_giant_that_is_only_said_is_refused_before_it_is_made),
                scratch_test(a_bomb_is_refused_by_its_ratio),
                scratch_test(what_is_cut_or_no_archive_is_refused),
                scratch_test(only_harmless_attributes_are_kept),
                scratch_test(the_process_stays_where_it_is),
                scratch_test(what_is_packed_unpacks_the_same),
                scratch_test(the_metadata_says_what_it_is),
                scratch_test(packing_never_replaces_a_file),
        };
        return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
