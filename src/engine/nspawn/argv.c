/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of systemd-nspawn(1) 252. No registration, no unit of nspawn's own: whoever starts it has put it
 * into its control group. A network card of its own is nspawn's to make, for it must belong to the container's user
 * namespace.
 */
#include "engine/nspawn/nspawn.h"

#include "sys/mount_idmap.h"

#include <inttypes.h>
#include <unistd.h>

static void add_owners(const struct nspawn_plan *plan, struct strv *argv)
{
        if (plan->owners == NSPAWN_OWNERS_HOST)
                return;
        strv_addf(argv, "--private-users=%" PRIu32 ":%u", plan->shift, MOUNT_IDMAP_COUNT);
        strv_add(argv, plan->owners == NSPAWN_OWNERS_MAPPED ? "--private-users-ownership=map"
                                                            : "--private-users-ownership=off");
}

static void add_network(const struct engine_machine *machine, struct strv *argv)
{
        switch (machine->network) {
        case ENGINE_NETWORK_NONE:
        case ENGINE_NETWORK_USER: /* its card is added when it is born */
                strv_add(argv, "--private-network");
                break;
        case ENGINE_NETWORK_BRIDGE:
                strv_addf(argv, "--network-bridge=%s", machine->bridge);
                break;
        case ENGINE_NETWORK_DEFAULT:
        case ENGINE_NETWORK_HOST:
                break;
        }
}

static void add_mounts(const struct engine_instance *instance, const struct nspawn_plan *plan, struct strv *argv)
{
        for (size_t i = 0; i < instance->machine->mount_count; i++) {
                const struct engine_mount *mount = &instance->machine->mounts[i];
                bool mapped =
                        plan->owners != NSPAWN_OWNERS_HOST && plan->mounts_mapped != NULL && plan->mounts_mapped[i];
                strv_addf(argv, "--bind%s=%s:%s%s", mount->read_only ? "-ro" : "", mount->host, mount->guest,
                          mapped ? ":idmap" : "");
        }
}

void nspawn_arguments(const struct engine_instance *instance, const struct nspawn_plan *plan, struct strv *argv)
{
        char machine[NSPAWN_NAME_BYTES];

        strv_add(argv, NSPAWN_PROGRAM);
        strv_add(argv, "--quiet");
        strv_add(argv, "--register=no");
        strv_add(argv, "--keep-unit");
        strv_add(argv, "--link-journal=no"); /* nothing of it in the host's /var/log */
        strv_add(argv, "--settings=no");     /* a *.nspawn file beside the tree is nobody's word */
        strv_addf(argv, "--directory=%s", instance->root);
        strv_addf(argv, "--machine=%s", nspawn_machine(instance, machine));
        if (instance->identity != NULL && instance->identity->fresh && instance->identity->hostname != NULL)
                strv_addf(argv, "--hostname=%s", instance->identity->hostname);
        if (instance->identity != NULL && instance->identity->fresh && instance->identity->machine_id != NULL)
                strv_addf(argv, "--uuid=%s", instance->identity->machine_id);
        add_owners(plan, argv);
        add_network(instance->machine, argv);
        add_mounts(instance, plan, argv);
        strv_add(argv, "--console=read-only"); /* a terminal for what boots; all it prints goes to our log */
        if (plan->init != NULL) {
                strv_add(argv, "--boot");
                return;
        }
        strv_add(argv, "--as-pid2");
        strv_add(argv, "--");
        for (size_t i = 0; plan->idle[i] != NULL; i++)
                strv_add(argv, plan->idle[i]);
}

/*
 * Where systemd manages the control groups, a scope of it is the container's: systemd-run asks for it over D-Bus, moves
 * itself in and becomes nspawn, so that all else is as without systemd. The library for that would do no more, and be
 * one more to load.
 */
void nspawn_scope_arguments(const struct engine_instance *instance, const struct cgroup_limits *limits,
                            struct strv *argv)
{
        char machine[NSPAWN_NAME_BYTES], cpus[CGROUP_CPUS_BYTES];

        strv_add(argv, "systemd-run");
        strv_add(argv, "--quiet");
        strv_add(argv, "--scope");
        strv_add(argv, "--collect");
        strv_add(argv, "--slice=machine.slice");
        strv_addf(argv, "--unit=%s.scope", nspawn_machine(instance, machine));
        strv_addf(argv, "--description=cowherd container %s", instance->name);
        strv_add(argv, "--property=Delegate=yes");
        strv_addf(argv, "--property=TasksMax=%" PRIu64, limits->processes);
        if (limits->memory_bytes > 0)
                strv_addf(argv, "--property=MemoryMax=%" PRIu64, limits->memory_bytes);
        if (limits->cpus > 0)
                strv_addf(argv, "--property=CPUQuota=%" PRIu64 "%%", limits->cpus * 100);
        if (cgroup_choose_cpus(limits, cpus))
                strv_addf(argv, "--property=AllowedCPUs=%s", cpus);
        strv_add(argv, "--");
}
