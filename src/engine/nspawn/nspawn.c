/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd-nspawn: the driver, and whether it works here. A container is nspawn's to build, and the kernel's to know:
 * its control group says whether it lives (cgroup.c, names.c), its PID 1 how to enter it (enter.c). Nothing of ours
 * stays running.
 */
#include "engine/nspawn/nspawn.h"

#include "engine/drivers.h"
#include "sys/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM NSPAWN_PROGRAM
#define KIND_TREE 2u
#define VERSION_TIMEOUT_MS 10000

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

static int nspawn_states(const struct engine_instance *instances, size_t count, enum engine_state *ret,
                         struct cowherd_error *err)
{
        (void)err; /* what can't be asked is unknown */
        for (size_t i = 0; i < count; i++)
                ret[i] = nspawn_state(&instances[i]);
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
        .id_shift = nspawn_id_shift,
        .check = nspawn_check,
        .start = nspawn_start,
        .stop = nspawn_stop,
        .pause = nspawn_pause,
        .resume = nspawn_resume,
        .wait = nspawn_wait,
        .execute = nspawn_execute,
        .attach = nspawn_attach,
        .copy_in = nspawn_copy_in,
        .copy_out = nspawn_copy_out,
        .logs = nspawn_logs,
        .quiesce = nspawn_quiesce,
        .tidy = nspawn_tidy,
        .trim_log = nspawn_trim_log,
};
