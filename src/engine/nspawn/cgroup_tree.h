/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: where the hierarchies are, and small files in them. */
#pragma once

#include "engine/nspawn/cgroup.h"

#define CGROUP_ROOT_BYTES 64

/* The mounted hierarchies: roots[0] is the unified one where has_unified. */
struct cgroup_roots {
        char paths[CGROUP_HIERARCHIES][CGROUP_ROOT_BYTES];
        char controllers[CGROUP_HIERARCHIES]
                        [CGROUP_ROOT_BYTES]; /* "cpu,cpuacct", "name=systemd"; "" of the unified one */
        size_t count;
        bool has_unified;
};
void cgroup_find_roots(struct cgroup_roots *ret);
/* Where the unified hierarchy is mounted, or NULL. Static. */
const char *cgroup_unified_root(void);

/* ROOT/GROUP/FILE, opened; -1 and errno. */
int cgroup_open_file(const char *root, const char *path, const char *file, int flags);
/* Whether a /proc/PID/cgroup tells of a unified group, or of one below. Groups of v1 stand there too, and are named by whom they belong to. */
bool cgroup_is_among(const char *memberships, const char *path);
/* 0, or -1 and errno. */
int cgroup_write(const char *root, const char *path, const char *file, const char *text);
/* Reads at most bytes - 1, NUL added; false where it can't be read. */
bool cgroup_read(const char *root, const char *path, const char *file, char *buffer, size_t bytes);
