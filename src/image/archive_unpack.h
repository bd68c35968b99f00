/* SPDX-License-Identifier: Apache-2.0 */
/* One tarball being unpacked: what archive_unpack.c does, archive_check.c allows. Of the archive module alone. */
#pragma once

#include "base/str.h"
#include "image/archive_module.h"

struct archive;
struct archive_entry;

struct unpacking {
        const char *path;
        enum cowherd_code refusal; /* of an entry that may not come in; 0: COWHERD_DATA */
        int file;
        int tree;
        const struct archive_limits *limits;
        const struct file_progress *progress;
        uint64_t file_bytes;
        struct archive *reader;
        struct archive *writer;
        uint64_t entries;
        uint64_t declared_bytes;
        uint64_t written_bytes;
        uint64_t reported_bytes;
        struct strv left_out; /* device nodes: hard links to them are left out too */
};

/* 65 where an entry may not come in: its name, the way to it, its hard link's target, its size, or one too many. */
int archive_check_entry(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link,
                        struct cowherd_error *err) must_check;
/* 65 where more was unpacked than is sane, for itself or for what was read. */
int archive_check_ratio(const struct unpacking *u, struct cowherd_error *err) must_check;
/* 1 where an entry is left out: a device node, or a hard link to one; a socket, which no tarball should hold. Else 0.
 */
int archive_leaves_out(struct unpacking *u, struct archive_entry *entry, const char *name, const char *link,
                       struct cowherd_error *err) must_check;
/* Takes the extended attributes that are not kept out of an entry. */
void archive_keep_attributes(struct archive_entry *entry);
