/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: ports of the host that lead to an instance, for the engines whose network runs by a program of its own. */
#pragma once

#include "engine/engine.h"

/* Where a port is listened on: its address, or 127.0.0.1 where none was said. */
const char *engine_port_address(const struct engine_port *port);
/* Whether it can be listened on now: 69 no IPv4 address, 66 no address of this host, 75 in use. */
int engine_port_check(const struct engine_port *port, struct cowherd_error *err) must_check;
