/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders of what runs, /run/cowherd/HERD/ID: sockets, pids, logs. An engine makes one at a start and takes it away at the stop;
 * cleanup takes those of instances that do not run, and of those that no row knows. The whole herd's goes with its last instance.
 */
#include "herd/live.h"
#include "herd/memory.h"
#include "herd/runtime.h"

#include "base/number.h"
#include "sys/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* An instance that no row knows: whichever engine it was of, what it may have left ends. */
static int end_unknown(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        static const enum cowherd_target targets[] = {COWHERD_QEMU, COWHERD_NSPAWN}; /* LXD keeps its own */
        owned_str char *runtime = machine_runtime(herd, id);
        owned_str char *name = x_asprintf("%llu", (unsigned long long)id);

        for (size_t i = 0; i < array_length(targets); i++) {
                const struct engine_driver *engine = NULL;
                const struct store_object object = {.id = id, .role = STORE_CLONE, .kind = kind_of_target(targets[i]), .format = "qcow2"};
                char path[STORE_PATH_BYTES];
                const struct engine_instance instance = {.id = id, .name = name, .folder = herd->fd, .path = store_object_path(&object, path),
                                                         .herd_uuid = catalogue_uuid(herd->catalogue), .runtime = runtime};
                if (engine_find(targets[i], &engine, err) < 0 || (engine->tidy != NULL && engine->tidy(&instance, err) < 0))
                        return -1;
        }
        return file_remove_tree(AT_FDCWD, runtime, err);
}

/* *ret_left: there was something. What runs is left alone. */
static int sweep_one(struct cowherd_herd *herd, uint64_t id, bool *ret_left, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        int got = catalogue_get(herd->catalogue, id, &live.thing.row, err);

        if (got < 0)
                return -1;
        if (got > 0) {
                *ret_left = true;
                return end_unknown(herd, id, err);
        }
        if (live.thing.row.role != CATALOGUE_CLONE)
                return 0;
        if (live_open(herd, false, &live, err) < 0 || live_tidy(&live, false, err) < 0)
                return -1;
        *ret_left = live.state == ENGINE_STOPPED || live.state == ENGINE_MISSING;
        return 0;
}

static int sweep_owned(struct cowherd_herd *herd, uint64_t id, struct recovery *recovery, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        bool left = false;
        int got = ownership_take(&owned, id, false, err);

        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        if (sweep_one(herd, id, &left, err) < 0) {
                if (recovery->failed++ == 0)
                        recovery->first = *err;
                return 0;
        }
        recovery->orphans += left;
        return 0;
}

/* A live base's memory in use is let go, wanted again or not: a clone that wakes then reads it anew. */
static int sweep_memory(struct cowherd_herd *herd, uint64_t base_id, struct recovery *recovery, struct cowherd_error *err)
{
        bool left = false;

        if (memory_release(herd, base_id, &left, err) < 0) {
                if (recovery->failed++ == 0)
                        recovery->first = *err;
                return 0;
        }
        recovery->orphans += left;
        return 0;
}

int runtime_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err)
{
        owned_str char *folder = machine_runtime(herd, 0);
        DIR *listing = opendir(folder);
        int result = 0;

        if (listing == NULL)
                return 0; /* nothing was ever started */
        for (const struct dirent *entry = readdir(listing); entry != NULL && result == 0; entry = readdir(listing)) {
                uint64_t id = 0;
                if (number_parse(entry->d_name, &id))
                        result = sweep_owned(herd, id, recovery, err);
                else if (str_starts(entry->d_name, MEMORY_RUNTIME_PREFIX) && number_parse(entry->d_name + strlen(MEMORY_RUNTIME_PREFIX), &id))
                        result = sweep_memory(herd, id, recovery, err);
        }
        (void)closedir(listing);
        (void)rmdir(folder); /* where nothing runs */
        return result;
}
