/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees: what is taken out of them, also where a hostile hand planted symlinks so that the taking would reach outside;
 * what they say they are; and the exact command that makes one.
 */
#include "image/tree.h"

#include "scratch.h"
#include "sys/process.h"

/* The scratch folder's "tree", made and opened. */
static int open_tree(const struct scratch *s)
{
        (void)mkdirat(s->fd, "tree", 0755);
        int tree = openat(s->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(tree >= 0);
        return tree;
}

static void neutralise(const struct scratch *s, struct strv *removed)
{
        struct cowherd_error err = {0};
        owned_fd int tree = open_tree(s);

        int done = tree_neutralise(tree, s->fd, "aside", removed, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(done, 0);
}

static void identity_is_taken_out_and_kept_aside(void **state)
{
        const struct scratch *s = *state;
        struct strv removed owned_by(strv_free) = {0};

        scratch_write(s, "tree/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        scratch_write(s, "tree/etc/ssh/ssh_host_rsa_key", "secret");
        scratch_write(s, "tree/etc/ssh/ssh_host_rsa_key.pub", "public");
        scratch_write(s, "tree/etc/ssh/sshd_config", "Port 22\n");
        scratch_write(s, "tree/var/lib/dbus/machine-id", "0123\n");
        scratch_write(s, "tree/var/lib/dhcp/dhclient.eth0.leases", "lease");
        scratch_write(s, "tree/var/lib/systemd/random-seed", "seed");
        scratch_write(s, "tree/var/lib/systemd/catalog/database", "stays");
        scratch_write(s, "tree/var/lib/cloud/instances/i-1/user-data.txt", "data");
        scratch_write(s, "tree/var/lib/cloud/seed/nocloud/meta-data", "stays");
        scratch_write(s, "tree/etc/udev/rules.d/70-persistent-net.rules", "rule");
        assert_int_equal(fchmodat(s->fd, "tree/etc/ssh/ssh_host_rsa_key", 0600, 0), 0);
        neutralise(s, &removed);
        assert_text(s, "tree/etc/machine-id", "");
        assert_text(s, "tree/etc/ssh/sshd_config", "Port 22\n");
        assert_text(s, "tree/var/lib/systemd/catalog/database", "stays");
        assert_text(s, "tree/var/lib/cloud/seed/nocloud/meta-data", "stays");
        assert_false(scratch_has(s, "tree/etc/ssh/ssh_host_rsa_key"));
        assert_false(scratch_has(s, "tree/etc/ssh/ssh_host_rsa_key.pub"));
        assert_false(scratch_has(s, "tree/var/lib/dbus/machine-id"));
        assert_false(scratch_has(s, "tree/var/lib/dhcp/dhclient.eth0.leases"));
        assert_false(scratch_has(s, "tree/var/lib/systemd/random-seed"));
        assert_false(scratch_has(s, "tree/var/lib/cloud/instances"));
        assert_false(scratch_has(s, "tree/etc/udev/rules.d/70-persistent-net.rules"));
        assert_int_equal(removed.count, 8);
        assert_true(strv_has(&removed, "/etc/ssh/ssh_host_rsa_key"));
        assert_true(strv_has(&removed, "/etc/machine-id"));
        assert_text(s, "aside/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        assert_text(s, "aside/etc/ssh/ssh_host_rsa_key", "secret");
        assert_text(s, "aside/var/lib/cloud/instances/i-1/user-data.txt", "data");
        struct stat key;
        assert_int_equal(fstatat(s->fd, "aside/etc/ssh/ssh_host_rsa_key", &key, 0), 0);
        assert_int_equal(key.st_mode & 07777, 0600);
}

static void a_neutral_tree_stays_as_it_is(void **state)
{
        const struct scratch *s = *state;
        struct strv removed owned_by(strv_free) = {0};

        scratch_write(s, "tree/etc/machine-id", "");
        neutralise(s, &removed);
        assert_int_equal(removed.count, 0);
        assert_false(scratch_has(s, "aside"));
        assert_text(s, "tree/etc/machine-id", "");
}

static void doing_it_twice_keeps_what_the_first_time_kept(void **state)
{
        const struct scratch *s = *state;
        struct strv removed owned_by(strv_free) = {0};

        scratch_write(s, "tree/etc/machine-id", "first\n");
        scratch_write(s, "tree/etc/ssh/ssh_host_rsa_key", "secret");
        scratch_write(s, "aside/etc/ssh/ssh_host_rsa_key", "half a co");
        neutralise(s, NULL);
        neutralise(s, &removed);
        assert_int_equal(removed.count, 0);
        assert_text(s, "aside/etc/machine-id", "first\n");
        assert_text(s, "aside/etc/ssh/ssh_host_rsa_key", "secret");
}

/* Each of these would change or read a file outside, were it followed. */
static void planted_symlinks_do_not_lead_out(void **state)
{
        const struct scratch *s = *state;
        owned_str char *victim = scratch_path(s, "victim"), *folder = scratch_path(s, "outside");

        scratch_write(s, "victim", "untouched");
        scratch_write(s, "outside/ssh_host_rsa_key", "untouched");
        scratch_write(s, "tree/etc/hosts", "");
        scratch_write(s, "tree/var/lib/dbus/keep", "");
        assert_int_equal(symlinkat(victim, s->fd, "tree/etc/machine-id"), 0);
        assert_int_equal(symlinkat("../../../../victim", s->fd, "tree/var/lib/dbus/machine-id"), 0);
        assert_int_equal(symlinkat(folder, s->fd, "tree/etc/ssh"), 0);
        assert_int_equal(symlinkat("../../../outside", s->fd, "tree/var/lib/dhcp"), 0);
        neutralise(s, NULL);
        assert_text(s, "victim", "untouched");
        assert_text(s, "outside/ssh_host_rsa_key", "untouched");
        assert_text(s, "tree/etc/machine-id", "");
        assert_false(scratch_has(s, "tree/var/lib/dbus/machine-id"));
        char target[128] = "";
        assert_true(readlinkat(s->fd, "aside/etc/machine-id", target, sizeof target - 1) > 0);
        assert_string_equal(target, victim);
}

static void a_folder_planted_as_a_symlink_to_the_root_does_not_empty_the_tree(void **state)
{
        const struct scratch *s = *state;

        scratch_write(s, "tree/etc/hosts", "stays");
        scratch_write(s, "tree/var/lib/keep", "");
        assert_int_equal(symlinkat("/", s->fd, "tree/var/lib/dhcpcd"), 0);
        neutralise(s, NULL);
        assert_text(s, "tree/etc/hosts", "stays");
}

static void a_hard_link_to_another_file_leaves_that_file_alone(void **state)
{
        const struct scratch *s = *state;

        scratch_write(s, "tree/etc/passwd", "root");
        assert_int_equal(linkat(s->fd, "tree/etc/passwd", s->fd, "tree/etc/machine-id", 0), 0);
        neutralise(s, NULL);
        assert_text(s, "tree/etc/passwd", "root");
        assert_text(s, "tree/etc/machine-id", "");
}

static void a_folder_or_a_fifo_in_the_place_of_a_file_is_taken_out_too(void **state)
{
        const struct scratch *s = *state;

        scratch_write(s, "tree/etc/machine-id/deep/file", "x");
        scratch_write(s, "tree/etc/ssh/sshd_config", "");
        assert_int_equal(mkfifoat(s->fd, "tree/etc/ssh/ssh_host_fifo", 0600), 0);
        neutralise(s, NULL);
        assert_text(s, "tree/etc/machine-id", "");
        assert_false(scratch_has(s, "tree/etc/ssh/ssh_host_fifo"));
}

static void identified(const struct scratch *s, const char *text, const char *distro, const char *release)
{
        struct cowherd_error err = {0};
        owned_str char *is_distro = NULL, *is_release = NULL;
        owned_fd int tree = open_tree(s);

        if (text != NULL)
                scratch_write(s, "tree/etc/os-release", text);
        assert_int_equal(tree_identify(tree, &is_distro, &is_release, &err), 0);
        assert_true(str_equal(is_distro, distro));
        assert_true(str_equal(is_release, release));
}

static void a_tree_says_what_it_is(void **state)
{
        const struct scratch *s = *state;

        identified(s, NULL, NULL, NULL);
        scratch_write(s, "tree/usr/lib/os-release", "ID=arch\n");
        identified(s, NULL, "arch", NULL);
        identified(s, "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n", "debian",
                   "12");
        identified(s, "ID=debian\nVERSION_CODENAME=sid\n", "debian", "sid");
        identified(s, "# ID=no\nXID=no\n  ID='a b'\r\nID_LIKE=x\nVERSION_ID=\"1\\\"\\$2\"\n", "a b", "1\"$2");
        identified(s, "ID=one\nID=two\nVERSION_ID=\n", "two", NULL);
        identified(s, "ID=\"open\nVERSION_ID=\"1\x1b[2J\"\n", NULL, NULL);
        identified(s, "", NULL, NULL);
}

static void an_os_release_that_leads_out_is_not_read(void **state)
{
        const struct scratch *s = *state;
        owned_str char *outside = scratch_path(s, "outside");

        scratch_write(s, "outside", "ID=secret\n");
        scratch_write(s, "tree/etc/hosts", "");
        assert_int_equal(symlinkat(outside, s->fd, "tree/etc/os-release"), 0);
        identified(s, NULL, NULL, NULL);
        assert_int_equal(unlinkat(s->fd, "tree/etc/os-release", 0), 0);
        assert_int_equal(mkfifoat(s->fd, "tree/etc/os-release", 0644), 0);
        identified(s, NULL, NULL, NULL);
}

static void only_a_root_filesystem_passes(void **state)
{
        const struct scratch *s = *state;
        struct cowherd_error err = {0};
        owned_fd int tree = open_tree(s);

        assert_int_equal(tree_check(tree, "/srv/x", &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        assert_contains(err.text, "'/srv/x' is not a root filesystem: it has no '/etc'");
        scratch_write(s, "tree/rootfs/etc/hosts", "");
        assert_int_equal(tree_check(tree, "/srv/x", &err), -1);
        assert_contains(err.hint, "/srv/x/rootfs");
        scratch_write(s, "tree/etc/hosts", "");
        assert_int_equal(tree_check(tree, "/srv/x", &err), -1);
        assert_contains(err.text, "neither");
        scratch_write(s, "tree/usr/bin/true", "");
        assert_int_equal(symlinkat("usr/bin", s->fd, "tree/bin"), 0);
        assert_int_equal(tree_check(tree, "/srv/x", &err), 0);
}

/* A runner that remembers the command line, and answers what it was told to. */
struct recorder {
        struct str line;
        int status;
        const char *errors;
        bool absent;
};

static int record(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct recorder *recorder = context;

        for (size_t i = 0; i < process->argv.count; i++)
                str_addf(&recorder->line, "%s%s", i > 0 ? " " : "", process->argv.items[i]);
        if (recorder->absent)
                return fail(err, COWHERD_UNAVAILABLE, "'mmdebstrap' is not installed");
        *ret = (struct process_result){.status = recorder->status,
                                       .output = x_strdup(""),
                                       .errors = x_strdup(recorder->errors == NULL ? "" : recorder->errors)};
        return 0;
}

static int bootstrap(struct recorder *recorder, const struct tree_bootstrap *wanted, struct cowherd_error *err)
{
        const struct process_runner runner = {.run = record, .context = recorder};

        process_set_runner(&runner);
        int result = tree_bootstrap(wanted, "/herd/bases/7/tree", NULL, NULL, err);
        process_set_runner(NULL);
        return result;
}

static void runs(const struct tree_bootstrap wanted, const char *rest)
{
        struct recorder recorder = {0};
        struct cowherd_error err = {0};
        owned_str char *line =
                x_asprintf("mmdebstrap --mode=%s --format=directory %s", geteuid() == 0 ? "root" : "unshare", rest);

        assert_int_equal(bootstrap(&recorder, &wanted, &err), 0);
        assert_string_equal(str_text(&recorder.line), line);
        str_free(&recorder.line);
}

static void a_bootstrap_s_command_line_is_exact(void **state)
{
        (void)state;
        runs((struct tree_bootstrap){.distro = "debian", .mirror = "http://m/debian"},
             "--variant=minbase --include=systemd,systemd-sysv,dbus bookworm /herd/bases/7/tree http://m/debian");
        runs((struct tree_bootstrap){.distro = "Debian",
                                     .release = "13",
                                     .variant = "essential",
                                     .packages = "nginx, dbus g++ curl",
                                     .mirror = "file:/srv/m"},
             "--variant=essential --include=systemd,systemd-sysv,dbus,nginx,g++,curl trixie /herd/bases/7/tree "
             "file:/srv/m");
        runs((struct tree_bootstrap){.distro = "ubuntu", .mirror = "https://m/ubuntu"},
             "--variant=minbase --include=systemd,systemd-sysv,dbus jammy /herd/bases/7/tree https://m/ubuntu");
        runs(
                (struct tree_bootstrap){
                        .distro = "ubuntu", .release = "24.04", .mirror = "https://m/ubuntu", .packages = ""},
                "--variant=minbase --include=systemd,systemd-sysv,dbus noble /herd/bases/7/tree https://m/ubuntu");
}

static void not_run(const struct tree_bootstrap wanted, int code, const char *words)
{
        struct recorder recorder = {0};
        struct cowherd_error err = {0};

        assert_int_equal(bootstrap(&recorder, &wanted, &err), -1);
        assert_int_equal(err.code, code);
        assert_contains(err.text, words);
        assert_string_equal(str_text(&recorder.line), "");
}

static void words_that_would_mean_something_else_are_refused(void **state)
{
        (void)state;
        not_run((struct tree_bootstrap){.distro = "slackware"}, COWHERD_UNAVAILABLE, "'slackware'");
        not_run((struct tree_bootstrap){.distro = "debian", .release = "--help"}, COWHERD_USAGE, "release '--help'");
        not_run((struct tree_bootstrap){.distro = "debian", .release = "a b"}, COWHERD_USAGE, "release 'a b'");
        not_run((struct tree_bootstrap){.distro = "debian", .variant = "-x"}, COWHERD_USAGE, "variant '-x'");
        not_run((struct tree_bootstrap){.distro = "debian", .packages = "nginx ?essential"}, COWHERD_USAGE,
                "'?essential'");
        not_run((struct tree_bootstrap){.distro = "debian", .packages = "./evil.deb"}, COWHERD_USAGE, "'./evil.deb'");
        not_run((struct tree_bootstrap){.distro = "debian", .mirror = "/etc/passwd"}, COWHERD_USAGE, "is no URL");
        not_run((struct tree_bootstrap){.distro = "debian", .mirror = "--setup-hook=id"}, COWHERD_USAGE, "is no URL");
        not_run((struct tree_bootstrap){.distro = "debian", .mirror = "http://m/debian bookworm main"}, COWHERD_USAGE,
                "a blank");
        not_run((struct tree_bootstrap){.distro = "debian", .mirror = "http://m/\n"}, COWHERD_USAGE, "a blank");
}

static void ubuntu_without_its_keys_says_what_to_install(void **state)
{
        const struct tree_bootstrap wanted = {.distro = "ubuntu"};
        struct recorder recorder = {0};
        struct cowherd_error err = {0};

        (void)state;
        if (access("/usr/share/keyrings/ubuntu-archive-keyring.gpg", R_OK) == 0) {
                assert_int_equal(bootstrap(&recorder, &wanted, &err), 0);
                assert_contains(str_text(&recorder.line), "--components=main,universe jammy");
                str_free(&recorder.line);
                return;
        }
        assert_int_equal(bootstrap(&recorder, &wanted, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_string_equal(err.hint, "apt install ubuntu-keyring");
}

static void a_bootstrap_that_fails_tells_the_first_complaint(void **state)
{
        const struct tree_bootstrap wanted = {.distro = "debian", .mirror = "http://m/debian"};
        struct recorder recorder = {
                .status = 25,
                .errors = "I: running apt-get update...\nE: Failed to fetch http://m/debian  Could not connect\n"
                          "E: apt-get update failed\nE: mmdebstrap failed to run\n"};
        struct recorder absent = {.absent = true};
        struct cowherd_error err = {0};

        (void)state;
        assert_int_equal(bootstrap(&recorder, &wanted, &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_contains(err.text, "status 25");
        assert_contains(err.text, ": Failed to fetch http://m/debian  Could not connect");
        str_free(&recorder.line);
        assert_int_equal(bootstrap(&absent, &wanted, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_string_equal(err.hint, "apt install mmdebstrap");
        str_free(&absent.line);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(identity_is_taken_out_and_kept_aside),
                scratch_test(a_neutral_tree_stays_as_it_is),
                scratch_test(doing_it_twice_keeps_what_the_first_time_kept),
                scratch_test(planted_symlinks_do_not_lead_out),
                scratch_test(a_folder_planted_as_a_symlink_to_the_root_does_not_empty_the_tree),
                scratch_test(a_hard_link_to_another_file_leaves_that_file_alone),
                scratch_test(a_folder_or_a_fifo_in_the_place_of_a_file_is_taken_out_too),
                scratch_test(a_tree_says_what_it_is),
                scratch_test(an_os_release_that_leads_out_is_not_read),
                scratch_test(only_a_root_filesystem_passes),
                cmocka_unit_test(a_bootstrap_s_command_line_is_exact),
                cmocka_unit_test(words_that_would_mean_something_else_are_refused),
                cmocka_unit_test(ubuntu_without_its_keys_says_what_to_install),
                cmocka_unit_test(a_bootstrap_that_fails_tells_the_first_complaint),
        };
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
