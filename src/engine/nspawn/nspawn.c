/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd-nspawn. Whether a container runs is asked of its tree: nspawn holds an exclusive lock on a file beside it,
 * `.#tree.lck` for `tree`, as long as it lives, and removes it in the end. (It locks /run/systemd/nspawn/locks too, but
 * by device and inode, which a remounted tree changes.)
 */
#include "engine/engine.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/drivers.h"
#include "engine/held.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "systemd-nspawn"
#define KIND_TREE 2u
#define VERSION_TIMEOUT_MS 10000
#define PATH_BYTES 256

/* The first line is "systemd 252 (252.38-1~deb12u1)": "252.38", or "252" where there are no brackets. */
static int read_version(char *ret, size_t bytes, struct cowherd_error *err)
{
        owned_process struct process process = {.timeout_ms = VERSION_TIMEOUT_MS};
        owned_str char *output = NULL;

        process_add(&process, PROGRAM, "--version", NULL);
        if (process_check(&process, &output, err) < 0)
                return -1;
        if (!str_starts(output, "systemd "))
                return fail(err, COWHERD_SYSTEM, "'%s --version' does not tell a version", PROGRAM);
        output[strcspn(output, "\n")] = '\0';
        const char *bracket = strchr(output, '('), *at = bracket != NULL ? bracket + 1 : output + strlen("systemd ");
        (void)snprintf(ret, bytes, "%.*s", (int)strcspn(at, "-~ )"), at);
        return 0;
}

/* The first thing a container needs and this kernel lacks, or NULL. */
static const char *missing_namespace(void)
{
        static const char *const needed[] = {"mnt", "pid", "uts", "ipc"};

        for (size_t i = 0; i < array_length(needed); i++) {
                char path[64];
                (void)snprintf(path, sizeof path, "/proc/self/ns/%s", needed[i]);
                if (access(path, F_OK) < 0)
                        return needed[i];
        }
        return NULL;
}

static int nspawn_probe(struct engine_probe *ret, struct cowherd_error *err)
{
        struct engine_probe probe = {0};
        struct cowherd_error broken;

        (void)err; /* an nspawn that does not work is an answer */
        const char *missing = missing_namespace();
        if (!process_exists(PROGRAM)) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%s is not installed", PROGRAM);
                (void)snprintf(probe.hint, sizeof probe.hint, "install it, on Debian: apt install systemd-container");
        } else if (read_version(probe.version, sizeof probe.version, &broken) < 0) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%.255s", broken.text);
        } else if (missing != NULL) {
                (void)snprintf(probe.reason, sizeof probe.reason, "this kernel has no %s namespaces", missing);
        } else if (geteuid() != 0) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%s needs root", PROGRAM);
                (void)snprintf(probe.hint, sizeof probe.hint, "run cowherd as root (sudo cowherd …)");
        } else {
                probe.available = true;
        }
        *ret = probe;
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

static enum engine_state state_of(const struct engine_instance *instance)
{
        char path[PATH_BYTES];

        if (faccessat(instance->folder, instance->path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || errno == ENOTDIR ? ENGINE_MISSING : ENGINE_UNKNOWN;
        if (!lock_path(instance->path, path))
                return ENGINE_UNKNOWN;
        int held = engine_lock_held(instance->folder, path, 0, 0);
        if (held < 0)
                return errno == ENOENT ? ENGINE_STOPPED : ENGINE_UNKNOWN;
        return held ? ENGINE_RUNNING : ENGINE_STOPPED;
}

static int nspawn_states(const struct engine_instance *instances, size_t count, enum engine_state *ret,
                         struct cowherd_error *err)
{
        (void)err; /* what can't be asked is unknown */
        for (size_t i = 0; i < count; i++)
                ret[i] = state_of(&instances[i]);
        return 0;
}

const struct engine_driver engine_nspawn = {
        .name = "nspawn",
        .target = COWHERD_NSPAWN,
        .kinds = KIND_TREE,
        .default_stores = "btrfs zfs overlay reflink",
        .runtime = "systemd-nspawn",
        .probe = nspawn_probe,
        .states = nspawn_states,
};
