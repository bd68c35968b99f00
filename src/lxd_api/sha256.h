/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), by which LXD names its images. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_TEXT_BYTES 65

struct sha256 {
        uint32_t state[8];
        uint64_t total_bytes;
        uint8_t block[64];
};
void sha256_begin(struct sha256 *it);
void sha256_add(struct sha256 *it, const void *bytes, size_t count);
/* The sum as lower-case hex, into buffer of SHA256_TEXT_BYTES. Returns buffer. */
const char *sha256_end(struct sha256 *it, char *buffer);
/* Adds a whole file. */
int sha256_add_file(struct sha256 *it, const char *path, struct cowherd_error *err) must_check;
