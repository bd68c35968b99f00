/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance as its engine takes it: a row and its store's paths become an engine_instance, with what was asked for at
 * the clone (network, ports, mounts …, kept in the row's `extra`) parsed again. What is parsed here was checked when the clone
 * was made, by the same functions.
 */
#pragma once

#include "herd/herd.h"

#include <jansson.h>

struct machine {
        struct engine_instance instance;
        struct engine_machine machine;
        struct engine_identity identity;
        const struct engine_driver *engine;
        /* what the above borrows */
        char *runtime, *nameless, *bridge, *host_key, *host_key_public;
        char path[STORE_PATH_BYTES];
        json_t *extra;
        struct engine_port *ports;
        struct engine_mount *mounts;
        struct engine_layer *layers;
        char (*layer_paths)[STORE_PATH_BYTES];
        struct strv words; /* texts cut out of extra */
};
void machine_free(struct machine *machine);
define_owned(struct machine, machine_free)
#define owned_machine owned_by(machine_free)

/* Completes it for a thing that was opened with the bases it stands on, which must outlive it. */
int machine_open(struct cowherd_herd *herd, const struct thing *thing, struct machine *ret, struct cowherd_error *err) must_check;
/* The folder of what belongs to a running instance of this herd; id 0: the one that holds them all. To be freed. */
char *machine_runtime(const struct cowherd_herd *herd, uint64_t id);

/* Reads what machine->extra says into machine->machine. 64 with the word that is wrong. */
int machine_parse(struct machine *machine, struct cowherd_error *err) must_check;
/* What clones of a thing have of its extra (how the machine is built), as JSON; NULL where nothing. To be freed. */
char *machine_handed_on(const char *extra);
/* A row's extra with an SSH host key, or without (NULL), to be freed; NULL where nothing is left. */
char *machine_extra_key(const json_t *extra, const char *key, const char *public_key);
/*
 * What a request says of the machine (network= ports= mount= ssh_key= user_data= os= firmware= accel=), checked, with files read,
 * over what the base says (`inherited`, a row's extra or NULL). *ret is JSON for a row's extra, NULL where nothing was said. 64, 65 or
 * 66 with the word that is wrong. A key that this engine has no use for is 69.
 */
int machine_extra(const struct request *request, enum cowherd_target target, const char *inherited, char **ret,
                  struct cowherd_error *err) must_check;
