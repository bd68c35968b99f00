/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a group does: told by cgroup.events of the unified hierarchy, which poll(2) waits for, ended by cgroup.kill,
 * stopped by cgroup.freeze (Linux 5.14, Documentation/admin-guide/cgroup-v2.rst).
 */
#include "engine/nspawn/cgroup_tree.h"

#include "base/mem.h"
#include "base/number.h"
#include "base/str.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_BYTES 256
#define KILL_TIMEOUT_MS 30000u
#define FREEZE_TIMEOUT_MS 10000u
#define DEPTH_MAX 64 /* of groups in a container: its own init makes four or five */
#define PROCESSES_BYTES (4u << 20)
#define PROCESS_STAT_BYTES 4096u
#define MEMBERSHIPS_BYTES 65536u
#define STAT_FLAGS 9u    /* field numbers of proc(5) */
#define STAT_PENDING 31u
#define PROCESS_EXITING 0x4ul /* PF_EXITING of the kernel's sched.h */

int cgroup_check(struct cowherd_error *err)
{
        if (cgroup_unified_root() != NULL)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "the unified hierarchy of control groups is not mounted");
        return fail_hint(err, "mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
}

/* Whether an open cgroup.events has "NAME 1" now. */
static bool events_say(int fd, const char *name)
{
        char text[EVENTS_BYTES], line[32];
        ssize_t got = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);

        if (got <= 0)
                return false; /* the group is gone: nothing lives there */
        text[got] = '\0';
        (void)snprintf(line, sizeof line, "%s 1\n", name);
        return strstr(text, line) != NULL;
}

int cgroup_watch(const char *path)
{
        const char *root = cgroup_unified_root();

        return root == NULL ? -1 : cgroup_open_file(root, path, "cgroup.events", O_RDONLY);
}

bool cgroup_is_populated(const char *path)
{
        owned_fd int fd = cgroup_watch(path);

        return events_say(fd, "populated");
}

bool cgroup_is_frozen(const char *path)
{
        owned_fd int fd = cgroup_watch(path);

        return events_say(fd, "frozen");
}

/* Waits until cgroup.events says it, or does not any more. 1 after the time. */
static int wait_for(const char *path, const char *name, bool wanted, uint64_t timeout_ms, struct cowherd_error *err)
{
        owned_fd int fd = cgroup_watch(path);
        double deadline = clock_ms() + (double)timeout_ms;

        while (events_say(fd, name) != wanted) {
                struct pollfd polled = {.fd = fd, .events = POLLPRI};
                double left = deadline - clock_ms();
                if (left <= 0 || fd < 0)
                        return 1;
                if (poll(&polled, 1, left > INT_MAX - 1 ? INT_MAX : (int)left + 1) < 0 && errno != EINTR)
                        return fail_errno(err, "cannot watch the control group '%s'", path);
        }
        return 0;
}

int cgroup_wait_empty(const char *path, uint64_t timeout_ms, struct cowherd_error *err)
{
        return wait_for(path, "populated", false, timeout_ms, err);
}

int cgroup_freeze(const char *path, bool frozen, struct cowherd_error *err)
{
        const char *root = cgroup_unified_root();

        if (root == NULL || cgroup_write(root, path, "cgroup.freeze", frozen ? "1" : "0") < 0)
                return fail_errno(err, "cannot %s the control group '%s'", frozen ? "freeze" : "thaw", path);
        int late = wait_for(path, "frozen", frozen, FREEZE_TIMEOUT_MS, err);
        if (late <= 0)
                return late;
        if (frozen)
                (void)cgroup_write(root, path, "cgroup.freeze", "0");
        return fail(err, COWHERD_BUSY, "some of its processes did not stop within %u s", FREEZE_TIMEOUT_MS / 1000);
}

int cgroup_kill(const char *path, struct cowherd_error *err)
{
        const char *root = cgroup_unified_root();

        if (root == NULL)
                return 0;
        if (cgroup_write(root, path, "cgroup.kill", "1") < 0 && errno != ENOENT && errno != ENODEV)
                return fail_errno(err, "cannot kill what is in the control group '%s'", path);
        int late = wait_for(path, "populated", false, KILL_TIMEOUT_MS, err);
        if (late > 0)
                return fail(err, COWHERD_BUSY,
                            "some of its processes were killed and do not end: the kernel is busy for them");
        return late;
}

/* Removes the groups in a folder, then the folder itself, named `name` in `above`. -1 and errno. */
static int remove_group(int above, const char *name, unsigned depth)
{
        owned_fd int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        DIR *folder = copy < 0 ? NULL : fdopendir(copy);
        int result = 0;

        if (folder == NULL) {
                if (copy >= 0)
                        (void)close(copy);
                return errno == ENOENT ? 0 : -1;
        }
        for (const struct dirent *entry = readdir(folder); entry != NULL && result == 0; entry = readdir(folder))
                if (entry->d_type == DT_DIR && !str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..")) {
                        errno = EBUSY;
                        result = depth >= DEPTH_MAX ? -1 : remove_group(fd, entry->d_name, depth + 1);
                }
        int os_errno = errno;
        (void)closedir(folder);
        errno = os_errno;
        if (result == 0 && unlinkat(above, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return -1;
        return result;
}

/* The herd's own groups go with the last of its containers. */
static void remove_above(char *folder, size_t root_length)
{
        for (char *slash = strrchr(folder, '/'); slash != NULL && (size_t)(slash - folder) > root_length;
             slash = strrchr(folder, '/')) {
                *slash = '\0';
                if (rmdir(folder) < 0)
                        return;
        }
}

int cgroup_remove(const char *path, struct cowherd_error *err)
{
        struct cgroup_roots roots;

        cgroup_find_roots(&roots);
        for (size_t i = 0; i < roots.count; i++) {
                owned_str char *folder = x_asprintf("%s/%s", roots.paths[i], path);
                if (remove_group(AT_FDCWD, folder, 0) < 0 && errno != ENOENT)
                        return fail_errno(err, "cannot remove the control group '%s'", folder);
                remove_above(folder, strlen(roots.paths[i]));
        }
        return 0;
}

static bool see_processes(int group, bool (*see)(void *context, pid_t pid), void *context)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        char *rest = NULL;

        if (file_read(group, "cgroup.procs", PROCESSES_BYTES, &text, NULL, &ignored) < 0)
                return false;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
                if (see(context, (pid_t)strtol(line, NULL, 10)))
                        return true;
        return false;
}

static bool find_below(int group, unsigned depth, bool (*see)(void *context, pid_t pid), void *context)
{
        bool found = see_processes(group, see, context);
        int copy = fcntl(group, F_DUPFD_CLOEXEC, 3);
        DIR *folder = copy < 0 ? NULL : fdopendir(copy);

        if (folder == NULL)
                return found;
        for (const struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder))
                if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && depth < DEPTH_MAX) {
                        owned_fd int below =
                                openat(group, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        found = below >= 0 && find_below(below, depth + 1, see, context);
                }
        (void)closedir(folder);
        return found;
}

bool cgroup_find_process(const char *path, bool (*see)(void *context, pid_t pid), void *context)
{
        const char *root = cgroup_unified_root();
        owned_str char *folder = x_asprintf("%s/%s", root == NULL ? "" : root, path);
        owned_fd int fd = root == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 && find_below(fd, 0, see, context);
}

/* A number of /proc/PID/stat, whose fields proc(5) counts from 1; `second` is where the second, a name, ends. 0 where there is none. */
static unsigned long stat_field(const char *second, unsigned number)
{
        const char *at = second;

        for (unsigned field = 2; at != NULL && field < number; field++) {
                at = strchr(at, ' ');
                at = at == NULL ? NULL : at + 1;
        }
        return at == NULL ? 0 : strtoul(at, NULL, 10);
}

static bool is_alive(void *context, pid_t pid)
{
        char path[32];
        owned_str char *text = NULL;
        struct cowherd_error ignored;

        (void)context;
        if (pid <= 0) /* of a pid namespace that is not to be seen from here */
                return true;
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        if (file_read(AT_FDCWD, path, PROCESS_STAT_BYTES, &text, NULL, &ignored) < 0)
                return false;
        const char *name_end = strrchr(text, ')');
        return (stat_field(name_end, STAT_FLAGS) & PROCESS_EXITING) == 0 && (stat_field(name_end, STAT_PENDING) & (1ul << (SIGKILL - 1))) == 0;
}

bool cgroup_is_ending(const char *path)
{
        return !cgroup_find_process(path, is_alive, NULL);
}

bool cgroup_is_among(const char *memberships, const char *path)
{
        size_t length = strlen(path);

        for (const char *line = memberships; line != NULL; line = strchr(line, '\n')) {
                line += line[0] == '\n';
                if (str_starts(line, "0::/"))
                        return strncmp(line + 4, path, length) == 0 && strchr("/\n", line[4 + length]) != NULL;
        }
        return false;
}

bool cgroup_has(const char *path, pid_t pid)
{
        char name[32];
        owned_str char *text = NULL;
        struct cowherd_error ignored;

        (void)snprintf(name, sizeof name, "/proc/%d/cgroup", pid);
        return file_read(AT_FDCWD, name, MEMBERSHIPS_BYTES, &text, NULL, &ignored) == 0 && cgroup_is_among(text, path);
}
