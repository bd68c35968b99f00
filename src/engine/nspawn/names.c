/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a container is found by names made of its herd and id, which are never used again, so that everything
 * is found after a crash too. A pid is remembered only as a hint: it counts where its process is in the container's
 * control group.
 */
#include "engine/nspawn/nspawn.h"

#include "engine/held.h"
#include "sys/file.h"
#include "sys/mount_idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define HERD_DIGITS 8
#define PATH_BYTES 256
#define STATE_BYTES 4096u
/* systemd's range for containers: doc/UIDS-GIDS, CONTAINER_UID_BASE_MIN and _MAX. */
#define SHIFT_MIN UINT32_C(0x00080000)
#define SHIFT_MAX UINT32_C(0x6FFF0000)
#define SHIFTS ((SHIFT_MAX - SHIFT_MIN) / MOUNT_IDMAP_COUNT + 1)

static const char *herd_of(const struct engine_instance *instance)
{
        return instance->herd_uuid != NULL ? instance->herd_uuid : "00000000";
}

const char *nspawn_machine(const struct engine_instance *instance, char buffer[NSPAWN_NAME_BYTES])
{
        (void)snprintf(buffer, NSPAWN_NAME_BYTES, "cowherd-%.*s-%llu", HERD_DIGITS, herd_of(instance),
                       (unsigned long long)instance->id);
        return buffer;
}

bool nspawn_under_systemd(void)
{
        return access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
}

const char *nspawn_cgroup(const struct engine_instance *instance, char buffer[CGROUP_PATH_BYTES])
{
        char machine[NSPAWN_NAME_BYTES];

        if (nspawn_under_systemd())
                (void)snprintf(buffer, CGROUP_PATH_BYTES, "machine.slice/%s.scope", nspawn_machine(instance, machine));
        else
                (void)snprintf(buffer, CGROUP_PATH_BYTES, "cowherd/%.*s/%llu", HERD_DIGITS, herd_of(instance),
                               (unsigned long long)instance->id);
        return buffer;
}

/*
 * Computed of herd and id, so nothing has to be kept or locked: two containers of one herd share a range only if their
 * ids are a multiple of 28655 apart; of two herds, by chance. They would then be strangers with the same numbers, as
 * all containers are without user namespaces.
 */
uint32_t nspawn_id_shift(const struct engine_instance *instance)
{
        char digits[HERD_DIGITS + 1];

        (void)snprintf(digits, sizeof digits, "%s", herd_of(instance));
        uint64_t slot = (strtoull(digits, NULL, 16) + instance->id) % SHIFTS;
        return SHIFT_MIN + (uint32_t)slot * MOUNT_IDMAP_COUNT;
}

char *nspawn_runtime_file(const struct engine_instance *instance, const char *name)
{
        return x_asprintf("%s/%s", instance->runtime == NULL ? "/run/cowherd/none" : instance->runtime, name);
}

char *nspawn_recall(const struct engine_instance *instance, const char *name)
{
        owned_str char *path = nspawn_runtime_file(instance, "state"), *text = NULL;
        struct cowherd_error ignored;
        char *rest = NULL;
        size_t length = strlen(name);

        if (file_read(AT_FDCWD, path, STATE_BYTES, &text, NULL, &ignored) < 0)
                return NULL;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
                if (strncmp(line, name, length) == 0 && line[length] == '=')
                        return x_strdup(line + length + 1);
        return NULL;
}

void nspawn_leader_close(struct nspawn_leader *leader)
{
        close_at(&leader->pidfd);
        leader->pidfd = -1;
}

/* Whether a process is PID 1 of a pid namespace below ours: the second and last number of its NSpid is 1. */
static bool is_first(pid_t pid)
{
        char path[32];
        owned_str char *text = NULL;
        struct cowherd_error ignored;

        (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
        if (file_read(AT_FDCWD, path, 65536, &text, NULL, &ignored) < 0)
                return false;
        const char *line = strstr(text, "\nNSpid:");
        if (line == NULL)
                return false;
        owned_str char *numbers = x_strndup(line + 1, strcspn(line + 1, "\n"));
        return str_ends(numbers, "\t1") && strchr(numbers, '\t') != strrchr(numbers, '\t');
}

struct search {
        const char *cgroup;
        struct nspawn_leader found;
};

static bool take_leader(void *context, pid_t pid)
{
        struct search *search = context;

        if (pid <= 0)
                return false;
        owned_fd int pidfd = pidfd_open(pid, 0);
        /* The pidfd came first: what is looked at now is what it stands for, or it has ended. */
        if (pidfd < 0 || !is_first(pid) || !cgroup_has(search->cgroup, pid))
                return false;
        search->found = (struct nspawn_leader){pid, take_fd(pidfd)};
        return true;
}

bool nspawn_find_leader(const struct engine_instance *instance, struct nspawn_leader *ret)
{
        char cgroup[CGROUP_PATH_BYTES];
        struct search search = {.cgroup = nspawn_cgroup(instance, cgroup), .found = {.pidfd = -1}};
        owned_str char *hint = nspawn_recall(instance, "leader");

        if ((hint == NULL || !take_leader(&search, (pid_t)strtol(hint, NULL, 10))) &&
            !cgroup_find_process(cgroup, take_leader, &search))
                return false;
        *ret = search.found;
        return true;
}

int nspawn_open_root(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        owned_leader struct nspawn_leader leader = {.pidfd = -1};
        char path[48];

        if (nspawn_find_leader(instance, &leader)) {
                (void)snprintf(path, sizeof path, "/proc/%d/root", leader.pid);
                owned_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                /* Still the same process after the open: then it was its root. */
                if (fd >= 0 && pidfd_send_signal(leader.pidfd, 0, NULL, 0) == 0) {
                        *ret_fd = take_fd(fd);
                        return 0;
                }
        }
        if (instance->root == NULL)
                return fail(err, COWHERD_BUSY, "container '%s' ended meanwhile", instance->name);
        owned_fd int fd = open(instance->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open the tree '%s'", instance->root);
        *ret_fd = take_fd(fd);
        return 0;
}

/* "clones/5/tree" → "clones/5/.#tree.lck". False where it does not fit. */
static bool lock_path(const char *path, char ret[PATH_BYTES])
{
        const char *slash = strrchr(path, '/');
        int folder = slash == NULL ? 0 : (int)(slash + 1 - path);
        int length = snprintf(ret, PATH_BYTES, "%.*s.#%s.lck", folder, path, path + folder);

        return length > 0 && length < PATH_BYTES;
}

/*
 * A container lives as long as anything lives in its control group, whatever became of nspawn. What was killed and has not
 * ended yet does not count: whoever killed it may have been killed too, and nobody else would tidy up after it. One that
 * somebody started by hand holds a lock beside its tree: nspawn does for what it runs.
 */
enum engine_state nspawn_state(const struct engine_instance *instance)
{
        char path[PATH_BYTES], cgroup[CGROUP_PATH_BYTES];

        if (faccessat(instance->folder, instance->path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || errno == ENOTDIR ? ENGINE_MISSING : ENGINE_UNKNOWN;
        if (instance->herd_uuid != NULL && cgroup_is_populated(nspawn_cgroup(instance, cgroup)))
                return cgroup_is_ending(cgroup) ? ENGINE_STOPPED : cgroup_is_frozen(cgroup) ? ENGINE_PAUSED : ENGINE_RUNNING;
        if (!lock_path(instance->path, path))
                return ENGINE_UNKNOWN;
        int held = engine_lock_held(instance->folder, path, 0, 0);
        if (held < 0)
                return errno == ENOENT ? ENGINE_STOPPED : ENGINE_UNKNOWN;
        return held ? ENGINE_RUNNING : ENGINE_STOPPED;
}

int nspawn_expect_running(const struct engine_instance *instance, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];

        if (!cgroup_is_populated(nspawn_cgroup(instance, cgroup))) {
                (void)fail(err, COWHERD_BUSY, "container '%s' does not run", instance->name);
                return fail_hint(err, "start it first");
        }
        if (cgroup_is_frozen(cgroup)) {
                (void)fail(err, COWHERD_BUSY, "container '%s' is paused", instance->name);
                return fail_hint(err, "resume it first");
        }
        return 0;
}
