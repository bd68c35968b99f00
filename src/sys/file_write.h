/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: a new file beside the one it is to replace, and what goes into it. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

#define FILE_BESIDE_BYTES 32
#define FILE_BESIDE_ALONE ".cowherd-new"

/* All of a text, from where the file stands. */
int file_write_all(int fd, const char *text, struct cowherd_error *err) must_check;

/*
 * Makes a new file with this text under a name of its own in a folder, for the caller to rename into place or to
 * remove. The name goes into beside[FILE_BESIDE_BYTES]; *ret_fd is the caller's. Nothing is left on failure. Where nobody else
 * can be writing in that folder, beside may say the name, FILE_BESIDE_ALONE: what a killed writer left of it is then removed first;
 * else beside is "".
 */
int file_write_beside(int folder, const char *text, mode_t mode, char *beside, int *ret_fd,
                      struct cowherd_error *err) must_check;
