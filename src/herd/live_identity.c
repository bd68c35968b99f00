/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity on its way inside. The SSH host key is made when an instance is started for the first time and kept in its row until
 * all of the identity is inside, so that what a start and a later wait tell the guest is one key; then the row forgets it. A tree
 * gets everything by files, before its engine starts it.
 */
#include "herd/live.h"

#include "image/host_key.h"
#include "image/tree_personalise.h"
#include "sys/file.h"

#include <fcntl.h>

int live_make_host_key(struct live *live, bool *ret_made, struct cowherd_error *err)
{
        struct catalogue_row *row = &live->thing.row;
        struct machine *machine = &live->machine;
        owned_str char *comment = x_asprintf("root@%s", row->hostname == NULL ? row->name : row->hostname);

        *ret_made = false;
        if (row->keep_identity || row->identity_applied || machine->identity.host_key != NULL)
                return 0;
        if (host_key_make(comment, &machine->host_key, &machine->host_key_public, err) < 0)
                return -1;
        machine->identity.host_key = machine->host_key;
        machine->identity.host_key_public = machine->host_key_public;
        free(row->extra);
        row->extra = machine_extra_key(machine->extra, machine->host_key, machine->host_key_public);
        *ret_made = true;
        return 0;
}

void live_identity_is_inside(struct catalogue_row *row)
{
        json_t *extra = row->extra == NULL ? NULL : json_loads(row->extra, 0, NULL);

        row->identity_applied = true;
        if (extra == NULL)
                return;
        free(row->extra);
        row->extra = machine_extra_key(extra, NULL, NULL);
        json_decref(extra);
}

/* identity=keep: what registration took out of the base is put back. */
static int keep_identity(const struct live *live, int tree, struct cowherd_error *err)
{
        const struct thing *base = live->thing.base;
        char folder[STORE_PATH_BYTES];

        while (base != NULL && base->row.role != CATALOGUE_BASE)
                base = base->base;
        if (base == NULL)
                return 0;
        owned_str char *aside = x_asprintf("%s/aside", store_object_folder(&base->object, folder));
        return tree_keep_identity(tree, base->place.fd, aside, err);
}

bool live_has_to_personalise(const struct live *live)
{
        return live->thing.row.kind == STORE_TREE && !live->machine.identity.applied;
}

int live_personalise(struct live *live, struct cowherd_error *err)
{
        const struct engine_identity *identity = &live->machine.identity;
        struct tree_identity inside = {.ssh_key = identity->ssh_key, .user_data = identity->user_data};
        owned_fd int tree = -1;

        if (file_open_folder(AT_FDCWD, live->root, &tree, err) < 0)
                return -1;
        if (!identity->fresh && keep_identity(live, tree, err) < 0)
                return -1;
        live->user_data_unread = identity->user_data != NULL && !tree_has_cloud_init(tree);
        if (identity->fresh)
                inside = (struct tree_identity){.hostname = identity->hostname, .machine_id = identity->machine_id, .random_seed = identity->random_seed,
                                                .host_key = identity->host_key, .host_key_public = identity->host_key_public,
                                                .instance_id = identity->instance_id, .ssh_key = identity->ssh_key, .user_data = identity->user_data};
        return tree_personalise(tree, &inside, NULL, err);
}
