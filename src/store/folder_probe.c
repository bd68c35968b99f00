/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store makes to find out whether it works in a place (store.h: probe), and takes away at once: a folder or subvolume
 * ".probe-1f2e3d4c". Whoever is killed in between leaves it, so it is locked while it is in use (flock(2) on itself), and a
 * sweep removes those that nobody holds. A sweep may come between making and locking: then another one is made.
 */
#include "store/folder.h"

#include "sys/clock.h"
#include "sys/libc.h"
#include "sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define PROBE_PREFIX ".probe-"
#define PROBE_TRIES 16

static bool is_probe(const char *name)
{
        return str_starts(name, PROBE_PREFIX);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Opens and locks what a probe has just made. 1 where a sweep was quicker. */
static int lock_probe(const struct store_place *place, const char *name, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat opened, named;

        if (fd < 0)
                return errno == ENOENT ? 1 : fail_errno(err, "cannot open '%s/%s'", place->folder, name);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return 1;
        if (fstat(fd, &opened) < 0 || fstatat(place->fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || !is_same(&opened, &named))
                return 1;
        *ret_fd = take_fd(fd);
        return 0;
}

int folder_probe_begin(const struct store_place *place, int (*make)(int folder, const char *name), char *name, int *ret_fd,
                       struct cowherd_error *err)
{
        char hex[17];

        for (int tries = 0; tries < PROBE_TRIES; tries++) {
                (void)snprintf(name, FOLDER_PROBE_BYTES, PROBE_PREFIX "%s", random_hex(8, hex));
                if (make(place->fd, name) < 0)
                        return fail_errno(err, "cannot make anything in '%s'", place->folder);
                int got = lock_probe(place, name, ret_fd, err);
                if (got <= 0)
                        return got;
        }
        return fail(err, COWHERD_BUSY, "cannot try anything out in '%s': another command sweeps it again and again", place->folder);
}

/* Removes one probe that nobody holds, with the overlay it may have mounted. 1 where it is under way, or gone. */
static int sweep_probe(const struct store_place *place, const char *name, struct cowherd_error *err)
{
        owned_fd int fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        owned_str char *tree = x_asprintf("%s/%s/tree", place->folder, name);

        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 1 : fail_errno(err, "cannot open '%s/%s'", place->folder, name);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return 1;
        if (mount_unmount(tree, err) < 0)
                return -1;
        return file_remove_tree(place->fd, name, err);
}

int folder_sweep_probes(const struct store_place *place, size_t *ret_count, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        size_t count = 0;

        if (folder_list_names(place, ".", is_probe, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                int got = sweep_probe(place, names.items[i], err);
                if (got < 0)
                        return fail_while(err, "taking away what an interrupted probe left");
                count += got == 0;
        }
        *ret_count = count;
        return 0;
}
