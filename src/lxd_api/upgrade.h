/* SPDX-License-Identifier: Apache-2.0 */
/* A request after which a connection to LXD is no HTTP any more, but a stream of another protocol. */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdint.h>

/*
 * Asks for `path` to become `protocol`, with more header lines (each with its CR LF). 69 or 77 where nobody listens, as
 * lxd_send has it; 75 where no answer comes in `timeout_ms`; what LXD refuses has its code. *ret_fd is the caller's; *ret_head
 * (may be NULL) gets the answer's header lines.
 */
int lxd_upgrade(const char *socket, const char *path, const char *protocol, const char *headers, uint64_t timeout_ms,
                int *ret_fd, struct str *ret_head, struct cowherd_error *err) must_check;
