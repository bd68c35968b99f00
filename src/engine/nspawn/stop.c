/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a container. Its init is asked in its own language, by a signal to its PID 1, and the control group tells
 * when all of it is gone. nspawn ends by itself when its payload has; where it was killed before, its traces are
 * removed here.
 */
#include "engine/nspawn/nspawn.h"

#include "engine/held.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define TRIES 16
#define NSPAWN_RUNTIME "/run/systemd/nspawn"

/* What an init takes for "power off". */
static int signal_for(const char *init)
{
        if (str_equal(init, "busybox"))
                return SIGUSR2;
        /* nspawn's own PID 1, where the tree has none, takes systemd's too. */
        return str_equal(init, "other") ? SIGPWR : SIGRTMIN + 3;
}

/* Asks. 0 where somebody was there to ask, 1 where nobody was. */
static int ask(const struct engine_instance *instance, double deadline, struct cowherd_error *err)
{
        owned_leader struct nspawn_leader leader = {.pidfd = -1};
        owned_str char *init = nspawn_recall(instance, "init");

        if (!nspawn_find_leader(instance, &leader))
                return 1;
        /* The kernel keeps from a PID 1 what it does not handle yet: sent too early, it would be lost. */
        int late = str_equal(init, "systemd") ? nspawn_wait_listening(instance, leader.pidfd, deadline, err) : 0;
        if (late != 0)
                return late;
        return pidfd_send_signal(leader.pidfd, signal_for(init), NULL, 0) == 0 ? 0 : 1;
}

/* Asks and waits. 1 where it still runs then. */
static int shut_down(const struct engine_instance *instance, const char *cgroup, uint64_t timeout_ms,
                     struct cowherd_error *err)
{
        double deadline = clock_ms() + (double)timeout_ms;
        struct cowherd_error why = {0};

        int late = ask(instance, deadline, &why);
        if (late > 0)
                return 1;
        if (late < 0 && why.code != COWHERD_BUSY) { /* busy: it ended as it was to be asked */
                *err = why;
                return -1;
        }
        double left = deadline - clock_ms();
        return cgroup_wait_empty(cgroup, left > 0 ? (uint64_t)left + 1 : 0, err);
}

int nspawn_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
                struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];
        bool forced = false;

        (void)nspawn_cgroup(instance, cgroup);
        if (!cgroup_is_populated(cgroup) && nspawn_state(instance) == ENGINE_RUNNING) {
                (void)fail(err, COWHERD_BUSY, "the tree of '%s' is run by a systemd-nspawn that cowherd did not start",
                           instance->name);
                return fail_hint(err, "end it where it was started, or by 'machinectl terminate'");
        }
        if (cgroup_is_populated(cgroup)) {
                if (cgroup_is_frozen(cgroup) && !force && cgroup_freeze(cgroup, false, err) < 0)
                        return -1;
                int late = force ? 1 : shut_down(instance, cgroup, timeout_ms, err);
                if (late < 0)
                        return -1;
                forced = late > 0;
        }
        if (nspawn_tidy(instance, err) < 0)
                return -1;
        *ret_forced = forced;
        return 0;
}

/* The lock beside the tree, which nspawn removes where it isn't killed. */
static int remove_lock(const struct engine_instance *instance, struct cowherd_error *err)
{
        const char *slash = strrchr(instance->path, '/'), *name = slash == NULL ? instance->path : slash + 1;
        owned_str char *lock = x_asprintf("%.*s.#%s.lck", (int)(name - instance->path), instance->path, name);

        if (engine_lock_held(instance->folder, lock, 0, 0) == 1)
                return 0; /* somebody else runs the tree */
        if (unlinkat(instance->folder, lock, 0) < 0 && errno != ENOENT && errno != ENOTDIR)
                return fail_errno(err, "cannot remove the lock '%s'", lock);
        return 0;
}

/* What a killed nspawn leaves in /run: the folder that leads mounts in, and a lock by the number of its tree. */
static int remove_traces(const struct engine_instance *instance, struct cowherd_error *err)
{
        char machine[NSPAWN_NAME_BYTES];
        owned_str char *propagate = x_asprintf(NSPAWN_RUNTIME "/propagate/%s", nspawn_machine(instance, machine));
        owned_str char *inode = nspawn_recall(instance, "inode");

        if (file_remove_tree(AT_FDCWD, propagate, err) < 0)
                return -1;
        if (inode == NULL || strchr(inode, '/') != NULL)
                return 0;
        owned_str char *lock = x_asprintf(NSPAWN_RUNTIME "/locks/inode-%s", inode);
        return unlink(lock) < 0 && errno != ENOENT ? fail_errno(err, "cannot remove the lock '%s'", lock) : 0;
}

/*
 * Ends all that lives in the container's groups and removes them. What a killed start had just let begin may enter them
 * between the two; it does so once.
 */
static int end_group(const char *cgroup, struct cowherd_error *err)
{
        int result = -1;

        for (int tries = 0; tries < TRIES && result < 0; tries++) {
                if (cgroup_is_populated(cgroup) && cgroup_kill(cgroup, err) < 0)
                        return -1;
                /* What systemd manages it takes away itself, as soon as nothing lives in it. */
                result = nspawn_under_systemd() ? 0 : cgroup_remove(cgroup, err);
                if (result < 0 && err->code != COWHERD_BUSY)
                        return -1;
        }
        return result;
}

int nspawn_tidy(const struct engine_instance *instance, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];

        if (end_group(nspawn_cgroup(instance, cgroup), err) < 0 || remove_lock(instance, err) < 0 ||
            remove_traces(instance, err) < 0)
                return fail_while(err, "tidying container '%s' up", instance->name);
        return instance->runtime == NULL ? 0 : file_remove_tree(AT_FDCWD, instance->runtime, err);
}

int nspawn_pause(const struct engine_instance *instance, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];

        if (!cgroup_is_populated(nspawn_cgroup(instance, cgroup)))
                return nspawn_expect_running(instance, err);
        if (cgroup_freeze(cgroup, true, err) < 0)
                return fail_while(err, "pausing container '%s'", instance->name);
        return 0;
}

int nspawn_resume(const struct engine_instance *instance, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];
        owned_str char *mark = nspawn_runtime_file(instance, "quiet");

        if (!cgroup_is_populated(nspawn_cgroup(instance, cgroup)))
                return nspawn_expect_running(instance, err);
        if (cgroup_freeze(cgroup, false, err) < 0)
                return fail_while(err, "resuming container '%s'", instance->name);
        (void)unlink(mark);
        return 0;
}

/* Writes what the kernel still holds of the container's files to its disk. */
static int sync_root(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_fd int root = -1, folder = -1;

        if (nspawn_open_root(instance, &root, err) < 0)
                return -1;
        folder = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 || syncfs(folder) < 0 ? fail_errno(err, "cannot sync the files of '%s'", instance->name) : 0;
}

/*
 * Stopped as a whole, nothing is half written but by the program that was at it, as at a power cut. One that was paused
 * before stays so afterwards: the mark says that it was not.
 */
int nspawn_quiesce(const struct engine_instance *instance, bool quiet, bool *ret_frozen, struct cowherd_error *err)
{
        char cgroup[CGROUP_PATH_BYTES];
        owned_str char *mark = nspawn_runtime_file(instance, "quiet");

        (void)nspawn_cgroup(instance, cgroup);
        if (!quiet) {
                if (access(mark, F_OK) == 0 && nspawn_resume(instance, err) < 0)
                        return -1;
                *ret_frozen = false;
                return 0;
        }
        if (!cgroup_is_frozen(cgroup)) {
                if (file_replace(AT_FDCWD, mark, "", 0600, false, err) < 0 || nspawn_pause(instance, err) < 0)
                        return -1;
        }
        if (sync_root(instance, err) < 0) {
                struct cowherd_error ignored;
                bool frozen;
                ignore_result(nspawn_quiesce(instance, false, &frozen, &ignored));
                return -1;
        }
        *ret_frozen = true;
        return 0;
}
