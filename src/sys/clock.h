/* SPDX-License-Identifier: Apache-2.0 */
/* Time and randomness. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Monotonic, for durations, in ms with fractions. */
double clock_ms(void);
/* Wall clock in ms since 1970, for what is kept. */
uint64_t clock_wall_ms(void);
#define CLOCK_TEXT_BYTES 32
/* "2026-11-23T16:07:48Z" of a wall time, into buffer of CLOCK_TEXT_BYTES. Returns buffer. */
const char *clock_format(uint64_t wall_ms, char *buffer);

/* getrandom(2): never fails once the kernel's pool is ready. */
void random_bytes(void *buffer, size_t count);
#define UUID_TEXT_BYTES 37
/* A random (version 4) UUID in lower case, into buffer of UUID_TEXT_BYTES. Returns buffer. */
const char *random_uuid(char *buffer);
/* `bytes` random bytes as lower-case hex, into buffer of 2 * bytes + 1. Returns buffer. */
const char *random_hex(size_t bytes, char *buffer);
