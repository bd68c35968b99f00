/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts and loop devices, by system calls and libmount; no mount(8), no losetup(8). */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Whether something is mounted exactly here. A few microseconds, however many mounts there are. */
bool mount_is_mounted(const char *target);
/* The filesystem type and source of what is mounted at `target`, to be freed; 1: nothing is. Either may be NULL. */
int mount_query(const char *target, char **ret_type, char **ret_source, struct cowherd_error *err) must_check;

/* The first mount at or below a folder ("/a/b/c", to be freed), or 1 where there is none. */
int mount_find_under(const char *folder, char **ret_target, struct cowherd_error *err) must_check;

/*
 * Mounts the filesystem inside a file at a folder through a loop device that frees itself with the mount. The caller
 * holds the lock of that file: a second loop device on one file mounts "successfully" and destroys it, so one that has all
 * of it already is mounted again, and this fails with 75 where one has it otherwise: a part of it, or read-only.
 */
int mount_loop(const char *file, const char *target, const char *type, const char *options,
               struct cowherd_error *err) must_check;
/* The loop device ("/dev/loop3", to be freed) whose backing file has this file's inode, or 1 where there is none. */
int mount_find_loop(const char *file, char **ret_device, struct cowherd_error *err) must_check;

/*
 * mount(2) of an overlay: `lowers` joined by ':' already (a ':' or '\\' in a lower's own path is written after a '\\');
 * where `upper` is NULL, `work` is not used and the mount is read-only. All of it may have 4095 bytes (more is 69):
 * folders named by "/proc/self/fd/N/…" of an open folder are short.
 */
int mount_overlay(const char *lowers, const char *upper, const char *work, const char *target,
                  struct cowherd_error *err) must_check;
/* Unmounts; what is not mounted is success; in use is 75 (never lazily: a lazy unmount hides who still writes). */
int mount_unmount(const char *target, struct cowherd_error *err) must_check;
