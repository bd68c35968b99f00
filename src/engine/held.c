/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F_OFD_GETLK on a descriptor of its own: asks for the conflict that an exclusive lock would meet, without taking one.
 * It needs no permission to write, and closing that descriptor gives no lock back, as POSIX locks would.
 */
#include "engine/held.h"

#include "base/mem.h"

#include <fcntl.h>
#include <unistd.h>

int engine_lock_held(int folder, const char *path, off_t start, off_t length)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

        /* O_NONBLOCK: whoever puts a fifo in its place must not stop us. */
        owned_fd int fd = openat(folder, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
                return -1;
        return lock.l_type != F_UNLCK;
}
