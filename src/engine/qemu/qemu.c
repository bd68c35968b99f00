/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU: whether it is usable here, and the table of what it does, whose parts are in the files beside this one. */
#include "engine/engine.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/drivers.h"
#include "engine/qemu/accel.h"
#include "engine/qemu/agent.h"
#include "engine/qemu/host.h"
#include "engine/qemu/inside.h"
#include "engine/qemu/life.h"
#include "engine/qemu/live.h"
#include "sys/process.h"

#include <stdio.h>
#include <string.h>

#define KIND_DISK 1u
#define VERSION_TIMEOUT_MS 10000

/* "QEMU emulator version 7.2.22 (Debian …)" → "7.2.22". */
static int read_version(const char *program, char *ret, size_t bytes, struct cowherd_error *err)
{
        owned_process struct process process = {.timeout_ms = VERSION_TIMEOUT_MS};
        owned_str char *output = NULL;

        process_add(&process, program, "--version", NULL);
        if (process_check(&process, &output, err) < 0)
                return -1;
        const char *at = strstr(output, "version ");
        if (at == NULL)
                return fail(err, COWHERD_SYSTEM, "'%s --version' does not tell a version", program);
        at += strlen("version ");
        (void)snprintf(ret, bytes, "%.*s", (int)strcspn(at, " \n"), at);
        return 0;
}

static int qemu_probe(struct engine_probe *ret, struct cowherd_error *err)
{
        owned_str char *program = qemu_program(), *cache = qemu_runtime_folder();
        struct engine_probe probe = {0};

        (void)err; /* a QEMU that does not work is an answer */
        if (!process_exists(program)) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%s is not installed", program);
                (void)snprintf(probe.hint, sizeof probe.hint,
                               "install it, on Debian: apt install qemu-system qemu-utils");
                *ret = probe;
                return 0;
        }
        struct cowherd_error broken;
        if (read_version(program, probe.version, sizeof probe.version, &broken) < 0) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%.255s", broken.text);
                *ret = probe;
                return 0;
        }
        probe.available = true;
        (void)snprintf(probe.acceleration, sizeof probe.acceleration, "%s", qemu_acceleration(program, cache));
        if (!process_exists("qemu-img"))
                (void)snprintf(probe.hint, sizeof probe.hint,
                               "qemu-img is not installed, so vmdk, vdi and vhdx images can't be registered: apt "
                               "install qemu-utils");
        *ret = probe;
        return 0;
}

const struct engine_driver engine_qemu = {
        .name = "qemu",
        .target = COWHERD_QEMU,
        .kinds = KIND_DISK,
        .default_stores = "qcow2 reflink copy",
        .runtime = "qemu",
        .probe = qemu_probe,
        .states = qemu_states,
        .check = qemu_check,
        .start = qemu_start,
        .stop = qemu_stop,
        .pause = qemu_pause,
        .resume = qemu_resume,
        .wait = qemu_wait,
        .execute = inside_execute,
        .attach = inside_attach,
        .copy_in = inside_copy_in,
        .copy_out = inside_copy_out,
        .logs = qemu_logs,
        .quiesce = qemu_quiesce,
        .switch_disk = qemu_switch_disk,
        .flatten = qemu_flatten,
        .capture = qemu_capture,
        .release_live = qemu_release_live,
        .live_in_use = qemu_live_in_use,
        .stand_by = qemu_stand_by,
        .stands_by = qemu_stands_by,
        .tidy = qemu_tidy,
        .trim_log = qemu_trim_log,
};
