/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources.conf: local sources for names, for sites without a network. Read from the herd's root, then from
 * /etc/cowherd/sources.conf (for a user also $XDG_CONFIG_HOME/cowherd/sources.conf); the first that knows a name wins.
 *
 *     # what image=ubuntu:22.04 means here
 *     [image ubuntu:22.04]
 *     metadata = images/meta.tar
 *     rootfs = images/rootfs.tar
 *
 *     [distro ubuntu]            # or [distro ubuntu jammy] for one release of it
 *     rootfs = /srv/trees/debian # a folder; or tarball = FILE; or mirror = URL (with distro =, release = of its own)
 *
 * Relative paths are relative to the file. A key or section it does not know is 78 with file and line.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

struct source {
        char *file;     /* the sources.conf that said so, and which line, for messages: "/etc/cowherd/sources.conf:3" */
        char *image;    /* a disk image file, or another LXD image name */
        char *metadata; /* LXD image: metadata tarball, or the whole image where rootfs is not given */
        char *rootfs;   /* a folder, or LXD's rootfs tarball/squashfs */
        char *tarball;  /* a root filesystem tarball */
        char *mirror;   /* for mmdebstrap */
        char *distro;   /* what it really is */
        char *release;
};
void source_free(struct source *source);
define_owned(struct source, source_free)
#define owned_source owned_by(source_free)

/* What image=NAME means here: 0 and *ret, or 1 where no file says. `root` is the herd's root folder. */
int source_of_image(const char *root, const char *image, struct source *ret, struct cowherd_error *err) must_check;
/* What distro=NAME (release may be NULL) means here: 0 and *ret, or 1. */
int source_of_distro(const char *root, const char *distro, const char *release, struct source *ret,
                     struct cowherd_error *err) must_check;
