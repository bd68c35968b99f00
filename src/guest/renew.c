/* SPDX-License-Identifier: Apache-2.0 */
/* Has the DHCP clients of this system ask again, each in its own way: by its tool, or by a signal. None is waited for. */
#include "guest/program.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <fcntl.h>

#define WORDS 32
#define END_MS 2000

struct clients {
        const char *link;
        const char *told;
};

static void renew_udhcpc(pid_t pid, void *context)
{
        struct clients *clients = context;

        /* It gives its lease up first, or it would ask for the same by the address that its card had when it was started. */
        if (kill(pid, SIGUSR2) == 0 && kill(pid, SIGUSR1) == 0)
                clients->told = "udhcpc";
}

static void begin_again(pid_t pid, char **words) __attribute__((noreturn));
static void begin_again(pid_t pid, char **words)
{
        struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

        (void)kill(pid, SIGTERM);
        (void)poll(&ended, ended.fd >= 0, END_MS);
        (void)execvp(words[0], words);
        _exit(127);
}

/* dhclient knows no "again": it is ended, and started as it was. */
static void renew_dhclient(pid_t pid, void *context)
{
        struct clients *clients = context;
        char path[64], text[4096], *words[WORDS] = {NULL};
        size_t count = 0;

        (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (got <= 0)
                return;
        text[got] = '\0';
        for (char *at = text; at < text + got && count < WORDS - 1; at += strlen(at) + 1)
                words[count++] = at;
        clients->told = "dhclient";
        pid_t child = fork();
        if (child != 0)
                return;
        if (fork() != 0)
                _exit(0); /* init's from now on */
        (void)setsid();
        begin_again(pid, words);
}

static void note(pid_t pid, void *context)
{
        (void)pid;
        *(bool *)context = true;
}

static bool runs(const char *name)
{
        bool found = false;

        processes_named(name, note, &found);
        return found;
}

const char *dhcp_renew(const char *link)
{
        const struct {
                const char *process;
                const char *words[6];
        } tools[] = {
                {"systemd-network", {"networkctl", "reconfigure", link, NULL}},
                {"NetworkManager", {"nmcli", "device", "reapply", link, NULL}},
                {"dhcpcd", {"dhcpcd", "-n", link, NULL}},
        };
        struct clients clients = {.link = link};

        for (size_t i = 0; i < array_length(tools); i++)
                if (runs(tools[i].process) && spawn_detached(tools[i].words) == 0)
                        clients.told = tools[i].process;
        processes_named("udhcpc", renew_udhcpc, &clients);
        processes_named("dhclient", renew_dhclient, &clients);
        return clients.told;
}
