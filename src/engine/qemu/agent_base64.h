/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: bytes as the agent carries them (RFC 4648, section 4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* To be freed. */
char *agent_base64_encode(const void *bytes, size_t count);
/* *ret_bytes is the caller's, NUL added. False where the text is not that; nothing is then set. */
bool agent_base64_decode(const char *text, size_t length, char **ret_bytes, size_t *ret_count);
