/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a foreign tarball may come in. Every name is looked at before anything is written, and the kernel is asked
 * (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS) whether the way to it goes through a symlink that the archive
 * itself planted. What it says of its size is believed only as far as it is too much.
 *
 * Of extended attributes only `user.*` and security.capability are kept: trusted.overlay.* in a base would steer the
 * overlays made on it, and labels of another machine's security module mean nothing here.
 */
#include "image/archive_unpack.h"

#include "sys/openat2.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LEFT_OUT_MAX 100000u /* device nodes a tarball may name */

/* 65: this archive, this entry, this reason. */
static int refuse(const struct unpacking *u, const char *name, const char *reason, struct cowherd_error *err)
{
        return fail(err, u->refusal == 0 ? COWHERD_DATA : u->refusal, "'%s' is refused: its entry '%s' %s", u->path, name, reason);
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
                return fail(err, COWHERD_DATA, "'%s' is refused: it has more than %ju entries", u->path,
                            (uintmax_t)u->limits->entries);
        if (archive_entry_size(entry) < 0)
                return refuse(u, name, "has a negative size", err);
        uint64_t size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
        if (size > u->limits->bytes - u->declared_bytes)
                return fail(err, COWHERD_DATA, "'%s' is refused: it unpacks to more than %ju bytes", u->path,
                            (uintmax_t)u->limits->bytes);
        u->declared_bytes += size;
        return 0;
}

int archive_check_entry(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link,
                        struct cowherd_error *err)
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

int archive_check_ratio(const struct unpacking *u, struct cowherd_error *err)
{
        uint64_t read = (uint64_t)archive_filter_bytes(u->reader, -1);

        if (u->written_bytes <= u->limits->bytes &&
            (u->written_bytes <= u->limits->ratio_bytes || u->written_bytes / u->limits->ratio <= read))
                return 0;
        return fail(err, COWHERD_DATA, "'%s' is refused: %ju bytes of it unpack to more than %ju", u->path,
                    (uintmax_t)read, (uintmax_t)u->written_bytes);
}

void archive_keep_attributes(struct archive_entry *entry)
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

/* A name without the "./" that many tarballs begin theirs with. */
static const char *plain_name(const char *name)
{
        return str_starts(name, "./") ? name + 2 : name;
}

int archive_leaves_out(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link,
                       struct cowherd_error *err)
{
        mode_t type = archive_entry_filetype(entry);

        if (link == NULL && type == AE_IFSOCK)
                return 1;
        bool device = link == NULL ? type == AE_IFCHR || type == AE_IFBLK
                                   : u->left_out.count > 0 && strv_has(&u->left_out, plain_name(link));
        if (!device)
                return 0;
        if (u->left_out.count >= LEFT_OUT_MAX)
                return refuse(u, name, "is a device node too many", err);
        strv_add(&u->left_out, plain_name(name));
        return 1;
}
