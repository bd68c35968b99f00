/* SPDX-License-Identifier: Apache-2.0 */
/* openat2(2), which glibc does not wrap. */
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* `resolve` is RESOLVE_… or-ed; O_CLOEXEC is added. As openat(2): a descriptor, or -1 and errno. */
static inline int openat2_call(int at, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve};

        return (int)syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* A name in a folder that is being walked: its own, no symlink, and not another filesystem mounted there (EXDEV). */
static inline int openat2_entry(int at, const char *name, int flags)
{
        return openat2_call(at, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
}
