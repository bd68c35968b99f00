/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promote live=true: a running machine's memory is kept beside the disk that the store takes, both of one moment. The engine has
 * the order of things (it stops, saves, switches the disk, calls the store, goes on); this is what lies around it. What fails or is
 * killed before the disk was switched is taken back like any other point in time. After that the clone's bytes are the new base's,
 * and a base without all of its memory is none: its disk stays as bytes without a name, that go with the clone (point_recover.c).
 */
#include "herd/memory.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int memory_can_keep(const struct point *point, struct cowherd_error *err)
{
        const struct catalogue_row *row = &point->clone.row;

        if (row->target != COWHERD_QEMU) {
                (void)fail(err, COWHERD_UNAVAILABLE, "live=true keeps the memory of a virtual machine, and '%s' is none: %s runs its processes on this host's own kernel",
                           row->name, cowherd_target_name(row->target));
                return fail_hint(err, "leave live= out: its files are promoted, also while it runs");
        }
        if (point->state != ENGINE_RUNNING) {
                (void)fail(err, COWHERD_BUSY, "clone '%s' is %s, and live=true keeps the memory of one that runs", row->name, engine_state_name(point->state));
                return fail_hint(err, point->state == ENGINE_PAUSED ? "resume it first" : "start it first");
        }
        if (point->machine.engine->capture == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "live=true is not available in this version");
        if (point->machine.machine.mount_count > 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "clone '%s' has folders of this host in it (mount=), and what it has open there can't be kept", row->name);
                return fail_hint(err, "promote it without live=true, or make a clone without mount=");
        }
        return 0;
}

static int take_disk(void *context, struct cowherd_error *err)
{
        struct point *point = context;
        const struct thing *clone = &point->clone, *made = &point->made;

        if (clone->driver->snapshot(&clone->place.place, &clone->object, &made->object, err) < 0)
                return -1;
        point->begun = point->stacks;
        return 0;
}

/* Where its files are, and how people and its engine name them. */
static void name_files(const struct point *point, struct memory *ret)
{
        char folder[STORE_PATH_BYTES];
        owned_str char *above = machine_runtime(point->herd, 0);

        (void)store_object_folder(&point->made.object, folder);
        (void)snprintf(ret->ram, sizeof ret->ram, "%.50s/ram", folder);
        (void)snprintf(ret->state, sizeof ret->state, "%.50s/state", folder);
        ret->runtime = x_asprintf("%s/base-%llu", above, (unsigned long long)point->made.row.id);
}

int memory_keep(struct point *point, int (*intend)(struct point *, struct cowherd_error *), struct cowherd_error *err)
{
        const struct thing *clone = &point->clone, *made = &point->made;
        struct memory memory owned_by(memory_free) = {0};

        name_files(point, &memory);
        if (point->stacks && clone->driver->snapshot_prepare != NULL) {
                if (clone->driver->snapshot_prepare(&clone->place.place, &clone->object, &made->object, &point->next, err) < 0)
                        return -1;
        } else if (made->driver->prepare_base(&made->place.place, &made->object, err) < 0)
                return -1;
        if (intend(point, err) < 0)
                return -1;
        const struct engine_capture how = {.ram = memory.ram, .state = memory.state, .runtime = memory.runtime, .next = point->next,
                                           .bring = point->brings_guest, .disk = take_disk, .context = point};
        int got = point->machine.engine->capture(&point->machine.instance, &how, &point->captured, err);
        point->begun |= point->stacks && point->captured.switched;
        point->taken_ms = point->captured.pause_ms;
        return got;
}

/* *ret_fingerprint is the caller's. Synced: a power cut must not leave a base with half a memory. */
static int seal_file(const struct thing *made, const char *path, char **ret_fingerprint, char *digest, struct cowherd_error *err)
{
        owned_fd int file = openat(made->place.fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (file < 0)
                return fail_errno(err, "cannot open '%s'", path);
        if (digest != NULL && file_digest(file, path, digest, err) < 0)
                return -1;
        if (file_sync(file, path, err) < 0)
                return -1;
        if (fchmod(file, 0400) < 0)
                return fail_errno(err, "cannot make '%s' read-only", path);
        if (file_set_immutable(file, true, err) < 0)
                return -1;
        return file_fingerprint(made->place.fd, path, ret_fingerprint, err);
}

int memory_seal(struct point *point, struct cowherd_error *err)
{
        struct catalogue_row *row = &point->made.row;
        const struct engine_captured *captured = &point->captured;
        struct memory memory owned_by(memory_free) = {0};
        owned_str char *ram = NULL, *state = NULL;
        char digest[FILE_DIGEST_BYTES];

        name_files(point, &memory);
        if (seal_file(&point->made, memory.ram, &ram, digest, err) < 0 || seal_file(&point->made, memory.state, &state, NULL, err) < 0)
                return -1;
        json_t *facts = captured->facts == NULL ? NULL : json_loads(captured->facts, 0, NULL);
        if (!json_is_object(facts)) {
                json_decref(facts);
                return fail(err, COWHERD_INTERNAL, "the engine told nothing of the memory it kept");
        }
        json_t *extra = row->extra == NULL ? json_object() : json_loads(row->extra, 0, NULL);
        json_t *kept = json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:b}", "facts", facts, "ram", ram, "state", state, "digest", digest,
                                 "memory_bytes", (json_int_t)captured->memory_bytes, "ram_bytes", (json_int_t)captured->ram_bytes,
                                 "state_bytes", (json_int_t)captured->state_bytes, "pause_ms", captured->pause_ms, "fresh_random", (int)captured->fresh_random);
        (void)json_object_set_new(extra, "live", kept);
        free(row->extra);
        row->extra = json_dumps(extra, JSON_COMPACT);
        json_decref(extra);
        row->memory_bytes = captured->memory_bytes;
        row->size_bytes += captured->ram_bytes + captured->state_bytes;
        return 0;
}

int memory_drop(const struct point *point, struct cowherd_error *err)
{
        struct memory memory owned_by(memory_free) = {0};

        name_files(point, &memory);
        if (memory_release(point->herd, point->made.row.id, NULL, err) < 0)
                return -1;
        return file_remove_tree(point->made.place.fd, memory.ram, err) < 0 || file_remove_tree(point->made.place.fd, memory.state, err) < 0 ? -1 : 0;
}
