/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings an inspected image into a herd. What was inspected is an open descriptor, and only that is used from then on:
 * qemu-img gets it under /dev/fd/N, so that a file swapped in between is never read, with its format said and
 * `backing: null`, so that QEMU's own reading of the header opens nothing else either. The result is written beside and
 * renamed, and is inspected again: the bytes may have changed while they were read.
 */
#include "image/disk.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* QEMU locks byte 100 + the number of a permission that it uses; writing is 1 (block/file-posix.c, block-common.h). */
#define QEMU_LOCK_OF_WRITERS 101

/* 75 where a virtual machine has the image open for writing: a copy would be of no one moment. */
static int check_idle(int from, const char *path, struct cowherd_error *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_OF_WRITERS, .l_len = 1};

        if (fcntl(from, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
                return 0;
        (void)fail(err, COWHERD_BUSY, "the image for '%s' is in use: a virtual machine has it open for writing", path);
        return fail_hint(err, "shut that machine down first");
}

static int convert(int from, const struct disk_info *info, int to, int lock, const struct file_progress *progress,
                   struct cowherd_error *err)
{
        owned_process struct process process = {.keep = {from, to, lock}, .keep_count = lock > 0 ? 3 : 2};
        owned_str char *output = NULL;

        process_add(&process, "qemu-img", "convert", "-O", "qcow2", NULL);
        strv_addf(
                &process.argv,
                "json:{\"driver\":\"%s\",\"backing\":null,\"file\":{\"driver\":\"file\",\"filename\":\"/dev/fd/%d\"}}",
                disk_format_name(info->format), from);
        strv_addf(&process.argv, "/dev/fd/%d", to);
        if (progress != NULL)
                progress->report(progress->context, 0, info->length_bytes);
        if (process_check(&process, &output, err) < 0)
                return fail_while(err, "converting from '%s' to 'qcow2'", disk_format_name(info->format));
        if (progress != NULL)
                progress->report(progress->context, info->length_bytes, info->length_bytes);
        return 0;
}

static int check_result(int to, const char *path, const struct disk_info *wanted, struct cowherd_error *err)
{
        struct disk_info info;

        if (disk_inspect(to, path, disk_format_name(wanted->cloneable ? wanted->format : DISK_QCOW2), &info, err) < 0)
                return fail_while(err, "checking what was imported");
        if (info.virtual_bytes != wanted->virtual_bytes)
                return fail(err, COWHERD_DATA,
                            "the image for '%s' changed while it was read: a disk of %llu bytes became one of %llu",
                            path, (unsigned long long)wanted->virtual_bytes, (unsigned long long)info.virtual_bytes);
        return 0;
}

static int fill(int from, const struct disk_info *info, int to, const char *path, int lock, bool *ret_shared,
                const struct file_progress *progress, struct cowherd_error *err)
{
        bool shared = false;

        if (info->cloneable ? file_copy(from, to, &shared, progress, err) < 0
                            : convert(from, info, to, lock, progress, err) < 0)
                return -1;
        if (check_result(to, path, info, err) < 0)
                return -1;
        *ret_shared = shared;
        return 0;
}

int disk_import(int from, const struct disk_info *info, int at, const char *path, int lock, bool *ret_shared,
                const struct file_progress *progress, struct cowherd_error *err)
{
        owned_str char *beside = x_asprintf("%s.importing", path);
        bool shared = false;

        if (check_idle(from, path, err) < 0)
                return -1;
        owned_fd int to = openat(at, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return fail_errno(err, "cannot make '%s'", beside);
        int failed = fill(from, info, to, path, lock, &shared, progress, err);
        if (failed == 0 && renameat(at, beside, at, path) < 0)
                failed = fail_errno(err, "cannot rename '%s' to '%s'", beside, path);
        if (failed < 0) {
                (void)unlinkat(at, beside, 0);
                return -1;
        }
        *ret_shared = shared;
        return 0;
}
