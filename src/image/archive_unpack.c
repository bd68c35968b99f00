/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking a foreign tarball. Two walls, either of which would do: what archive_check.c lets through, and libarchive's
 * disk writer with all of its secure flags, relative to the tree. The writer is libarchive's because it knows sparse
 * files, ACLs and the times of folders.
 */
#include "image/archive_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_BLOCK_BYTES (1u << 20)
#define REPORT_EVERY_BYTES (UINT64_C(16) << 20)

static void unpacking_free(struct unpacking *u)
{
        if (u->reader != NULL)
                (void)archive_read_free(u->reader);
        if (u->writer != NULL)
                (void)archive_write_free(u->writer);
        strv_free(&u->left_out);
}
define_owned(struct unpacking, unpacking_free)

/* What libarchive could not do, as an error of ours: bad data where it read, the system's where it wrote. */
static int reading_failed(const struct unpacking *u, struct cowherd_error *err)
{
        const char *reason = archive_error_string(u->reader);

        return fail(err, COWHERD_DATA, "'%s' is not a whole tarball: %s", u->path,
                    reason == NULL ? "it cannot be read" : reason);
}

static int writing_failed(const struct unpacking *u, const char *name, struct cowherd_error *err)
{
        const char *reason = archive_error_string(u->writer);
        int os_errno = archive_errno(u->writer);

        return fail(err, os_errno > 0 ? error_code_of_errno(os_errno) : COWHERD_SYSTEM,
                    "cannot unpack '%s' of '%s': %s", name, u->path, reason == NULL ? "no reason given" : reason);
}

static void report(struct unpacking *u)
{
        uint64_t read = (uint64_t)archive_filter_bytes(u->reader, -1);

        if (u->progress == NULL || read < u->reported_bytes + REPORT_EVERY_BYTES)
                return;
        u->reported_bytes = read;
        u->progress->report(u->progress->context, read, u->file_bytes);
}

static int write_data(struct unpacking *u, const char *name, struct cowherd_error *err)
{
        const void *block;
        size_t length;
        la_int64_t offset;

        for (;;) {
                int got = archive_read_data_block(u->reader, &block, &length, &offset);
                if (got == ARCHIVE_EOF)
                        return 0;
                if (got != ARCHIVE_OK)
                        return reading_failed(u, err);
                u->written_bytes += length;
                if (archive_check_ratio(u, err) < 0)
                        return -1;
                if (archive_write_data_block(u->writer, block, length, offset) != ARCHIVE_OK)
                        return writing_failed(u, name, err);
                report(u);
        }
}

static int unpack_entry(struct unpacking *u, struct archive_entry *entry, struct cowherd_error *err)
{
        const char *name = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);

        if (archive_check_entry(u, entry, name, link, err) < 0)
                return -1;
        int left_out = archive_leaves_out(u, entry, name, link, err);
        if (left_out != 0)
                return left_out < 0 ? -1 : 0;
        archive_keep_attributes(entry);
        if (archive_write_header(u->writer, entry) != ARCHIVE_OK)
                return writing_failed(u, name, err);
        if (archive_entry_size(entry) > 0 && write_data(u, name, err) < 0)
                return -1;
        if (archive_write_finish_entry(u->writer) != ARCHIVE_OK)
                return writing_failed(u, name, err);
        return 0;
}

/* Only formats and filters that libarchive has inside: it would start a program for the others. */
static int open_reader(struct unpacking *u, struct cowherd_error *err)
{
        static int (*const supports[])(struct archive *) = {
                archive_read_support_format_tar,   archive_read_support_filter_gzip,
                archive_read_support_filter_bzip2, archive_read_support_filter_xz,
                archive_read_support_filter_lzma,  archive_read_support_filter_zstd,
                archive_read_support_filter_lz4,   archive_read_support_filter_compress,
        };

        u->reader = archive_read_new();
        if (u->reader == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no reader");
        for (size_t i = 0; i < array_length(supports); i++)
                if (supports[i](u->reader) != ARCHIVE_OK)
                        return fail(err, COWHERD_UNAVAILABLE, "this libarchive lacks a format: %s",
                                    archive_error_string(u->reader));
        if (archive_read_open_fd(u->reader, u->file, READ_BLOCK_BYTES) != ARCHIVE_OK)
                return reading_failed(u, err);
        return 0;
}

static int open_writer(struct unpacking *u, struct cowherd_error *err)
{
        int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR |
                    ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                    ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

        u->writer = archive_write_disk_new();
        if (u->writer == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no writer");
        if (geteuid() == 0)
                flags |= ARCHIVE_EXTRACT_OWNER; /* by number: a name means somebody else here */
        if (archive_write_disk_set_options(u->writer, flags) != ARCHIVE_OK)
                return writing_failed(u, ".", err);
        return 0;
}

static int unpack_all(void *context, struct cowherd_error *err)
{
        struct unpacking *u = context;
        struct archive_entry *entry;

        if (open_reader(u, err) < 0)
                return -1;
        if (open_writer(u, err) < 0)
                return -1;
        for (;;) {
                int got = archive_read_next_header(u->reader, &entry);
                if (got == ARCHIVE_EOF)
                        break;
                if (got != ARCHIVE_OK &&
                    got != ARCHIVE_WARN) /* a warning: an attribute of an entry that nobody knows */
                        return reading_failed(u, err);
                if (unpack_entry(u, entry, err) < 0)
                        return -1;
        }
        if (u->entries == 0)
                return fail(err, COWHERD_DATA, "'%s' is refused: it has no entries", u->path);
        if (archive_write_close(u->writer) != ARCHIVE_OK)
                return writing_failed(u, ".", err);
        return 0;
}

archive_module_export int archive_module_unpack(const char *path, int tree, const struct archive_limits *limits,
                                                const struct file_progress *progress, uint64_t *ret_devices,
                                                struct cowherd_error *err)
{
        owned_fd int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat found;

        if (file < 0)
                return fail_errno(err, "cannot open '%s'", path);
        if (fstat(file, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_DATA, "'%s' is not a file", path);
        struct unpacking u owned_by(unpacking_free) = {
                .path = path,
                .file = file,
                .tree = tree,
                .limits = limits,
                .progress = progress,
                .file_bytes = (uint64_t)found.st_size,
        };
        if (archive_in_folder(tree, unpack_all, &u, err) < 0)
                return -1;
        if (ret_devices != NULL)
                *ret_devices = u.left_out.count;
        return 0;
}
