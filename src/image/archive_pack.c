/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing a tree as LXD takes images: a tarball with metadata.yaml, and one with the root filesystem. In pax format, as
 * that keeps extended attributes, ACLs, holes and long names; owners by number. Device nodes and sockets are left out,
 * as LXD does itself. What is mounted inside the tree is not part of it.
 */
#include "image/archive_module.h"

#include "base/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

struct packing {
        const char *name; /* of the tarball, for messages */
        int tree;
        const char *distro;
        const char *release;
        struct archive *reader;
        struct archive *writer;
        struct archive_entry_linkresolver *links;
};

static void packing_free(struct packing *p)
{
        if (p->reader != NULL)
                (void)archive_read_free(p->reader);
        if (p->writer != NULL)
                (void)archive_write_free(p->writer);
        if (p->links != NULL)
                archive_entry_linkresolver_free(p->links);
}
define_owned(struct packing, packing_free)

static int library_failed(const struct packing *p, struct archive *which, const char *entry, struct cowherd_error *err)
{
        const char *reason = archive_error_string(which);
        int os_errno = archive_errno(which);

        return fail(err, os_errno > 0 ? error_code_of_errno(os_errno) : COWHERD_SYSTEM,
                    "cannot pack '%s' into '%s': %s", entry, p->name, reason == NULL ? "no reason given" : reason);
}

/* The bytes of the file that the reader has just met, holes kept where the format can. */
static int copy_data(struct packing *p, struct archive_entry *entry, struct cowherd_error *err)
{
        static const char zeros[64 * 1024];
        const void *block;
        size_t length;
        la_int64_t offset, written = 0;

        for (;;) {
                int got = archive_read_data_block(p->reader, &block, &length, &offset);
                if (got == ARCHIVE_EOF)
                        return 0;
                if (got != ARCHIVE_OK)
                        return library_failed(p, p->reader, archive_entry_pathname(entry), err);
                while (written < offset) {
                        la_int64_t gap = offset - written;
                        size_t step = gap < (la_int64_t)sizeof zeros ? (size_t)gap : sizeof zeros;
                        la_ssize_t put = archive_write_data(p->writer, zeros, step);
                        if (put <= 0)
                                return library_failed(p, p->writer, archive_entry_pathname(entry), err);
                        written += put;
                }
                for (size_t done = 0; done < length;) {
                        la_ssize_t put = archive_write_data(p->writer, (const char *)block + done, length - done);
                        if (put <= 0)
                                return library_failed(p, p->writer, archive_entry_pathname(entry), err);
                        done += (size_t)put;
                        written += put;
                }
        }
}

static int pack_entry(struct packing *p, struct archive_entry *entry, struct cowherd_error *err)
{
        mode_t type = archive_entry_filetype(entry);
        struct archive_entry *apart = NULL; /* of other formats, where a file's last link carries its bytes */

        if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK)
                return 0;
        archive_entry_linkify(p->links, &entry, &apart);
        if (archive_write_header(p->writer, entry) != ARCHIVE_OK)
                return library_failed(p, p->writer, archive_entry_pathname(entry), err);
        if (type == AE_IFREG && archive_entry_size(entry) > 0 && copy_data(p, entry, err) < 0)
                return -1;
        if (archive_write_finish_entry(p->writer) != ARCHIVE_OK)
                return library_failed(p, p->writer, archive_entry_pathname(entry), err);
        return 0;
}

/* Everything below the current folder, which is the tree: see archive_in_folder. */
static int pack_tree(void *context, struct cowherd_error *err)
{
        struct packing *p = context;

        p->reader = archive_read_disk_new();
        p->links = archive_entry_linkresolver_new();
        if (p->reader == NULL || p->links == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no reader");
        archive_entry_linkresolver_set_strategy(p->links, archive_format(p->writer));
        if (archive_read_disk_set_symlink_physical(p->reader) != ARCHIVE_OK ||
            archive_read_disk_set_behavior(p->reader, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS |
                                                              ARCHIVE_READDISK_NO_FFLAGS) != ARCHIVE_OK ||
            archive_read_disk_open(p->reader, ".") != ARCHIVE_OK)
                return library_failed(p, p->reader, ".", err);
        for (;;) {
                struct archive_entry *entry = archive_entry_new();
                int got = archive_read_next_header2(p->reader, entry), packed = 0;
                if (got == ARCHIVE_OK) {
                        (void)archive_read_disk_descend(p->reader);
                        packed = pack_entry(p, entry, err);
                }
                archive_entry_free(entry);
                if (packed < 0)
                        return -1;
                if (got == ARCHIVE_EOF)
                        return 0;
                if (got != ARCHIVE_OK)
                        return library_failed(p, p->reader, ".", err);
        }
}

static int fill_rootfs(struct packing *p, struct cowherd_error *err)
{
        return archive_in_folder(p->tree, pack_tree, p, err);
}

/* A text in YAML's double quotes, which are JSON's; what is not printable ASCII is left out of such names. */
static void add_quoted(struct str *str, const char *text)
{
        str_add_char(str, '"');
        for (const char *at = text; *at != '\0'; at++) {
                if (*at == '"' || *at == '\\')
                        str_add_char(str, '\\');
                if (*at >= ' ' && *at < 0x7f)
                        str_add_char(str, *at);
        }
        str_add(str, "\"\n");
}

static char *metadata_text(const char *distro, const char *release)
{
        struct str text = {0};
        struct utsname host;
        owned_str char *description = x_asprintf("%s %s", distro, release);

        (void)uname(&host); /* fails only for a bad address */
        str_add(&text, "architecture: ");
        add_quoted(&text, host.machine);
        str_addf(&text, "creation_date: %" PRIu64 "\nproperties:\n  architecture: ", (uint64_t)time(NULL));
        add_quoted(&text, host.machine);
        str_add(&text, "  os: ");
        add_quoted(&text, distro);
        str_add(&text, "  release: ");
        add_quoted(&text, release);
        str_add(&text, "  description: ");
        add_quoted(&text, description);
        return str_take(&text);
}

static int fill_metadata(struct packing *p, struct cowherd_error *err)
{
        owned_str char *text = metadata_text(p->distro, p->release);
        la_ssize_t length = (la_ssize_t)strlen(text);
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, "metadata.yaml");
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_mtime(entry, time(NULL), 0);
        archive_entry_set_size(entry, length);
        int began = archive_write_header(p->writer, entry);
        archive_entry_free(entry);
        if (began != ARCHIVE_OK || archive_write_data(p->writer, text, (size_t)length) != length)
                return library_failed(p, p->writer, "metadata.yaml", err);
        return 0;
}

static int fill_file(struct packing *p, int file, int (*fill)(struct packing *p, struct cowherd_error *err),
                     struct cowherd_error *err)
{
        p->writer = archive_write_new();
        if (p->writer == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no writer");
        if (archive_write_set_format_pax_restricted(p->writer) != ARCHIVE_OK ||
            archive_write_open_fd(p->writer, file) != ARCHIVE_OK)
                return library_failed(p, p->writer, ".", err);
        if (fill(p, err) < 0)
                return -1;
        if (archive_write_close(p->writer) != ARCHIVE_OK)
                return library_failed(p, p->writer, ".", err);
        return 0;
}

/* Makes a tarball, which must be new, or leaves nothing. */
static int write_tarball(struct packing *p, int at, int (*fill)(struct packing *p, struct cowherd_error *err),
                         struct cowherd_error *err)
{
        owned_fd int file = openat(at, p->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (file < 0)
                return fail_errno(err, "cannot make '%s'", p->name);
        if (fill_file(p, file, fill, err) < 0) {
                (void)unlinkat(at, p->name, 0);
                return -1;
        }
        return 0;
}

archive_module_export int archive_module_pack(int tree, const char *distro, const char *release, int at,
                                              const char *metadata, const char *rootfs, struct cowherd_error *err)
{
        struct packing head owned_by(packing_free) = {.name = metadata,
                                                      .distro = distro == NULL ? "linux" : distro,
                                                      .release = release == NULL ? "" : release};
        struct packing body owned_by(packing_free) = {.name = rootfs, .tree = tree};

        if (write_tarball(&head, at, fill_metadata, err) < 0)
                return -1;
        if (write_tarball(&body, at, fill_rootfs, err) < 0) {
                (void)unlinkat(at, metadata, 0);
                return -1;
        }
        return 0;
}
