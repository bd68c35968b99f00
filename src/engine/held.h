/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a file who holds it: engines lock what they run (fcntl locks of an open file description), and the kernel
 * gives these locks back however their holder ended. So a lock is the truth about "running" that no pid file can be.
 */
#pragma once

#include <sys/types.h>

/*
 * Whether anybody else holds an fcntl lock on any of `length` bytes from `start` (0: to the end) of a regular file: 1
 * or 0; -1 and errno where it can't be asked (ENOENT: no such file). Takes nothing, 2 µs. Unlike /proc/locks, which
 * shows a device number that is not stat(2)'s on btrfs and overlayfs, this is right on every filesystem.
 */
int engine_lock_held(int folder, const char *path, off_t start, off_t length) __attribute__((warn_unused_result));
