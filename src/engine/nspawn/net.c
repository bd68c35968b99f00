/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket belongs for ever to the network namespace that its thread was in when it was made. So this thread goes there
 * for one system call and comes back; all the rest is done from here.
 */
#include "engine/nspawn/net.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <net/if_arp.h>
#include <unistd.h>

#define MAC_BYTES 6
#define MESSAGES_BYTES 32768

/* A socket in the network namespace of a process. */
static int socket_of(pid_t pid, int domain, int type, int protocol, int *ret_fd, struct cowherd_error *err)
{
        char path[48];

        (void)snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
        owned_fd int theirs = open(path, O_RDONLY | O_CLOEXEC),
                     ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (theirs < 0 || ours < 0 || setns(theirs, CLONE_NEWNET) < 0)
                return fail_errno(err, "cannot enter the network of a container");
        int fd = socket(domain, type | SOCK_CLOEXEC, protocol), os_errno = errno;
        if (setns(ours, CLONE_NEWNET) < 0)
                abort(); /* to go on in a container's network would be worse */
        errno = os_errno;
        if (fd < 0)
                return fail_errno(err, "cannot make a socket in the network of a container");
        *ret_fd = fd;
        return 0;
}

static bool parse_mac(const char *text, unsigned char ret[MAC_BYTES])
{
        int length = 0;

        return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4],
                      &ret[5], &length) == MAC_BYTES &&
               text[length] == '\0';
}

int net_set_address(pid_t pid, const char *interface, const char *mac, struct cowherd_error *err)
{
        struct ifreq request = {0};
        unsigned char bytes[MAC_BYTES];
        owned_fd int fd = -1;

        if (!parse_mac(mac, bytes))
                return fail(err, COWHERD_INTERNAL, "'%s' is no MAC address", mac);
        if (socket_of(pid, AF_INET, SOCK_DGRAM, 0, &fd, err) < 0)
                return -1;
        (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
        request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(request.ifr_hwaddr.sa_data, bytes, MAC_BYTES);
        if (ioctl(fd, SIOCSIFHWADDR, &request) < 0)
                return fail_errno(err, "cannot give '%s' the address %s", interface, mac);
        return 0;
}

struct found {
        char ipv4[INET6_ADDRSTRLEN], ipv6[INET6_ADDRSTRLEN];
        bool done; /* the end of what was asked for */
};

/* An address message: a global one is kept, the first of each family. */
static void look_at_address(const char *message, size_t length, struct found *found)
{
        const struct ifaddrmsg *address = (const void *)message;
        size_t at = NLMSG_ALIGN(sizeof *address);

        if (length < at || address->ifa_scope != RT_SCOPE_UNIVERSE ||
            (address->ifa_family != AF_INET && address->ifa_family != AF_INET6) ||
            (address->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0)
                return;
        char *into = address->ifa_family == AF_INET ? found->ipv4 : found->ipv6;
        size_t bytes = address->ifa_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
        while (into[0] == '\0' && at + sizeof(struct rtattr) <= length) {
                const struct rtattr *part = (const void *)(message + at);
                if (part->rta_len < sizeof *part || part->rta_len > length - at)
                        return;
                bool own = part->rta_type == IFA_LOCAL ||
                           (part->rta_type == IFA_ADDRESS && address->ifa_family == AF_INET6);
                if (own && part->rta_len == RTA_LENGTH(bytes))
                        (void)inet_ntop(address->ifa_family, RTA_DATA(part), into, INET6_ADDRSTRLEN);
                at += RTA_ALIGN(part->rta_len);
        }
}

/* Reads messages that are there. */
static int read_messages(int fd, struct found *found, struct cowherd_error *err)
{
        _Alignas(struct nlmsghdr) char buffer[MESSAGES_BYTES];
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);

        if (got < 0)
                return errno == EINTR || errno == ENOBUFS ? 0
                                                          : fail_errno(err, "cannot read the addresses of a container");
        for (size_t at = 0, length = (size_t)got; at + sizeof(struct nlmsghdr) <= length;) {
                const struct nlmsghdr *header = (const void *)(buffer + at);
                if (header->nlmsg_len < sizeof *header || header->nlmsg_len > length - at)
                        break;
                if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
                        found->done = true;
                else if (header->nlmsg_type == RTM_NEWADDR)
                        look_at_address(buffer + at + NLMSG_HDRLEN, header->nlmsg_len - NLMSG_HDRLEN, found);
                at += NLMSG_ALIGN(header->nlmsg_len);
        }
        return 0;
}

static int ask_addresses(int fd, struct found *found, struct cowherd_error *err)
{
        struct {
                struct nlmsghdr header;
                struct ifaddrmsg body;
        } request = {
                .header = {.nlmsg_len = sizeof request,
                           .nlmsg_type = RTM_GETADDR,
                           .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                .body = {.ifa_family = AF_UNSPEC},
        };

        if (send(fd, &request, sizeof request, 0) < 0)
                return fail_errno(err, "cannot ask for the addresses of a container");
        while (!found->done)
                if (read_messages(fd, found, err) < 0)
                        return -1;
        return 0;
}

/* Sleeps until an address changes, the container ends, or the time is over. */
static int wait_for_change(int fd, int ended, double deadline, struct cowherd_error *err)
{
        struct pollfd fds[] = {{fd, POLLIN, 0}, {ended, POLLIN, 0}};
        double left = deadline - clock_ms();
        int ready = left <= 0 ? 0 : poll(fds, array_length(fds), left > INT_MAX - 1 ? INT_MAX : (int)left + 1);

        if (ready < 0 && errno != EINTR)
                return fail_errno(err, "cannot wait for an address");
        if (ready == 0)
                return fail(err, COWHERD_BUSY, "it has no address yet");
        return ready > 0 && fds[1].revents != 0 ? fail(err, COWHERD_BUSY, "it has ended") : 0;
}

int net_wait_address(pid_t pid, int ended, uint64_t timeout_ms, char *buffer, size_t bytes, struct cowherd_error *err)
{
        struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
        struct found found = {.done = false};
        double deadline = clock_ms() + (double)timeout_ms;
        owned_fd int fd = -1;

        if (socket_of(pid, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &fd, err) < 0)
                return -1;
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return fail_errno(err, "cannot watch the addresses of a container");
        if (ask_addresses(fd, &found, err) < 0)
                return -1;
        while (found.ipv4[0] == '\0' && found.ipv6[0] == '\0')
                if (wait_for_change(fd, ended, deadline, err) < 0 || read_messages(fd, &found, err) < 0)
                        return -1;
        (void)snprintf(buffer, bytes, "%s", found.ipv4[0] != '\0' ? found.ipv4 : found.ipv6);
        return 0;
}
