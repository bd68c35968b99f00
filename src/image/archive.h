/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tarballs, by libarchive, which is a module of its own (sys/module.h). These functions open it.
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

/*
 * Writes one file or folder, folder/name, as a tar stream to `to`, its top entry called `as`: modes, times, symlinks and hard links
 * are kept, owners are root. What is no file, folder or symlink is left out, and what is mounted inside. A reader that went away is an error (71).
 */
int archive_pack_entry(int folder, const char *name, const char *as, int to, struct cowherd_error *err) must_check;
/*
 * Makes folder/name, which is not there yet, of a tar stream from somebody who is not trusted, whose one top entry is `as`. Owners are
 * ours, setuid bits and capabilities are dropped, devices left out; symlinks are made as they are. 77 for what leads out (`..`, absolute
 * names, another top entry, behind a symlink), 65 for what is damaged or beyond archive_unpack's limits. What was made before that
 * stays: the caller's to remove.
 */
int archive_unpack_entry(int from, const char *as, int folder, const char *name, struct cowherd_error *err) must_check;
