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
        const char *told;
};

static void renew_udhcpc(pid_t pid, struct clients *clients)
{
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
static void renew_dhclient(pid_t pid, struct clients *clients)
{
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

enum tool { NETWORKD, NETWORK_MANAGER, DHCPCD, TOOLS };

struct found {
        struct clients clients;
        bool runs[TOOLS];
};

/* The names as the kernel has them, cut to 15 bytes. */
static void look(pid_t pid, const char *name, void *context)
{
        static const char *const names[TOOLS] = {[NETWORKD] = "systemd-network", [NETWORK_MANAGER] = "NetworkManager", [DHCPCD] = "dhcpcd"};
        struct found *found = context;

        for (size_t i = 0; i < TOOLS; i++)
                found->runs[i] |= strcmp(name, names[i]) == 0;
        if (strcmp(name, "udhcpc") == 0)
                renew_udhcpc(pid, &found->clients);
        if (strcmp(name, "dhclient") == 0)
                renew_dhclient(pid, &found->clients);
}

const char *dhcp_renew(const char *link)
{
        const char *const words[TOOLS][6] = {
                [NETWORKD] = {"networkctl", "reconfigure", link, NULL},
                [NETWORK_MANAGER] = {"nmcli", "device", "reapply", link, NULL},
                [DHCPCD] = {"dhcpcd", "-n", link, NULL},
        };
        struct found found = {.clients = {NULL}};

        processes_each(look, &found); /* once: it takes a few ms */
        for (size_t i = 0; i < TOOLS; i++)
                if (found.runs[i] && spawn_detached(words[i]) == 0)
                        found.clients.told = words[i][0];
        return found.clients.told;
}
