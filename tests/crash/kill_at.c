/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program and kills it at the entry of one of its system calls, which is then not made.
 *
 *     kill_at [--between FROM TO] LOG NUMBER PROGRAM [ARGUMENT…]
 *
 * Calls are counted from 1 over all threads of the program together, which strace's when= does not do; the tools that it
 * starts are neither counted nor killed, they go on as they would. NUMBER 0 kills never. LOG gets the number of each
 * call that was begun, a line each, with " creating" behind it where it opens a file that it may make or cut. The exit
 * status is the program's, or 128 + the signal that ended it.
 *
 * With --between, the calls before the first open of a file named FROM, and those from the next open of one named TO on, are as if they
 * were not there: a part of a command is killed in, however many calls come before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
#define TRAP_OF_CALL (SIGTRAP | 0x80)

struct run {
        pid_t program;
        FILE *log;
        unsigned long begun, last;
        bool started; /* the program itself runs: what comes before is our own execve */
        const char *from, *to; /* FROM, until it was seen; TO, likewise */
        bool apart;            /* where it is now is not to be counted */
};

static void die(const char *what)
{
        fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
        exit(125);
}

static pid_t start(char **words)
{
        pid_t child = fork();

        if (child < 0)
                die("fork");
        if (child > 0)
                return child;
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                die("ptrace");
        (void)raise(SIGSTOP);
        (void)execv(words[0], words);
        die(words[0]);
        return -1;
}

/* Whether an open may make or change a file. openat2's flags are the first word of a struct of the program's. */
static bool creates(pid_t thread, const struct __ptrace_syscall_info *info)
{
        const unsigned long making = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

        switch (info->entry.nr) {
#ifdef SYS_open
        case SYS_open:
                return (info->entry.args[1] & making) != 0;
#endif
        case SYS_openat:
                return (info->entry.args[2] & making) != 0;
        case SYS_openat2:
                return ((unsigned long)ptrace(PTRACE_PEEKDATA, thread, (void *)info->entry.args[2], NULL) & making) != 0;
        default:
                return false;
        }
}

/* Whether a call opens a file of that name, whatever folder it is in. */
static bool opens(pid_t thread, const struct __ptrace_syscall_info *info, const char *name)
{
        char path[4096];
        size_t length = 0;

        if (info->entry.nr != SYS_openat && info->entry.nr != SYS_openat2)
                return false;
        while (length + sizeof(long) < sizeof path) {
                errno = 0;
                long word = ptrace(PTRACE_PEEKDATA, thread, (void *)(info->entry.args[1] + length), NULL);
                memcpy(path + length, &word, sizeof word);
                if (errno != 0)
                        return false;
                if (memchr(&word, '\0', sizeof word) != NULL)
                        break;
                length += sizeof word;
        }
        path[sizeof path - 1] = '\0';
        const char *slash = strrchr(path, '/');
        return strcmp(slash == NULL ? path : slash + 1, name) == 0;
}

/* Goes on from part to part: whether this call is in the one that is counted. */
static bool counts(struct run *run, pid_t thread, const struct __ptrace_syscall_info *info)
{
        const char **next = run->from != NULL ? &run->from : &run->to;

        if (*next != NULL && opens(thread, info, *next)) {
                run->apart = next == &run->to;
                *next = NULL;
        }
        return !run->apart;
}

/* A stop at a system call: counts it where it begins, and kills the program where it is the one. */
static void on_call(struct run *run, pid_t thread)
{
        struct __ptrace_syscall_info info;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
                return;
        if (!run->started || !counts(run, thread, &info))
                return;
        run->begun++;
        fprintf(run->log, "%llu%s\n", (unsigned long long)info.entry.nr, creates(thread, &info) ? " creating" : "");
        if (run->begun == run->last)
                (void)kill(run->program, SIGKILL);
}

/* The signal to hand on to the thread that has stopped. */
static int judge_stop(struct run *run, pid_t thread, int status)
{
        int signal = WSTOPSIG(status), event = status >> 16;

        if (signal == TRAP_OF_CALL) {
                on_call(run, thread);
                return 0;
        }
        if (event == PTRACE_EVENT_EXEC)
                run->started = true;
        if (event != 0 || signal == SIGSTOP || signal == SIGTRAP)
                return 0; /* a thread's first stop, our own first stop, the exec */
        return signal;
}

static int trace(struct run *run)
{
        int status;

        if (waitpid(run->program, &status, 0) < 0 || !WIFSTOPPED(status))
                die("waitpid");
        if (ptrace(PTRACE_SETOPTIONS, run->program, NULL, (void *)OPTIONS) < 0 ||
            ptrace(PTRACE_SYSCALL, run->program, NULL, NULL) < 0)
                die("ptrace");
        for (;;) {
                pid_t thread = waitpid(-1, &status, __WALL);
                if (thread < 0)
                        die("waitpid");
                if (WIFSTOPPED(status)) {
                        long handed_on = judge_stop(run, thread, status);
                        (void)ptrace(PTRACE_SYSCALL, thread, NULL, (void *)handed_on); /* it may have been killed */
                        continue;
                }
                if (thread == run->program)
                        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
}

int main(int count, char **words)
{
        struct run run = {0};

        if (count > 4 && strcmp(words[1], "--between") == 0) {
                run = (struct run){.from = words[2], .to = words[3], .apart = true};
                words += 3;
                count -= 3;
        }
        if (count < 4) {
                fprintf(stderr, "usage: kill_at [--between FROM TO] LOG NUMBER PROGRAM [ARGUMENT...]\n");
                return 125;
        }
        run.log = fopen(words[1], "we");
        if (run.log == NULL)
                die(words[1]);
        run.last = strtoul(words[2], NULL, 10);
        run.program = start(words + 3);
        int status = trace(&run);
        (void)fclose(run.log);
        return status;
}
