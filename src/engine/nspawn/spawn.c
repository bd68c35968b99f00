/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork twice: the program becomes a child of init, which takes its end, so that a host of ours which lives long gets
 * neither a zombie nor a signal that it can't explain. The program waits in a pipe until we have a pidfd of it, and
 * ends by itself if we end before. Between fork and exec only the kernel is called: this process may have threads.
 */
#include "engine/nspawn/spawn.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct pipes {
        int pid[2];   /* the grandchild's pid, to us */
        int go[2];    /* a byte, to the grandchild */
        int error[2]; /* errno where it could not begin, to us; closed by a successful exec */
};

static void pipes_close(const struct pipes *pipes)
{
        const int *all[] = {pipes->pid, pipes->go, pipes->error};

        for (size_t i = 0; i < array_length(all); i++)
                for (int end = 0; end < 2; end++)
                        if (all[i][end] >= 0)
                                (void)close(all[i][end]);
}

static int make_pipes(struct pipes *ret, struct cowherd_error *err)
{
        struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};

        if (pipe2(pipes.pid, O_CLOEXEC) < 0 || pipe2(pipes.go, O_CLOEXEC) < 0 || pipe2(pipes.error, O_CLOEXEC) < 0) {
                (void)fail_errno(err, "cannot make a pipe");
                pipes_close(&pipes);
                return -1;
        }
        *ret = pipes;
        return 0;
}

void spawn_reset_signals(void)
{
        const struct sigaction by_default = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int number = 1; number < NSIG; number++)
                (void)sigaction(number, &by_default, NULL);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void give_up(int to)
{
        int os_errno = errno;

        (void)!write(to, &os_errno, sizeof os_errno);
        _exit(127);
}

/* The grandchild. */
static _Noreturn void become(const struct spawn *spawn, const struct pipes *pipes, bool inside)
{
        char go;

        (void)close(pipes->go[1]);
        (void)close(pipes->pid[1]); /* or we would wait for each other where the one between us is killed */
        if (read(pipes->go[0], &go, 1) != 1)
                _exit(127); /* whoever started it is gone */
        if (cgroup_enter(spawn->entry, inside) < 0)
                give_up(pipes->error[1]);
        /* Its own number may be one of those that the program gets. */
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), status = fcntl(pipes->error[1], F_DUPFD_CLOEXEC, 10);
        if (nothing < 0 || status < 0 || dup2(nothing, 0) < 0 || dup2(spawn->output, 1) < 0 ||
            dup2(spawn->errors, 2) < 0)
                give_up(status < 0 ? pipes->error[1] : status);
        (void)close_range(SPAWN_KEPT, ~0u, CLOSE_RANGE_CLOEXEC);
        if (spawn->kept > 0 && (spawn->kept == SPAWN_KEPT ? fcntl(SPAWN_KEPT, F_SETFD, 0) : dup2(spawn->kept, SPAWN_KEPT)) < 0)
                give_up(status);
        spawn_reset_signals();
        (void)execve(spawn->argv[0], spawn->argv, spawn->environment);
        give_up(status);
}

/* Reads what is there to the last byte; false at the end of the pipe. */
static bool read_whole(int fd, void *buffer, size_t bytes)
{
        ssize_t got;

        do {
                got = read(fd, buffer, bytes);
        } while (got < 0 && errno == EINTR);
        return got == (ssize_t)bytes;
}

/* Reads why it could not begin, where it could not: -1 then. */
static int read_error(struct pipes *pipes, struct cowherd_error *err)
{
        int os_errno = 0;

        (void)close(pipes->error[1]);
        pipes->error[1] = -1;
        if (!read_whole(pipes->error[0], &os_errno, sizeof os_errno))
                return 0;
        errno = os_errno;
        return fail_errno(err, "cannot begin it");
}

static int begin(struct pipes *pipes, pid_t *ret_pid, int *ret_pidfd, struct cowherd_error *err)
{
        pid_t pid;

        if (!read_whole(pipes->pid[0], &pid, sizeof pid)) {
                (void)close(pipes->go[1]); /* should there be one after all, it ends */
                pipes->go[1] = -1;
                return read_error(pipes, err) < 0 ? -1 : fail(err, COWHERD_SYSTEM, "cannot start a process");
        }
        owned_fd int pidfd = pidfd_open(pid, 0); /* it waits for its byte, so the number is its own */
        if (pidfd < 0)
                return fail_errno(err, "cannot watch a process");
        if (write(pipes->go[1], "", 1) != 1)
                return fail_errno(err, "cannot let a process begin");
        if (read_error(pipes, err) < 0)
                return -1;
        *ret_pid = pid;
        *ret_pidfd = take_fd(pidfd);
        return 0;
}

int spawn_detached(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct cowherd_error *err)
{
        struct pipes pipes;

        if (make_pipes(&pipes, err) < 0)
                return -1;
        pid_t between = fork();
        if (between == 0) {
                (void)setsid();
                if (spawn->pids_of > 0 && setns(spawn->pids_of, CLONE_NEWPID) < 0)
                        give_up(pipes.error[1]);
                bool inside;
                pid_t pid = cgroup_fork(spawn->entry, &inside);
                if (pid == 0)
                        become(spawn, &pipes, inside);
                if (pid < 0)
                        give_up(pipes.error[1]);
                _exit(write(pipes.pid[1], &pid, sizeof pid) != (ssize_t)sizeof pid);
        }
        if (between < 0) {
                (void)fail_errno(err, "cannot fork");
                pipes_close(&pipes);
                return -1;
        }
        (void)close(pipes.pid[1]);
        pipes.pid[1] = -1;
        while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
                continue;
        int result = begin(&pipes, ret_pid, ret_pidfd, err);
        pipes_close(&pipes);
        if (result < 0)
                return fail_while(err, "starting '%s'", spawn->argv[0]);
        return 0;
}
