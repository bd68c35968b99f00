/* SPDX-License-Identifier: Apache-2.0 */
/* Which process a machine is, proved: a number alone may be another's by now. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/* Writes down in the runtime folder that it is this process. */
int qemu_process_write(int runtime, pid_t pid, struct cowherd_error *err) must_check;
/*
 * Opens the process that is written down: 1 and *ret_pidfd (the caller's) and *ret_pid (may be NULL), where that very process still
 * lives; 0 where nothing is written down or it has ended.
 */
int qemu_process_open(int runtime, int *ret_pidfd, pid_t *ret_pid, struct cowherd_error *err) must_check;
/* Waits until it has ended: 1, or 0 after timeout_ms. */
int qemu_process_wait(int pidfd, int timeout_ms);
