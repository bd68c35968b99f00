/* SPDX-License-Identifier: Apache-2.0 */
/* What the module cowherd-curl offers: see reach_module.c. */
#pragma once

/* Whether a server is silent, asked for `url`: 1, or 0 where it says anything. -1: curl can't be started. proxy may be NULL. */
typedef int server_is_silent_fn(const char *url, const char *proxy, long connect_ms, long ms);
