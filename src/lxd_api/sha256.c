/* SPDX-License-Identifier: Apache-2.0 */
/* An image's name is the SHA-256 of its files, one after the other. */
#include "lxd_api/sha256.h"

#include "base/mem.h"

#include <fcntl.h>
#include <nettle/base16.h>
#include <unistd.h>

#define CHUNK_BYTES 32768

int sha256_add_file(struct sha256_ctx *sum, const char *path, struct cowherd_error *err)
{
        unsigned char chunk[CHUNK_BYTES];
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return fail_errno(err, "cannot open '%s'", path);
        for (;;) {
                ssize_t count = read(fd, chunk, sizeof chunk);
                if (count < 0)
                        return fail_errno(err, "cannot read '%s'", path);
                if (count == 0)
                        return 0;
                sha256_update(sum, (size_t)count, chunk);
        }
}

const char *sha256_text(struct sha256_ctx *sum, char *buffer)
{
        unsigned char digest[SHA256_DIGEST_SIZE];

        sha256_digest(sum, sizeof digest, digest);
        base16_encode_update(buffer, sizeof digest, digest);
        buffer[SHA256_TEXT_BYTES - 1] = '\0';
        return buffer;
}
