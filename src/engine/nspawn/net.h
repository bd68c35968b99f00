/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: the network of a container, seen through netlink sockets that are made in its namespace
 * (rtnetlink(7)). */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Gives an interface of a process's network namespace its hardware address ("52:54:00:…"). */
int net_set_address(pid_t pid, const char *interface, const char *mac, struct cowherd_error *err) must_check;

/*
 * The first global address of that network, IPv4 before IPv6, into buffer; waits for one. `ended` (a pidfd) is the
 * container: its end is 75, as is timeout_ms.
 */
int net_wait_address(pid_t pid, int ended, uint64_t timeout_ms, char *buffer, size_t bytes,
                     struct cowherd_error *err) must_check;
