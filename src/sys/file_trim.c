/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log that somebody else goes on writing: what is old in it becomes a hole (FALLOC_FL_PUNCH_HOLE), so that neither its length nor
 * the place where the writer is changes, and nothing that is written meanwhile can be lost. Cutting it off instead could lose a line.
 */
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>

#define BLOCK_BYTES 512u /* of st_blocks, whatever the filesystem's own are */
#define HOLE_STEP 4096   /* a hole ends at a page */

int file_forget_start(int fd, uint64_t keep_bytes, const char *what, struct cowherd_error *err)
{
        struct stat found;

        if (fstat(fd, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", what);
        off_t keep = (off_t)keep_bytes, end = found.st_size <= keep ? 0 : (found.st_size - keep) / HOLE_STEP * HOLE_STEP;
        if (end == 0 || (uint64_t)found.st_blocks * BLOCK_BYTES <= 2 * keep_bytes)
                return 0;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, end) < 0 && errno != EOPNOTSUPP)
                return fail_errno(err, "cannot shorten '%s'", what);
        return 0;
}
