/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found out about the host before a machine is described. Memory is only promised here: a memory file takes
 * what the guest touches, so defaults may be generous.
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "engine/qemu/accel.h"
#include "engine/qemu/seed.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define LINUX_MEMORY (1024 * MIB)
#define WINDOWS_MEMORY (4096 * MIB)
#define OTHER_MEMORY (512 * MIB)
#define CPUS_DEFAULT 2

char *qemu_program(void)
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

gid_t qemu_kvm_group(void)
{
        struct stat kvm;

        if (stat("/dev/kvm", &kvm) < 0 || (kvm.st_mode & 0006) == 0006 || (kvm.st_mode & 0060) != 0060)
                return 0;
        return kvm.st_gid;
}

static uint64_t memory_of(const struct engine_machine *machine)
{
        static const uint64_t defaults[] = {[ENGINE_OS_LINUX] = LINUX_MEMORY,
                                            [ENGINE_OS_WINDOWS] = WINDOWS_MEMORY,
                                            [ENGINE_OS_OTHER] = OTHER_MEMORY};
        uint64_t wanted = machine->memory_bytes == 0 ? defaults[machine->os] : machine->memory_bytes;

        return (wanted + MIB - 1) / MIB * MIB;
}

static uint64_t cpus_of(const struct engine_machine *machine)
{
        long here = sysconf(_SC_NPROCESSORS_ONLN);

        if (machine->cpus != 0)
                return machine->cpus;
        return here >= CPUS_DEFAULT ? CPUS_DEFAULT : 1;
}

static int choose_acceleration(const struct engine_machine *machine, const char *program, const char **ret,
                               struct cowherd_error *err)
{
        owned_str char *cache = qemu_runtime_folder();

        if (str_equal(machine->acceleration, "tcg")) {
                *ret = "tcg";
                return 0;
        }
        const char *found = qemu_acceleration(program, cache);
        if (machine->acceleration != NULL && !str_equal(machine->acceleration, found)) {
                (void)fail(err, COWHERD_UNAVAILABLE, "accel=%s does not work here: %s", machine->acceleration,
                           access("/dev/kvm", R_OK | W_OK) == 0 ? "/dev/kvm opens, but no guest runs with it"
                                                                : "/dev/kvm can't be opened");
                return fail_hint(err, "leave accel= out, and the machine runs with %s", found);
        }
        *ret = found;
        return 0;
}

int qemu_facts_find(const struct engine_instance *instance, struct qemu_facts *ret, struct cowherd_error *err)
{
        owned_str char *program = qemu_program();
        const char *acceleration = NULL;

        if (qemu_users_check(err) < 0 || choose_acceleration(instance->machine, program, &acceleration, err) < 0)
                return -1;
        *ret = (struct qemu_facts){
                .program = take(program),
                .acceleration = acceleration,
                .memory_bytes = memory_of(instance->machine),
                .cpus = cpus_of(instance->machine),
                .seeded = qemu_seed_is_wanted(instance),
                .sandboxed = true,
        };
        return 0;
}
