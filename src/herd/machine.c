/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a row to an engine_instance. Texts that the engine borrows are cut out of the row's `extra` once and kept beside it.
 * See herd/machine.h.
 */
#include "herd/machine.h"

#include "base/number.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYERS_MAX 65 /* a clone and the CHAIN_MAX bases that it may stand on */
#define HERD_DIGITS 8 /* of its UUID: enough to tell the herds of one host apart, short enough for a socket's path */

void machine_free(struct machine *machine)
{
        free(machine->runtime);
        free(machine->nameless);
        free(machine->bridge);
        free(machine->host_key);
        free(machine->host_key_public);
        free(machine->ports);
        free(machine->mounts);
        free(machine->layers);
        free(machine->layer_paths);
        strv_free(&machine->words);
        json_decref(machine->extra);
        *machine = (struct machine){0};
}

char *machine_runtime(const struct cowherd_herd *herd, uint64_t id)
{
        const char *session = getenv("XDG_RUNTIME_DIR");
        owned_str char *above = geteuid() == 0 ? x_strdup("/run/cowherd")
                                : session != NULL && session[0] == '/' ? x_asprintf("%s/cowherd", session)
                                                                       : x_asprintf("%s/run", herd->root);
        const char *uuid = catalogue_uuid(herd->catalogue);

        if (id == 0)
                return x_asprintf("%s/%.*s", above, HERD_DIGITS, uuid);
        return x_asprintf("%s/%.*s/%llu", above, HERD_DIGITS, uuid, (unsigned long long)id);
}

static const char *extra_text(const struct machine *machine, const char *name)
{
        return json_string_value(json_object_get(machine->extra, name));
}

char *machine_extra_key(const json_t *extra, const char *key, const char *public_key)
{
        json_t *with = extra == NULL ? json_object() : json_copy((json_t *)(uintptr_t)extra);
        char *text = NULL;

        (void)json_object_del(with, "host_key");
        (void)json_object_del(with, "host_key_public");
        if (key != NULL) {
                (void)json_object_set_new(with, "host_key", json_string(key));
                (void)json_object_set_new(with, "host_key_public", json_string(public_key));
        }
        if (json_object_size(with) > 0)
                text = json_dumps(with, JSON_COMPACT);
        json_decref(with);
        return text;
}

/* The folder of a path's disk, its bases' below it, topmost first. */
static void add_layers(struct machine *machine, const struct thing *thing)
{
        size_t count = 0;

        if (thing->row.kind != STORE_DISK)
                return;
        machine->layers = x_calloc(LAYERS_MAX, sizeof *machine->layers);
        machine->layer_paths = x_calloc(LAYERS_MAX, sizeof *machine->layer_paths);
        for (const struct thing *at = thing; at != NULL && count < LAYERS_MAX; at = at->base) {
                machine->layers[count] = (struct engine_layer){
                        .path = store_object_path(&at->object, machine->layer_paths[count]),
                        .format = at->row.format,
                };
                count++;
                if (!str_equal(at->row.store, "qcow2"))
                        break; /* a disk that holds all its bytes itself */
                if (at->row.role == CATALOGUE_BASE && at->row.base_id == 0)
                        break;
        }
        machine->machine.layers = machine->layers;
        machine->machine.layer_count = count;
}

/* Borrows its texts of both. */
static struct engine_identity identity_of(const struct machine *machine, const struct catalogue_row *row)
{
        return (struct engine_identity){
                .fresh = !row->keep_identity,
                .applied = row->identity_applied,
                .hostname = row->hostname,
                .machine_id = row->machine_id,
                .mac = row->mac,
                .uuid = row->uuid,
                .generation_id = row->generation_id,
                .instance_id = row->instance_id,
                .random_seed = row->random_seed,
                .host_key = row->identity_applied ? NULL : extra_text(machine, "host_key"),
                .host_key_public = row->identity_applied ? NULL : extra_text(machine, "host_key_public"),
                .ssh_key = extra_text(machine, "ssh_key"),
                .user_data = extra_text(machine, "user_data"),
        };
}

int machine_open(struct cowherd_herd *herd, const struct thing *thing, struct machine *ret, struct cowherd_error *err)
{
        struct machine machine owned_by(machine_free) = {0};
        const struct catalogue_row *row = &thing->row;

        if (engine_find(row->target, &machine.engine, err) < 0)
                return -1;
        if (row->extra != NULL)
                machine.extra = json_loads(row->extra, 0, NULL);
        machine.runtime = machine_runtime(herd, row->id);
        if (row->name == NULL) /* it is kept warm */
                machine.nameless = x_asprintf("ready-%llu", (unsigned long long)row->id);
        const char *name = row->name == NULL ? machine.nameless : row->name;
        if (machine_parse(&machine, err) < 0)
                return fail_while(err, "reading what '%s' is to be", name);
        machine.machine.memory_bytes = row->memory_bytes;
        machine.machine.cpus = row->cpus;
        add_layers(&machine, thing);
        machine.identity = identity_of(&machine, row);
        *ret = machine;
        machine = (struct machine){0};
        (void)store_object_path(&thing->object, ret->path);
        ret->instance = (struct engine_instance){
                .id = row->id,
                .name = name,
                .folder = thing->place.fd,
                .path = ret->path,
                .herd_uuid = catalogue_uuid(herd->catalogue),
                .runtime = ret->runtime,
                .machine = &ret->machine,
                .identity = &ret->identity,
        };
        return 0;
}
