/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before going in: who the user is, what the payload's limits are, which namespaces differ from ours. All of it is read
 * of the container's PID 1, whose pidfd is held throughout; enter_child.c then goes.
 */
#include "engine/nspawn/enter.h"

#include "engine/nspawn/enter_child.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define GROUP_DIGITS 8
#define PAYLOAD "payload" /* the group that nspawn hands to the container, whose init may move what is in it */

/* All that way_in borrows. */
struct preparing {
        struct nspawn_leader leader;
        struct guest_user user;
        struct seccomp_filters filters;
        struct cgroup_entry entry;
        struct strv argv, environment, programs;
        struct way_in way;
};

static void preparing_free(struct preparing *p)
{
        nspawn_leader_close(&p->leader);
        guest_user_free(&p->user);
        seccomp_filters_free(&p->filters);
        cgroup_entry_close(&p->entry);
        strv_free(&p->argv);
        strv_free(&p->environment);
        strv_free(&p->programs);
        for (int end = 0; end < 2; end++) {
                close_at(&p->way.pid[end]);
                close_at(&p->way.error[end]);
        }
}
define_owned(struct preparing, preparing_free)

static void find_namespaces(pid_t leader, struct way_in *way)
{
        static const struct {
                const char *name;
                int flag;
        } all[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},      {"uts", CLONE_NEWUTS},
                   {"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}};

        for (size_t i = 0; i < array_length(all); i++) {
                char ours[48], theirs[48];
                struct stat own, other;
                (void)snprintf(ours, sizeof ours, "/proc/self/ns/%s", all[i].name);
                (void)snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", leader, all[i].name);
                if (stat(ours, &own) == 0 && stat(theirs, &other) == 0 &&
                    (own.st_ino != other.st_ino || own.st_dev != other.st_dev))
                        way->namespaces |= all[i].flag;
        }
        way->own_users = (way->namespaces & CLONE_NEWUSER) != 0;
}

static int find_capabilities(pid_t leader, uint64_t *ret, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/proc/%d/status", leader), *text = NULL;
        unsigned long long set;

        if (file_read(AT_FDCWD, path, 65536, &text, NULL, err) < 0)
                return -1;
        const char *line = strstr(text, "\nCapBnd:");
        if (line == NULL || sscanf(line, "\nCapBnd: %llx", &set) != 1)
                return fail(err, COWHERD_SYSTEM, "cannot learn the capabilities of a container");
        *ret = set;
        return 0;
}

/* The value of a variable among the command's own, or NULL. */
static const char *variable(const struct engine_command *command, const char *name)
{
        size_t length = strlen(name);

        for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++)
                if (strncmp(command->environment[i], name, length) == 0 && command->environment[i][length] == '=')
                        return command->environment[i] + length + 1;
        return NULL;
}

static void add_default(struct preparing *p, const struct engine_command *command, const char *name, const char *value)
{
        if (value != NULL && variable(command, name) == NULL)
                strv_addf(&p->environment, "%s=%s", name, value);
}

static void make_environment(struct preparing *p, const struct enter *enter)
{
        const struct engine_command *command = enter->command;

        add_default(p, command, "PATH", GUEST_PATH);
        add_default(p, command, "HOME", p->user.home);
        add_default(p, command, "USER", p->user.name);
        add_default(p, command, "LOGNAME", p->user.name);
        add_default(p, command, "SHELL", p->user.shell);
        add_default(p, command, "TERM", enter->term);
        add_default(p, command, "container", "systemd-nspawn");
        for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++)
                strv_add(&p->environment, command->environment[i]);
}

/* The words of the command, and the files that may be its program: itself, or in each folder of the guest's PATH. */
static void make_argv(struct preparing *p, const struct engine_command *command)
{
        const char *const *words = command->argv, *path = variable(command, "PATH");
        const char *program = words == NULL ? p->user.shell : words[0];

        if (words == NULL) {
                const char *slash = strrchr(p->user.shell, '/');
                strv_addf(&p->argv, "-%s", slash == NULL ? p->user.shell : slash + 1); /* a login shell */
        }
        for (size_t i = 0; words != NULL && words[i] != NULL; i++)
                strv_add(&p->argv, words[i]);
        if (strchr(program, '/') != NULL) {
                strv_add(&p->programs, program);
                return;
        }
        for (const char *at = path == NULL ? GUEST_PATH : path; *at != '\0';) {
                int length = (int)strcspn(at, ":");
                if (length > 0)
                        strv_addf(&p->programs, "%.*s/%s", length, at, program);
                at += length + (at[length] == ':');
        }
        if (p->programs.count == 0)
                strv_add(&p->programs, program);
}

static int prepare(struct preparing *p, const struct enter *enter, struct entered *entered, struct cowherd_error *err)
{
        const struct engine_instance *instance = enter->instance;
        char digits[2 * GROUP_DIGITS + 1], name[32], cgroup[CGROUP_PATH_BYTES];
        owned_fd int root = -1;

        if (nspawn_expect_running(instance, err) < 0)
                return -1;
        if (!nspawn_find_leader(instance, &p->leader))
                return fail(err, COWHERD_UNAVAILABLE, "the processes of container '%s' can't be seen from here",
                            instance->name);
        if (nspawn_open_root(instance, &root, err) < 0 ||
            guest_user_find(root, enter->command->user, &p->user, err) < 0)
                return -1;
        if (seccomp_filters_load(instance, p->leader.pid, &p->filters, err) < 0 ||
            find_capabilities(p->leader.pid, &p->way.capabilities, err) < 0)
                return -1;
        find_namespaces(p->leader.pid, &p->way);
        make_environment(p, enter);
        make_argv(p, enter->command);
        (void)snprintf(name, sizeof name, "exec-%s", random_hex(GROUP_DIGITS, digits));
        int length = snprintf(entered->cgroup, sizeof entered->cgroup, "%s/" PAYLOAD "/%s",
                              nspawn_cgroup(instance, cgroup), name);
        if (length < 0 || (size_t)length >= sizeof entered->cgroup)
                return fail(err, COWHERD_INTERNAL, "the name of a control group is too long");
        if (pipe2(p->way.pid, O_CLOEXEC) < 0 || pipe2(p->way.error, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        return cgroup_make_below(cgroup, PAYLOAD, name, &p->entry, err);
}

static void complete(struct preparing *p, const struct enter *enter)
{
        struct way_in *way = &p->way;

        way->leader = p->leader.pidfd;
        way->filters = &p->filters;
        way->user = &p->user;
        way->entry = &p->entry;
        way->argv = p->argv.items;
        way->environment = p->environment.items;
        way->programs = p->programs.items;
        way->working_dir = enter->command->working_dir != NULL ? enter->command->working_dir : p->user.home;
        way->folder_is_home = enter->command->working_dir == NULL;
        memcpy(way->streams, enter->streams, sizeof way->streams);
        way->terminal = enter->terminal;
}

static int fail_way(const struct preparing *p, const struct engine_instance *instance, struct way_failure failure,
                    struct cowherd_error *err)
{
        static const char *const steps[] = {
                [WAY_GROUPS] = "enter its control groups",
                [WAY_NAMESPACES] = "enter its namespaces",
                [WAY_FORK] = "fork in it",
                [WAY_TERMINAL] = "give it a terminal",
                [WAY_LIMITS] = "take on its limits",
                [WAY_USER] = "become its user",
        };
        const char *program = p->argv.items[0];

        errno = failure.os_errno;
        if (failure.step == WAY_FOLDER)
                return fail_errno(err, "cannot enter the folder '%s' in '%s'", p->way.working_dir, instance->name);
        if (failure.step == WAY_PROGRAM && failure.os_errno == ENOENT)
                return fail(err, COWHERD_NOT_FOUND, "program '%s' not found in '%s'", program, instance->name);
        if (failure.step == WAY_PROGRAM)
                return fail_errno(err, "cannot run '%s' in '%s'", program, instance->name);
        bool known = failure.step >= 0 && (size_t)failure.step < array_length(steps);
        return fail_errno(err, "container '%s': cannot %s", instance->name, known ? steps[failure.step] : "enter it");
}

static bool read_whole(int fd, void *buffer, size_t bytes)
{
        ssize_t got;

        do {
                got = read(fd, buffer, bytes);
        } while (got < 0 && errno == EINTR);
        return got == (ssize_t)bytes;
}

static void close_end(int pipe[2], int end)
{
        (void)close(pipe[end]);
        pipe[end] = -1;
}

static void await(pid_t pid)
{
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
}

/* Forks the first process, learns of the second, and whether it became the command. */
static int go(struct preparing *p, const struct engine_instance *instance, struct entered *entered,
              struct cowherd_error *err)
{
        struct way_failure failure;

        bool inside;
        pid_t first = cgroup_fork(&p->entry, &inside);
        if (first == 0)
                way_in_go(&p->way, inside);
        if (first < 0)
                return fail_errno(err, "cannot fork");
        close_end(p->way.pid, 1);
        close_end(p->way.error, 1);
        bool born = read_whole(p->way.pid[0], &entered->pid, sizeof entered->pid);
        await(first);
        bool failed = read_whole(p->way.error[0], &failure, sizeof failure);
        if (born && failed)
                await(entered->pid);
        if (failed)
                return fail_way(p, instance, failure, err);
        if (!born)
                return fail(err, COWHERD_BUSY, "container '%s' ended meanwhile", instance->name);
        entered->pidfd = pidfd_open(entered->pid, 0); /* our own child, not waited for: it is still it */
        if (entered->pidfd >= 0)
                return 0;
        (void)fail_errno(err, "cannot watch a command");
        (void)kill(entered->pid, SIGKILL);
        await(entered->pid);
        return -1;
}

int enter_start(const struct enter *enter, struct entered *ret, struct cowherd_error *err)
{
        owned_by(preparing_free) struct preparing p = {.leader = {.pidfd = -1},
                                                       .way = {.pid = {-1, -1}, .error = {-1, -1}}};
        struct entered entered = {.pidfd = -1};

        if (prepare(&p, enter, &entered, err) < 0)
                return -1;
        complete(&p, enter);
        if (go(&p, enter->instance, &entered, err) < 0) {
                cgroup_remove_one(entered.cgroup);
                return -1;
        }
        *ret = entered;
        return 0;
}

int enter_finish(struct entered *entered, int *ret_exit_code, struct cowherd_error *err)
{
        siginfo_t info = {0};

        while (waitid(P_PIDFD, (id_t)entered->pidfd, &info, WEXITED) < 0)
                if (errno != EINTR)
                        return fail_errno(err, "cannot learn how the command ended");
        (void)close(entered->pidfd);
        entered->pidfd = -1;
        /* What it has left running stays in its group, until the container stops. */
        cgroup_remove_one(entered->cgroup);
        *ret_exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        return 0;
}

int enter_kill(const struct entered *entered, struct cowherd_error *err)
{
        return cgroup_kill(entered->cgroup, err);
}

void enter_drop(struct entered *entered)
{
        struct cowherd_error ignored;
        int exit_code;

        if (entered->pidfd >= 0 && enter_kill(entered, &ignored) == 0)
                ignore_result(enter_finish(entered, &exit_code, &ignored));
        close_at(&entered->pidfd);
        entered->pidfd = -1;
}
