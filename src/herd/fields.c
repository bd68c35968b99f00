/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a base, a clone, its identity and its bytes are told: one place, so that every verb tells them alike. The second
 * spellings are RexxJS's, so that scripts written for it read on.
 */
#include "herd/memory.h"

#include "sys/clock.h"

#include <jansson.h>

static void field_of_time(struct cowherd_answer *answer, const char *name, uint64_t wall_ms)
{
        char text[CLOCK_TEXT_BYTES];

        if (wall_ms != 0)
                answer_text(answer, name, clock_format(wall_ms, text));
}

void fields_of_base(struct cowherd_answer *answer, const struct catalogue_row *row)
{
        answer_number(answer, "id", row->id);
        answer_text(answer, "name", row->name);
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "image", row->image);
        answer_text(answer, "source", row->source);
        answer_text(answer, "format", row->kind == STORE_DISK ? row->format : row->kind == STORE_TREE ? "tree" : "instance");
        answer_text(answer, "distro", row->distro);
        answer_text(answer, "release", row->release);
        answer_number(answer, "size_bytes", row->size_bytes);
        if (row->kind == STORE_DISK)
                answer_number(answer, "virtual_bytes", row->virtual_bytes);
        if (row->base_id != 0)
                answer_text(answer, "base", base_text(row));
        answer_number(answer, "clones", row->clones);
        field_of_time(answer, "created", row->created_ms);
        answer_text(answer, "store", row->store);
        fields_of_memory(answer, row);
        answer_also(answer, "baseName", "name");
}

/* What a clone is called a clone of: its base or the clone that it was made of, "" where that is gone, "none" where it stands alone. */
const char *base_text(const struct catalogue_row *row)
{
        if (row->base_id == 0 || row->of_id == row->id)
                return "none";
        return row->base_name == NULL ? "" : row->base_name;
}

void fields_of_clone(struct cowherd_answer *answer, const struct catalogue_row *row, const char *path, const char *state)
{
        answer_number(answer, "id", row->id);
        answer_text(answer, "name", row->name);
        answer_text(answer, "base", base_text(row));
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "store", row->store);
        answer_text(answer, "path", path);
        answer_text(answer, "state", state);
        answer_ms(answer, "clone_ms", row->clone_ms);
        answer_text(answer, "identity_applied", row->identity_applied ? "all" : "");
        answer_text(answer, "identity_pending", identity_pending(row));
        answer_also(answer, "disk", "path");
        answer_also(answer, "basedOn", "base");
        answer_also(answer, "method", "store");
        answer_also(answer, row->target == COWHERD_QEMU ? "vm" : "container", "name");
        answer_also(answer, "destination", "name");
        answer_also(answer, "cloneTimeMs", "clone_ms");
        answer_also(answer, "copyTimeMs", "clone_ms");
        answer_also(answer, "source", "base");
}

/* What was asked for at the clone, or comes from the base; of keys and user-data only that they were. */
static void fields_of_machine(struct cowherd_answer *answer, const struct catalogue_row *row)
{
        static const char *const told[] = {"network", "ports", "mount", "os", "firmware", "accel"};
        static const char *const given[] = {"ssh_key", "user_data"};
        json_t *extra = row->extra == NULL ? NULL : json_loads(row->extra, 0, NULL);

        for (size_t i = 0; i < array_length(told); i++)
                answer_text(answer, told[i], json_string_value(json_object_get(extra, told[i])));
        for (size_t i = 0; i < array_length(given); i++)
                if (json_object_get(extra, given[i]) != NULL)
                        answer_text(answer, given[i], "given");
        json_decref(extra);
}

void fields_of_identity(struct cowherd_answer *answer, const struct catalogue_row *row)
{
        field_of_time(answer, "created", row->created_ms);
        field_of_time(answer, "expires", row->expires_ms);
        answer_text(answer, "identity", row->keep_identity ? "keep" : "fresh");
        answer_text(answer, "hostname", row->hostname);
        answer_text(answer, "machine_id", row->machine_id);
        answer_text(answer, "mac", row->mac);
        answer_text(answer, "uuid", row->uuid);
        answer_text(answer, "generation_id", row->generation_id);
        answer_text(answer, "instance_id", row->instance_id);
        if (row->memory_bytes != 0)
                answer_number(answer, "memory_bytes", row->memory_bytes);
        if (row->cpus != 0)
                answer_number(answer, "cpus", row->cpus);
        if (row->disk_bytes != 0)
                answer_number(answer, "disk_size_bytes", row->disk_bytes);
        if (row->expires_ms != 0) {
                uint64_t now = clock_wall_ms();
                answer_number(answer, "ttl_left_ms", row->expires_ms > now ? row->expires_ms - now : 0);
        }
        fields_of_machine(answer, row);
}

void fields_of_usage(struct cowherd_answer *answer, const struct store_usage *usage)
{
        answer_number(answer, "unique_bytes", usage->unique_bytes);
        answer_number(answer, "shared_bytes", usage->shared_bytes);
        answer_number(answer, "apparent_bytes", usage->apparent_bytes);
        answer_also(answer, "space_bytes", "unique_bytes");
}
