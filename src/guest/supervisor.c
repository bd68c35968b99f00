/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between us and a command: the nearest parent of whatever the command starts, as a subreaper, so that all of it is found below, were
 * it in sessions of its own ten times over. It ends with the command's code, and what is left then goes to init, as a service should. It
 * lets go of all that was opened, ports above all. When we are killed it ends the command.
 */
#include "guest/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FD 3
#define KILL_ROUND_MS 20
#define KILL_ROUNDS 500
#define TREE_BYTES 4096

static void close_rest(void)
{
#ifdef SYS_close_range
        if (syscall(SYS_close_range, STATUS_FD + 1, ~0U, 0) == 0)
                return;
#endif
        for (int fd = STATUS_FD + 1; fd < 1024; fd++) /* our own limit is no higher */
                (void)close(fd);
}

static void report(enum guest_failure failure, int os_errno, pid_t pid)
{
        const struct launch_report said = {.pid = (uint32_t)pid, .failure = failure, .os_errno = (uint32_t)os_errno};

        if (write(STATUS_FD, &said, sizeof said) < 0)
                return;
}

/* ---- The command ---- */

static void fail_launch(enum guest_failure failure) __attribute__((noreturn));
static void fail_launch(enum guest_failure failure)
{
        report(failure, errno, 0);
        _exit(127);
}

static void reset_signals(void)
{
        const struct sigaction usual = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int number = 1; number <= SIGRTMAX; number++)
                (void)sigaction(number, &usual, NULL);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* systemd may keep us from being the first to go where memory runs out; that is not for those we start. */
static void be_ordinary(void)
{
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd >= 0 && write(fd, "0", 1) < 0)
                errno = 0;
        if (fd >= 0)
                (void)close(fd);
        (void)umask(022);
}

static void become(const struct user *user)
{
        if (user->uid == geteuid() && user->gid == getegid() && user->uid == 0 && user->group_count <= 1)
                return;
        if (program.files_only && geteuid() != 0)
                return; /* nobody can be anybody else in tests */
        if (setgroups(user->group_count, user->groups) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
                fail_launch(GUEST_FAILED_SYSTEM);
}

static char **make_environment(const struct guest_run *run, const struct user *user)
{
        static struct strv words;

        for (size_t i = 0; i < run->environment.count; i++)
                strv_add(&words, run->environment.items[i]);
        strv_add(&words, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"); /* the first of a name counts */
        strv_addf(&words, "HOME=%s", user->home);
        strv_addf(&words, "USER=%s", user->name);
        strv_addf(&words, "LOGNAME=%s", user->name);
        strv_addf(&words, "SHELL=%s", user->shell);
        if ((run->flags & GUEST_RUN_TERMINAL) != 0)
                strv_addf(&words, "TERM=%s", run->term[0] == '\0' ? "linux" : run->term);
        return words.items;
}

static void enter_folder(const struct guest_run *run, const struct user *user)
{
        if (run->folder[0] != '\0' && chdir(run->folder) < 0)
                fail_launch(GUEST_FAILED_FOLDER);
        if (run->folder[0] == '\0' && chdir(user->home) < 0 && chdir("/") < 0)
                fail_launch(GUEST_FAILED_FOLDER);
}

static void run_command(const struct launch *launch, const struct user *user) __attribute__((noreturn));
static void run_command(const struct launch *launch, const struct user *user)
{
        const struct guest_run *run = launch->run;

        (void)prctl(PR_SET_PDEATHSIG, 0);
        (void)setsid();
        if (launch->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
                fail_launch(GUEST_FAILED_TERMINAL);
        if (user == NULL)
                fail_launch(GUEST_FAILED_USER);
        be_ordinary();
        char **environment_ = make_environment(run, user);
        become(user);
        enter_folder(run, user);
        environ = environment_;
        reset_signals();
        if (run->argv.count > 0) {
                (void)execvp(run->argv.items[0], run->argv.items);
        } else {
                const char *base = strrchr(user->shell, '/');
                owned_str char *name = x_asprintf("-%s", base == NULL ? user->shell : base + 1);
                (void)execl(user->shell, name, (char *)NULL);
        }
        fail_launch(GUEST_FAILED_COMMAND);
}

/* ---- Ending all of it ---- */

struct process_entry {
        pid_t pid, parent;
};

static bool read_entry(const char *name, struct process_entry *ret)
{
        char path[64], text[512];

        (void)snprintf(path, sizeof path, "/proc/%.20s/stat", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        ssize_t got = read(fd, text, sizeof text - 1);
        (void)close(fd);
        if (got <= 0)
                return false;
        text[got] = '\0';
        const char *behind = strrchr(text, ')'); /* the name before may have any letter */
        if (behind == NULL || strlen(behind) < 4)
                return false;
        *ret = (struct process_entry){.pid = (pid_t)strtol(name, NULL, 10), .parent = (pid_t)strtol(behind + 4, NULL, 10)};
        return true;
}

static size_t list_processes(struct process_entry **ret)
{
        DIR *folder = opendir("/proc");
        struct process_entry *entries = NULL;
        size_t count = 0;

        for (const struct dirent *at; folder != NULL && (at = readdir(folder)) != NULL;) {
                struct process_entry entry;
                if (at->d_name[0] < '0' || at->d_name[0] > '9' || !read_entry(at->d_name, &entry))
                        continue;
                if (count % 64 == 0)
                        entries = x_reallocarray(entries, count + 64, sizeof *entries);
                entries[count++] = entry;
        }
        if (folder != NULL)
                (void)closedir(folder);
        *ret = entries;
        return count;
}

/* Kills all below us that there are now. */
static void kill_below(void)
{
        struct process_entry *entries = NULL;
        size_t count = list_processes(&entries);
        pid_t self = getpid();
        bool more = true;

        while (more) { /* a child may come before its parent in the list: marked by its parent being us */
                more = false;
                for (size_t i = 0; i < count; i++) {
                        if (entries[i].parent == self || entries[i].pid == 0)
                                continue;
                        for (size_t k = 0; k < count; k++)
                                if (entries[k].pid == entries[i].parent && entries[k].parent == self) {
                                        entries[i].parent = self;
                                        more = true;
                                        break;
                                }
                }
        }
        for (size_t i = 0; i < count; i++)
                if (entries[i].parent == self)
                        (void)kill(entries[i].pid, SIGKILL);
        free(entries);
}

static void end_tree(void) __attribute__((noreturn));
static void end_tree(void)
{
        const struct timespec round = {.tv_nsec = KILL_ROUND_MS * 1000000};
        sigset_t children;

        (void)sigemptyset(&children);
        (void)sigaddset(&children, SIGCHLD);
        for (int rounds = 0; rounds < KILL_ROUNDS; rounds++) {
                pid_t ended = 1;
                kill_below();
                while (ended > 0)
                        ended = waitpid(-1, NULL, WNOHANG);
                if (ended < 0)
                        _exit(128 + SIGKILL); /* nobody is left */
                (void)sigtimedwait(&children, NULL, &round); /* the orphans of what ended may have come to us meanwhile */
        }
        _exit(128 + SIGKILL);
}

/* ---- Looking after it ---- */

static void place_descriptors(const struct launch *launch)
{
        /* None of them is below 3: main.c has seen to it. */
        if (dup2(launch->input, STDIN_FILENO) < 0 || dup2(launch->output, STDOUT_FILENO) < 0 ||
            dup2(launch->errors, STDERR_FILENO) < 0 || (launch->status != STATUS_FD && dup2(launch->status, STATUS_FD) < 0))
                _exit(126);
        (void)fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
        close_rest();
}

void supervise(const struct launch *launch)
{
        struct user user = {0};
        siginfo_t info;
        int status;

        bool found = user_find(launch->run->user[0] == '\0' ? "0" : launch->run->user, &user); /* while the root folder is open */
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        place_descriptors(launch);
        pid_t command = fork();
        if (command == 0)
                run_command(launch, found ? &user : NULL);
        if (command < 0) {
                report(GUEST_FAILED_SYSTEM, errno, 0);
                _exit(126);
        }
        report(0, 0, command);
        for (int fd = 0; fd <= STATUS_FD; fd++)
                (void)close(fd);
        for (;;) {
                if (sigwaitinfo(&program.signals, &info) < 0)
                        continue;
                if (info.si_signo == SIGTERM)
                        end_tree();
                if (info.si_signo == SUPERVISOR_PASS)
                        (void)kill(-command, info.si_value.sival_int);
                for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
                        if (ended == command)
                                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
}
