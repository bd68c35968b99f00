/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders, dirfd first and path second. A path from outside is never opened by name inside a tree that a
 * guest wrote: file_open_in_root resolves every symlink as the tree's own root would (openat2(2), RESOLVE_IN_ROOT).
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Opens a folder with O_DIRECTORY|O_CLOEXEC (follows symlinks: for our own paths). *ret_fd is the caller's. */
int file_open_folder(int at, const char *path, int *ret_fd, struct cowherd_error *err) must_check;
/* Makes a folder and those above it (mkdir -p); an existing one is success. */
int file_make_folders(int at, const char *path, mode_t mode, struct cowherd_error *err) must_check;

/* Opens a path as if `root` were "/": symlinks, "..", magic links never lead out. *ret_fd is the caller's. */
int file_open_in_root(int root, const char *path, int flags, mode_t mode, int *ret_fd,
                      struct cowherd_error *err) must_check;
/* Replaces a file inside a foreign tree by text, its folders made; a symlink in its place is replaced, not followed. */
int file_write_in_root(int root, const char *path, const char *text, mode_t mode, struct cowherd_error *err) must_check;
/* Makes a folder inside a foreign tree and those above it; existing ones are success. */
int file_make_folders_in_root(int root, const char *path, struct cowherd_error *err) must_check;
/* Removes one file or link inside a foreign tree; what does not exist is success. *ret_removed (may be NULL) tells. */
int file_remove_in_root(int root, const char *path, bool *ret_removed, struct cowherd_error *err) must_check;

/* Reads a whole file of at most `limit_bytes` (more is 65). *ret_text is the caller's, NUL added. */
int file_read(int at, const char *path, size_t limit_bytes, char **ret_text, size_t *ret_length,
              struct cowherd_error *err) must_check;
/* Writes a file beside and renames it into place; synced where `durable`. A kill may leave the one beside: for folders that are ours. */
int file_replace(int at, const char *path, const char *text, mode_t mode, bool durable,
                 struct cowherd_error *err) must_check;
/* The same in a folder of others: what a kill leaves goes with the next file that is published there. Two at once take turns. */
int file_publish(const char *path, const char *text, mode_t mode, struct cowherd_error *err) must_check;
/* Syncs a file or folder to its disk. */
int file_sync(int fd, const char *what, struct cowherd_error *err) must_check;

/*
 * Removes a file or a whole folder: never follows a symlink, never crosses into another mounted filesystem (that is
 * 75), takes the immutable flag off what is in its way, deletes btrfs subvolumes it meets. What does not exist is
 * success.
 */
int file_remove_tree(int at, const char *path, struct cowherd_error *err) must_check;

/* Told how many bytes of how many are done; `total` may be 0 where it is not known. */
struct file_progress {
        void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
        void *context;
};

/* Shares the blocks of `from` with the empty file `to` (FICLONE). 69 where the filesystem can't: nothing is copied. */
int file_share(int from, int to, struct cowherd_error *err) must_check;
/* Shares where the filesystem can, else copies, holes kept. *ret_shared tells which. It and `progress` may be NULL. */
int file_copy(int from, int to, bool *ret_shared, const struct file_progress *progress,
              struct cowherd_error *err) must_check;

enum file_tree_mode {
        FILE_TREE_COPY,  /* data copied (or shared where it costs nothing: FICLONE tried first) */
        FILE_TREE_SHARE, /* FICLONE or failure (69) */
        FILE_TREE_LINK,  /* hard links to the same inodes for regular files; the rest made anew */
};
/*
 * Fills the existing folder `to` with all that is in `from`: owners, modes (setuid too), times, extended attributes and
 * ACLs, hard links among themselves, symlinks as they are, devices and fifos (device nodes are left out where not
 * root), sockets left out. Stays on `from`'s filesystem. `progress` may be NULL.
 */
int file_copy_tree(int from, int to, enum file_tree_mode mode, const struct file_progress *progress,
                   struct cowherd_error *err) must_check;

struct file_plain {
        bool keep_setuid; /* else setuid and setgid bits are dropped: from others, they would mean us */
        void (*left_out)(void *context, const char *path); /* told of what is left out; NULL: it is refused (65) */
        void *context;
        const struct file_progress *progress; /* may be NULL */
};
/*
 * Copies one entry, a file, a symlink or a folder with all in it, between trees that don't trust each other, as to_name: modes and
 * times are kept, symlinks stay symlinks, owners are whoever does it. Nothing is followed and nothing mounted is entered; devices,
 * fifos, sockets and mounts are left out. A file that is there is replaced, whatever it is; a folder takes what is new (73 where only
 * one of both is a folder). A copied file appears whole.
 */
int file_copy_plain(int from, const char *from_name, int to, const char *to_name, const struct file_plain *how,
                    struct cowherd_error *err) must_check;

/* The immutable flag (FS_IMMUTABLE_FL) on or off; where filesystem or privilege has none, nothing and success. */
int file_set_immutable(int fd, bool immutable, struct cowherd_error *err) must_check;

/* "dev:inode:size:ctime-ns" of a file: changes whenever its bytes, its mode or its place do. To be freed. */
int file_fingerprint(int at, const char *path, char **ret_text, struct cowherd_error *err) must_check;

#define FILE_DIGEST_BYTES 17
/*
 * A digest of all that is in a file, as hexadecimal text, whatever its holes: holes cost no time. Against failing disks
 * and careless hands, not against forgers. `what` is for the sentence.
 */
int file_digest(int fd, const char *what, char *ret, struct cowherd_error *err) must_check;

/* What a file or a folder with all in it takes. Hard-linked inodes count once. */
struct file_usage {
        uint64_t allocated_bytes;
        uint64_t apparent_bytes;
        uint64_t files;
        uint64_t digest; /* of inode, mode, owner, size and modification time of each, in any order */
};
int file_measure(int at, const char *path, struct file_usage *ret, struct cowherd_error *err) must_check;
/* Of the allocated bytes, those whose extents other files share too (FIEMAP); 0 where the filesystem can't tell. */
int file_shared_bytes(int at, const char *path, uint64_t *ret_bytes, struct cowherd_error *err) must_check;

/* Those whose extents no other file has, what lies inside the metadata left aside (FIEMAP). */
int file_unshared_bytes(int at, const char *path, uint64_t *ret_bytes, struct cowherd_error *err) must_check;

/*
 * Gives back what all but the last `keep_bytes` of a file take, once it takes twice that: they become a hole, and its length stays, so
 * that whoever writes it need not know. Nothing where the filesystem makes no holes.
 */
int file_forget_start(int fd, uint64_t keep_bytes, const char *what, struct cowherd_error *err) must_check;

/* f_type of statfs(2), as a name: "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", or "other". Static. */
const char *file_system_name(int fd);
