/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the herd knows of a live base's memory. Its two files are sealed like a disk: read-only, immutable where there is such a
 * flag, and with a fingerprint that is compared at each clone; a digest of the RAM is compared by doctor alone, which has time
 * to read it. That a clone fits its host (QEMU's version, processor, accelerator) is the engine's to find out, by the facts it gave.
 */
#include "herd/memory.h"

#include "store/folder.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void memory_free(struct memory *memory)
{
        free(memory->runtime);
        free(memory->facts);
        json_decref(memory->kept);
        *memory = (struct memory){0};
}

/* What a row says under "live", a new reference, or NULL. */
static json_t *read_kept(const struct catalogue_row *row)
{
        json_t *extra = row->role != CATALOGUE_BASE || row->extra == NULL ? NULL : json_loads(row->extra, 0, NULL);
        json_t *kept = json_incref(json_object_get(extra, "live"));

        json_decref(extra);
        return kept;
}

bool memory_is_kept(const struct catalogue_row *row)
{
        json_t *kept = read_kept(row);

        json_decref(kept);
        return kept != NULL;
}

static char *runtime_of(const struct cowherd_herd *herd, uint64_t base_id)
{
        owned_str char *above = machine_runtime(herd, 0);

        return x_asprintf("%s/base-%llu", above, (unsigned long long)base_id);
}

int memory_open(const struct cowherd_herd *herd, const struct thing *base, const char *name, struct memory *ret, struct cowherd_error *err)
{
        char folder[STORE_PATH_BYTES];

        ret->kept = read_kept(&base->row);
        ret->facts = json_dumps(json_object_get(ret->kept, "facts"), JSON_COMPACT);
        if (ret->facts == NULL)
                return fail(err, COWHERD_DATA, "what the catalogue says of the memory of base '%s' is damaged", name);
        (void)store_object_folder(&base->object, folder);
        (void)snprintf(ret->ram, sizeof ret->ram, "%.50s/ram", folder);
        (void)snprintf(ret->state, sizeof ret->state, "%.50s/state", folder);
        ret->runtime = runtime_of(herd, base->row.id);
        ret->live = (struct engine_live){.base = name, .runtime = ret->runtime, .ram = ret->ram, .state = ret->state, .facts = ret->facts};
        return 0;
}

/* One file; `key` is its fingerprint's. */
static int check_file(const struct thing *base, const struct memory *memory, const char *path, const char *key, const char *what,
                      struct cowherd_error *err)
{
        const char *sealed = json_string_value(json_object_get(memory->kept, key));
        owned_str char *now = NULL;

        if (faccessat(base->place.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                (void)fail(err, COWHERD_DATA, "base '%s' was changed since it was made: its %s is gone", memory->live.base, what);
        else if (file_fingerprint(base->place.fd, path, &now, err) < 0)
                return -1;
        else if (sealed != NULL && folder_same_file_fingerprint(sealed, now))
                return 0;
        else
                (void)fail(err, COWHERD_DATA, "base '%s' was changed since it was made: its %s is another one", memory->live.base, what);
        return fail_hint(err, "remove it and promote a running clone again; clones that run already are not concerned");
}

static int check_digest(const struct thing *base, const struct memory *memory, struct cowherd_error *err)
{
        const char *sealed = json_string_value(json_object_get(memory->kept, "digest"));
        owned_fd int ram = openat(base->place.fd, memory->ram, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char now[FILE_DIGEST_BYTES];

        if (ram < 0)
                return fail_errno(err, "cannot open '%s'", memory->ram);
        if (file_digest(ram, memory->ram, now, err) < 0)
                return -1;
        if (str_equal(sealed, now))
                return 0;
        (void)fail(err, COWHERD_DATA, "base '%s' was changed since it was made: the bytes of its memory are others", memory->live.base);
        return fail_hint(err, "the disk that it lies on may be failing: remove it and promote a running clone again");
}

int memory_check(const struct thing *base, const struct memory *memory, bool deep, struct cowherd_error *err)
{
        if (check_file(base, memory, memory->ram, "ram", "memory", err) < 0 || check_file(base, memory, memory->state, "state", "machine's state", err) < 0)
                return -1;
        return deep ? check_digest(base, memory, err) : 0;
}

int memory_release(const struct cowherd_herd *herd, uint64_t base_id, bool *ret_left, struct cowherd_error *err)
{
        owned_str char *runtime = runtime_of(herd, base_id);
        const struct engine_driver *engine = NULL;
        bool left = access(runtime, F_OK) == 0;

        if (ret_left != NULL)
                *ret_left = left;
        if (!left)
                return 0;
        if (engine_find(COWHERD_QEMU, &engine, err) < 0)
                return -1;
        if (engine->release_live == NULL)
                return file_remove_tree(AT_FDCWD, runtime, err);
        return engine->release_live(runtime, err);
}

/* ---- answers ---- */

static void add_number(struct cowherd_answer *answer, const json_t *kept, const char *name)
{
        const json_t *value = json_object_get(kept, name);

        if (json_is_integer(value))
                answer_number(answer, name, (uint64_t)json_integer_value(value));
}

void fields_of_memory(struct cowherd_answer *answer, const struct catalogue_row *row)
{
        json_t *kept = read_kept(row);

        if (kept != NULL) {
                answer_flag(answer, "live", true);
                add_number(answer, kept, "ram_bytes");
                add_number(answer, kept, "state_bytes");
        }
        json_decref(kept);
}

/* What the engine recorded is told as it is, each under its own name. */
void fields_of_memory_facts(struct cowherd_answer *answer, const struct cowherd_herd *herd, const struct catalogue_row *row)
{
        json_t *kept = read_kept(row), *value = NULL;
        const char *key = NULL;
        owned_str char *runtime = runtime_of(herd, row->id);
        const struct engine_driver *engine = NULL;
        struct cowherd_error ignored;

        json_object_foreach(json_object_get(kept, "facts"), key, value)
        {
                owned_str char *name = x_asprintf("live_%s", key);
                if (json_is_string(value))
                        answer_text(answer, name, json_string_value(value));
                else if (json_is_integer(value))
                        answer_number(answer, name, (uint64_t)json_integer_value(value));
        }
        if (kept != NULL) {
                add_number(answer, kept, "memory_bytes");
                answer_ms(answer, "pause_ms", json_number_value(json_object_get(kept, "pause_ms")));
                answer_flag(answer, "fresh_random", json_is_true(json_object_get(kept, "fresh_random")));
                if (engine_find(COWHERD_QEMU, &engine, &ignored) == 0 && engine->live_in_use != NULL)
                        answer_flag(answer, "in_memory", engine->live_in_use(runtime));
        }
        json_decref(kept);
}
