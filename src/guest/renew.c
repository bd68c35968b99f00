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
#define FOUND_MAX 32

/* He gives his lease up first, or he would ask for the same by the address that his card had when he was started. */
static bool renew_udhcpc(pid_t pid)
{
        return kill(pid, SIGUSR2) == 0 && kill(pid, SIGUSR1) == 0;
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
static bool renew_dhclient(pid_t pid)
{
        char path[64], text[4096], *words[WORDS] = {NULL};
        size_t count = 0;

        (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (got <= 0)
                return false;
        text[got] = '\0';
        for (char *at = text; at < text + got && count < WORDS - 1; at += strlen(at) + 1)
                words[count++] = at;
        pid_t child = fork();
        if (child != 0)
                return child > 0;
        if (fork() != 0)
                _exit(0); /* init's from now on */
        (void)setsid();
        begin_again(pid, words);
}

/* Clients are told by a signal, tools tell a service. */
enum client { UDHCPC, DHCLIENT, NETWORKD, NETWORK_MANAGER, DHCPCD, CLIENTS };

/* The names as the kernel has them, cut. */
static const char *const names[CLIENTS] = {
        [UDHCPC] = "udhcpc", [DHCLIENT] = "dhclient", [NETWORKD] = "systemd-network", [NETWORK_MANAGER] = "NetworkManager", [DHCPCD] = "dhcpcd",
};

static struct {
        struct {
                enum client client;
                pid_t pid;
        } items[FOUND_MAX];
        size_t count;
        double at_ms; /* 0: never */
} found;

static void look(pid_t pid, const char *name, void *context)
{
        (void)context;
        for (int client = 0; client < CLIENTS && found.count < FOUND_MAX; client++)
                if (strcmp(name, names[client]) == 0) {
                        found.items[found.count].client = (enum client)client;
                        found.items[found.count++].pid = pid;
                }
}

void dhcp_prepare(void)
{
        found.count = 0;
        processes_each(look, NULL); /* a few ms, and tens in a machine that just woke and has no KVM */
        found.at_ms = loop_now_ms();
}

static bool renew(enum client client, pid_t pid, const char *link)
{
        const char *const words[CLIENTS][6] = {
                [NETWORKD] = {"networkctl", "reconfigure", link, NULL},
                [NETWORK_MANAGER] = {"nmcli", "device", "reapply", link, NULL},
                [DHCPCD] = {"dhcpcd", "-n", link, NULL},
        };

        if (client == UDHCPC)
                return renew_udhcpc(pid);
        return client == DHCLIENT ? renew_dhclient(pid) : spawn_detached(words[client]) == 0;
}

const char *dhcp_renew(const char *link)
{
        bool told[CLIENTS] = {false};
        const char *last = NULL;
        char name[PROCESS_NAME_BYTES];

        if (found.at_ms <= 0 || loop_now_ms() - found.at_ms > PREPARED_MS)
                dhcp_prepare();
        for (size_t i = 0; i < found.count; i++) {
                enum client client = found.items[i].client;
                pid_t pid = found.items[i].pid;
                bool tool = client != UDHCPC && client != DHCLIENT;
                if ((tool && told[client]) || !process_name(pid, name) || strcmp(name, names[client]) != 0 || !renew(client, pid, link))
                        continue;
                told[client] = true;
                last = names[client];
        }
        found.at_ms = 0;
        return last;
}
