/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real cowherd-guest on this machine, over a pair of sockets, with a scratch folder for its root and nothing but files to change; spoken
 * to by the engine's own client.
 */
#include "engine/qemu/guest.h"

#include "../image/scratch.h"
#include "base/str.h"
#include "sys/clock.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOBODY 65534
#define KEY "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n"

static struct engine_identity identity;
static struct engine_instance instance = {.id = 1, .name = "vm-1", .folder = -1, .path = "none", .identity = &identity};

struct program {
        struct guest guest;
        pid_t pid;
        char root[64];
};

static void make_root(struct program *program)
{
        *program = (struct program){.guest = GUEST_CLOSED, .root = "/tmp/cowherd-guest-XXXXXX"};
        assert_non_null(mkdtemp(program->root));
}

/* Started where it may change nothing but files: no mount, no clock, no name of this machine. What is in its root is its own. */
static void become_nobody(int file, const char *root)
{
        char name[] = GUEST, port[] = "--port", fd[] = "fd:9", option[] = "--root";
        char *const words[] = {name, port, fd, option, x_strdup(root), NULL};

        if (geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0))
                (void)fexecve(file, words, environ);
        _exit(127);
}

static void start(struct program *program, bool as_nobody, bool greeted)
{
        owned_fd int file = open(GUEST, O_RDONLY | O_CLOEXEC);
        struct cowherd_error err;
        int ends[2];

        assert_true(file >= 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        program->pid = fork();
        if (program->pid == 0) {
                (void)dup2(ends[1], 9);
                if (as_nobody)
                        become_nobody(file, program->root);
                (void)execl(GUEST, GUEST, "--port", "fd:9", "--root", program->root, "--files-only", (char *)NULL);
                _exit(127);
        }
        (void)close(ends[1]);
        if (!greeted) {
                program->guest.fd = ends[0];
                program->guest.instance = &instance;
                return;
        }
        assert_int_equal(guest_greet(&instance, ends[0], &program->guest, &err), 0);
        assert_int_equal(guest_welcome(&program->guest, clock_ms() + 20000, &err), 0);
}

static void begin(struct program *program, bool greeted)
{
        make_root(program);
        start(program, false, greeted);
}

/* It ends with its port, and well. */
static void end(struct program *program)
{
        owned_str char *command = x_asprintf("rm -rf %s", program->root);
        int status = -1;

        guest_close(&program->guest);
        assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
        assert_int_equal(status, 0);
        assert_int_equal(system(command), 0);
}

static char *path_in(const struct program *program, const char *path)
{
        return x_asprintf("%s%s", program->root, path);
}

static void write_in(const struct program *program, const char *path, const char *text)
{
        owned_str char *file = path_in(program, path);
        FILE *stream = fopen(file, "we");

        assert_non_null(stream);
        assert_true(fputs(text, stream) >= 0);
        assert_int_equal(fclose(stream), 0);
}

static void expect_in(const struct program *program, const char *path, const char *text)
{
        owned_str char *file = path_in(program, path);
        char found[4096] = "";
        FILE *stream = fopen(file, "re");

        assert_non_null(stream);
        found[fread(found, 1, sizeof found - 1, stream)] = '\0';
        (void)fclose(stream);
        assert_string_equal(found, text);
}

static void make_folder(const struct program *program, const char *path)
{
        owned_str char *folder = path_in(program, path);

        assert_int_equal(mkdir(folder, 0755), 0);
}

/* ---- Commands ---- */

static struct engine_output run(struct program *program, const char *script, const char *input)
{
        const char *const words[] = {"/bin/sh", "-c", script, NULL};
        const struct engine_command command = {
                .argv = words, .input = input, .input_length = input == NULL ? 0 : strlen(input), .working_dir = "/"};
        struct engine_output output = {0};
        struct cowherd_error err = {0};

        int result = guest_execute(&program->guest, &command, &output, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(result, 0);
        return output;
}

static void expect_run(struct program *program, const char *script, const char *input, int code, const char *out, const char *errors)
{
        struct engine_output output = run(program, script, input);

        assert_int_equal(output.exit_code, code);
        assert_string_equal(output.out, out);
        assert_string_equal(output.errors, errors);
        engine_output_free(&output);
}

static void test_commands(void **state)
{
        struct program program;

        (void)state;
        begin(&program, true);
        expect_run(&program, "echo out; echo errors >&2; exit 3", NULL, 3, "out\n", "errors\n");
        expect_run(&program, "cat; cat", "some input", 0, "some input", "");
        expect_run(&program, "cat", "", 0, "", "");
        expect_run(&program, "kill -TERM $$", NULL, 143, "", "");
        expect_run(&program, "pwd; ls /proc/self/fd | wc -l", NULL, 0, "/\n4\n", ""); /* nothing of ours is inherited */
        expect_run(&program, "trap '' PIPE; kill -USR1 $$ || true", NULL, 138, "", "");
        end(&program);
}

static void test_much_both_ways(void **state)
{
        struct program program;
        size_t length = 3 << 20;
        char *input = x_malloc(length + 1);

        (void)state;
        for (size_t i = 0; i < length; i++)
                input[i] = (char)('a' + i * 31 % 23);
        input[length] = '\0';
        begin(&program, true);
        struct engine_output output = run(&program, "cat; head -c 100000 /dev/zero >&2", input);
        assert_int_equal(output.out_length, length);
        assert_memory_equal(output.out, input, length);
        assert_int_equal(output.errors_length, 100000);
        engine_output_free(&output);
        expect_run(&program, "exit 0", input, 0, "", ""); /* which reads none of it */
        end(&program);
        free(input);
}

/* Has it begin a command on channel 9, whose frames the test takes itself. */
static void begin_command(struct program *program, const char *const *words)
{
        const struct engine_command command = {.argv = words};
        owned_string struct str request = {0}, out = {0};
        struct cowherd_error err;

        assert_int_equal(guest_run_request(&command, NULL, &request, &err), 0);
        guest_frame_add(&out, GUEST_RUN, 9, request.data, request.length);
        assert_int_equal(guest_send(&program->guest, &out, clock_ms() + 5000, &err), 0);
}

/* Were it read for as long as something comes, to a host that is slow, this command would never end: its pipe holds more than a port. */
static void test_what_goes_on_writing_is_not_waited_for(void **state)
{
        static const char script[] = "python3 -c 'import fcntl; fcntl.fcntl(1, 1031, 1 << 20)'; cat /dev/zero & sleep 0.1; exit 5"; /* F_SETPIPE_SZ */
        static const char *const words[] = {"/bin/sh", "-c", script, NULL};
        struct guest_frame frame = {0};
        struct cowherd_error err;
        struct program program;

        (void)state;
        begin(&program, true);
        begin_command(&program, words);
        for (size_t total = 0; frame.type != GUEST_ENDED; total += frame.length) {
                assert_true(total < 16 << 20);
                assert_int_equal(guest_next(&program.guest, clock_ms() + 5000, &frame, &err), 0);
                (void)usleep(1000);
        }
        assert_int_equal(frame.payload[0], 5);
        end(&program);
}

static void test_all_that_it_wrote_is_sent(void **state)
{
        struct program program;

        (void)state;
        begin(&program, true);
        struct engine_output output = run(&program, "setsid sleep 1 & head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2", NULL);
        assert_int_equal(output.out_length, 60000);
        assert_int_equal(output.errors_length, 60000);
        engine_output_free(&output);
        end(&program);
}

static void expect_failure(struct program *program, const struct engine_command *command, enum cowherd_code code, const char *text)
{
        struct engine_output output = {0};
        struct cowherd_error err = {0};

        assert_int_equal(guest_execute(&program->guest, command, &output, &err), -1);
        assert_int_equal(err.code, code);
        assert_non_null(strstr(err.text, text));
}

static void test_what_is_not_there(void **state)
{
        static const char *const absent[] = {"/nope", NULL}, *const folder[] = {"/tmp", NULL}, *const fine[] = {"/bin/true", NULL};
        struct program program;

        (void)state;
        begin(&program, true);
        expect_failure(&program, &(struct engine_command){.argv = absent}, COWHERD_NOT_FOUND, "command '/nope' not found");
        expect_failure(&program, &(struct engine_command){.argv = folder}, COWHERD_DENIED, "can't be run");
        expect_failure(&program, &(struct engine_command){.argv = fine, .working_dir = "/nope"}, COWHERD_NOT_FOUND, "working_dir '/nope'");
        expect_failure(&program, &(struct engine_command){.argv = fine, .user = "nobody-here"}, COWHERD_NOT_FOUND, "user 'nobody-here'");
        expect_failure(&program, &(struct engine_command){.argv = fine, .user = "a:b"}, COWHERD_USAGE, "user");
        expect_run(&program, "echo on", NULL, 0, "on\n", "");
        end(&program);
}

static void test_the_time_ends_all_that_was_started(void **state)
{
        static const char *const words[] = {"/bin/sh", "-c", "setsid sh -c 'setsid sleep 7531 & sleep 7531' & sleep 7531 & sleep 7531", NULL};
        const struct engine_command command = {.argv = words, .timeout_ms = 200};
        struct program program;

        (void)state;
        begin(&program, true);
        expect_failure(&program, &command, COWHERD_BUSY, "took longer than 200 ms");
        expect_run(&program, "pgrep -fx 'sleep 7531' | wc -l", NULL, 0, "0\n", "");
        end(&program);
}

static void test_its_end_is_that_of_its_commands(void **state)
{
        struct program program;
        static const char *const words[] = {"/bin/sh", "-c", "sleep 7532 & sleep 7532", NULL};
        struct cowherd_error err;
        struct guest_frame frame;

        (void)state;
        begin(&program, true);
        begin_command(&program, words);
        assert_int_equal(guest_next(&program.guest, clock_ms() + 5000, &frame, &err), 0);
        assert_int_equal(frame.type, GUEST_STARTED);
        assert_int_equal(guest_ask(&program.guest, GUEST_PING, NULL, GUEST_DONE, 5000, &frame, &err), 0);
        assert_int_equal(frame.payload[0], 1);
        /* another session */
        int fd = dup(program.guest.fd);
        guest_close(&program.guest);
        assert_int_equal(guest_greet(&instance, fd, &program.guest, &err), 0);
        assert_int_equal(guest_welcome(&program.guest, clock_ms() + 5000, &err), 0);
        expect_run(&program, "n=100; while pgrep -fx 'sleep 7532' >/dev/null; do sleep 0.05; n=$((n-1)); [ $n -gt 0 ] || exit 1; done", NULL, 0,
                   "", "");
        end(&program);
}

/* ---- Identities ---- */

static char *personalise_as(struct program *program, bool woken)
{
        const struct guest_wish wish = {.sync = true, .woken = woken};
        static char pending[512];
        struct cowherd_error err = {0};

        int result = guest_personalise(&program->guest, &wish, 5000, pending, sizeof pending, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(result, 0);
        return pending;
}

static char *personalise(struct program *program)
{
        return personalise_as(program, false);
}

static void test_an_identity(void **state)
{
        struct program program;

        (void)state;
        begin(&program, true);
        make_folder(&program, "/etc");
        make_folder(&program, "/etc/ssh");
        write_in(&program, "/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old\n::1 six");
        write_in(&program, "/etc/ssh/ssh_host_rsa_key", "old");
        owned_str char *trap = path_in(&program, "/etc/hostname"), *moduli = path_in(&program, "/etc/ssh/moduli"),
                       *old = path_in(&program, "/etc/ssh/ssh_host_rsa_key");
        write_in(&program, "/etc/ssh/moduli", "stays");
        assert_int_equal(symlink("/tmp/cowherd-guest-trap", trap), 0);
        identity = (struct engine_identity){.fresh = true,
                                            .hostname = "web-1",
                                            .machine_id = "0123456789abcdef0123456789abcdef",
                                            .instance_id = "iid-1",
                                            .random_seed = "0011",
                                            .host_key = KEY,
                                            .host_key_public = "ssh-ed25519 AAAA\n",
                                            .ssh_key = "ssh-ed25519 BBBB me"};
        assert_string_equal(personalise(&program), "");
        expect_in(&program, "/etc/hostname", "web-1\n");
        assert_int_equal(access("/tmp/cowherd-guest-trap", F_OK), -1); /* the link was replaced, not followed */
        expect_in(&program, "/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tweb-1\n::1 six\n");
        expect_in(&program, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        expect_in(&program, "/etc/ssh/ssh_host_ed25519_key", KEY);
        expect_in(&program, "/root/.ssh/authorized_keys", "ssh-ed25519 BBBB me\n");
        expect_in(&program, "/var/lib/cowherd/instance-id", "iid-1\n");
        assert_int_equal(access(old, F_OK), -1);
        assert_int_equal(access(moduli, F_OK), 0);
        identity.hostname = "web-2";
        assert_string_equal(personalise(&program), "");
        expect_in(&program, "/etc/hostname", "web-1\n");
        expect_in(&program, "/root/.ssh/authorized_keys", "ssh-ed25519 BBBB me\n");
        end(&program);
}

static size_t size_of(const struct program *program, const char *path)
{
        owned_str char *file = path_in(program, path);
        struct stat found;

        assert_int_equal(stat(file, &found), 0);
        return (size_t)found.st_size;
}

static void test_folders_that_lead_out(void **state)
{
        struct program program;

        (void)state;
        begin(&program, true);
        owned_str char *etc = path_in(&program, "/etc"), *outside = x_asprintf("%s-outside", program.root);
        owned_str char *made = x_asprintf("%s/hostname", outside);
        assert_int_equal(mkdir(outside, 0755), 0);
        assert_int_equal(symlink(outside, etc), 0); /* inside of the root this is a folder that is not there */
        identity = (struct engine_identity){.fresh = true, .hostname = "web-1", .instance_id = "iid-1"};
        assert_non_null(strstr(personalise(&program), "/etc/hostname: No such file"));
        assert_int_equal(access(made, F_OK), -1);
        assert_int_equal(rmdir(outside), 0);
        end(&program);
}

/* What is too long to be looked through may be written over by nobody: others' lines would be lost. */
static void test_what_cannot_be_read_stays(void **state)
{
        struct program program;
        size_t length = 300 << 10;
        owned_str char *text = x_malloc(length + 1);

        (void)state;
        memset(text, '#', length);
        text[length] = '\0';
        begin(&program, true);
        make_folder(&program, "/etc");
        make_folder(&program, "/root");
        make_folder(&program, "/root/.ssh");
        write_in(&program, "/etc/hosts", text);
        write_in(&program, "/root/.ssh/authorized_keys", text);
        identity = (struct engine_identity){.fresh = true, .hostname = "web-1", .instance_id = "iid-1", .ssh_key = "ssh-ed25519 BBBB me"};
        const char *pending = personalise(&program);
        assert_non_null(strstr(pending, "/etc/hosts: File too large"));
        assert_non_null(strstr(pending, "/root/.ssh/authorized_keys: File too large"));
        assert_int_equal(size_of(&program, "/etc/hosts"), length);
        assert_int_equal(size_of(&program, "/root/.ssh/authorized_keys"), length);
        expect_in(&program, "/etc/hostname", "web-1\n");
        end(&program);
}

static ino_t inode_of(const struct program *program, const char *path)
{
        owned_str char *file = path_in(program, path);
        struct stat found;

        assert_int_equal(lstat(file, &found), 0);
        return found.st_ino;
}

/* On a disk of its own that is as new as the identity there is nothing to lose: but what others see too is not written over. */
static void test_who_woke_writes_over(void **state)
{
        struct program program;
        struct cowherd_error err;

        (void)state;
        begin(&program, true);
        make_folder(&program, "/etc");
        write_in(&program, "/etc/hostname", "a longer name than the new one\n");
        write_in(&program, "/shared", "old\n");
        owned_str char *shared = path_in(&program, "/shared"), *machine = path_in(&program, "/etc/machine-id"), *hosts = path_in(&program, "/etc/hosts");
        assert_int_equal(link(shared, machine), 0);
        assert_int_equal(symlink("/shared", hosts), 0);
        ino_t before = inode_of(&program, "/etc/hostname");
        identity = (struct engine_identity){.fresh = true, .hostname = "web-1", .machine_id = "0123456789abcdef0123456789abcdef", .instance_id = "iid-1"};
        assert_int_equal(guest_prepare(&program.guest, &err), 0);
        assert_string_equal(personalise_as(&program, true), "");
        expect_in(&program, "/etc/hostname", "web-1\n");
        assert_int_equal(inode_of(&program, "/etc/hostname"), before);
        expect_in(&program, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        expect_in(&program, "/etc/hosts", "old\n127.0.1.1\tweb-1\n");
        expect_in(&program, "/shared", "old\n");
        end(&program);
}

/* One that was brought: nothing of it is left but the process. */
static void test_a_temporary_one_removes_its_file(void **state)
{
        char folder[] = "/tmp/cowherd-guest-brought-XXXXXX";
        struct program program = {.guest = GUEST_CLOSED};
        struct cowherd_error err;
        int ends[2];

        (void)state;
        assert_non_null(mkdtemp(folder));
        owned_str char *file = x_asprintf("%s/cowherd-guest", folder), *copy = x_asprintf("cp %s %s", GUEST, file);
        assert_int_equal(system(copy), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        program.pid = fork();
        if (program.pid == 0) {
                (void)dup2(ends[1], 9);
                (void)execl(file, file, "--temporary", "--port", "fd:9", "--files-only", (char *)NULL);
                _exit(127);
        }
        (void)close(ends[1]);
        assert_int_equal(guest_greet(&instance, ends[0], &program.guest, &err), 0);
        assert_int_equal(guest_welcome(&program.guest, clock_ms() + 20000, &err), 0);
        assert_int_equal(access(folder, F_OK), -1);
        expect_run(&program, "echo alive", NULL, 0, "alive\n", "");
        guest_close(&program.guest);
        int status = -1;
        assert_int_equal(waitpid(program.pid, &status, 0), program.pid);
        assert_int_equal(status, 0);
}

/* A machine that has no ports, or whose ports another serves: what a promote that was killed had started. */
static void test_a_temporary_one_that_has_nothing_to_serve_ends(void **state)
{
        char folder[] = "/tmp/cowherd-guest-brought-XXXXXX", said[256] = "";

        (void)state;
        assert_non_null(mkdtemp(folder));
        owned_str char *command = x_asprintf("cp %s %s/cowherd-guest && { timeout 5 %s/cowherd-guest --temporary 2>&1; echo $?; }", GUEST, folder, folder);
        FILE *stream = popen(command, "re");
        assert_non_null(stream);
        said[fread(said, 1, sizeof said - 1, stream)] = '\0';
        (void)pclose(stream);
        assert_string_equal(said, "cowherd-guest: cannot listen for ports 'org.cowherd.guest.': Device or resource busy\n71\n");
        assert_int_equal(access(folder, F_OK), -1);
}

/* ---- What a woken one can't do ---- */

#define SHOWN "/proc/sys/kernel/random/boot_id"
#define LAID "/run/cowherd/boot-id"
#define UNLAID "boot-id: the boot id: Operation not permitted; "
#define UNSET "clock: the clock: Operation not permitted; "

/* A root with a kernel's files in it, whose boot id is "old"; what should be laid over it is laid over this machine's, which nobody may. */
static void begin_woken(struct program *program)
{
        make_root(program);
        owned_str char *folders = x_asprintf("mkdir -p %s/proc/sys/kernel/random %s/run/cowherd %s/etc", program->root, program->root, program->root);
        owned_str char *given = x_asprintf("chown -R %d:%d %s", NOBODY, NOBODY, program->root);
        assert_int_equal(system(folders), 0);
        write_in(program, SHOWN, "old\n");
        write_in(program, "/proc/sys/kernel/random/uuid", "fresh\n");
        write_in(program, LAID, "");
        if (geteuid() == 0)
                assert_int_equal(system(given), 0);
        start(program, true, true);
}

/* What went wrong, "STEP: WHY; " of each. */
static char *give(struct program *program, const struct guest_identity *wanted)
{
        owned_string struct str request = {0}, told = {0};
        struct cowherd_error err;
        struct guest_frame frame;

        guest_identity_put(&request, wanted);
        assert_int_equal(guest_ask(&program->guest, GUEST_IDENTITY, &request, GUEST_STEPS, 20000, &frame, &err), 0);
        struct guest_reader reader = {.at = frame.payload, .left = frame.length};
        while (reader.left > 0 && !reader.bad) {
                owned_str char *name = guest_get_text(&reader, 4096), *problem = guest_get_text(&reader, 4096);
                if (problem[0] != '\0')
                        str_addf(&told, "%s: %s; ", name, problem);
        }
        assert_false(reader.bad);
        return x_strdup(str_text(&told));
}

static void expect_given(struct program *program, const struct guest_identity *wanted, const char *problems)
{
        owned_str char *told = give(program, wanted);

        assert_string_equal(told, problems);
}

static bool is_in(const struct program *program, const char *path)
{
        owned_str char *file = path_in(program, path);

        return access(file, F_OK) == 0;
}

/* As a mount would: what is shown is what is in the file. */
static void lay(const struct program *program)
{
        owned_str char *shown = path_in(program, SHOWN);

        assert_int_equal(unlink(shown), 0);
        assert_int_equal(symlink(LAID, shown), 0);
}

/* All else is its own; the rest is told, now and as often as somebody asks, and it is not marked as done until it is. */
static void test_a_boot_id_that_can_not_be_laid(void **state)
{
        struct guest_identity wanted = {.machine_id = (char[]){"0123456789abcdef0123456789abcdef"}, .instance_id = (char[]){"iid-1"},
                                        .wall_ns = clock_wall_ms() * 1000000, .sync = true};
        struct program program;

        (void)state;
        begin_woken(&program);
        expect_given(&program, &wanted, UNSET UNLAID);
        expect_in(&program, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        expect_in(&program, SHOWN, "old\n");
        assert_false(is_in(&program, "/var/lib/cowherd/instance-id"));
        wanted.wall_ns = 0; /* who waits until it is ready */
        expect_given(&program, &wanted, UNLAID);
        assert_false(is_in(&program, "/var/lib/cowherd/instance-id"));
        lay(&program);
        expect_given(&program, &wanted, "");
        expect_in(&program, "/var/lib/cowherd/instance-id", "iid-1\n");
        expect_in(&program, LAID, "fresh\n");
        end(&program);
}

/* Who is to be copied gets a file of what it has: where that can't be laid, who wakes must not find it and take it for laid. */
static void test_what_could_not_be_prepared_leaves_nothing(void **state)
{
        struct program program;
        struct cowherd_error err;

        (void)state;
        begin_woken(&program);
        assert_int_equal(guest_prepare(&program.guest, &err), 0);
        expect_in(&program, LAID, "");
        owned_str char *laid = path_in(&program, LAID);
        assert_int_equal(unlink(laid), 0);
        assert_int_equal(guest_prepare(&program.guest, &err), 0);
        assert_false(is_in(&program, LAID));
        end(&program);
}

static void test_a_boot_id_is_believed_when_it_is_shown(void **state)
{
        const struct guest_identity wanted = {.instance_id = (char[]){"iid-1"}, .wall_ns = clock_wall_ms() * 1000000, .sync = true};
        struct program program;

        (void)state;
        begin_woken(&program);
        write_in(&program, LAID, "old\n"); /* the same words, over nothing */
        expect_given(&program, &wanted, UNSET UNLAID);
        expect_in(&program, SHOWN, "old\n");
        lay(&program);
        write_in(&program, "/proc/sys/kernel/random/uuid", "another\n");
        expect_given(&program, &wanted, UNSET);
        expect_in(&program, LAID, "another\n");
        end(&program);
}

/* Has every syncfs(2) of ours and of those we start wait for an answer, which comes from what is returned. For good: the last test. */
static int hold_syncs(void)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_syncfs, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = array_length(filter), .filter = filter};

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        if (fd < 0)
                print_error("system calls can't be held here, by seccomp(2): %s\n", strerror(errno));
        assert_true(fd >= 0);
        return fd;
}

static uint64_t expect_sync(int held)
{
        struct pollfd polled = {.fd = held, .events = POLLIN};
        struct seccomp_notif asked = {0};

        assert_int_equal(poll(&polled, 1, 10000), 1);
        assert_int_equal(ioctl(held, SECCOMP_IOCTL_NOTIF_RECV, &asked), 0);
        return asked.id;
}

static void let_sync(int held, uint64_t id)
{
        struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

        assert_int_equal(ioctl(held, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
}

/* Nobody waits for the files of an identity to be on the disk; but those of the last get there too, however long the one before takes. */
static void test_each_identity_is_synced(void **state)
{
        const struct guest_wish wish = {.woken = true};
        struct program program;
        struct cowherd_error err;
        char pending[512];

        (void)state;
        int held = hold_syncs();
        begin(&program, true);
        make_folder(&program, "/etc");
        identity = (struct engine_identity){.fresh = true, .hostname = "web-1", .instance_id = "iid-1"};
        assert_int_equal(guest_personalise(&program.guest, &wish, 5000, pending, sizeof pending, &err), 0);
        uint64_t first = expect_sync(held);
        identity = (struct engine_identity){.fresh = true, .hostname = "web-2", .instance_id = "iid-2"};
        assert_int_equal(guest_personalise(&program.guest, &wish, 5000, pending, sizeof pending, &err), 0);
        let_sync(held, first);
        let_sync(held, expect_sync(held));
        end(&program);
        (void)close(held);
}

/* ---- Nonsense ---- */

static void test_nonsense_is_survived(void **state)
{
        struct program program;
        owned_string struct str bytes = {0};
        struct cowherd_error err;
        unsigned seed = 1;

        (void)state;
        begin(&program, false);
        for (unsigned type = 0; type < 256; type++)
                if (type != GUEST_POWER && type != GUEST_RUN)
                        for (size_t length = 0; length < 40; length += 3) {
                                char payload[64];
                                for (size_t i = 0; i < length; i++)
                                        payload[i] = (char)(rand_r(&seed) % 5 == 0 ? rand_r(&seed) : 0);
                                guest_frame_add(&bytes, (enum guest_type)type, type, payload, length);
                        }
        for (size_t i = 0; i < 200000; i++)
                str_add_char(&bytes, (char)rand_r(&seed));
        int fd = program.guest.fd;
        /* Its answers are read meanwhile, or both would wait for each other. */
        for (size_t sent = 0; sent < bytes.length;) {
                char piece[4096];
                ssize_t done = send(fd, bytes.data + sent, bytes.length - sent > 4096 ? 4096 : bytes.length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                sent += done > 0 ? (size_t)done : 0;
                while (recv(fd, piece, sizeof piece, MSG_DONTWAIT) > 0)
                        ;
                assert_true(done > 0 || errno == EAGAIN);
        }
        assert_int_equal(guest_greet(&instance, fd, &program.guest, &err), 0);
        assert_int_equal(guest_welcome(&program.guest, clock_ms() + 20000, &err), 0);
        expect_run(&program, "echo alive", NULL, 0, "alive\n", "");
        end(&program);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_commands),
                cmocka_unit_test(test_much_both_ways),
                cmocka_unit_test(test_what_goes_on_writing_is_not_waited_for),
                cmocka_unit_test(test_all_that_it_wrote_is_sent),
                cmocka_unit_test(test_what_is_not_there),
                cmocka_unit_test(test_the_time_ends_all_that_was_started),
                cmocka_unit_test(test_its_end_is_that_of_its_commands),
                cmocka_unit_test(test_an_identity),
                cmocka_unit_test(test_folders_that_lead_out),
                cmocka_unit_test(test_what_cannot_be_read_stays),
                cmocka_unit_test(test_who_woke_writes_over),
                cmocka_unit_test(test_a_temporary_one_removes_its_file),
                cmocka_unit_test(test_a_temporary_one_that_has_nothing_to_serve_ends),
                cmocka_unit_test(test_a_boot_id_that_can_not_be_laid),
                cmocka_unit_test(test_what_could_not_be_prepared_leaves_nothing),
                cmocka_unit_test(test_a_boot_id_is_believed_when_it_is_shown),
                cmocka_unit_test(test_nonsense_is_survived),
                cmocka_unit_test(test_each_identity_is_synced),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
