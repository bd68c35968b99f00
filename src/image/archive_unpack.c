/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking a foreign tarball. Two walls, either of which would do. Ours: every name is looked at before anything is
 * written, and the kernel is asked (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS) whether the way to it goes
 * through a symlink that the archive itself planted. libarchive's: its disk writer, relative to the tree, with all of its
 * secure flags. The writer is libarchive's because it knows sparse files, ACLs and the times of folders.
 *
 * Of extended attributes only `user.*` and security.capability are kept: trusted.overlay.* in a base would steer the
 * overlays made on it, and labels of another machine's security module mean nothing here.
 */
#include "image/archive_module.h"

#include "base/str.h"
#include "sys/openat2.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_BLOCK_BYTES (1u << 20)
#define LEFT_OUT_MAX 100000u /* device nodes a tarball may name */
#define REPORT_EVERY_BYTES (UINT64_C(16) << 20)

struct unpacking {
        const char *path;
        int file;
        int tree;
        const struct archive_limits *limits;
        const struct file_progress *progress;
        uint64_t file_bytes;
        struct archive *reader;
        struct archive *writer;
        uint64_t entries;
        uint64_t declared_bytes;
        uint64_t written_bytes;
        uint64_t reported_bytes;
        struct strv left_out; /* device nodes: hard links to them are left out too */
};

static void unpacking_free(struct unpacking *u)
{
        if (u->reader != NULL)
                (void)archive_read_free(u->reader);
        if (u->writer != NULL)
                (void)archive_write_free(u->writer);
        strv_free(&u->left_out);
}
define_owned(struct unpacking, unpacking_free)

/* 65: this archive, this entry, this reason. */
static int refuse(const struct unpacking *u, const char *name, const char *reason, struct cowherd_error *err)
{
        return fail(err, COWHERD_DATA, "'%s' is refused: its entry '%s' %s", u->path, name, reason);
}

/* What libarchive could not do, as an error of ours: bad data where it read, the system's where it wrote. */
static int reading_failed(const struct unpacking *u, struct cowherd_error *err)
{
        const char *reason = archive_error_string(u->reader);

        return fail(err, COWHERD_DATA, "'%s' is not a whole tarball: %s", u->path, reason == NULL ? "it cannot be read" : reason);
}

static int writing_failed(const struct unpacking *u, const char *name, struct cowherd_error *err)
{
        const char *reason = archive_error_string(u->writer);
        int os_errno = archive_errno(u->writer);

        return fail(err, os_errno > 0 ? error_code_of_errno(os_errno) : COWHERD_SYSTEM, "cannot unpack '%s' of '%s': %s", name,
                    u->path, reason == NULL ? "no reason given" : reason);
}

/* Why a name may not be followed, or NULL where it stays inside by its words alone. */
static const char *name_fault(const char *name)
{
        if (str_is_empty(name))
                return "has no name";
        if (name[0] == '/')
                return "has an absolute name";
        for (const char *part = name; part != NULL; part = strchr(part, '/')) {
                part += *part == '/';
                if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
                        return "goes up by '..'";
        }
        return NULL;
}

/* The folder part of a name, "." where there is none; trailing slashes do not count. */
static char *folder_of(const char *name)
{
        size_t length = strlen(name);

        while (length > 0 && name[length - 1] == '/')
                length--;
        while (length > 0 && name[length - 1] != '/')
                length--;
        return length == 0 ? x_strdup(".") : x_strndup(name, length);
}

/* Whether the folders on the way to a name are real folders, as far as they exist. */
static int check_way(const struct unpacking *u, const char *name, const char *what, struct cowherd_error *err)
{
        owned_str char *folder = folder_of(name);
        owned_fd int fd = openat2_call(u->tree, folder, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

        if (fd >= 0 || errno == ENOENT)
                return 0;
        if (errno == ELOOP || errno == EXDEV || errno == ENOTDIR || errno == ENAMETOOLONG)
                return refuse(u, name, what, err);
        return fail_errno(err, "cannot look at '%s' in the tree", folder);
}

static int check_hardlink(const struct unpacking *u, const char *name, const char *target, struct cowherd_error *err)
{
        const char *fault = name_fault(target);

        if (fault != NULL)
                return refuse(u, name, "is a hard link that leads out of the tree", err);
        return check_way(u, target, "is a hard link's target behind a symlink", err);
}

static int check_size(struct unpacking *u, struct archive_entry *entry, const char *name, struct cowherd_error *err)
{
        if (++u->entries > u->limits->entries)
                return fail(err, COWHERD_DATA, "'%s' is refused: it has more than %ju entries", u->path, (uintmax_t)u->limits->entries);
        if (archive_entry_size(entry) < 0)
                return refuse(u, name, "has a negative size", err);
        uint64_t size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
        if (size > u->limits->bytes - u->declared_bytes)
                return fail(err, COWHERD_DATA, "'%s' is refused: it unpacks to more than %ju bytes", u->path,
                            (uintmax_t)u->limits->bytes);
        u->declared_bytes += size;
        return 0;
}

/* Takes the extended attributes that are not kept out of an entry. */
static void keep_xattrs(struct archive_entry *entry)
{
        struct archive_entry *all = archive_entry_clone(entry);
        const char *name;
        const void *value;
        size_t length;

        archive_entry_xattr_clear(entry);
        (void)archive_entry_xattr_reset(all);
        while (archive_entry_xattr_next(all, &name, &value, &length) == ARCHIVE_OK) {
                bool of_user = str_starts(name, "user.") && !str_starts(name, "user.overlay.");
                if (of_user || (geteuid() == 0 && strcmp(name, "security.capability") == 0))
                        archive_entry_xattr_add_entry(entry, name, value, length);
        }
        archive_entry_free(all);
}

static int check_ratio(const struct unpacking *u, struct cowherd_error *err)
{
        uint64_t read = (uint64_t)archive_filter_bytes(u->reader, -1);

        if (u->written_bytes <= u->limits->bytes &&
            (u->written_bytes <= u->limits->ratio_bytes || u->written_bytes / u->limits->ratio <= read))
                return 0;
        return fail(err, COWHERD_DATA, "'%s' is refused: %ju bytes of it unpack to more than %ju", u->path, (uintmax_t)read,
                    (uintmax_t)u->written_bytes);
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
                if (check_ratio(u, err) < 0)
                        return -1;
                if (archive_write_data_block(u->writer, block, length, offset) != ARCHIVE_OK)
                        return writing_failed(u, name, err);
                report(u);
        }
}

/* A name without the "./" that many tarballs begin theirs with. */
static const char *plain_name(const char *name)
{
        return str_starts(name, "./") ? name + 2 : name;
}

/* Whether an entry is left out: a device node, or a hard link to one. Sockets too, which no tarball should hold. */
static int is_left_out(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link, struct cowherd_error *err)
{
        mode_t type = archive_entry_filetype(entry);

        if (link == NULL && type == AE_IFSOCK)
                return 1;
        bool device = link == NULL ? type == AE_IFCHR || type == AE_IFBLK : u->left_out.count > 0 && strv_has(&u->left_out, plain_name(link));
        if (!device)
                return 0;
        if (u->left_out.count >= LEFT_OUT_MAX)
                return refuse(u, name, "is a device node too many", err);
        strv_add(&u->left_out, plain_name(name));
        return 1;
}

static int check_entry(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link, struct cowherd_error *err)
{
        const char *fault = name_fault(name);

        if (fault != NULL) {
                (void)refuse(u, name == NULL ? "" : name, fault, err);
                return fail_hint(err, "make it with 'tar -C ROOT -c .'");
        }
        if (check_way(u, name, "lies behind a symlink or a file", err) < 0)
                return -1;
        if (link != NULL && check_hardlink(u, name, link, err) < 0)
                return -1;
        return check_size(u, entry, name, err);
}

static int unpack_entry(struct unpacking *u, struct archive_entry *entry, struct cowherd_error *err)
{
        const char *name = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);

        if (check_entry(u, entry, name, link, err) < 0)
                return -1;
        int left_out = is_left_out(u, entry, name, link, err);
        if (left_out != 0)
                return left_out < 0 ? -1 : 0;
        keep_xattrs(entry);
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
                archive_read_support_format_tar,   archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
                archive_read_support_filter_xz,    archive_read_support_filter_lzma, archive_read_support_filter_zstd,
                archive_read_support_filter_lz4,   archive_read_support_filter_compress,
        };

        u->reader = archive_read_new();
        if (u->reader == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no reader");
        for (size_t i = 0; i < array_length(supports); i++)
                if (supports[i](u->reader) != ARCHIVE_OK)
                        return fail(err, COWHERD_UNAVAILABLE, "this libarchive lacks a format: %s", archive_error_string(u->reader));
        if (archive_read_open_fd(u->reader, u->file, READ_BLOCK_BYTES) != ARCHIVE_OK)
                return reading_failed(u, err);
        return 0;
}

static int open_writer(struct unpacking *u, struct cowherd_error *err)
{
        int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR |
                    ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

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
                if (got != ARCHIVE_OK && got != ARCHIVE_WARN) /* a warning: an attribute of an entry that nobody knows */
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
                .path = path, .file = file, .tree = tree, .limits = limits, .progress = progress,
                .file_bytes = (uint64_t)found.st_size,
        };
        if (archive_in_folder(tree, unpack_all, &u, err) < 0)
                return -1;
        if (ret_devices != NULL)
                *ret_devices = u.left_out.count;
        return 0;
}
