/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tarballs, by libarchive, which is a module of its own (sys/module.h). These two functions open it.
 */
#pragma once

#include "base/error.h"
#include "sys/file.h"

/*
 * Unpacks a tarball (any compression libarchive has built in) into the empty folder `tree`: owners by number (as root),
 * modes (setuid too), times, ACLs, and of extended attributes user.* and security.capability. Refused with 65, nothing
 * of it kept by the caller: `..`, absolute names, hard links that lead out of the tree, anything behind a symlink, more
 * entries or bytes than the limits (10 million entries, 1 TiB, 64 GiB where the compression ratio is beyond 1000).
 * Symlinks are made as they are, wherever they point. Device nodes, and hard links to them, are left out and counted in
 * *ret_devices (may be NULL).
 */
int archive_unpack(const char *path, int tree, const struct file_progress *progress, uint64_t *ret_devices,
                   struct cowherd_error *err) must_check;

/*
 * Packs a tree as the two halves of an LXD image into the folder `at`: `metadata` (a tarball with metadata.yaml for
 * this machine's architecture, distro and release) and `rootfs` (a tarball). Compressed by nothing: it is read again at
 * once.
 */
int archive_pack_image(int tree, const char *distro, const char *release, int at, const char *metadata,
                       const char *rootfs, struct cowherd_error *err) must_check;
