/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images: what a file really is, by our own bounded reading of its header, before any tool sees it. A header that
 * leads elsewhere (a backing file, an external data file, extents or parents in other files), that needs a feature
 * nobody checked, or whose tables are beyond their limits is refused with 65.
 */
#pragma once

#include "base/error.h"
#include "sys/file.h"

#include <stdint.h>

enum disk_format { DISK_RAW, DISK_QCOW2, DISK_VMDK, DISK_VDI, DISK_VHDX };
/* "raw", "qcow2" … as qemu-img names them. */
const char *disk_format_name(enum disk_format format);
/* False where there is none of that name. */
bool disk_format_parse(const char *name, enum disk_format *ret);

struct disk_info {
        enum disk_format format;
        uint64_t virtual_bytes;
        uint64_t length_bytes; /* of the file */
        bool cloneable;        /* qcow2 and raw as they are; the others are converted first */
};

/*
 * Reads the header of an open regular file. `asked` (may be NULL) is the format that the caller said it has: a raw disk
 * into which a guest wrote another format's header stays raw when it was said to be raw; any other mismatch is 65.
 * `name` is for messages.
 */
int disk_inspect(int fd, const char *name, const char *asked, struct disk_info *ret,
                 struct cowherd_error *err) must_check;

/*
 * Puts an inspected image at `path` in the folder `at`: shared or copied where cloneable, else converted to qcow2 by
 * qemu-img (its format always said), which inherits the descriptor `lock` (0: none) and so keeps it should we be killed.
 * *ret_shared tells whether its blocks are shared with the original. Nothing is left on failure.
 */
int disk_import(int from, const struct disk_info *info, int at, const char *path, int lock, bool *ret_shared,
                const struct file_progress *progress, struct cowherd_error *err) must_check;
