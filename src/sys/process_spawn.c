/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_spawn(3): a vfork underneath, so that the cost does not grow with our memory. The child has an environment of
 * its own, default signals, /dev/null as stdin, and of our descriptors only those that `keep` names: every other is
 * closed, not trusting that whoever embeds this library opened all of his with O_CLOEXEC.
 */
#include "sys/process_spawn.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool is_program(const char *path)
{
        struct stat found;

        return stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
}

char *process_find(const char *program)
{
        if (strchr(program, '/') != NULL)
                return program[0] == '/' && is_program(program) ? x_strdup(program) : NULL;
        for (const char *at = PROCESS_PATH; *at != '\0' && program[0] != '\0';) {
                size_t length = strcspn(at, ":");
                owned_str char *path = x_asprintf("%.*s/%s", (int)length, at, program);
                if (is_program(path))
                        return take(path);
                at += length + (at[length] == ':');
        }
        return NULL;
}

static void make_environment(const struct process *process, struct strv *environment)
{
        static const char *const inherited[] = {"HOME",      "TERM",     "http_proxy", "https_proxy",
                                                "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                                                "FTP_PROXY", "NO_PROXY", "all_proxy",  "ALL_PROXY"};

        for (size_t i = 0; i < process->environment.count; i++)
                strv_add(environment, process->environment.items[i]); /* first: the first of a name counts */
        strv_add(environment, "PATH=" PROCESS_PATH);
        strv_add(environment, "LC_ALL=C");
        for (size_t i = 0; i < array_length(inherited); i++) {
                const char *value = getenv(inherited[i]);
                if (value != NULL)
                        strv_addf(environment, "%s=%s", inherited[i], value);
        }
}

/* A pipe whose descriptors are above 2, for the child's are put there one after the other. */
static int make_pipe(int *ret_read, int *ret_write, struct cowherd_error *err)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        for (int i = 0; i < 2; i++) {
                if (ends[i] > 2)
                        continue;
                int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3), os_errno = errno;
                close_at(&ends[i]);
                ends[i] = moved;
                errno = os_errno;
        }
        owned_fd int in = ends[0], out = ends[1];
        if (in < 0 || out < 0 || fcntl(in, F_SETFL, O_NONBLOCK) < 0)
                return fail_errno(err, "cannot make a pipe");
        *ret_read = take_fd(in);
        *ret_write = take_fd(out);
        return 0;
}

static bool is_kept(const struct process *process, int fd)
{
        for (unsigned i = 0; i < process->keep_count; i++)
                if (process->keep[i] == fd)
                        return true;
        return false;
}

/* Says which descriptors the child has. 0, or an error number. */
static int add_descriptors(posix_spawn_file_actions_t *actions, const struct process *process, int output, int errors)
{
        int highest = 2;

        int failed = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(actions, output, 1);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(actions, errors, 2);
        for (unsigned i = 0; i < process->keep_count && failed == 0; i++) {
                if (process->keep[i] <= 2)
                        return EBADF;
                int fd = process->keep[i];
                failed = posix_spawn_file_actions_adddup2(actions, fd, fd); /* clears close-on-exec */
                highest = fd > highest ? fd : highest;
        }
        for (int fd = 3; fd < highest && failed == 0; fd++)
                if (!is_kept(process, fd))
                        failed = posix_spawn_file_actions_addclose(actions, fd);
        return failed != 0 ? failed : posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
}

static int set_attributes(posix_spawnattr_t *attributes, bool grouped)
{
        sigset_t none, all;
        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (grouped ? POSIX_SPAWN_SETPGROUP : 0);

        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        int failed = posix_spawnattr_setflags(attributes, (short)flags);
        failed = failed != 0 ? failed : posix_spawnattr_setsigmask(attributes, &none);
        failed = failed != 0 ? failed : posix_spawnattr_setsigdefault(attributes, &all);
        return failed != 0 ? failed : posix_spawnattr_setpgroup(attributes, 0);
}

static int start(const struct process *process, const char *path, bool grouped, int output, int errors, pid_t *ret_pid)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        owned_strv struct strv environment = {0};
        pid_t pid = -1;

        make_environment(process, &environment);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                (void)posix_spawn_file_actions_destroy(&actions);
                return ENOMEM;
        }
        int failed = add_descriptors(&actions, process, output, errors);
        failed = failed != 0 ? failed : set_attributes(&attributes, grouped);
        failed = failed != 0 ? failed
                             : posix_spawn(&pid, path, &actions, &attributes, process->argv.items, environment.items);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (failed == 0)
                *ret_pid = pid;
        return failed;
}

int process_spawn(const struct process *process, bool grouped, struct child *ret, struct cowherd_error *err)
{
        const char *program = process->argv.items[0];
        owned_fd int output = -1, output_end = -1, errors = -1, errors_end = -1;
        owned_str char *path = process_find(program);
        pid_t pid;

        if (path == NULL) {
                (void)fail(err, COWHERD_UNAVAILABLE, "the program '%s' is not installed", program);
                return fail_hint(err, "it is looked for in %s", PROCESS_PATH);
        }
        if (make_pipe(&output, &output_end, err) < 0 || make_pipe(&errors, &errors_end, err) < 0)
                return -1;
        int failed = start(process, path, grouped, output_end, errors_end, &pid);
        if (failed != 0) {
                errno = failed;
                return fail_errno(err, "cannot start '%s'", program);
        }
        int pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
                (void)fail_errno(err, "cannot watch '%s'", program);
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                return -1;
        }
        *ret = (struct child){pid, pidfd, take_fd(output), take_fd(errors)};
        return 0;
}
