/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the archive module (cowherd-archive.so): what archive.c calls by name, and what its own files share. Nothing
 * of this is included by another room.
 */
#pragma once

#include "base/error.h"
#include "sys/file.h"

#include <stdint.h>

#define archive_module_export __attribute__((visibility("default")))

/* Beyond these an archive is a bomb. */
struct archive_limits {
        uint64_t entries;
        uint64_t bytes;       /* of all files together, holes included */
        uint64_t ratio;       /* of bytes unpacked to bytes read … */
        uint64_t ratio_bytes; /* … once this many were unpacked */
};
#define ARCHIVE_LIMITS                                                                                                 \
        (struct archive_limits)                                                                                        \
        {                                                                                                              \
                .entries = 10000000, .bytes = UINT64_C(1) << 40, .ratio = 1000, .ratio_bytes = UINT64_C(64) << 30      \
        }

/* archive_unpack of archive.h, with the limits said. */
int archive_module_unpack(const char *path, int tree, const struct archive_limits *limits,
                          const struct file_progress *progress, uint64_t *ret_devices,
                          struct cowherd_error *err) must_check;
typedef __typeof__(archive_module_unpack) archive_unpack_fn;

/* archive_pack_image of archive.h. */
int archive_module_pack(int tree, const char *distro, const char *release, int at, const char *metadata,
                        const char *rootfs, struct cowherd_error *err) must_check;
typedef __typeof__(archive_module_pack) archive_pack_fn;

/* archive_pack_entry and archive_unpack_entry of archive.h, the latter with the limits said. */
int archive_module_pack_entry(int folder, const char *name, const char *as, int to, struct cowherd_error *err) must_check;
typedef __typeof__(archive_module_pack_entry) archive_pack_entry_fn;
int archive_module_unpack_entry(int from, const char *as, int folder, const char *name, const struct archive_limits *limits,
                                struct cowherd_error *err) must_check;
typedef __typeof__(archive_module_unpack_entry) archive_unpack_entry_fn;

/*
 * Runs `work` on a thread whose current folder is `folder`, whose umask is 0 and whose names are UTF-8, without
 * changing any of that for the process: libarchive knows only paths, and asks the locale how to read names. Returns
 * what `work` returned.
 */
int archive_in_folder(int folder, int (*work)(void *context, struct cowherd_error *err), void *context,
                      struct cowherd_error *err) must_check;
