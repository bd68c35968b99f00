/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this room: what needs nettle's curves, which bring libhogweed and libgmp along: 0.5 ms at start, for what only
 * a first start of a tree asks. So it is a module (cowherd-key.so, sys/module.h), and host_key.c opens it.
 */
#pragma once

/* host_key_make of image/host_key.h, which can't fail once the module is there: the symbol cowherd_host_key_make. */
typedef void host_key_make_fn(const char *comment, char **ret_private, char **ret_public);
