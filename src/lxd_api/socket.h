/* SPDX-License-Identifier: Apache-2.0 */
/* Which Unix socket LXD or Incus listens on, and why it can't be talked to. */
#pragma once

#include "base/error.h"

/* The socket to use, to be freed; 69 where there is none. */
int lxd_socket_find(char **ret, struct cowherd_error *err) must_check;
/* What the choice depends on besides the file system, as one text to compare. To be freed. */
char *lxd_socket_wish(void);
/* Why connecting to a socket fails, told after it did. Always -1. */
int lxd_socket_explain(const char *path, struct cowherd_error *err);
