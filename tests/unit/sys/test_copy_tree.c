/* SPDX-License-Identifier: Apache-2.0 */
/* Copying trees: everything that a file has comes along, in all three ways, and no symlink is followed. */
#include "sys/file.h"
#include "sys_test.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void set_times(int at, const char *name)
{
        const struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 123456789},
                                          {.tv_sec = 1100000000, .tv_nsec = 987654321}};

        assert_int_equal(utimensat(at, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Whether this filesystem takes attributes of this kind, of which a file is given one. */
static bool give_xattr(const struct scratch *scratch, const char *name, const char *attribute, const void *value,
                       size_t size)
{
        owned_str char *path = scratch_path(scratch, name);

        return lsetxattr(path, attribute, value, size, 0) == 0;
}

static void make_source(const struct scratch *scratch)
{
        owned_fd int from = scratch_folder(scratch, "from");

        scratch_write(scratch, "outside", "outside");
        scratch_write(scratch, "from/file", "text");
        scratch_write(scratch, "from/sub/suid", "program");
        scratch_write(scratch, "from/read-only/file", "x");
        assert_int_equal(fchmodat(from, "file", 0600, 0), 0);
        assert_int_equal(fchmodat(from, "sub/suid", 06755, 0), 0);
        assert_int_equal(fchmodat(from, "sub", 01777, 0), 0);
        assert_int_equal(linkat(from, "sub/suid", from, "second", 0), 0);
        assert_int_equal(symlinkat("../outside", from, "link"), 0);
        assert_int_equal(linkat(from, "link", from, "sub/link-again", 0), 0);
        assert_int_equal(mkfifoat(from, "fifo", 0640), 0);
        assert_int_equal(fchmodat(from, "read-only", 0555, 0), 0);
        owned_fd int sparse = openat(from, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(pwrite(sparse, "end", 3, 8 << 20), 3);
        static const char *const timed[] = {"file", "sub/suid", "link", "fifo", "read-only", "sub", "."};
        for (size_t i = 0; i < array_length(timed); i++)
                set_times(from, timed[i]);
}

static void assert_same(const struct scratch *scratch, const char *name)
{
        owned_str char *from_name = x_asprintf("from/%s", name), *to_name = x_asprintf("to/%s", name);
        struct stat from = scratch_stat(scratch, from_name), to = scratch_stat(scratch, to_name);

        if (from.st_mode != to.st_mode || from.st_uid != to.st_uid || from.st_gid != to.st_gid)
                fail_msg("owner or mode of '%s': %o %o", name, from.st_mode, to.st_mode);
        if (from.st_mtim.tv_sec != to.st_mtim.tv_sec || from.st_mtim.tv_nsec != to.st_mtim.tv_nsec)
                fail_msg("time of '%s'", name);
        if (S_ISREG(from.st_mode) && from.st_size != to.st_size)
                fail_msg("length of '%s'", name);
}

static int copy(const struct scratch *scratch, enum file_tree_mode mode, struct cowherd_error *err)
{
        owned_fd int from = scratch_folder(scratch, "from"), to = scratch_folder(scratch, "to");

        return file_copy_tree(from, to, mode, NULL, err);
}

static void assert_all_same(const struct scratch *scratch)
{
        static const char *const names[] = {"file",      "sub/suid",       "second", "link", "sub/link-again", "fifo",
                                            "read-only", "read-only/file", "sub",    ".",    "sparse"};

        for (size_t i = 0; i < array_length(names); i++)
                assert_same(scratch, names[i]);
        assert_text(scratch, "to/file", "text");
        assert_text(scratch, "to/sub/suid", "program");
        assert_int_equal(scratch_stat(scratch, "to/second").st_ino, scratch_stat(scratch, "to/sub/suid").st_ino);
        assert_int_equal(scratch_stat(scratch, "to/link").st_ino, scratch_stat(scratch, "to/sub/link-again").st_ino);
        assert_true(scratch_stat(scratch, "to/sparse").st_blocks <= scratch_stat(scratch, "from/sparse").st_blocks + 8);
        char text[32];
        ssize_t length = readlinkat(scratch->fd, "to/link", text, sizeof text);
        assert_int_equal(length, 10);
        assert_memory_equal(text, "../outside", 10);
}

/* A read-only folder can't be removed from by whoever is not root. */
static void clean_up(const struct scratch *scratch)
{
        struct cowherd_error err;

        assert_done(file_remove_tree(scratch->fd, "from", &err), &err);
        assert_done(file_remove_tree(scratch->fd, "to", &err), &err);
}

static void test_copy(void **state)
{
        const struct scratch *scratch = *state;
        unsigned before = open_descriptors();
        struct cowherd_error err;

        make_source(scratch);
        assert_done(copy(scratch, FILE_TREE_COPY, &err), &err);
        assert_all_same(scratch);
        assert_true(scratch_stat(scratch, "to/second").st_ino != scratch_stat(scratch, "from/second").st_ino);
        assert_int_equal(open_descriptors(), before);
        assert_failed(copy(scratch, FILE_TREE_COPY, &err), &err, COWHERD_EXISTS, "of the tree");
        clean_up(scratch);
}

static void test_link(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        make_source(scratch);
        if (copy(scratch, FILE_TREE_LINK, &err) < 0) { /* fs.protected_hardlinks, and a setuid file */
                assert_int_equal(err.code, COWHERD_DENIED);
                clean_up(scratch);
                return;
        }
        assert_all_same(scratch);
        assert_int_equal(scratch_stat(scratch, "to/second").st_ino, scratch_stat(scratch, "from/second").st_ino);
        assert_true(scratch_stat(scratch, "to/link").st_ino != scratch_stat(scratch, "from/link").st_ino);
        clean_up(scratch);
}

/* Where the filesystem can share, all is shared; where it can't, that is 69. */
static void test_share(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        make_source(scratch);
        if (copy(scratch, FILE_TREE_SHARE, &err) == 0)
                assert_all_same(scratch);
        else
                assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        clean_up(scratch);
}

/* u::rw-,u:4711:rwx,g::r--,m::rwx,o::---, as acl(5) lies in the attribute. */
static const unsigned char access_list[] = {
        2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   7,  0, 0x67, 0x12, 0,   0,   4,   0,
        4, 0, 255, 255, 255, 255, 16, 0, 7,   0,   255, 255, 255, 255, 32, 0, 0,    0,    255, 255, 255, 255,
};

static void assert_same_xattr(const struct scratch *scratch, const char *name, const char *attribute)
{
        owned_str char *from_name = x_asprintf("%s/from/%s", scratch->path, name),
                       *to_name = x_asprintf("%s/to/%s", scratch->path, name);
        char from[256], to[256];
        ssize_t length = lgetxattr(from_name, attribute, from, sizeof from);

        assert_true(length > 0);
        assert_int_equal(lgetxattr(to_name, attribute, to, sizeof to), length);
        assert_memory_equal(from, to, (size_t)length);
}

static void test_xattrs(void **state)
{
        const struct scratch *scratch = *state;
        static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4}; /* cap_net_raw=ep, revision 2 */
        struct cowherd_error err;

        make_source(scratch);
        bool user = give_xattr(scratch, "from/file", "user.note", "a\0b", 3) &&
                    give_xattr(scratch, "from/sub", "user.note", "c", 1);
        bool acl = give_xattr(scratch, "from/file", "system.posix_acl_access", access_list, sizeof access_list) &&
                   give_xattr(scratch, "from/sub", "system.posix_acl_default", access_list, sizeof access_list);
        bool capabilities = give_xattr(scratch, "from/sub/suid", "security.capability", capability, sizeof capability);
        bool trusted = give_xattr(scratch, "from/link", "trusted.note", "x", 1);
        assert_done(copy(scratch, FILE_TREE_COPY, &err), &err);
        if (user) {
                assert_same_xattr(scratch, "file", "user.note");
                assert_same_xattr(scratch, "sub", "user.note");
        }
        if (acl) {
                assert_same_xattr(scratch, "file", "system.posix_acl_access");
                assert_same_xattr(scratch, "sub", "system.posix_acl_default");
                assert_int_equal(lgetxattr("to/sub/suid", "system.posix_acl_access", NULL, 0), -1);
        }
        if (capabilities)
                assert_same_xattr(scratch, "sub/suid", "security.capability");
        if (trusted)
                assert_same_xattr(scratch, "link", "trusted.note");
        assert_int_equal(scratch_stat(scratch, "from/file").st_mode, scratch_stat(scratch, "to/file").st_mode);
        assert_all_same(scratch);
        clean_up(scratch);
}

/* Owners and device nodes are root's to give; who is not gets the tree without them. */
static void test_root_only(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err;

        make_source(scratch);
        bool owner = fchownat(scratch->fd, "from/sub/suid", 4711, 4712, 0) == 0 &&
                     fchmodat(scratch->fd, "from/sub/suid", 06755, 0) == 0;
        bool node = mknodat(scratch->fd, "from/null", S_IFCHR | 0666, makedev(1, 3)) == 0 &&
                    fchmodat(scratch->fd, "from/null", 0666, 0) == 0;
        assert_done(copy(scratch, FILE_TREE_COPY, &err), &err);
        if (owner)
                assert_int_equal(scratch_stat(scratch, "to/sub/suid").st_uid, 4711);
        if (node) {
                assert_same(scratch, "null");
                assert_int_equal(scratch_stat(scratch, "to/null").st_rdev, makedev(1, 3));
        }
        assert_same(scratch, "sub/suid");
        clean_up(scratch);
}

static void test_sockets_stay(void **state)
{
        const struct scratch *scratch = *state;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        owned_fd int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct cowherd_error err;

        scratch_write(scratch, "from/file", "x");
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/from/socket", scratch->path);
        assert_int_equal(bind(listening, (const struct sockaddr *)&address, sizeof address), 0);
        assert_done(copy(scratch, FILE_TREE_COPY, &err), &err);
        assert_true(scratch_has(scratch, "to/file") && !scratch_has(scratch, "to/socket"));
}

/* Deeper than a path may be long, with a hard link from the bottom to the top; and a copy into the tree itself. */
static void test_deep(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = scratch_folder(scratch, "from"), to = scratch_folder(scratch, "to"), inside = -1;
        unsigned before = open_descriptors();
        struct file_usage usage;
        struct cowherd_error err;

        limit_descriptors(100);
        make_deep(from, "a-folder-with-quite-a-long-name-in-a-very-deep-tree", 200);
        owned_fd int bottom = dup(from);
        for (int i = 0; i < 200; i++) {
                int next = openat(bottom, "a-folder-with-quite-a-long-name-in-a-very-deep-tree",
                                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                (void)close(bottom);
                bottom = next;
        }
        assert_int_equal(linkat(bottom, "end", from, "zz-top", 0), 0);
        (void)close(take_fd(bottom));
        assert_done(file_copy_tree(from, to, FILE_TREE_COPY, NULL, &err), &err);
        assert_int_equal(open_descriptors(), before);
        assert_done(file_measure(to, ".", &usage, &err), &err);
        assert_int_equal(usage.files, 1);
        assert_int_equal(scratch_stat(scratch, "to/zz-top").st_nlink, 2);

        inside = scratch_folder(scratch, "from/inside");
        assert_done(file_copy_tree(from, inside, FILE_TREE_COPY, NULL, &err), &err);
        assert_true(scratch_has(scratch, "from/inside/zz-top") && !scratch_has(scratch, "from/inside/inside"));
        clean_up(scratch);
}

static void add_up(void *context, uint64_t done, uint64_t total)
{
        uint64_t *last = context;

        assert_int_equal(total, 0);
        assert_true(done >= *last);
        *last = done;
}

static void test_progress(void **state)
{
        const struct scratch *scratch = *state;
        owned_fd int from = scratch_folder(scratch, "from"), to = scratch_folder(scratch, "to");
        owned_fd int big = openat(from, "big", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        owned_mem char *data = x_calloc(1, 6 << 20);
        uint64_t last = 0;
        const struct file_progress progress = {add_up, &last};
        struct cowherd_error err;

        memset(data, 'x', 6 << 20);
        assert_int_equal(write(big, data, 6 << 20), 6 << 20);
        assert_done(file_copy_tree(from, to, FILE_TREE_COPY, &progress, &err), &err);
        assert_true(last >= 6 << 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(test_copy),   scratch_test(test_link),      scratch_test(test_share),
                scratch_test(test_xattrs), scratch_test(test_root_only), scratch_test(test_sockets_stay),
                scratch_test(test_deep),   scratch_test(test_progress),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
