/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports. Those of a machine appear when their driver is loaded and their names have come: the kernel tells (uevents), so they are
 * found whenever it is. A port stays open while the host comes and goes. When it has hung up reading gives 0 bytes; but the driver
 * learns of that later than it gives us what the next client has said already, so a session is over only when its host is still
 * away a moment later, or says HELLO.
 */
#include "guest/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTS 16
#define PIECE_BYTES 32768 /* what virtio_console takes and gives at once */
#define FULL_BYTES (256u << 10)
#define ROOM_BYTES (64u << 10)
#define AWAY_MS 250.0

struct port {
        struct source source;
        struct guest_decoder decoder;
        struct str out;
        size_t sent; /* of out */
        char device[32];
        bool lasting; /* a machine's port: the host comes again */
        bool full;
        double hung_up_ms; /* when the host was seen to have; 0: it has not */
};

static struct port ports[PORTS];

static void send_out(struct port *port)
{
        while (port->sent < port->out.length) {
                size_t left = port->out.length - port->sent;
                ssize_t done = write(port->source.fd, port->out.data + port->sent, left < PIECE_BYTES ? left : PIECE_BYTES);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done <= 0)
                        break; /* it will be told when there is room; or the host has hung up */
                port->sent += (size_t)done;
        }
        size_t left = port->out.length - port->sent;
        if (left == 0)
                port->out.length = port->sent = 0;
        port->full = left > (port->full ? ROOM_BYTES : FULL_BYTES);
}

void port_say(struct port *port, enum guest_type type, unsigned channel, const void *payload, size_t length)
{
        if (port->source.fd < 0)
                return;
        if (port->sent > FULL_BYTES) { /* what was sent is let go of */
                port->out.length -= port->sent;
                memmove(port->out.data, port->out.data + port->sent, port->out.length);
                port->sent = 0;
        }
        if (type == GUEST_WELCOME) {
                port->out.length = port->sent = 0; /* nobody waits for the rest of an earlier session */
                guest_frame_reset(&port->out);
        }
        guest_frame_add(&port->out, type, channel, payload, length);
        send_out(port);
}

void port_say_done(struct port *port, unsigned channel, uint64_t number)
{
        owned_string struct str payload = {0};

        guest_put_long(&payload, number);
        port_say(port, GUEST_DONE, channel, payload.data, payload.length);
}

void port_say_failed(struct port *port, unsigned channel, enum guest_failure failure, int os_errno, const char *text)
{
        owned_string struct str payload = {0};

        guest_put_number(&payload, failure);
        guest_put_number(&payload, (uint32_t)os_errno);
        guest_put_text(&payload, text);
        port_say(port, GUEST_FAILED, channel, payload.data, payload.length);
}

bool port_is_full(const struct port *port)
{
        return port->full;
}

/* ---- What comes ---- */

static void hang_up(struct port *port)
{
        session_end(port);
        guest_decoder_free(&port->decoder);
        str_free(&port->out);
        port->sent = 0;
        port->full = false;
}

static void take_bytes(struct port *port, const uint8_t *bytes, size_t count)
{
        struct guest_frame frame;

        while (guest_decode(&port->decoder, &bytes, &count, &frame))
                session_take(port, &frame);
}

static void port_close(struct port *port)
{
        hang_up(port);
        source_close(&port->source);
        port->device[0] = '\0';
        if (!port->lasting)
                loop_end(0);
}

static void port_ready(struct source *source, uint32_t events)
{
        struct port *port = source->context;
        static uint8_t piece[PIECE_BYTES];

        (void)events;
        for (;;) {
                ssize_t got = read(source->fd, piece, sizeof piece);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0 && errno == EAGAIN)
                        break;
                if (got < 0 || (got == 0 && !port->lasting)) {
                        port_close(port); /* taken out of the machine */
                        return;
                }
                if (got == 0) {
                        port->hung_up_ms = loop_now_ms();
                        break;
                }
                take_bytes(port, piece, (size_t)got);
        }
        bool was_full = port->full;
        send_out(port);
        if (was_full && !port->full)
                runs_go_on(port);
}

int ports_timeout(void)
{
        double now = loop_now_ms(), least = -1;

        for (size_t i = 0; i < PORTS; i++) {
                struct port *port = &ports[i];
                if (port->source.ready == NULL || port->source.fd < 0 || port->hung_up_ms == 0)
                        continue;
                double left = port->hung_up_ms + AWAY_MS - now;
                if (left > 0) {
                        least = least < 0 || left < least ? left : least;
                        continue;
                }
                struct pollfd state = {.fd = port->source.fd, .events = POLLOUT};
                port->hung_up_ms = 0;
                if (poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0)
                        hang_up(port);
        }
        return least < 0 ? -1 : (int)least + 1;
}

static struct port *add(int fd, const char *device)
{
        for (size_t i = 0; i < PORTS; i++) {
                struct port *port = &ports[i];
                if (port->source.ready != NULL && port->source.fd >= 0)
                        continue;
                *port = (struct port){.source = {.fd = fd, .ready = port_ready, .context = port}};
                (void)snprintf(port->device, sizeof port->device, "%s", device);
                source_watch(&port->source, EPOLLIN | EPOLLOUT | EPOLLET);
                return port;
        }
        (void)close(fd);
        return NULL;
}

void port_add(int fd)
{
        struct stat info;
        struct port *port = add(fd, "");

        if (port != NULL)
                port->lasting = fstat(fd, &info) == 0 && S_ISCHR(info.st_mode);
}

/* ---- Finding them ---- */

static bool is_known(const char *device)
{
        for (size_t i = 0; i < PORTS; i++)
                if (ports[i].source.ready != NULL && ports[i].source.fd >= 0 && strcmp(ports[i].device, device) == 0)
                        return true;
        return false;
}

static bool is_ours(const char *device)
{
        char path[320], name[64] = "";

        (void)snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", device);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        ssize_t got = read(fd, name, sizeof name - 1);
        (void)close(fd);
        return got > 0 && strncmp(name, GUEST_PORT_PREFIX, sizeof GUEST_PORT_PREFIX - 1) == 0;
}

static void look_for_ports(void)
{
        DIR *folder = opendir("/sys/class/virtio-ports");
        struct dirent *entry;
        char path[320];

        while (folder != NULL && (entry = readdir(folder)) != NULL) {
                if (strncmp(entry->d_name, "vport", 5) != 0 || strlen(entry->d_name) > 31 || is_known(entry->d_name) ||
                    !is_ours(entry->d_name))
                        continue;
                (void)snprintf(path, sizeof path, "/dev/%s", entry->d_name);
                int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
                if (fd < 0 && errno == EBUSY && program.temporary)
                        break; /* another was brought, and came to the first of them first */
                struct port *port = fd < 0 ? NULL : add(fd, entry->d_name);
                if (port != NULL)
                        port->lasting = true;
        }
        if (folder != NULL)
                (void)closedir(folder);
}

static bool is_any_open(void)
{
        for (size_t i = 0; i < PORTS; i++)
                if (ports[i].source.ready != NULL && ports[i].source.fd >= 0)
                        return true;
        return false;
}

static void take_uevents(struct source *source, uint32_t events)
{
        char text[8192];
        bool ours = false;
        ssize_t got;

        (void)events;
        while ((got = recv(source->fd, text, sizeof text, MSG_DONTWAIT)) >= 0 || errno == ENOBUFS) /* some were lost */
                ours |= got < 0 || memmem(text, (size_t)got, "virtio-ports", 12) != NULL;
        if (ours)
                look_for_ports();
}

bool ports_find(void)
{
        static struct source uevents = {.ready = take_uevents};
        const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};

        uevents.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        if (uevents.fd < 0 || bind(uevents.fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return false;
        source_watch(&uevents, EPOLLIN);
        look_for_ports();
        errno = EBUSY;
        return !program.temporary || is_any_open();
}
