/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the guest that are started and not waited for, and processes that are looked for by name. */
#include "guest/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};

static bool find(const char *name, char *ret, size_t bytes)
{
        for (size_t i = 0; i < array_length(folders); i++) {
                (void)snprintf(ret, bytes, "%s/%s", folders[i], name);
                if (access(ret, X_OK) == 0)
                        return true;
        }
        return false;
}

bool is_program(const char *name)
{
        char path[256];

        return find(name, path, sizeof path);
}

static void run(const char *path, const char *const *argv) __attribute__((noreturn));
static void run(const char *path, const char *const *argv)
{
        static char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LC_ALL=C";
        static char *const environment[] = {search, language, NULL};
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        (void)setsid();
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd >= 0 && dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2)
                (void)execve(path, (char *const *)(uintptr_t)argv, environment);
        _exit(127);
}

int spawn_detached(const char *const *argv)
{
        char path[256];

        if (!find(argv[0], path, sizeof path))
                return ENOENT;
        pid_t child = fork();
        if (child < 0)
                return errno;
        if (child == 0) {
                if (fork() == 0)
                        run(path, argv);
                _exit(0); /* the other is init's now */
        }
        return waitpid(child, NULL, 0) < 0 ? errno : 0;
}

bool process_name(pid_t pid, char ret[PROCESS_NAME_BYTES])
{
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? 0 : read(fd, ret, PROCESS_NAME_BYTES - 1);
        ret[got > 0 ? got : 0] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        return ret[0] != '\0';
}

void processes_each(void (*each)(pid_t pid, const char *name, void *context), void *context)
{
        DIR *folder = opendir("/proc");
        char name[PROCESS_NAME_BYTES];

        for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
                pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
                if (pid > 0 && process_name(pid, name))
                        each(pid, name, context);
        }
        if (folder != NULL)
                (void)closedir(folder);
}
