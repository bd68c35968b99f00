/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a group: in every hierarchy a folder below those of the herd, whose controllers are handed down (unified) or
 * whose cpuset is filled in (v1, where an empty one takes no process). A limit is written where its controller is; none
 * is enabled that nobody asked for.
 */
#include "engine/nspawn/cgroup_tree.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 16
#define PERIOD_US 100000u
#define LIST_BYTES 4096

/* One limit: its controller, its file in either version, and what is written there. */
struct limit {
        const char *controller, *word, *file_v2, *file_v1;
        bool wanted, optional;
        char text_v2[CGROUP_CPUS_BYTES], text_v1[CGROUP_CPUS_BYTES];
};

static void set_text(struct limit *limit, uint64_t value)
{
        (void)snprintf(limit->text_v2, sizeof limit->text_v2, "%" PRIu64, value);
        (void)snprintf(limit->text_v1, sizeof limit->text_v1, "%" PRIu64, value);
}

bool cgroup_choose_cpus(const struct cgroup_limits *limits, char buffer[CGROUP_CPUS_BYTES])
{
        long configured = sysconf(_SC_NPROCESSORS_CONF);
        uint64_t all = configured < 1 ? 1 : (uint64_t)configured;
        size_t length = 0;

        if (limits->cpus == 0 || limits->cpus >= all)
                return false;
        for (uint64_t i = 0; i < limits->cpus && length + 8 < CGROUP_CPUS_BYTES; i++)
                length += (size_t)snprintf(buffer + length, CGROUP_CPUS_BYTES - length, "%s%" PRIu64, i == 0 ? "" : ",",
                                           (limits->first_cpu + i) % all);
        return true;
}

enum { LIMIT_MEMORY, LIMIT_CPU, LIMIT_CPUSET, LIMIT_PIDS, LIMITS };

static void list_limits(const struct cgroup_limits *wanted, struct limit limits[LIMITS])
{
        struct limit *memory = &limits[LIMIT_MEMORY], *cpu = &limits[LIMIT_CPU], *cpuset = &limits[LIMIT_CPUSET],
                     *pids = &limits[LIMIT_PIDS];

        *memory = (struct limit){
                "memory", "memory=", "memory.max", "memory.limit_in_bytes", wanted->memory_bytes > 0, false, "", ""};
        *cpu = (struct limit){"cpu", "cpus=", "cpu.max", "cpu.cfs_quota_us", wanted->cpus > 0, false, "", ""};
        *cpuset = (struct limit){"cpuset", "cpus=", "cpuset.cpus", "cpuset.cpus", false, true, "", ""};
        *pids = (struct limit){"pids", "", "pids.max", "pids.max", wanted->processes > 0, true, "", ""};
        set_text(memory, wanted->memory_bytes);
        set_text(pids, wanted->processes);
        (void)snprintf(cpu->text_v1, sizeof cpu->text_v1, "%" PRIu64, wanted->cpus * PERIOD_US);
        (void)snprintf(cpu->text_v2, sizeof cpu->text_v2, "%" PRIu64 " %u", wanted->cpus * PERIOD_US, PERIOD_US);
        cpuset->wanted = cgroup_choose_cpus(wanted, cpuset->text_v2);
        memcpy(cpuset->text_v1, cpuset->text_v2, sizeof cpuset->text_v1);
}

static bool has_word(const char *list, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word))
                if ((at == list || strchr(" ,\n", at[-1]) != NULL) && strchr(" ,\n", at[length]) != NULL)
                        return true; /* strchr finds the NUL of the end, too */
        return false;
}

/* A cpuset of v1 is empty until it is filled in, and takes no process before. That a file is not there is for who enters to find. */
static int fill_cpuset(const char *root, const char *above, const char *path, struct cowherd_error *err)
{
        static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
        char own[LIST_BYTES], theirs[LIST_BYTES];

        for (size_t i = 0; i < array_length(files); i++) {
                bool known = cgroup_read(root, path, files[i], own, sizeof own);
                if (known && own[0] != '\n')
                        continue;
                if ((!known || !cgroup_read(root, above, files[i], theirs, sizeof theirs) || cgroup_write(root, path, files[i], theirs) < 0) &&
                    errno != ENOENT)
                        return fail_errno(err, "cannot fill in '%s/%s/%s'", root, path, files[i]);
        }
        return 0;
}

/* Has a unified group's controllers work below it, as far as they are wanted there. What fails shows in the limit's
 * file. */
static void hand_down(const char *root, const char *path, const struct limit limits[LIMITS])
{
        char offered[LIST_BYTES];

        if (!cgroup_read(root, path, "cgroup.controllers", offered, sizeof offered))
                return;
        for (size_t i = 0; i < LIMITS; i++) {
                char word[32];
                (void)snprintf(word, sizeof word, "+%s", limits[i].controller);
                if (limits[i].wanted && has_word(offered, limits[i].controller))
                        (void)cgroup_write(root, path, "cgroup.subtree_control", word);
        }
}

/* Makes ROOT/a, ROOT/a/b, ROOT/a/b/c. 1 where one was taken away meanwhile. */
static int make_folders(const struct cgroup_roots *roots, size_t index, const char *path,
                        const struct limit limits[LIMITS], struct cowherd_error *err)
{
        const char *root = roots->paths[index];
        bool unified = roots->controllers[index][0] == '\0', cpuset = has_word(roots->controllers[index], "cpuset");
        char above[CGROUP_PATH_BYTES] = "", part[CGROUP_PATH_BYTES];

        for (const char *end = strchrnul(path, '/');; end = strchrnul(end + 1, '/')) {
                (void)snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
                owned_str char *folder = x_asprintf("%s/%s", root, part);
                if (unified)
                        hand_down(root, above, limits);
                if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                        return errno == ENOENT ? 1 : fail_errno(err, "cannot make the control group '%s'", folder);
                if (cpuset && fill_cpuset(root, above, part, err) < 0)
                        return -1;
                if (*end == '\0')
                        return 0;
                memcpy(above, part, sizeof above);
        }
}

static bool write_limit(const struct cgroup_roots *roots, const char *path, const struct limit *limit)
{
        for (size_t i = 0; i < roots->count; i++) {
                bool unified = roots->controllers[i][0] == '\0';
                if (unified ? cgroup_write(roots->paths[i], path, limit->file_v2, limit->text_v2) == 0
                            : has_word(roots->controllers[i], limit->controller) &&
                                      cgroup_write(roots->paths[i], path, limit->file_v1, limit->text_v1) == 0)
                        return true;
        }
        return false;
}

static int write_limits(const struct cgroup_roots *roots, const char *path, const struct limit limits[LIMITS],
                        struct cowherd_error *err)
{
        for (size_t i = 0; i < LIMITS; i++) {
                if (!limits[i].wanted || write_limit(roots, path, &limits[i]) || limits[i].optional)
                        continue;
                (void)fail(err, COWHERD_UNAVAILABLE, "%s cannot be kept: control groups have no '%s' controller here",
                           limits[i].word, limits[i].controller);
                return fail_hint(err,
                                 "have it enabled for control groups (on Debian by the kernel's command line or "
                                 "systemd), or leave %s out",
                                 limits[i].word);
        }
        return 0;
}

void cgroup_entry_close(struct cgroup_entry *entry)
{
        for (size_t i = 0; i < entry->count; i++)
                (void)close(entry->fds[i]);
        entry->count = 0;
        if (entry->unified > 0)
                (void)close(entry->unified);
        entry->unified = 0;
}

/* Has children born in the unified group, whose file was opened as the first. */
static void open_unified(const struct cgroup_roots *roots, const char *path, struct cgroup_entry *entry)
{
        int fd = cgroup_open_file(roots->paths[0], path, "", O_PATH | O_DIRECTORY);

        entry->unified = fd < 0 ? 0 : fd;
}

/* Opens the group's entries in the hierarchies from `first` on; where there is a group `below` it, that one's. (cgroup_fork.c tells which file.) */
static int open_entry(const struct cgroup_roots *roots, size_t first, const char *path, const char *below,
                      struct cgroup_entry *entry, struct cowherd_error *err)
{
        owned_str char *deeper = x_asprintf("%s/%s", path, below);

        for (size_t i = first; i < roots->count; i++) {
                const char *file = roots->controllers[i][0] == '\0' ? "cgroup.procs" : "tasks";
                int fd = cgroup_open_file(roots->paths[i], deeper, file, O_WRONLY);
                if (fd < 0 && errno == ENOENT)
                        fd = cgroup_open_file(roots->paths[i], path, file, O_WRONLY);
                if (fd >= 0) {
                        entry->fds[entry->count++] = fd;
                        if (roots->controllers[i][0] == '\0')
                                open_unified(roots, path, entry);
                } else if (errno != ENOENT && errno != EROFS) {
                        (void)fail_errno(err, "cannot open the control group '%s'", path);
                        cgroup_entry_close(entry);
                        return -1;
                }
        }
        return 0;
}

int cgroup_make(const char *path, const struct cgroup_limits *wanted, struct cgroup_entry *ret,
                struct cowherd_error *err)
{
        struct limit limits[LIMITS];
        struct cgroup_roots roots;

        list_limits(wanted, limits);
        cgroup_find_roots(&roots);
        for (size_t i = 0; i < roots.count; i++) {
                int again = 1;
                for (int tries = 0; again > 0 && tries < TRIES;
                     tries++) /* the last sibling's end takes the herd's group away */
                        again = make_folders(&roots, i, path, limits, err);
                if (again != 0)
                        return again < 0 ? -1
                                         : fail(err, COWHERD_BUSY, "the control group '%s' is taken away as it is made",
                                                path);
        }
        if (write_limits(&roots, path, limits, err) < 0)
                return -1;
        *ret = (struct cgroup_entry){0};
        return open_entry(&roots, 0, path, ".", ret, err);
}

int cgroup_make_below(const char *path, const char *below, const char *name, struct cgroup_entry *ret,
                      struct cowherd_error *err)
{
        struct cgroup_roots roots;
        owned_str char *group = x_asprintf("%s/%s/%s", path, below, name);

        *ret = (struct cgroup_entry){0};
        cgroup_find_roots(&roots);
        if (!roots.has_unified)
                return cgroup_check(err);
        owned_str char *folder = x_asprintf("%s/%s", roots.paths[0], group);
        if (mkdir(folder, 0755) < 0)
                return fail_errno(err, "cannot make the control group '%s'", folder);
        int fd = cgroup_open_file(roots.paths[0], group, "cgroup.procs", O_WRONLY);
        if (fd < 0) {
                (void)fail_errno(err, "cannot open the control group '%s'", folder);
                (void)rmdir(folder);
                return -1;
        }
        ret->fds[ret->count++] = fd;
        open_unified(&roots, group, ret);
        if (open_entry(&roots, 1, path, below, ret, err) < 0) {
                (void)rmdir(folder);
                return -1;
        }
        return 0;
}

void cgroup_remove_one(const char *path)
{
        const char *root = cgroup_unified_root();
        owned_str char *folder = x_asprintf("%s/%s", root == NULL ? "" : root, path);

        (void)rmdir(folder);
}
