/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people write them: counts, sizes (512M, 2GiB: binary) and durations (500ms, 30s, 10m, 2h), and back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_TEXT_BYTES 32

/* Decimal digits alone, no sign. False where the text is not that or does not fit; *ret is then untouched. */
bool number_parse(const char *text, uint64_t *ret);
/* Bytes: digits with K, M, G or T, then optionally B or iB, any case; always powers of 1024. */
bool number_parse_size(const char *text, uint64_t *ret_bytes);
/* Milliseconds: digits with ms, s, m, h or d; a bare number is seconds, as everywhere in the field. */
bool number_parse_duration(const char *text, uint64_t *ret_ms);
/* true false yes no 1 0, any case. */
bool number_parse_boolean(const char *text, bool *ret);

/* "0 B", "512 B", "12.0 KiB", "1.5 GiB", into `buffer` of NUMBER_TEXT_BYTES. Returns buffer. */
const char *number_format_size(uint64_t bytes, char *buffer);
/* Milliseconds with as many decimals as say something: "0.31", "4.7", "132". Returns buffer. */
const char *number_format_ms(double ms, char *buffer);
