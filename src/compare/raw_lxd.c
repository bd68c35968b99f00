/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw tool beside LXD's pool: lxc copy of the snapshot that our clones are made of too, so that both have the same before them. And the
 * table of all raw tools.
 */
#include "compare/pair.h"

static char *name_of(const struct pair *pair, const char *name)
{
        return x_asprintf("%s-%s", pair->session->site->mark, name);
}

static int clone_lxd(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *instance = name_of(pair, name);
        const char *lxc = tool_of_lxd();

        if (lxc == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "there is no 'lxc' and no 'incus' to be run");
        if (site_note(pair->session->site, "lxd", "", err) < 0)
                return -1;
        return tool(ret_ms, NULL, err, lxc, "copy", pair->source, instance, NULL);
}

static int destroy_lxd(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *instance = name_of(pair, name);

        return tool(NULL, NULL, err, tool_of_lxd(), "delete", "--force", instance, NULL);
}

static char *instance_of(struct pair *pair, const char *name)
{
        return name_of(pair, name);
}

const struct raw raw_lxd = {.target = COWHERD_LXD, .store = "lxd_pool", .name = "lxc copy", .side = "lxc copy of the same snapshot, a process", .clone = clone_lxd,
                            .destroy = destroy_lxd, .tree = instance_of};

const struct raw *raw_of(enum cowherd_target target, const char *store)
{
        static const struct raw *const all[] = {&raw_qcow2, &raw_disk_reflink, &raw_disk_copy, &raw_btrfs, &raw_zfs, &raw_overlay,
                                                &raw_tree_reflink, &raw_tree_hardlink, &raw_tree_copy, &raw_lxd};

        for (size_t i = 0; i < array_length(all); i++)
                if (all[i]->target == target && str_equal(all[i]->store, store))
                        return all[i];
        return NULL;
}
