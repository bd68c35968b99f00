/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file or folder on its way into a guest or out of it, as a tar stream. In: GNU's plain format, without attributes, holes or
 * owners, since a busybox reads it on the other side. Out: the guest is not trusted, so the same two walls as for a tarball
 * (archive_unpack.c), and what could be of use to nobody but an attacker is not taken over: setuid bits, capabilities, devices, owners.
 */
#include "image/archive_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* A name below `from` as one below `to`; NULL where it is none. To be freed. */
static char *renamed(const char *name, const char *from, const char *to)
{
        size_t length = strlen(from);

        name += str_starts(name, "./") ? 2 : 0;
        if (!str_starts(name, from) || (name[length] != '\0' && name[length] != '/'))
                return NULL;
        return x_asprintf("%s%s", to, name + length);
}

/* ---- in ---- */

struct sending {
        const char *name, *as;
        int to;
        struct archive *reader, *writer;
        struct archive_entry_linkresolver *links;
};

static void sending_free(struct sending *s)
{
        if (s->reader != NULL)
                (void)archive_read_free(s->reader);
        if (s->writer != NULL)
                (void)archive_write_free(s->writer);
        if (s->links != NULL)
                archive_entry_linkresolver_free(s->links);
}
define_owned(struct sending, sending_free)

static int sending_failed(struct archive *which, const char *entry, struct cowherd_error *err)
{
        const char *reason = archive_error_string(which);
        int os_errno = archive_errno(which);

        return fail(err, os_errno > 0 ? error_code_of_errno(os_errno) : COWHERD_SYSTEM, "cannot send '%s': %s", entry,
                    reason == NULL ? "no reason given" : reason);
}

/* A file that shrinks meanwhile is filled up with zeros by the writer, one that grows is cut. */
static int send_data(struct sending *s, const char *entry, struct cowherd_error *err)
{
        static const char zeros[64 * 1024];
        const void *block;
        size_t length;
        la_int64_t offset, written = 0;

        for (;;) {
                int got = archive_read_data_block(s->reader, &block, &length, &offset);
                if (got == ARCHIVE_EOF)
                        return 0;
                if (got != ARCHIVE_OK)
                        return sending_failed(s->reader, entry, err);
                while (written < offset) {
                        la_int64_t gap = offset - written;
                        la_ssize_t put = archive_write_data(s->writer, zeros, gap < (la_int64_t)sizeof zeros ? (size_t)gap : sizeof zeros);
                        if (put <= 0)
                                return sending_failed(s->writer, entry, err);
                        written += put;
                }
                for (size_t done = 0; done < length;) {
                        la_ssize_t put = archive_write_data(s->writer, (const char *)block + done, length - done);
                        if (put < 0)
                                return sending_failed(s->writer, entry, err);
                        if (put == 0)
                                return 0;
                        done += (size_t)put;
                        written += put;
                }
        }
}

static int send_entry(struct sending *s, struct archive_entry *entry, struct cowherd_error *err)
{
        mode_t type = archive_entry_filetype(entry);
        struct archive_entry *apart = NULL;
        owned_str char *name = renamed(archive_entry_pathname(entry), s->name, s->as);

        if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK || type == AE_IFIFO)
                return 0;
        if (name == NULL)
                return fail(err, COWHERD_INTERNAL, "'%s' does not lie below '%s'", archive_entry_pathname(entry), s->name);
        archive_entry_set_pathname(entry, name);
        archive_entry_set_uid(entry, 0);
        archive_entry_set_gid(entry, 0);
        archive_entry_set_uname(entry, "root");
        archive_entry_set_gname(entry, "root");
        archive_entry_sparse_clear(entry);
        archive_entry_linkify(s->links, &entry, &apart);
        if (archive_write_header(s->writer, entry) != ARCHIVE_OK)
                return sending_failed(s->writer, name, err);
        if (type == AE_IFREG && archive_entry_size(entry) > 0 && send_data(s, name, err) < 0)
                return -1;
        return archive_write_finish_entry(s->writer) == ARCHIVE_OK ? 0 : sending_failed(s->writer, name, err);
}

static int open_sending(struct sending *s, struct cowherd_error *err)
{
        s->reader = archive_read_disk_new();
        s->writer = archive_write_new();
        s->links = archive_entry_linkresolver_new();
        if (s->reader == NULL || s->writer == NULL || s->links == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no reader");
        if (archive_write_set_format_gnutar(s->writer) != ARCHIVE_OK || archive_write_open_fd(s->writer, s->to) != ARCHIVE_OK)
                return sending_failed(s->writer, s->name, err);
        archive_entry_linkresolver_set_strategy(s->links, archive_format(s->writer));
        if (archive_read_disk_set_symlink_physical(s->reader) != ARCHIVE_OK ||
            archive_read_disk_set_behavior(s->reader, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS | ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL |
                                                              ARCHIVE_READDISK_NO_FFLAGS) != ARCHIVE_OK ||
            archive_read_disk_open(s->reader, s->name) != ARCHIVE_OK)
                return sending_failed(s->reader, s->name, err);
        return 0;
}

/* A reader that goes away is EPIPE here, and no signal: it stays pending with this thread, which ends. */
static void block_sigpipe(void)
{
        sigset_t pipe_only;

        (void)sigemptyset(&pipe_only);
        (void)sigaddset(&pipe_only, SIGPIPE);
        (void)pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
}

static int send_all(void *context, struct cowherd_error *err)
{
        struct sending *s = context;

        block_sigpipe();
        if (open_sending(s, err) < 0)
                return -1;
        for (;;) {
                struct archive_entry *entry = archive_entry_new();
                int got = archive_read_next_header2(s->reader, entry), sent = 0;
                if (got == ARCHIVE_OK) {
                        (void)archive_read_disk_descend(s->reader);
                        sent = send_entry(s, entry, err);
                }
                archive_entry_free(entry);
                if (sent < 0)
                        return -1;
                if (got == ARCHIVE_EOF)
                        break;
                if (got != ARCHIVE_OK)
                        return sending_failed(s->reader, s->name, err);
        }
        return archive_write_close(s->writer) == ARCHIVE_OK ? 0 : sending_failed(s->writer, s->name, err);
}

archive_module_export int archive_module_pack_entry(int folder, const char *name, const char *as, int to, struct cowherd_error *err)
{
        struct sending s owned_by(sending_free) = {.name = name, .as = as, .to = to};

        return archive_in_folder(folder, send_all, &s, err);
}

/* ---- out ---- */

struct receiving {
        struct unpacking u;
        const char *as, *name;
};

static void receiving_free(struct receiving *r)
{
        if (r->u.reader != NULL)
                (void)archive_read_free(r->u.reader);
        if (r->u.writer != NULL)
                (void)archive_write_free(r->u.writer);
        strv_free(&r->u.left_out);
}
define_owned(struct receiving, receiving_free)

static int receiving_failed(struct receiving *r, struct cowherd_error *err)
{
        const char *reason = archive_error_string(r->u.reader);

        return fail(err, COWHERD_DATA, "'%s' did not arrive whole: %s", r->as, reason == NULL ? "the stream is damaged" : reason);
}

static int keeping_failed(struct receiving *r, const char *name, struct cowherd_error *err)
{
        const char *reason = archive_error_string(r->u.writer);
        int os_errno = archive_errno(r->u.writer);

        return fail(err, os_errno > 0 ? error_code_of_errno(os_errno) : COWHERD_SYSTEM, "cannot write '%s': %s", name,
                    reason == NULL ? "no reason given" : reason);
}

/* Puts an entry under its new name; 77 where it is not below the one that was asked for. */
static int rename_entry(struct receiving *r, struct archive_entry *entry, struct cowherd_error *err)
{
        const char *said = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
        owned_str char *name = said == NULL ? NULL : renamed(said, r->as, r->name);
        owned_str char *target = link == NULL ? NULL : renamed(link, r->as, r->name);

        if (name == NULL || (link != NULL && target == NULL))
                return fail(err, COWHERD_DENIED, "what the guest sent is refused: its entry '%s' lies outside of '%s'", said == NULL ? "" : said, r->as);
        archive_entry_set_pathname(entry, name);
        if (target != NULL)
                archive_entry_set_hardlink(entry, target);
        return 0;
}

static int receive_data(struct receiving *r, const char *name, struct cowherd_error *err)
{
        const void *block;
        size_t length;
        la_int64_t offset;

        for (;;) {
                int got = archive_read_data_block(r->u.reader, &block, &length, &offset);
                if (got == ARCHIVE_EOF)
                        return 0;
                if (got != ARCHIVE_OK)
                        return receiving_failed(r, err);
                r->u.written_bytes += length;
                if (archive_check_ratio(&r->u, err) < 0)
                        return -1;
                if (archive_write_data_block(r->u.writer, block, length, offset) != ARCHIVE_OK)
                        return keeping_failed(r, name, err);
        }
}

static bool is_kept(struct archive_entry *entry)
{
        mode_t type = archive_entry_filetype(entry);

        return archive_entry_hardlink(entry) != NULL || type == AE_IFREG || type == AE_IFDIR || type == AE_IFLNK;
}

static int receive_entry(struct receiving *r, struct archive_entry *entry, struct cowherd_error *err)
{
        if (rename_entry(r, entry, err) < 0)
                return -1;
        const char *name = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
        if (archive_check_entry(&r->u, entry, name, link, err) < 0)
                return -1;
        int left_out = archive_leaves_out(&r->u, entry, name, link, err);
        if (left_out != 0 || !is_kept(entry))
                return left_out < 0 ? -1 : 0;
        archive_entry_xattr_clear(entry);
        archive_entry_acl_clear(entry);
        archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
        if (archive_write_header(r->u.writer, entry) != ARCHIVE_OK)
                return keeping_failed(r, name, err);
        if (archive_entry_size(entry) > 0 && receive_data(r, name, err) < 0)
                return -1;
        return archive_write_finish_entry(r->u.writer) == ARCHIVE_OK ? 0 : keeping_failed(r, name, err);
}

static int open_receiving(struct receiving *r, struct cowherd_error *err)
{
        r->u.reader = archive_read_new();
        r->u.writer = archive_write_disk_new();
        if (r->u.reader == NULL || r->u.writer == NULL)
                return fail(err, COWHERD_INTERNAL, "libarchive gives no reader");
        if (archive_read_support_format_tar(r->u.reader) != ARCHIVE_OK || archive_read_open_fd(r->u.reader, r->u.file, 64 * 1024) != ARCHIVE_OK)
                return receiving_failed(r, err);
        if (archive_write_disk_set_options(r->u.writer, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                                ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS) != ARCHIVE_OK)
                return keeping_failed(r, r->name, err);
        return 0;
}

static int receive_all(void *context, struct cowherd_error *err)
{
        struct receiving *r = context;
        struct archive_entry *entry;

        if (open_receiving(r, err) < 0)
                return -1;
        for (;;) {
                int got = archive_read_next_header(r->u.reader, &entry);
                if (got == ARCHIVE_EOF)
                        break;
                if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
                        return receiving_failed(r, err);
                if (receive_entry(r, entry, err) < 0)
                        return -1;
        }
        if (r->u.entries == 0)
                return fail(err, COWHERD_DATA, "'%s' did not arrive whole: the stream is empty", r->as);
        return archive_write_close(r->u.writer) == ARCHIVE_OK ? 0 : keeping_failed(r, r->name, err);
}

archive_module_export int archive_module_unpack_entry(int from, const char *as, int folder, const char *name, const struct archive_limits *limits,
                                                      struct cowherd_error *err)
{
        struct receiving r owned_by(receiving_free) = {
                .u = {.path = "what the guest sent", .refusal = COWHERD_DENIED, .file = from, .tree = folder, .limits = limits}, .as = as, .name = name};

        return archive_in_folder(folder, receive_all, &r, err);
}
