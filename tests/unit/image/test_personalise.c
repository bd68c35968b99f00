/* SPDX-License-Identifier: Apache-2.0 */
/* An identity goes into trees: a whole one, a bare one, a hostile one; twice; and an old one comes back. */
#include "image/tree_personalise.h"
#include "image/tree.h"

#include "scratch.h"

static const struct tree_identity identity = {
        .hostname = "web-1",
        .machine_id = "0123456789abcdef0123456789abcdef",
        .random_seed = "00ff10",
        .host_key = "PRIVATE\n",
        .host_key_public = "PUBLIC\n",
        .instance_id = "i-5",
        .ssh_key = "ssh-ed25519 AAAA it's me",
};

static int open_tree_of(const struct scratch *scratch)
{
        (void)mkdirat(scratch->fd, "tree", 0755);
        int fd = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void personalise(const struct scratch *scratch, const struct tree_identity *what, struct strv *written)
{
        struct cowherd_error err = {0};
        owned_fd int tree = open_tree_of(scratch);

        if (tree_personalise(tree, what, written, &err) < 0)
                print_error("%s\n", err.text);
        assert_int_equal(err.code, 0);
}

static mode_t mode_of(const struct scratch *scratch, const char *name)
{
        struct stat found;

        assert_int_equal(fstatat(scratch->fd, name, &found, AT_SYMLINK_NOFOLLOW), 0);
        return found.st_mode & 07777;
}

static void make_whole(const struct scratch *scratch)
{
        scratch_write(scratch, "tree/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\told\n10.0.0.1 other");
        scratch_write(scratch, "tree/etc/hostname", "old\n");
        scratch_write(scratch, "tree/etc/machine-id", "");
        scratch_write(scratch, "tree/etc/ssh/sshd_config", "");
        scratch_write(scratch, "tree/etc/cloud/cloud.cfg", "");
        scratch_write(scratch, "tree/var/lib/systemd/x", "");
        scratch_write(scratch, "tree/var/lib/dbus/machine-id", "old\n");
        scratch_write(scratch, "tree/root/.bashrc", "");
}

static void a_whole_tree_gets_all_of_it(void **state)
{
        const struct scratch *scratch = *state;
        owned_strv struct strv written = {0};

        make_whole(scratch);
        personalise(scratch, &identity, &written);
        assert_text(scratch, "tree/etc/hostname", "web-1\n");
        assert_text(scratch, "tree/etc/hosts", "127.0.0.1\tlocalhost\n10.0.0.1 other\n127.0.1.1\tweb-1\n");
        assert_text(scratch, "tree/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        assert_text(scratch, "tree/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
        assert_text(scratch, "tree/etc/ssh/ssh_host_ed25519_key", "PRIVATE\n");
        assert_int_equal(mode_of(scratch, "tree/etc/ssh/ssh_host_ed25519_key"), 0600);
        assert_text(scratch, "tree/etc/ssh/ssh_host_ed25519_key.pub", "PUBLIC\n");
        assert_int_equal(mode_of(scratch, "tree/var/lib/systemd/random-seed"), 0600);
        assert_text(scratch, "tree/var/lib/cloud/seed/nocloud/meta-data",
                    "instance-id: 'i-5'\nlocal-hostname: 'web-1'\npublic-keys:\n  - 'ssh-ed25519 AAAA it''s me'\n");
        assert_text(scratch, "tree/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n");
        assert_text(scratch, "tree/root/.ssh/authorized_keys", "ssh-ed25519 AAAA it's me\n");
        assert_int_equal(mode_of(scratch, "tree/root/.ssh"), 0700);
        assert_true(strv_has(&written, "/etc/machine-id"));
}

static void a_seed_holds_any_byte(void **state)
{
        const struct scratch *scratch = *state;
        char bytes[8];

        make_whole(scratch);
        personalise(scratch, &identity, NULL);
        int fd = openat(scratch->fd, "tree/var/lib/systemd/random-seed", O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, bytes, sizeof bytes), 3);
        assert_memory_equal(bytes, "\x00\xff\x10", 3);
        (void)close(fd);
}

static void twice_is_as_once(void **state)
{
        const struct scratch *scratch = *state;

        make_whole(scratch);
        personalise(scratch, &identity, NULL);
        personalise(scratch, &identity, NULL);
        assert_text(scratch, "tree/etc/hosts", "127.0.0.1\tlocalhost\n10.0.0.1 other\n127.0.1.1\tweb-1\n");
        assert_text(scratch, "tree/root/.ssh/authorized_keys", "ssh-ed25519 AAAA it's me\n");
}

static void a_bare_tree_gets_what_it_can_use(void **state)
{
        const struct scratch *scratch = *state;

        scratch_write(scratch, "tree/etc/passwd", "");
        personalise(scratch, &identity, NULL);
        assert_text(scratch, "tree/etc/hosts",
                    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tweb-1\n");
        assert_false(scratch_has(scratch, "tree/etc/ssh"));
        assert_false(scratch_has(scratch, "tree/var/lib"));
}

static void other_keys_stay(void **state)
{
        const struct scratch *scratch = *state;

        scratch_write(scratch, "tree/root/.ssh/authorized_keys", "ssh-rsa BBBB you");
        personalise(scratch, &(struct tree_identity){.ssh_key = "ssh-ed25519 AAAA me"}, NULL);
        assert_text(scratch, "tree/root/.ssh/authorized_keys", "ssh-rsa BBBB you\nssh-ed25519 AAAA me\n");
        assert_false(scratch_has(scratch, "tree/etc"));
}

/* Symlinks that lead out of the tree, in every place that is written to. */
static void nothing_is_written_outside(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *outside = scratch_path(scratch, "outside"), *file = scratch_path(scratch, "outside/file");

        make_whole(scratch);
        scratch_write(scratch, "outside/file", "mine");
        assert_int_equal(unlinkat(scratch->fd, "tree/etc/hostname", 0), 0);
        assert_int_equal(symlinkat(file, scratch->fd, "tree/etc/hostname"), 0);
        assert_int_equal(unlinkat(scratch->fd, "tree/etc/machine-id", 0), 0);
        assert_int_equal(symlinkat("../../outside/file", scratch->fd, "tree/etc/machine-id"), 0);
        assert_int_equal(symlinkat(file, scratch->fd, "tree/etc/ssh/ssh_host_ed25519_key"), 0);
        assert_int_equal(symlinkat(outside, scratch->fd, "tree/root/.ssh"), 0);
        struct cowherd_error err = {0};
        owned_fd int tree = open_tree_of(scratch);
        int result = tree_personalise(tree, &identity, NULL, &err);
        assert_text(scratch, "outside/file", "mine");
        assert_false(scratch_has(scratch, "outside/authorized_keys"));
        assert_text(scratch, "tree/etc/hostname", "web-1\n");
        assert_text(scratch, "tree/etc/ssh/ssh_host_ed25519_key", "PRIVATE\n");
        assert_true(result == -1 || err.code == 0); /* a link that leads nowhere inside is no folder for keys: said */
}

static void a_kept_identity_comes_back(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err = {0};

        make_whole(scratch);
        scratch_write(scratch, "tree/etc/machine-id", "feedfeedfeedfeedfeedfeedfeedfeed\n");
        scratch_write(scratch, "tree/etc/ssh/ssh_host_rsa_key", "RSA\n");
        assert_int_equal(fchmodat(scratch->fd, "tree/etc/ssh/ssh_host_rsa_key", 0600, 0), 0);
        scratch_write(scratch, "tree/var/lib/cloud/instances/i-1/x", "1");
        owned_fd int tree = open_tree_of(scratch);
        assert_int_equal(tree_neutralise(tree, scratch->fd, "aside", NULL, &err), 0);
        assert_false(scratch_has(scratch, "tree/var/lib/cloud/instances"));
        scratch_write(scratch, "tree/var/lib/systemd/random-seed", "new");
        for (int i = 0; i < 2; i++) {
                if (tree_keep_identity(tree, scratch->fd, "aside", &err) < 0)
                        print_error("%s\n", err.text);
                assert_int_equal(err.code, 0);
        }
        assert_text(scratch, "tree/etc/machine-id", "feedfeedfeedfeedfeedfeedfeedfeed\n");
        assert_text(scratch, "tree/etc/ssh/ssh_host_rsa_key", "RSA\n");
        assert_int_equal(mode_of(scratch, "tree/etc/ssh/ssh_host_rsa_key"), 0600);
        assert_text(scratch, "tree/var/lib/cloud/instances/i-1/x", "1");
        assert_text(scratch, "tree/var/lib/dbus/machine-id", "old\n");
        assert_text(scratch, "tree/var/lib/systemd/random-seed", "new"); /* it was made since */
}

static void nothing_aside_is_nothing_to_do(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err = {0};
        owned_fd int tree = open_tree_of(scratch);

        assert_int_equal(tree_keep_identity(tree, scratch->fd, "aside", &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(a_whole_tree_gets_all_of_it),
                scratch_test(a_seed_holds_any_byte),
                scratch_test(twice_is_as_once),
                scratch_test(a_bare_tree_gets_what_it_can_use),
                scratch_test(other_keys_stay),
                scratch_test(nothing_is_written_outside),
                scratch_test(a_kept_identity_comes_back),
                scratch_test(nothing_aside_is_nothing_to_do),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
