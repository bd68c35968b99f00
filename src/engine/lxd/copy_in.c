/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the guest. A file goes by LXD's files API, which serves running and stopped instances alike and never leaves the
 * guest's root; a folder as a tar stream to the guest's own tar, and where there is none or nobody to run it, entry by entry
 * (5 ms each).
 */
#include "engine/lxd/lxd.h"

#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64u

struct copying {
        const struct engine_copy *copy;
        const struct lxd_target *target;
        uint64_t before; /* bytes of the files that are done */
        uint64_t last;
};

static void on_sent(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
        struct copying *it = context;

        it->last = done_bytes;
        if (it->copy->report != NULL)
                it->copy->report(it->copy->context, it->before + done_bytes, it->before == 0 ? total_bytes : 0);
}

/* One that is opened already, by a path that leads to just that. */
static int send_file(struct copying *it, int fd, mode_t mode, const char *to, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("/proc/self/fd/%d", fd);
        int rc = lxd_file_send(it->target->client, it->target->name, to, path, (unsigned)mode & 07777u, on_sent, it, err);

        it->before += it->last;
        it->last = 0;
        return rc;
}

static int send_link(struct copying *it, int folder, const char *name, const char *to, struct cowherd_error *err)
{
        char target[4096];
        ssize_t length = readlinkat(folder, name, target, sizeof target - 1);

        if (length < 0)
                return fail_errno(err, "cannot read the symlink '%s'", name);
        target[length] = '\0';
        return lxd_file_make_link(it->target->client, it->target->name, to, target, err);
}

static int send_entry(struct copying *it, int folder, const char *name, const char *to, unsigned depth,
                      struct cowherd_error *err);

/* Takes over `fd`. */
static int send_folder(struct copying *it, int fd, const char *to, unsigned depth, struct cowherd_error *err)
{
        DIR *list = fdopendir(fd);
        int rc = 0;

        if (list == NULL) {
                close_at(&fd);
                return fail_errno(err, "cannot list a folder");
        }
        errno = 0;
        for (const struct dirent *entry; rc == 0 && (entry = readdir(list)) != NULL;) {
                if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
                        continue;
                owned_str char *inner = lxd_path_in(to, entry->d_name);
                rc = send_entry(it, fd, entry->d_name, inner, depth + 1, err);
        }
        (void)closedir(list);
        return rc;
}

static int send_entry(struct copying *it, int folder, const char *name, const char *to, unsigned depth,
                      struct cowherd_error *err)
{
        struct stat info;

        if (depth > DEPTH_MAX)
                return fail(err, COWHERD_DATA, "'%s' lies deeper than %u folders", name, DEPTH_MAX);
        owned_fd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ELOOP)
                return send_link(it, folder, name, to, err);
        if (fd < 0 && errno == ENXIO)
                return 0; /* a socket */
        if (fd < 0 || fstat(fd, &info) < 0)
                return fail_errno(err, "cannot open '%s'", name);
        if (S_ISREG(info.st_mode))
                return send_file(it, fd, info.st_mode, to, err);
        if (!S_ISDIR(info.st_mode))
                return depth > 0 ? 0 : fail(err, COWHERD_DATA, "'%s' is neither a file nor a folder", name);
        if (lxd_file_make_folder(it->target->client, it->target->name, to, info.st_mode & 07777, err) < 0)
                return -1;
        return send_folder(it, take_fd(fd), to, depth, err);
}

/* Where it goes: into a folder that is there, or under the name that is said. */
static int find_place(const struct lxd_target *target, const struct engine_copy *copy, struct lxd_place *ret,
                      struct cowherd_error *err)
{
        owned_guest_place struct lxd_place place = {0};
        const char *type = NULL;

        if (lxd_place_find(target, copy->remote, &place, err) < 0)
                return -1;
        if (str_equal(place.type, "directory")) {
                ret->parent = take(place.path);
                ret->name = x_strdup(copy->name);
                ret->path = lxd_path_in(ret->parent, ret->name);
                return 0;
        }
        int rc = lxd_file_stat(target->client, target->name, place.parent, &type, NULL, err);
        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "folder '%s' not found in instance '%s'", place.parent, target->name);
        *ret = place;
        place = (struct lxd_place){0};
        return 0;
}

int lxd_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_guest_place struct lxd_place place = {0};
        owned_target struct lxd_target target = {0};
        struct copying it = {.copy = copy, .target = &target};
        bool has_tar = false;
        struct stat info;

        if (fstatat(copy->folder, copy->name, &info, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot copy '%s'", copy->name);
        if (lxd_target_find(instance, &target, err) < 0 || find_place(&target, copy, &place, err) < 0)
                return -1;
        if (S_ISDIR(info.st_mode) && copy->pack != NULL && lxd_has_tar(&target, &has_tar, err) < 0)
                return -1;
        int rc = has_tar ? lxd_tar_in(&target, copy, place.parent, place.name, err)
                         : send_entry(&it, copy->folder, copy->name, place.path, 0, err);
        return rc < 0 ? fail_while(err, "copying '%s' to '%s' of '%s'", copy->name, place.path, instance->name) : 0;
}
