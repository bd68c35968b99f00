/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link's hardware address. A card that can takes it while it is up, as virtio's does; IPv6, whose own address is made of the old one, is
 * turned off and on for that. Another goes down for it, which takes three times as long, keeps IPv4 addresses and loses routes: those that
 * somebody made are asked for before, and said again afterwards in the kernel's own words. arp_notify has it tell its neighbours who has its
 * address now, or they would go on sending to the old one.
 */
#include "guest/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wcast-align" /* the kernel's own macros; its messages lie aligned */

#define LINKS 4096 /* the highest number that is looked at; they begin at 1 */
#define ROUTES 32
#define ROUTE_BYTES 512
#define MAC_BYTES 6

struct route {
        size_t length;
        bool through; /* a gateway */
        union {
                struct nlmsghdr header;
                uint8_t bytes[ROUTE_BYTES];
        } as;
};
struct routes {
        struct route items[ROUTES];
        size_t count;
};

/* Of a device: neither loopback, nor made by software. The one that came first. */
static bool find(char *ret, size_t bytes)
{
        owned_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        for (int index = 1; fd >= 0 && index <= LINKS; index++) {
                struct ifreq request = {.ifr_ifindex = index};
                char path[64];
                if (ioctl(fd, SIOCGIFNAME, &request) < 0)
                        continue;
                (void)snprintf(path, sizeof path, "/sys/class/net/%.15s/device", request.ifr_name);
                if (access(path, F_OK) < 0)
                        continue;
                (void)snprintf(ret, bytes, "%.15s", request.ifr_name);
                return true;
        }
        return false;
}

static struct {
        char name[IFNAMSIZ];
        double at_ms; /* 0: never */
} prepared;

static bool is_prepared(void)
{
        return prepared.at_ms > 0 && loop_now_ms() - prepared.at_ms < PREPARED_MS;
}

int link_find(const char *wanted, char *ret, size_t bytes)
{
        if (wanted[0] != '\0') {
                (void)snprintf(ret, bytes, "%s", wanted);
                return if_nametoindex(ret) == 0 ? ENODEV : 0;
        }
        if (is_prepared()) {
                (void)snprintf(ret, bytes, "%s", prepared.name);
                return 0;
        }
        return find(ret, bytes) ? 0 : ENODEV;
}

/* ---- Routes ---- */

/* Of this link, and made by somebody; *ret_through tells whether by a gateway. */
static bool is_wanted(const struct nlmsghdr *message, unsigned index, bool *ret_through)
{
        const struct rtmsg *route = NLMSG_DATA(message);
        unsigned left = message->nlmsg_len < NLMSG_LENGTH(sizeof *route) ? 0 : (unsigned)RTM_PAYLOAD(message);
        bool ours = false;

        *ret_through = false;
        if (message->nlmsg_type != RTM_NEWROUTE || left == 0 || message->nlmsg_len > ROUTE_BYTES ||
            route->rtm_protocol == RTPROT_KERNEL || route->rtm_type != RTN_UNICAST)
                return false;
        for (const struct rtattr *attribute = RTM_RTA(route); RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
                unsigned out = 0;
                if (attribute->rta_type == RTA_OIF && RTA_PAYLOAD(attribute) == sizeof out) {
                        memcpy(&out, RTA_DATA(attribute), sizeof out);
                        ours = out == index;
                }
                *ret_through |= attribute->rta_type == RTA_GATEWAY;
        }
        return ours;
}

static void keep_route(struct routes *routes, const struct nlmsghdr *message, bool through)
{
        if (routes->count == ROUTES)
                return;
        struct route *route = &routes->items[routes->count++];
        route->length = message->nlmsg_len;
        route->through = through;
        memcpy(route->as.bytes, message, message->nlmsg_len);
}

/* Reads answers up to the last one. */
static bool read_routes(int fd, unsigned index, struct routes *ret)
{
        union {
                struct nlmsghdr header;
                uint8_t bytes[16384];
        } buffer;

        for (;;) {
                ssize_t got = recv(fd, &buffer, sizeof buffer, 0);
                if (got <= 0)
                        return false;
                unsigned left = (unsigned)got;
                for (const struct nlmsghdr *message = &buffer.header; NLMSG_OK(message, left);
                     message = NLMSG_NEXT(message, left)) {
                        bool through;
                        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
                                return message->nlmsg_type == NLMSG_DONE;
                        if (is_wanted(message, index, &through))
                                keep_route(ret, message, through);
                }
        }
}

static void find_routes(int fd, unsigned index, struct routes *ret)
{
        const struct {
                struct nlmsghdr header;
                struct rtmsg route;
        } question = {.header = {.nlmsg_len = sizeof question, .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                      .route = {.rtm_family = AF_INET}};

        if (send(fd, &question, sizeof question, 0) == (ssize_t)sizeof question)
                (void)read_routes(fd, index, ret);
}

/* Those without a gateway first: the others are reached by them. */
static void put_routes(int fd, struct routes *routes)
{
        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < routes->count; i++) {
                        struct route *route = &routes->items[i];
                        if (route->through != (round == 1))
                                continue;
                        route->as.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
                        if (send(fd, route->as.bytes, route->length, 0) < 0)
                                return;
                }
        }
}

/* ---- The address ---- */

/* Of a link; a kernel may be without it. */
static int open_setting(const char *family, const char *link, const char *name)
{
        char path[128];

        (void)snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, link, name);
        return open(path, O_RDWR | O_CLOEXEC);
}

static void notify_neighbours(const char *link)
{
        owned_fd int fd = open_setting("ipv4", link, "arp_notify");

        if (fd >= 0 && write(fd, "1", 1) < 0)
                errno = 0;
}

void link_prepare(void)
{
        prepared.at_ms = find(prepared.name, sizeof prepared.name) ? loop_now_ms() : 0;
        if (prepared.at_ms > 0)
                notify_neighbours(prepared.name);
}

static void begin_ipv6_again(const char *link)
{
        owned_fd int fd = open_setting("ipv6", link, "disable_ipv6");
        char is_off = '1';

        if (fd < 0 || read(fd, &is_off, 1) < 1 || is_off != '0')
                return;
        if (pwrite(fd, "1", 1, 0) == 1 && pwrite(fd, "0", 1, 0) < 0)
                errno = 0;
}

/* EBUSY: not while it is up. */
static int change_live(int fd, struct ifreq *request, const uint8_t *mac)
{
        struct ifreq wanted = *request;

        memcpy(wanted.ifr_hwaddr.sa_data, mac, MAC_BYTES);
        if (ioctl(fd, SIOCSIFHWADDR, &wanted) < 0)
                return errno;
        begin_ipv6_again(request->ifr_name);
        return 0;
}

static int change(int fd, struct ifreq *request, const uint8_t *mac)
{
        struct ifreq flags = *request, down;

        if (ioctl(fd, SIOCGIFFLAGS, &flags) < 0)
                return errno;
        down = flags;
        down.ifr_flags = (short)(down.ifr_flags & ~IFF_UP);
        if ((flags.ifr_flags & IFF_UP) != 0 && ioctl(fd, SIOCSIFFLAGS, &down) < 0)
                return errno;
        memcpy(request->ifr_hwaddr.sa_data, mac, MAC_BYTES);
        int failed = ioctl(fd, SIOCSIFHWADDR, request) < 0 ? errno : 0;
        if ((flags.ifr_flags & IFF_UP) != 0 && ioctl(fd, SIOCSIFFLAGS, &flags) < 0 && failed == 0)
                failed = errno;
        return failed;
}

int link_set_address(const char *link, const char *mac)
{
        struct routes routes = {.count = 0};
        struct ifreq request = {0};
        uint8_t wanted[MAC_BYTES];

        owned_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return errno;
        for (size_t i = 0; i < MAC_BYTES; i++)
                wanted[i] = (uint8_t)strtoul(mac + 3 * i, NULL, 16);
        (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", link);
        if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
                return errno;
        if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
                return EPROTOTYPE;
        if (memcmp(request.ifr_hwaddr.sa_data, wanted, MAC_BYTES) == 0)
                return 0;
        if (!is_prepared())
                notify_neighbours(link);
        if (change_live(fd, &request, wanted) == 0)
                return 0;
        owned_fd int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (netlink < 0)
                return errno;
        find_routes(netlink, if_nametoindex(link), &routes);
        int failed = change(fd, &request, wanted);
        put_routes(netlink, &routes);
        return failed;
}
