/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a base comes from: what was asked for (image= rootfs= tarball= distro=), looked up (files, sources.conf), and how
 * it is filled in. Resolving has no side effect; filling does.
 */
#pragma once

#include "herd/herd.h"
#include "image/disk.h"
#include "image/sources.h"

enum origin_kind {
        ORIGIN_DISK,    /* a disk image file */
        ORIGIN_FOLDER,  /* a root filesystem in a folder */
        ORIGIN_TARBALL, /* one in a tarball */
        ORIGIN_PACKAGES, /* one made of a distribution's packages */
        ORIGIN_REMOTE,  /* an image that LXD knows by name */
        ORIGIN_FILES,   /* an LXD image in one or two files */
};

struct origin {
        enum origin_kind kind;
        char *asked;           /* what was asked for, for the row and for people */
        char *path;            /* absolute, of disk, folder, tarball, or LXD's metadata */
        char *rootfs;          /* of ORIGIN_FILES: the second file, or NULL */
        char *remote;          /* of ORIGIN_REMOTE */
        int fd;                /* of ORIGIN_DISK, opened and inspected; else -1 */
        struct disk_info disk;
        char *distro, *release, *mirror, *variant, *packages; /* of ORIGIN_PACKAGES */
        char *mapped_by;       /* "sources.conf:3" where that says so, or NULL */
};
void origin_free(struct origin *origin);
define_owned(struct origin, origin_free)
#define owned_origin owned_by(origin_free)

/* Finds out what a register_base means. 65, 66, 69 with the reason where it can't be had. */
int origin_resolve(const struct call *call, struct origin *ret, struct cowherd_error *err) must_check;

/* Puts a disk's bytes at the base's path. */
int fill_disk(const struct call *call, const struct origin *origin, const struct thing *base, struct cowherd_error *err) must_check;
/* Fills the empty folder at `path` with a root filesystem; tools that do it inherit the object's `lock`. */
int fill_tree(const struct call *call, const struct origin *origin, const char *path, int lock, struct cowherd_error *err) must_check;
/* Has LXD make the base: of a remote's image, of files, or of a tree filled in a staging folder first. */
int fill_instance(const struct call *call, const struct origin *origin, struct thing *base, struct cowherd_error *err) must_check;
