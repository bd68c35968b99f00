/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU. Whether a machine runs is asked of its disk: QEMU locks single bytes of an image that it has open, one for each
 * permission that it uses, and byte 101 is that for writing. A paused machine holds it too; a qemu-img that only reads
 * a clone does not.
 */
#include "engine/engine.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/drivers.h"
#include "engine/held.h"
#include "engine/qemu/accel.h"
#include "sys/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define KIND_DISK 1u
/* RAW_LOCK_PERM_BASE + the bit number of BLK_PERM_WRITE (QEMU's block/file-posix.c). */
#define LOCK_OF_WRITERS 101
#define VERSION_TIMEOUT_MS 10000

/* The emulator of this machine's architecture: qemu-system-x86_64. To be freed. */
static char *program_name(void)
{
        static const char *const other[][2] = {
                {"i486", "i386"},     {"i586", "i386"},     {"i686", "i386"},
                {"armv6l", "arm"},    {"armv7l", "arm"},    {"armv8l", "arm"},
                {"ppc64le", "ppc64"}, {"parisc64", "hppa"}, {"mips64el", "mips64el"},
        };
        struct utsname machine;

        if (uname(&machine) < 0)
                return x_strdup("qemu-system-x86_64");
        for (size_t i = 0; i < array_length(other); i++)
                if (str_equal(machine.machine, other[i][0]))
                        return x_asprintf("qemu-system-%s", other[i][1]);
        return x_asprintf("qemu-system-%s", machine.machine);
}

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
        owned_str char *program = program_name(), *cache = qemu_runtime_folder();
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

static int qemu_states(const struct engine_instance *instances, size_t count, enum engine_state *ret,
                       struct cowherd_error *err)
{
        (void)err; /* what can't be asked is unknown */
        for (size_t i = 0; i < count; i++) {
                int held = engine_lock_held(instances[i].folder, instances[i].path, LOCK_OF_WRITERS, 1);
                if (held >= 0)
                        ret[i] = held ? ENGINE_RUNNING : ENGINE_STOPPED;
                else
                        ret[i] = errno == ENOENT || errno == ENOTDIR ? ENGINE_MISSING : ENGINE_UNKNOWN;
        }
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
};
