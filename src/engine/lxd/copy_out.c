/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the guest, which may be hostile: names that it lists are single components or refused, everything is made by us
 * (never opened), no symlink of ours or its is followed, and setuid bits stay behind. A file goes by LXD's files API; a folder
 * as a tar stream from the guest's own tar to the herd's unpack, or entry by entry. Each appears under its name when it is whole.
 */
#include "engine/lxd/lxd.h"

#include "lxd_api/sftp.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64u
#define ENTRIES_MAX 100000u

struct copying {
        const struct engine_copy *copy;
        const struct lxd_target *target;
        struct lxd_sftp *sftp;
        int fd; /* of the file in hand */
        uint64_t done;
        unsigned entries;
};

static void copying_free(struct copying *it)
{
        lxd_sftp_close(it->sftp);
}
define_owned(struct copying, copying_free)

static int on_received(void *context, const char *bytes, size_t length)
{
        struct copying *it = context;

        for (size_t written = 0; written < length;) {
                ssize_t count = write(it->fd, bytes + written, length - written);
                if (count < 0 && errno != EINTR)
                        return -1;
                written += count > 0 ? (size_t)count : 0;
        }
        it->done += length;
        if (it->copy->report != NULL)
                it->copy->report(it->copy->context, it->done, 0);
        return 0;
}

static int changed(const struct copying *it, const char *path, struct cowherd_error *err)
{
        return fail(err, COWHERD_BUSY, "'%s' in instance '%s' changed while it was copied", path, it->target->name);
}

/* A file that is not there yet. */
static int receive_file(struct copying *it, const char *path, mode_t mode, int folder, const char *name,
                        struct cowherd_error *err)
{
        owned_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", name);
        it->fd = fd;
        errno = 0;
        int rc = lxd_file_receive(it->target->client, it->target->name, path, on_received, it, err);
        if (rc < 0 && errno == ENOSPC)
                return fail_errno(err, "cannot write '%s'", name);
        if (rc > 0)
                return changed(it, path, err);
        if (rc == 0 && fchmod(fd, mode & 0777) < 0)
                return fail_errno(err, "cannot set the mode of '%s'", name);
        return rc;
}

static int receive_link(struct copying *it, const char *path, int folder, const char *name, struct cowherd_error *err)
{
        owned_str char *target = NULL;
        int rc = lxd_sftp_read_link(it->sftp, path, &target, err);

        if (rc != 0)
                return rc < 0 ? -1 : changed(it, path, err);
        return symlinkat(target, folder, name) < 0 ? fail_errno(err, "cannot make the symlink '%s'", name) : 0;
}

static int receive_entry(struct copying *it, const char *path, int folder, const char *name, unsigned depth,
                         struct cowherd_error *err);

static int receive_folder(struct copying *it, const char *path, mode_t mode, int folder, const char *name,
                          unsigned depth, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};

        if (mkdirat(folder, name, 0700) < 0)
                return fail_errno(err, "cannot make folder '%s'", name);
        owned_fd int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open folder '%s'", name);
        int rc = lxd_sftp_list(it->sftp, path, ENTRIES_MAX, &names, err);
        if (rc != 0)
                return rc < 0 ? -1 : changed(it, path, err);
        for (size_t i = 0; i < names.count; i++) {
                owned_str char *inner = lxd_path_in(path, names.items[i]);
                if (receive_entry(it, inner, fd, names.items[i], depth + 1, err) < 0)
                        return -1;
        }
        return fchmod(fd, mode & 0777) < 0 ? fail_errno(err, "cannot set the mode of '%s'", name) : 0;
}

static int receive_entry(struct copying *it, const char *path, int folder, const char *name, unsigned depth,
                         struct cowherd_error *err)
{
        mode_t mode = 0;

        if (depth > DEPTH_MAX || it->entries++ == ENTRIES_MAX)
                return fail(err, COWHERD_DATA, "'%s' in instance '%s' holds more than this version copies", it->copy->remote,
                            it->target->name);
        int rc = lxd_sftp_stat(it->sftp, path, &mode, err);
        if (rc != 0)
                return rc < 0 ? -1 : depth > 0 ? 0 : changed(it, path, err); /* gone meanwhile */
        if (S_ISDIR(mode))
                return receive_folder(it, path, mode, folder, name, depth, err);
        if (S_ISLNK(mode))
                return receive_link(it, path, folder, name, err);
        if (S_ISREG(mode))
                return receive_file(it, path, mode, folder, name, err);
        return 0; /* a device, a pipe, a socket */
}

/* Under a name of its own first; then it takes the place of what bears its name, which a folder can't. */
static int receive_whole(struct copying *it, const struct lxd_place *place, struct cowherd_error *err)
{
        char random[17];
        owned_str char *beside = x_asprintf(".%.100s.%s", it->copy->name, random_hex(8, random));
        struct cowherd_error ignored;

        if (lxd_sftp_open(it->target->client, it->target->name, &it->sftp, err) < 0)
                return -1;
        int rc = receive_entry(it, place->path, it->copy->folder, beside, 0, err);

        if (rc == 0 && renameat(it->copy->folder, beside, it->copy->folder, it->copy->name) < 0)
                rc = fail_errno(err, "cannot make '%s'", it->copy->name);
        if (rc < 0)
                ignore_result(file_remove_tree(it->copy->folder, beside, &ignored));
        return rc;
}

/* What unpack has made of a stream that then failed goes, unless it was there before. */
static int unpack_whole(const struct lxd_target *target, const struct engine_copy *copy, const struct lxd_place *place,
                        struct cowherd_error *err)
{
        struct cowherd_error ignored;
        struct stat info;
        bool was_there = fstatat(copy->folder, copy->name, &info, AT_SYMLINK_NOFOLLOW) == 0;
        int rc = lxd_tar_out(target, copy, place->parent, place->name, err);

        if (rc < 0 && !was_there)
                ignore_result(file_remove_tree(copy->folder, copy->name, &ignored));
        return rc;
}

int lxd_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_guest_place struct lxd_place place = {0};
        owned_target struct lxd_target target = {0};
        owned_by(copying_free) struct copying it = {.copy = copy, .target = &target, .fd = -1};
        bool has_tar = false;

        if (lxd_target_find(instance, &target, err) < 0 || lxd_place_find(&target, copy->remote, &place, err) < 0)
                return -1;
        if (place.type == NULL)
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found in instance '%s'", copy->remote, instance->name);
        if (str_equal(place.type, "other"))
                return fail(err, COWHERD_DATA, "'%s' in instance '%s' is neither a file nor a folder", copy->remote, instance->name);
        bool as_tar = str_equal(place.type, "directory") && place.name[0] != '\0' && copy->unpack != NULL;
        if (as_tar && lxd_has_tar(&target, &has_tar, err) < 0)
                return -1;
        int rc = has_tar ? unpack_whole(&target, copy, &place, err) : receive_whole(&it, &place, err);
        return rc < 0 ? fail_while(err, "copying '%s' of '%s'", copy->remote, instance->name) : 0;
}
