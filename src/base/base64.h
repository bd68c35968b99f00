/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text (RFC 4648, section 4). */
#pragma once

#include <stddef.h>

/* To be freed. */
char *base64_encode(const void *bytes, size_t count) __attribute__((malloc, returns_nonnull));
