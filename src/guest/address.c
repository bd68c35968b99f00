/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that others can reach, IPv4 before IPv6; who waits for the first one is told when the kernel has it. */
#include "guest/program.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITERS 16

static struct {
        struct port *port; /* NULL: free */
        unsigned channel;
} waiters[WAITERS];

static bool is_global(const struct sockaddr *address)
{
        if (address->sa_family == AF_INET) {
                uint32_t bits = ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
                return bits >> 24 != 0 && bits >> 24 != 127 && bits >> 16 != 0xa9fe && bits >> 28 < 0xe;
        }
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        return !IN6_IS_ADDR_LOOPBACK(six) && !IN6_IS_ADDR_LINKLOCAL(six) && !IN6_IS_ADDR_MULTICAST(six) && !IN6_IS_ADDR_UNSPECIFIED(six);
}

static void add_all(const struct ifaddrs *all, int family, struct str *ret)
{
        char text[INET6_ADDRSTRLEN];

        for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
                if (at->ifa_addr == NULL || at->ifa_addr->sa_family != family || (at->ifa_flags & IFF_UP) == 0 ||
                    !is_global(at->ifa_addr))
                        continue;
                const void *bytes = family == AF_INET
                                            ? (const void *)&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr
                                            : (const void *)&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr;
                if (inet_ntop(family, bytes, text, sizeof text) == NULL || ret->length > GUEST_PAYLOAD_BYTES / 2)
                        continue;
                guest_put_text(ret, at->ifa_name);
                guest_put_text(ret, text);
        }
}

static void find(struct str *ret)
{
        struct ifaddrs *all = NULL;

        if (getifaddrs(&all) < 0)
                return;
        add_all(all, AF_INET, ret);
        add_all(all, AF_INET6, ret);
        freeifaddrs(all);
}

static void tell_waiters(struct source *source, uint32_t events)
{
        owned_string struct str found = {0};
        char dropped[8192];

        (void)events;
        while (recv(source->fd, dropped, sizeof dropped, MSG_DONTWAIT) > 0)
                ;
        find(&found);
        for (size_t i = 0; i < WAITERS && found.length > 0; i++) {
                if (waiters[i].port == NULL)
                        continue;
                port_say(waiters[i].port, GUEST_ADDRESSES, waiters[i].channel, found.data, found.length);
                waiters[i].port = NULL;
        }
}

static bool listen_for_changes(void)
{
        static struct source changes = {.fd = -1, .ready = tell_waiters};
        const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_LINK};

        if (changes.fd >= 0)
                return true;
        changes.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (changes.fd < 0 || bind(changes.fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return false;
        source_watch(&changes, EPOLLIN);
        return true;
}

void address_tell(struct port *port, unsigned channel, bool wait)
{
        owned_string struct str found = {0};
        bool listening = wait && listen_for_changes(); /* before we look */

        find(&found);
        for (size_t i = 0; i < WAITERS && listening && found.length == 0; i++) {
                if (waiters[i].port != NULL)
                        continue;
                waiters[i].port = port;
                waiters[i].channel = channel;
                return;
        }
        port_say(port, GUEST_ADDRESSES, channel, found.data, found.length);
}

void address_forget(const struct port *port)
{
        for (size_t i = 0; i < WAITERS; i++)
                if (waiters[i].port == port)
                        waiters[i].port = NULL;
}
