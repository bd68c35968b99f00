/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A digest of what is in a file, holes left aside: a gigabyte of zeros costs nothing, and a copy that has its zeros written out
 * has the same digest. It tells what a failing disk or a careless hand changed; it is no signature, so it can be fast.
 */
#include "sys/file.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
#define CHUNK_BYTES (1u << 20)
#define PRIME_A UINT64_C(0x9e3779b97f4a7c15)
#define PRIME_B UINT64_C(0xbf58476d1ce4e5b9)

static uint64_t mix(uint64_t value)
{
        value = (value ^ (value >> 31)) * PRIME_B;
        return value ^ (value >> 29);
}

/* Four sums side by side, so that the processor need not wait for one multiplication before the next. 0: all zeros. */
static uint64_t digest_block(const unsigned char *bytes, uint64_t offset)
{
        uint64_t words[BLOCK_BYTES / sizeof(uint64_t)], any = 0, sums[4] = {1, 2, 3, 4};

        memcpy(words, bytes, sizeof words);
        for (size_t i = 0; i < BLOCK_BYTES / sizeof(uint64_t); i += 4)
                for (size_t lane = 0; lane < 4; lane++) {
                        any |= words[i + lane];
                        sums[lane] = (sums[lane] ^ words[i + lane]) * PRIME_A;
                        sums[lane] ^= sums[lane] >> 32;
                }
        if (any == 0)
                return 0;
        return mix(mix(mix(mix(mix(offset + PRIME_A) ^ sums[0]) ^ sums[1]) ^ sums[2]) ^ sums[3]);
}

/* One stretch of data. Blocks are added up, so that their order, and how they lie in extents, does not count. */
static int digest_data(int fd, const char *what, off_t from, off_t to, unsigned char *chunk, uint64_t *sum, struct cowherd_error *err)
{
        for (off_t at = from - from % BLOCK_BYTES; at < to;) {
                ssize_t got = pread(fd, chunk, CHUNK_BYTES, at);
                if (got < 0)
                        return fail_errno(err, "cannot read '%s'", what);
                if (got == 0)
                        break;
                size_t whole = ((size_t)got + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
                memset(chunk + got, 0, whole - (size_t)got);
                for (size_t block = 0; block < whole && at + (off_t)block < to; block += BLOCK_BYTES)
                        *sum += digest_block(chunk + block, (uint64_t)at + block);
                at += (off_t)whole;
        }
        return 0;
}

int file_digest(int fd, const char *what, char *ret, struct cowherd_error *err)
{
        owned_mem unsigned char *chunk = x_malloc(CHUNK_BYTES);
        off_t length = lseek(fd, 0, SEEK_END), at = 0, done = 0;
        uint64_t sum = 0;

        if (length < 0)
                return fail_errno(err, "cannot read '%s'", what);
        while (at < length) {
                off_t data = lseek(fd, at, SEEK_DATA);
                if (data < 0 && errno == ENXIO)
                        break;
                off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return fail_errno(err, "cannot read '%s'", what);
                /* Where a filesystem's blocks are smaller than ours, one that was counted must not be again. */
                off_t from = data < done ? done : data, to = (hole + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
                if (from < to && digest_data(fd, what, from, to, chunk, &sum, err) < 0)
                        return -1;
                done = to;
                at = hole;
        }
        (void)snprintf(ret, FILE_DIGEST_BYTES, "%016" PRIx64, mix(sum ^ mix((uint64_t)length)));
        return 0;
}
