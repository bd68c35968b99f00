/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is to outlive us must not be our child: whoever embeds this library would have to reap it, perhaps
 * years later. But only a parent learns how its child ended, and a program that fails at once should say why. So there
 * is a guardian between us: it starts the program, tells us how it ended, and leaves when we say "keep", whereupon the
 * program is init's. Where our end of the channel closes before that (we failed, or were killed), the guardian kills
 * the program: nothing half-started stays.
 *
 * fork(2) and not posix_spawn(3), because what is done in between (a session, another user, no capabilities) is no file
 * action. Between fork and exec only system calls are made, for other threads of ours may hold any lock; and the raw
 * ones for the ids, as the library's wrappers would change those of all our threads.
 */
#include "sys/process_detach.h"

#include "sys/process_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_DESCRIPTOR 3
#define CAPABILITIES 64
#define SIGNALS 64
#define STATUS_NOT_STARTED 127

/* What a child needs, all of it made before fork. */
struct birth_plan {
        const struct process_detach *what;
        const char *path;
        char *const *environment;
        const int *sources; /* of the descriptors, all above the numbers that they are to get */
        size_t count;
        int nothing, output, channel; /* likewise */
};

static void say_and_exit(const char *text)
{
        (void)!write(STDERR_FILENO, text, strlen(text));
        _exit(STATUS_NOT_STARTED);
}

static bool become_user(const struct process_detach *what)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[2] = {{0}};
        gid_t groups[1] = {what->group};

        for (unsigned long i = 0; i < CAPABILITIES; i++)
                (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* EINVAL for those that this kernel does not have */
        return syscall(SYS_setgroups, what->group != 0 ? 1 : 0, groups) == 0 &&
               syscall(SYS_setresgid, what->user, what->user, what->user) == 0 &&
               syscall(SYS_setresuid, what->user, what->user, what->user) == 0 &&
               syscall(SYS_capset, &header, none) == 0;
}

static void reset_signals(void)
{
        struct sigaction usual = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int number = 1; number <= SIGNALS; number++)
                (void)sigaction(number, &usual, NULL);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_program(const struct birth_plan *plan)
{
        for (size_t i = 0; i < plan->count; i++)
                if (dup2(plan->sources[i], FIRST_DESCRIPTOR + (int)i) < 0)
                        say_and_exit("cannot hand over a descriptor\n");
        if (dup2(plan->output, STDOUT_FILENO) < 0 || dup2(plan->output, STDERR_FILENO) < 0 ||
            close_range(FIRST_DESCRIPTOR + (unsigned)plan->count, ~0U, 0) < 0)
                say_and_exit("cannot close descriptors\n");
        (void)umask(077);
        if (chdir("/") < 0 || (plan->what->confined && !become_user(plan->what)) ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                say_and_exit("cannot run under a user id of its own\n");
        if (plan->what->small_pages)
                (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* it costs memory, where a kernel can't */
        (void)execve(plan->path, plan->what->argv.items, plan->environment);
        say_and_exit("the program cannot be executed\n");
}

static int exit_status(int status)
{
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The guardian's life. It holds nothing but the channel, so that it keeps no lock and no socket of ours. */
static void guard(int channel, pid_t pid, int pidfd)
{
        struct pollfd ready[2] = {{.fd = channel, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
        int number = (int)pid, status = 0;
        char word;

        (void)!write(channel, &number, sizeof number);
        while (poll(ready, 2, -1) < 0 && errno == EINTR)
                continue;
        if (ready[0].revents != 0 && read(channel, &word, 1) == 1)
                _exit(0); /* keep */
        if (ready[1].revents == 0)
                (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        number = exit_status(status);
        (void)send(channel, &number, sizeof number, MSG_NOSIGNAL);
        _exit(0);
}

static void run_guardian(const struct birth_plan *plan)
{
        reset_signals();
        (void)setsid();
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                (void)dup2(plan->nothing, fd);
        pid_t pid = fork();
        if (pid == 0)
                run_program(plan);
        int pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
        if (pidfd < 0 || dup2(pidfd, FIRST_DESCRIPTOR) < 0 || dup2(plan->channel, FIRST_DESCRIPTOR + 1) < 0 ||
            close_range(FIRST_DESCRIPTOR + 2, ~0U, 0) < 0) {
                if (pid > 0)
                        (void)kill(pid, SIGKILL);
                _exit(1);
        }
        guard(FIRST_DESCRIPTOR + 1, pid, FIRST_DESCRIPTOR);
}

/* Moves a descriptor's copy out of the way of those that the program gets. -1 and errno. */
static int copy_above(int fd, size_t count)
{
        return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR + (int)count + 2);
}

static void close_all(int *fds, size_t count)
{
        for (size_t i = 0; i < count; i++)
                close_at(&fds[i]);
        free(fds);
}

static int fork_guardian(struct birth_plan *plan, int channel, struct process_birth *ret, struct cowherd_error *err)
{
        int pid = 0;

        pid_t guardian = fork();
        if (guardian == 0)
                run_guardian(plan);
        close_at(&plan->channel);
        plan->channel = -1;
        if (guardian < 0)
                return fail_errno(err, "cannot start '%s'", plan->path);
        *ret = (struct process_birth){.guardian = guardian, .channel = channel};
        if (read(channel, &pid, sizeof pid) != (ssize_t)sizeof pid)
                return fail(err, COWHERD_SYSTEM, "cannot start '%s': no process could be made for it", plan->path);
        ret->pid = pid;
        return 0;
}

static int start(struct birth_plan *plan, struct process_birth *ret, struct cowherd_error *err)
{
        struct process_birth birth owned_by(process_birth_free) = {.channel = -1};
        const struct process_detach *what = plan->what;
        int *sources = x_calloc(what->descriptor_count + 1, sizeof *sources), pair[2];
        bool copied = true;

        for (size_t i = 0; i < what->descriptor_count; i++) {
                sources[i] = copy_above(what->descriptors[i], what->descriptor_count);
                copied = copied && sources[i] >= 0;
        }
        plan->sources = sources;
        plan->count = what->descriptor_count;
        owned_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), output = copy_above(what->output, plan->count);
        owned_fd int nothing_above = nothing < 0 ? -1 : copy_above(nothing, plan->count);
        int done = -1;
        if (!copied || output < 0 || nothing_above < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                done = fail_errno(err, "cannot prepare descriptors for '%s'", plan->path);
        } else {
                plan->nothing = nothing_above;
                plan->output = output;
                plan->channel = copy_above(pair[1], plan->count);
                close_at(&pair[1]);
                done = fork_guardian(plan, pair[0], &birth, err);
                if (birth.guardian == 0)
                        close_at(&pair[0]);
        }
        close_all(sources, what->descriptor_count);
        if (done < 0)
                return -1;
        *ret = birth;
        birth = (struct process_birth){.channel = -1};
        return 0;
}

int process_detach(const struct process_detach *what, struct process_birth *ret, struct cowherd_error *err)
{
        char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LC_ALL=C";
        const char *program = what->argv.items[0];
        owned_str char *path = process_find(program);

        owned_mem char **environment = x_calloc(what->environment.count + 3, sizeof *environment);
        environment[0] = search;
        environment[1] = language;
        for (size_t i = 0; i < what->environment.count; i++)
                environment[i + 2] = what->environment.items[i];
        if (path == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "the program '%s' is not installed", program);
        struct birth_plan plan = {.what = what, .path = path, .environment = environment};
        return start(&plan, ret, err);
}

/* Reaps the guardian, which is about to end. */
static void leave(struct process_birth *birth)
{
        close_at(&birth->channel);
        if (birth->guardian > 0)
                while (waitpid(birth->guardian, NULL, 0) < 0 && errno == EINTR)
                        continue;
        *birth = (struct process_birth){.channel = -1};
}

int process_birth_keep(struct process_birth *birth, struct cowherd_error *err)
{
        if (send(birth->channel, "k", 1, MSG_NOSIGNAL) != 1)
                return fail_errno(err, "cannot let a program go on by itself");
        leave(birth);
        return 0;
}

bool process_birth_ended(struct process_birth *birth, int timeout_ms, int *ret_status)
{
        struct pollfd ready = {.fd = birth->channel, .events = POLLIN};
        int status;

        if (poll(&ready, 1, timeout_ms) <= 0 || read(birth->channel, &status, sizeof status) != (ssize_t)sizeof status)
                return false;
        *ret_status = status;
        return true;
}

void process_birth_free(struct process_birth *birth)
{
        if (birth->guardian > 0)
                leave(birth);
}
