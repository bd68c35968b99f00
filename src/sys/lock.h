/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership by flock(2). Whoever holds an object's lock file owns the object; a tool that is to keep working after us
 * is handed the descriptor. A lock file may be removed by its holder, so taking one means: open, lock, and see that it
 * is still the file of that name.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Takes the exclusive lock of `name` in the folder `at`, made if absent. With `wait` it blocks until it is free;
 * without, a lock held by another is 1 and nothing is taken. *ret_fd is the caller's: closing it gives the lock back.
 */
int lock_take(int at, const char *name, bool wait, int *ret_fd, struct cowherd_error *err) must_check;
/*
 * Whether another holds the lock of `name`. Nothing is taken and no file made; where there is none, nobody does. Who looks shares it for a
 * moment, so that whoever takes it then without waiting may find it held.
 */
int lock_is_held(int at, const char *name, bool *ret, struct cowherd_error *err) must_check;
/* Removes the lock file while it is held, then gives it back and sets *fd to -1. */
void lock_remove(int at, const char *name, int *fd);
