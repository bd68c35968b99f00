/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place on a bridge of the host. Root makes a tap device and puts it on the bridge; others ask qemu-bridge-helper,
 * which is setuid root and does what /etc/qemu/bridge.conf allows. It is run by us, not by QEMU, which may start no
 * programs: it sends the tap's descriptor through a socket (SCM_RIGHTS).
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELPER "/usr/lib/qemu/qemu-bridge-helper"
#define HELPER_TIMEOUT_MS 10000
#define TAP_NAME "cowherd%d" /* the kernel puts the number */

static bool helper_works(void)
{
        struct stat found;

        return stat(HELPER, &found) == 0 && found.st_uid == 0 && (found.st_mode & S_ISUID) != 0 &&
               access(HELPER, X_OK) == 0;
}

int qemu_bridge_check(const char *bridge, struct cowherd_error *err)
{
        owned_str char *interface = x_asprintf("/sys/class/net/%s", bridge),
                       *inside = x_asprintf("%s/bridge", interface);

        if (access(inside, F_OK) < 0) {
                (void)fail(err, COWHERD_NOT_FOUND,
                           access(interface, F_OK) < 0 ? "bridge '%s' not found" : "'%s' is no bridge", bridge);
                return fail_hint(err, "make one (ip link add NAME type bridge), or see 'ip link show type bridge' for "
                                      "those there are");
        }
        if (geteuid() == 0) {
                if (access("/dev/net/tun", R_OK | W_OK) < 0)
                        return fail(err, COWHERD_UNAVAILABLE,
                                    "network=bridge:%s needs /dev/net/tun, which can't be opened: %s", bridge,
                                    strerror(errno));
                return 0;
        }
        if (helper_works())
                return 0;
        (void)fail(err, COWHERD_DENIED, "network=bridge:%s needs root, or %s with setuid root", bridge, HELPER);
        return fail_hint(err, "run as root, or let root do: chmod u+s %s; echo 'allow %s' >>/etc/qemu/bridge.conf",
                         HELPER, bridge);
}

static int make_tap(const char *bridge, int *ret_fd, struct cowherd_error *err)
{
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = TAP_NAME};
        struct ifreq on_bridge = {0};

        owned_fd int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC),
                     any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (tap < 0)
                return fail_errno(err, "cannot open '/dev/net/tun'");
        if (any < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
                return fail_errno(err, "cannot make a network device");
        (void)snprintf(on_bridge.ifr_name, sizeof on_bridge.ifr_name, "%s", bridge);
        on_bridge.ifr_ifindex = (int)if_nametoindex(request.ifr_name);
        if (ioctl(any, SIOCBRADDIF, &on_bridge) < 0)
                return fail_errno(err, "cannot put a network device on the bridge '%s'", bridge);
        if (ioctl(any, SIOCGIFFLAGS, &request) < 0)
                return fail_errno(err, "cannot ask about '%s'", request.ifr_name);
        request.ifr_flags |= IFF_UP;
        if (ioctl(any, SIOCSIFFLAGS, &request) < 0)
                return fail_errno(err, "cannot switch '%s' on", request.ifr_name);
        *ret_fd = take_fd(tap);
        return 0;
}

static int receive_descriptor(int from, int *ret_fd, struct cowherd_error *err)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char byte;
        struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {
                .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

        if (recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
                return fail_errno(err, "cannot read from '%s'", HELPER);
        const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return fail(err, COWHERD_SYSTEM, "'%s' sent no network device", HELPER);
        memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
        return 0;
}

static int ask_helper(const char *bridge, int *ret_fd, struct cowherd_error *err)
{
        owned_process struct process helper = {.timeout_ms = HELPER_TIMEOUT_MS, .keep_count = 1};
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return fail_errno(err, "cannot make a socket");
        owned_fd int ours = pair[0], its = pair[1];
        process_add(&helper, HELPER, "--use-vnet", NULL);
        strv_addf(&helper.argv, "--fd=%d", its);
        strv_addf(&helper.argv, "--br=%s", bridge);
        helper.keep[0] = its;
        if (process_check(&helper, NULL, err) < 0) {
                err->code = COWHERD_DENIED;
                return fail_hint(err, "root allows it by a line 'allow %s' in /etc/qemu/bridge.conf", bridge);
        }
        return receive_descriptor(ours, ret_fd, err);
}

int qemu_bridge_open(const char *bridge, int *ret_fd, struct cowherd_error *err)
{
        if (qemu_bridge_check(bridge, err) < 0)
                return -1;
        return geteuid() == 0 ? make_tap(bridge, ret_fd, err) : ask_helper(bridge, ret_fd, err);
}
