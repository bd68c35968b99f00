/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying one file: its blocks shared (FICLONE, ioctl_ficlonerange(2)) where that is possible, else its data copied
 * inside the kernel (copy_file_range(2)), range by range as SEEK_DATA and SEEK_HOLE find them, so that holes stay
 * holes.
 */
#include "sys/file_copy.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK_BYTES ((uint64_t)16 << 20) /* between two reports of progress, and two looks for signals */
#define BUFFER_BYTES ((size_t)256 << 10)

bool file_cannot_share(int os_errno)
{
        return os_errno == EOPNOTSUPP || os_errno == EXDEV || os_errno == EINVAL || os_errno == ENOTTY ||
               os_errno == ENOSYS;
}

int file_share(int from, int to, struct cowherd_error *err)
{
        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        if (!file_cannot_share(errno))
                return fail_errno(err, "cannot share the blocks of a file");
        return fail(err, COWHERD_UNAVAILABLE, "cannot share blocks here: %s",
                    errno == EXDEV ? "the two files lie on different filesystems" : "the filesystem has no reflinks");
}

struct copying {
        int from, to;
        const struct file_progress *progress;
        uint64_t done, total;
        bool by_hand; /* copy_file_range(2) does not work between these two */
};

/* Copies up to `bytes` at an offset through memory. How many, 0 at the end of the file, or -1 and errno. */
static ssize_t copy_by_hand(const struct copying *copying, off_t at, size_t bytes)
{
        owned_mem char *buffer = x_malloc(BUFFER_BYTES);
        ssize_t got = pread(copying->from, buffer, bytes < BUFFER_BYTES ? bytes : BUFFER_BYTES, at);

        for (ssize_t put = 0; put < got;) {
                ssize_t step = pwrite(copying->to, buffer + put, (size_t)(got - put), at + put);
                if (step < 0 && errno != EINTR)
                        return -1;
                put += step < 0 ? 0 : step;
        }
        return got;
}

/* Copies some of the next `bytes` by the best way there is. */
static ssize_t copy_some(struct copying *copying, off_t at, size_t bytes)
{
        if (!copying->by_hand) {
                off_t in = at, out = at;
                ssize_t got = copy_file_range(copying->from, &in, copying->to, &out, bytes, 0);
                if (got > 0 || (got < 0 && (errno == EINTR || errno == ENOSPC || errno == EIO || errno == EDQUOT ||
                                            errno == EFBIG)))
                        return got;
                copying->by_hand = true; /* refused, or a filesystem that says 0 without being at the end */
        }
        return copy_by_hand(copying, at, bytes);
}

static int copy_range(struct copying *copying, off_t at, off_t end, struct cowherd_error *err)
{
        while (at < end) {
                uint64_t left = (uint64_t)(end - at);
                ssize_t got = copy_some(copying, at, (size_t)(left < CHUNK_BYTES ? left : CHUNK_BYTES));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail_errno(err, "cannot copy a file");
                if (got == 0)
                        return fail(err, COWHERD_BUSY, "a file was cut while it was copied");
                at += got;
                copying->done += (uint64_t)got;
                if (copying->progress != NULL && copying->progress->report != NULL)
                        copying->progress->report(copying->progress->context, copying->done, copying->total);
        }
        return 0;
}

/* Copies the data between the holes. */
static int copy_ranges(struct copying *copying, off_t length, struct cowherd_error *err)
{
        for (off_t at = 0; at < length;) {
                off_t data = lseek(copying->from, at, SEEK_DATA);
                if (data < 0 && errno == ENXIO)
                        return 0; /* a hole to the end */
                if (data < 0)
                        return copy_range(copying, at, length, err); /* it can't tell holes */
                off_t hole = lseek(copying->from, data, SEEK_HOLE);
                if (hole < 0)
                        return fail_errno(err, "cannot find the holes of a file");
                if (copy_range(copying, data, hole < length ? hole : length, err) < 0)
                        return -1;
                at = hole;
        }
        return 0;
}

int file_copy_data(int from, int to, const struct stat *found, const struct file_progress *progress,
                   uint64_t done_before, uint64_t total, struct cowherd_error *err)
{
        struct copying copying = {.from = from, .to = to, .progress = progress, .done = done_before, .total = total};

        if ((uint64_t)found->st_blocks * 512 >= (uint64_t)found->st_size)
                return copy_range(&copying, 0, found->st_size, err);
        if (ftruncate(to, found->st_size) < 0)
                return fail_errno(err, "cannot set the length of a file");
        return copy_ranges(&copying, found->st_size, err);
}

int file_copy(int from, int to, bool *ret_shared, const struct file_progress *progress, struct cowherd_error *err)
{
        struct stat found;
        bool shared = ioctl(to, FICLONE, from) == 0;

        if (!shared && !file_cannot_share(errno))
                return fail_errno(err, "cannot share the blocks of a file");
        if (!shared) {
                if (fstat(from, &found) < 0)
                        return fail_errno(err, "cannot look at a file");
                if (file_copy_data(from, to, &found, progress, 0, (uint64_t)found.st_size, err) < 0)
                        return -1;
        }
        if (ret_shared != NULL)
                *ret_shared = shared;
        return 0;
}
