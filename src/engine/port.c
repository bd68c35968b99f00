/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a port of the host is free, by taking it for a moment. What is free now may be taken when the engine listens: it says so
 * again then.
 */
#include "engine/port.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

const char *engine_port_address(const struct engine_port *port)
{
        return port->address == NULL ? "127.0.0.1" : port->address;
}

int engine_port_check(const struct engine_port *port, struct cowherd_error *err)
{
        const char *text = engine_port_address(port);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port->host)};
        int yes = 1;

        if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
                (void)fail(err, COWHERD_UNAVAILABLE, "ports= can't listen on '%s': a user network forwards from IPv4 addresses only", text);
                return fail_hint(err, "expected an address such as 127.0.0.1 or 0.0.0.0");
        }
        owned_fd int fd = socket(AF_INET, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        if (fd < 0 || (!port->udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0))
                return fail_errno(err, "cannot make a socket");
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
                return 0;
        if (errno == EADDRNOTAVAIL)
                return fail(err, COWHERD_NOT_FOUND, "ports= can't listen on '%s', which is no address of this host", text);
        if (errno != EADDRINUSE)
                return fail_errno(err, "cannot listen on port %u of '%s'", (unsigned)port->host, text);
        (void)fail(err, COWHERD_BUSY, "port %u of '%s' is in use on this host", (unsigned)port->host, text);
        return fail_hint(err, "take another host port in ports=, or end what listens there (ss -ltnup)");
}
