/* SPDX-License-Identifier: Apache-2.0 */
/* openat2(2), which glibc does not wrap. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * `resolve` is RESOLVE_… or-ed. O_CLOEXEC is added, and without O_PATH, which openat2 allows no others with, the flags that
 * keep an open from waiting for a fifo's other end or taking a terminal. As openat(2): a descriptor, or -1 and errno.
 */
static inline int openat2_call(int at, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        int harmless = (flags & O_PATH) != 0 ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        struct open_how how = {.flags = (uint64_t)(unsigned)(flags | harmless), .mode = mode, .resolve = resolve};

        return (int)syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* A name in a folder that is being walked: its own, no symlink, and not another filesystem mounted there (EXDEV). */
static inline int openat2_entry(int at, const char *name, int flags)
{
        return openat2_call(at, name, flags | O_NOFOLLOW, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
}

/*
 * As openat2_entry, without leaving an access time behind where we may (root, or the owner): looking at a snapshot must
 * not unshare the metadata of all that is in it.
 */
static inline int openat2_look(int at, const char *name, int flags)
{
        int fd = openat2_entry(at, name, flags | O_NOATIME);

        return fd < 0 && errno == EPERM ? openat2_entry(at, name, flags) : fd;
}
