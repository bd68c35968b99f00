/* SPDX-License-Identifier: Apache-2.0 */
/* Time and randomness: clock_gettime(2) and getrandom(2). */
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

double clock_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

uint64_t clock_wall_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *clock_format(uint64_t wall_ms, char *buffer)
{
        time_t seconds = (time_t)(wall_ms / 1000);
        struct tm parts;

        (void)gmtime_r(&seconds, &parts);
        (void)strftime(buffer, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
        return buffer;
}

void random_bytes(void *buffer, size_t count)
{
        unsigned char *at = buffer;

        while (count > 0) {
                ssize_t got = getrandom(at, count, 0);
                if (got < 0)
                        continue; /* only EINTR is possible: the pool of a booted system is ready */
                at += got;
                count -= (size_t)got;
        }
}

const char *random_hex(size_t bytes, char *buffer)
{
        static const char digits[] = "0123456789abcdef";

        /* The bytes go into the buffer's second half and are spelt out from its beginning: one system call, no copy. */
        unsigned char *raw = (unsigned char *)buffer + bytes;
        random_bytes(raw, bytes);
        for (size_t i = 0; i < bytes; i++) {
                unsigned char byte = raw[i];
                buffer[2 * i] = digits[byte >> 4];
                buffer[2 * i + 1] = digits[byte & 15];
        }
        buffer[2 * bytes] = '\0';
        return buffer;
}

const char *random_uuid(char *buffer)
{
        unsigned char b[16];

        random_bytes(b, sizeof b);
        b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
        b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
        (void)snprintf(buffer, UUID_TEXT_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
        return buffer;
}
