/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that belong to an open file: a tool which inherits the descriptor goes on holding them, and they vanish with the
 * last descriptor, however it is lost. Two kinds. A file of its own (flock) for what is one of a kind; it may be removed by
 * its holder, so taking one means: open, lock, and see that it is still the file of that name. A byte of a table (fcntl's
 * locks of an open file description) for what there are thousands of: no file is made, and many take one descriptor.
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

/* Opens the table `name`, made if absent, holding nothing yet. *ret_fd is the caller's: closing it gives back all that it holds. */
int lock_open_table(int at, const char *name, int *ret_fd, struct cowherd_error *err) must_check;
/*
 * Takes lock `number` of a table for whoever has this descriptor; what it holds already it is given again. With `wait` it
 * blocks until it is free; without, one held by another is 1 and nothing is taken.
 */
int lock_take_number(int table, uint64_t number, bool wait, struct cowherd_error *err) must_check;
