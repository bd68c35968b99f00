/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd-keeper: holds the memory file of a live base while it is used, and hands it to whoever of the same user connects. A
 * program of its own, and not a fork of the one that starts it, for that may be anybody's and large; this one links the C library and
 * nothing else. It maps nothing of the memory, reads nothing of what it is sent, and sleeps until somebody comes.
 *
 *     3 the memory file, 4 a listening socket, 5 an inotify descriptor that watches the file on disk
 *
 * It ends when nobody came for ten minutes (KEEPER_IDLE_SECONDS in its first argument), when the base's file is gone, and when it
 * is killed: then the next clone reads the memory in again.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY 3
#define LISTENER 4
#define CHANGES 5
#define IDLE_SECONDS 600

/* Sends one byte and the memory file's descriptor. A client that does not read gets nothing: we never wait for it. */
static void hand_over(int client)
{
        char byte = 'm';
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
        int memory = MEMORY;

        memcpy(CMSG_DATA(&control.header), &memory, sizeof memory);
        (void)sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve(void)
{
        struct ucred peer;
        socklen_t length = sizeof peer;

        int client = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
                return;
        if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid())
                hand_over(client);
        (void)close(client);
}

/* Whether the file on disk is gone, or its filesystem. */
static int is_gone(void)
{
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

        ssize_t got = read(CHANGES, events, sizeof events);
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= got;) {
                const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);
                if ((event->mask & (IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0)
                        return 1;
                at += (ssize_t)sizeof *event + event->len;
        }
        return 0;
}

int main(int count, char **words)
{
        struct pollfd ready[2] = {{.fd = LISTENER, .events = POLLIN}, {.fd = CHANGES, .events = POLLIN}};
        int seconds = count > 1 ? atoi(words[1]) : IDLE_SECONDS;

        for (;;) {
                int found = poll(ready, 2, seconds * 1000);
                if (found < 0 && errno != EINTR)
                        return 1;
                if (found == 0 || (found > 0 && ready[1].revents != 0 && is_gone()))
                        return 0;
                if (found > 0 && ready[0].revents != 0)
                        serve();
        }
}
