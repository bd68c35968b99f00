/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by nettle, by which LXD names its images. */
#pragma once

#include "base/error.h"

#include <nettle/sha2.h>

#define SHA256_TEXT_BYTES (2 * SHA256_DIGEST_SIZE + 1)

/* Adds a whole file to a sum that sha256_init began. */
int sha256_add_file(struct sha256_ctx *sum, const char *path, struct cowherd_error *err) must_check;
/* The sum as lower-case hex, into buffer of SHA256_TEXT_BYTES. Returns buffer. */
const char *sha256_text(struct sha256_ctx *sum, char *buffer);
