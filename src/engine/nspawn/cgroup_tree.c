/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where control groups are (cgroups(7)). Hierarchies of v1 are those that /proc/self/cgroup names; they are mounted
 * under /sys/fs/cgroup by their controllers' names, by every system there is.
 */
#include "engine/nspawn/cgroup_tree.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MEMBERSHIP_BYTES 65536u

static bool is_unified(const char *path)
{
        struct statfs found;

        return statfs(path, &found) == 0 && (unsigned long)found.f_type == CGROUP2_SUPER_MAGIC;
}

const char *cgroup_unified_root(void)
{
        static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

        for (size_t i = 0; i < array_length(places); i++)
                if (is_unified(places[i]))
                        return places[i];
        return NULL;
}

/* The folder that a hierarchy of v1 is mounted on: by all its controllers' names, or by the first one's. */
static bool add_root(struct cgroup_roots *roots, const char *controllers)
{
        const char *name = str_starts(controllers, "name=") ? strchr(controllers, '=') + 1 : controllers;
        char *path = roots->paths[roots->count];
        struct statfs found;

        for (int i = 0; i < 2; i++) {
                int length = i == 0 ? (int)strlen(name) : (int)strcspn(name, ",");
                int put = snprintf(path, CGROUP_ROOT_BYTES, "/sys/fs/cgroup/%.*s", length, name);
                if (put < 0 || put >= CGROUP_ROOT_BYTES || strchr(name, '/') != NULL)
                        return false;
                if (statfs(path, &found) == 0 && (unsigned long)found.f_type == CGROUP_SUPER_MAGIC)
                        return true;
        }
        return false;
}

void cgroup_find_roots(struct cgroup_roots *ret)
{
        const char *unified = cgroup_unified_root();
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        char *rest = NULL;

        ret->count = 0;
        ret->has_unified = unified != NULL;
        if (unified != NULL) {
                (void)snprintf(ret->paths[0], CGROUP_ROOT_BYTES, "%s", unified);
                ret->controllers[0][0] = '\0';
                ret->count = 1;
        }
        if (file_read(AT_FDCWD, "/proc/self/cgroup", MEMBERSHIP_BYTES, &text, NULL, &ignored) < 0)
                return;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL && ret->count < CGROUP_HIERARCHIES;
             line = strtok_r(NULL, "\n", &rest)) {
                char *controllers = strchr(line, ':'), *end = controllers == NULL ? NULL : strchr(++controllers, ':');
                if (end == NULL || end == controllers || (size_t)(end - controllers) >= CGROUP_ROOT_BYTES)
                        continue; /* "0::/…" is the unified one */
                *end = '\0';
                if (!add_root(ret, controllers))
                        continue;
                (void)snprintf(ret->controllers[ret->count++], CGROUP_ROOT_BYTES, "%s", controllers);
        }
}

int cgroup_open_file(const char *root, const char *path, const char *file, int flags)
{
        owned_str char *name = x_asprintf("%s/%s%s%s", root, path, path[0] == '\0' ? "" : "/", file);

        return open(name, flags | O_CLOEXEC);
}

int cgroup_write(const char *root, const char *path, const char *file, const char *text)
{
        owned_fd int fd = cgroup_open_file(root, path, file, O_WRONLY);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

bool cgroup_read(const char *root, const char *path, const char *file, char *buffer, size_t bytes)
{
        owned_fd int fd = cgroup_open_file(root, path, file, O_RDONLY);
        ssize_t got = fd < 0 ? -1 : read(fd, buffer, bytes - 1);

        if (got < 0)
                return false;
        buffer[got] = '\0';
        return true;
}
