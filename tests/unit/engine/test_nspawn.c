/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no container: the exact command lines, the names, the users of a tree, the ends of logs. */
#include "engine/drivers.h"
#include "engine/nspawn/cgroup_tree.h"
#include "engine/nspawn/nspawn.h"
#include "engine/nspawn/spawn.h"
#include "engine/nspawn/user.h"

#include "../image/scratch.h"

#include "base/str.h"

#define UUID "4f1c2a9e-0000-4000-8000-000000000001"

static const struct engine_identity identity = {
        .fresh = true,
        .hostname = "web-1",
        .machine_id = "0123456789abcdef0123456789abcdef",
        .mac = "52:54:00:12:34:56",
};

static struct engine_instance instance_of(const struct engine_machine *machine)
{
        return (struct engine_instance){
                .id = 12,
                .name = "web_1",
                .path = "clones/12/tree",
                .herd_uuid = UUID,
                .runtime = "/run/cowherd/4f1c2a9e/12",
                .root = "/var/lib/cowherd/clones/12/tree",
                .machine = machine,
                .identity = &identity,
        };
}

static void assert_words(const struct strv *argv, const char *expected)
{
        owned_string struct str line = {0};

        for (size_t i = 0; i < argv->count; i++)
                str_addf(&line, "%s%s", i == 0 ? "" : "\n", argv->items[i]);
        assert_string_equal(str_text(&line), expected);
}

#define BEGINNING                                                                                                      \
        "systemd-nspawn\n--quiet\n--register=no\n--keep-unit\n--link-journal=no\n--settings=no\n"                      \
        "--directory=/var/lib/cowherd/clones/12/tree\n--machine=cowherd-4f1c2a9e-12\n--hostname=web-1\n"               \
        "--uuid=0123456789abcdef0123456789abcdef\n"

static void a_machine_that_boots(void **state)
{
        const struct engine_machine machine = {0};
        struct engine_instance instance = instance_of(&machine);
        struct nspawn_plan plan = {.owners = NSPAWN_OWNERS_SHIFTED, .shift = 655360, .init = "systemd"};
        owned_strv struct strv argv = {0};

        (void)state;
        nspawn_arguments(&instance, &plan, &argv);
        assert_words(&argv, BEGINNING
                     "--private-users=655360:65536\n--private-users-ownership=off\n--console=read-only\n--boot");
}

static void a_machine_with_all_there_is(void **state)
{
        const struct engine_mount mounts[] = {{"/srv/a", "/mnt/a", false}, {"/srv/b", "/mnt/b", true}};
        const struct engine_machine machine = {
                .network = ENGINE_NETWORK_BRIDGE, .bridge = "br0", .mounts = mounts, .mount_count = 2};
        struct engine_instance instance = instance_of(&machine);
        const bool mapped[] = {true, false};
        struct nspawn_plan plan = {
                .owners = NSPAWN_OWNERS_MAPPED, .shift = 655360, .init = "systemd", .mounts_mapped = mapped};
        owned_strv struct strv argv = {0};

        (void)state;
        nspawn_arguments(&instance, &plan, &argv);
        assert_words(&argv, BEGINNING "--private-users=655360:65536\n--private-users-ownership=map\n"
                                      "--network-bridge=br0\n--bind=/srv/a:/mnt/a:idmap\n--bind-ro=/srv/b:/mnt/b\n"
                                      "--console=read-only\n--boot");
}

static void a_tree_without_an_init(void **state)
{
        const struct engine_machine machine = {.network = ENGINE_NETWORK_NONE};
        struct engine_instance instance = instance_of(&machine);
        struct nspawn_plan plan = {.owners = NSPAWN_OWNERS_HOST, .idle = {"/bin/sleep", "infinity", NULL}};
        owned_strv struct strv argv = {0};
        char note[256];

        (void)state;
        instance.identity = NULL;
        nspawn_arguments(&instance, &plan, &argv);
        assert_words(&argv, "systemd-nspawn\n--quiet\n--register=no\n--keep-unit\n--link-journal=no\n--settings=no\n"
                            "--directory=/var/lib/cowherd/clones/12/tree\n--machine=cowherd-4f1c2a9e-12\n"
                            "--private-network\n--console=read-only\n--as-pid2\n--\n/bin/sleep\ninfinity");
        nspawn_note(&plan, note, sizeof note);
        assert_contains(note, "no init");
        assert_contains(note, "without a user namespace");
}

static void an_identity_that_is_kept_is_not_said(void **state)
{
        const struct engine_machine machine = {0};
        struct engine_instance instance = instance_of(&machine);
        struct engine_identity kept = identity;
        struct nspawn_plan plan = {.init = "systemd"};
        owned_strv struct strv argv = {0};

        (void)state;
        kept.fresh = false;
        instance.identity = &kept;
        nspawn_arguments(&instance, &plan, &argv);
        for (size_t i = 0; i < argv.count; i++)
                assert_false(str_starts(argv.items[i], "--hostname") || str_starts(argv.items[i], "--uuid"));
}

static void a_scope_of_systemd(void **state)
{
        const struct engine_machine machine = {0};
        struct engine_instance instance = instance_of(&machine);
        const struct cgroup_limits limits = {.memory_bytes = 536870912, .cpus = 4096, .processes = 16384};
        owned_strv struct strv argv = {0};

        (void)state;
        nspawn_scope_arguments(&instance, &limits, &argv);
        assert_words(&argv, "systemd-run\n--quiet\n--scope\n--collect\n--slice=machine.slice\n"
                            "--unit=cowherd-4f1c2a9e-12.scope\n--description=cowherd container web_1\n"
                            "--property=Delegate=yes\n--property=TasksMax=16384\n--property=MemoryMax=536870912\n"
                            "--property=CPUQuota=409600%\n--");
}

static void ranges_of_a_herd_do_not_overlap(void **state)
{
        struct engine_instance instance = instance_of(NULL);
        uint32_t first = nspawn_id_shift(&instance), shift = first;

        (void)state;
        for (unsigned i = 1; i < 1000; i++) {
                instance.id++;
                uint32_t next = nspawn_id_shift(&instance);
                assert_int_equal(next % 65536, 0);
                assert_true(next >= 0x80000 && next <= 0x6fff0000);
                assert_int_not_equal(next, first);
                assert_int_not_equal(next, shift);
                shift = next;
        }
}

static void processors_are_chosen_round(void **state)
{
        char cpus[CGROUP_CPUS_BYTES];
        long all = sysconf(_SC_NPROCESSORS_CONF);

        (void)state;
        assert_false(cgroup_choose_cpus(&(struct cgroup_limits){.cpus = 0}, cpus));
        assert_false(cgroup_choose_cpus(&(struct cgroup_limits){.cpus = (uint64_t)all}, cpus));
        if (all < 2)
                return;
        assert_true(cgroup_choose_cpus(&(struct cgroup_limits){.cpus = 1, .first_cpu = (uint64_t)all + 1}, cpus));
        assert_string_equal(cpus, "1");
}

static void a_group_that_is_not_there_is_empty(void **state)
{
        struct cowherd_error err = {0};

        (void)state;
        assert_false(cgroup_is_populated("cowherd-nowhere/1"));
        assert_false(cgroup_is_frozen("cowherd-nowhere/1"));
        assert_int_equal(cgroup_wait_empty("cowherd-nowhere/1", 0, &err), 0);
        assert_int_equal(cgroup_kill("cowherd-nowhere/1", &err), 0);
        assert_int_equal(cgroup_remove("cowherd-nowhere/1", &err), 0);
        assert_true(cgroup_watch("cowherd-nowhere/1") < 0);
        assert_false(cgroup_has("cowherd-nowhere/1", getpid()));
}

/* ---- users ---- */

static int open_tree_of(const struct scratch *scratch)
{
        scratch_write(scratch, "etc/passwd",
                      "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1001:Bob:/home/bob:/bin/zsh\n"
                      "bad:x:abc:1:x:/:/bin/sh\nodd:x:7:7\nempty:x:8:8:::\n");
        scratch_write(scratch, "etc/group", "root:x:0:\nbob:x:1001:bob\nwheel:x:10:alice,bob\nother:x:11:bobby\n");
        return scratch->fd;
}

static void users_come_from_the_tree(void **state)
{
        struct cowherd_error err = {0};
        struct guest_user user = {0};
        int tree = open_tree_of(*state);

        assert_int_equal(guest_user_find(tree, "bob", &user, &err), 0);
        assert_int_equal(user.uid, 1000);
        assert_int_equal(user.gid, 1001);
        assert_int_equal(user.group_count, 2);
        assert_int_equal(user.groups[1], 10);
        assert_string_equal(user.home, "/home/bob");
        assert_string_equal(user.shell, "/bin/zsh");
        guest_user_free(&user);
        assert_int_equal(guest_user_find(tree, "1000", &user, &err), 0);
        assert_string_equal(user.name, "bob");
        guest_user_free(&user);
        assert_int_equal(guest_user_find(tree, NULL, &user, &err), 0);
        assert_string_equal(user.shell, "/bin/bash");
        guest_user_free(&user);
        assert_int_equal(guest_user_find(tree, "4242", &user, &err), 0);
        assert_int_equal(user.uid, 4242);
        assert_string_equal(user.home, "/");
        guest_user_free(&user);
        assert_int_equal(guest_user_find(tree, "empty", &user, &err), 0);
        assert_string_equal(user.home, "/");
        assert_string_equal(user.shell, "/bin/sh");
        guest_user_free(&user);
}

static void users_who_are_not_there(void **state)
{
        static const char *const names[] = {"alice", "bad", "odd", "-1", "4294967295", ""};
        int tree = open_tree_of(*state);

        for (size_t i = 0; i < array_length(names); i++) {
                struct cowherd_error err = {0};
                struct guest_user user;
                assert_int_equal(guest_user_find(tree, names[i], &user, &err), -1);
                assert_int_equal(err.code, COWHERD_NOT_FOUND);
        }
}

static void a_tree_without_users_has_root(void **state)
{
        const struct scratch *scratch = *state;
        struct cowherd_error err = {0};
        struct guest_user user = {0};

        assert_int_equal(symlinkat("/etc/passwd", scratch->fd, "planted"), 0);
        assert_int_equal(mkdirat(scratch->fd, "etc", 0755) | symlinkat("../planted", scratch->fd, "etc/passwd"), 0);
        assert_int_equal(guest_user_find(scratch->fd, "root", &user, &err), 0);
        assert_string_equal(user.home, "/root"); /* not read of the host, whose root may live elsewhere */
        assert_string_equal(user.shell, "/bin/sh");
        guest_user_free(&user);
}

/* ---- logs ---- */

static char *log_of(const struct scratch *scratch, uint64_t lines)
{
        struct engine_instance instance = {.id = 1, .name = "x", .runtime = scratch->path};
        struct cowherd_error err = {0};
        char *text = NULL;

        return engine_nspawn.logs(&instance, lines, &text, &err) < 0 ? NULL : text;
}

static void logs_are_their_last_lines(void **state)
{
        const struct scratch *scratch = *state;
        owned_str char *nothing = log_of(scratch, 5);

        assert_null(nothing);
        scratch_write(scratch, "console", "one\r\ntwo\r\nthree\r\n");
        owned_str char *last = log_of(scratch, 2), *all = log_of(scratch, 100), *one = log_of(scratch, 1);
        assert_string_equal(last, "two\nthree\n");
        assert_string_equal(all, "one\ntwo\nthree\n");
        assert_string_equal(one, "three\n");
        scratch_write(scratch, "console", "no end");
        owned_str char *open_end = log_of(scratch, 1);
        assert_string_equal(open_end, "no end");
        scratch_write(scratch, "console", "");
        owned_str char *empty = log_of(scratch, 3);
        assert_string_equal(empty, "");
}

/* A group of v1 bears whatever name a container gives it. */
static void only_its_own_line_tells_a_group(void **state)
{
        static const char text[] = "1:name=systemd:/cowherd/a/1/x0::/cowherd/b/2\n0::/cowherd/a/1/payload\n";

        (void)state;
        assert_true(cgroup_is_among(text, "cowherd/a/1"));
        assert_true(cgroup_is_among(text, "cowherd/a/1/payload"));
        assert_false(cgroup_is_among(text, "cowherd/a/10"));
        assert_false(cgroup_is_among(text, "cowherd/a/1/pay"));
        assert_false(cgroup_is_among(text, "cowherd/b/2"));
        assert_true(cgroup_is_among("0::/cowherd/a/1\n", "cowherd/a/1"));
        assert_false(cgroup_is_among("0::/\n", "cowherd/a/1"));
        assert_false(cgroup_is_among("", "cowherd/a/1"));
}

static void a_start_that_fails_tells_why(void **state)
{
        char *const nowhere[] = {(char *)(uintptr_t)"/nowhere", NULL}, *const none[] = {NULL};
        const struct cgroup_entry entry = {0};
        struct spawn spawn = {.argv = nowhere, .environment = none, .output = 1, .errors = 2, .entry = &entry};
        struct cowherd_error err;
        int pidfd;
        pid_t pid;

        (void)state;
        assert_int_equal(spawn_detached(&spawn, &pid, &pidfd, &err), -1);
        assert_non_null(strstr(err.text, "starting '/nowhere': cannot begin it: No such file"));
        spawn.pids_of = open("/dev/null", O_RDONLY | O_CLOEXEC); /* no process */
        assert_int_equal(spawn_detached(&spawn, &pid, &pidfd, &err), -1);
        assert_non_null(strstr(err.text, "cannot begin it: Invalid argument"));
        (void)close(spawn.pids_of);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_its_own_line_tells_a_group), cmocka_unit_test(a_start_that_fails_tells_why),
                cmocka_unit_test(a_machine_that_boots),        cmocka_unit_test(a_machine_with_all_there_is),
                cmocka_unit_test(a_tree_without_an_init),      cmocka_unit_test(an_identity_that_is_kept_is_not_said),
                cmocka_unit_test(a_scope_of_systemd),          cmocka_unit_test(ranges_of_a_herd_do_not_overlap),
                cmocka_unit_test(processors_are_chosen_round), cmocka_unit_test(a_group_that_is_not_there_is_empty),
                scratch_test(users_come_from_the_tree),        scratch_test(users_who_are_not_there),
                scratch_test(a_tree_without_users_has_root),   scratch_test(logs_are_their_last_lines),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
