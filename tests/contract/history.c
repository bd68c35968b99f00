/* SPDX-License-Identifier: Apache-2.0 */
/* What the herd does around a store's callbacks for points in time, for the cases to call. */
#include "points.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void history_begin(struct history *history, struct subject *subject)
{
        *history = (struct history){.subject = subject, .before = list_place(subject)};
        history->base = make_base(subject);
        history->clone = make_clone(subject, &history->base);
}

/* Nobody reads through anything any more, so the order is free: the newest first, as a catalogue would have it. */
const char *history_end(struct history *history, const char *wrong)
{
        struct subject *subject = history->subject;

        if (wrong != NULL)
                return wrong; /* all of it stays to be looked at */
        destroy_object(subject, &history->clone);
        for (size_t i = history->count; i-- > 0;) {
                destroy_object(subject, &history->made[i]);
                free_base(&history->made[i]);
        }
        destroy_object(subject, &history->base);
        free_base(&history->base);
        owned_str char *before = take(history->before), *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "destroying all of it left something behind";
        }
        return NULL;
}

void mark(struct subject *subject, const struct store_object *object, unsigned number)
{
        owned_str char *path = open_object(subject, object);

        if (subject->kind == STORE_TREE) {
                owned_str char *name = x_asprintf("etc/mark%u", number);
                tree_write(path, name);
        } else {
                owned_str char *write = x_asprintf("write -q -P %u %uM 64k", number + 1, 4 + number % 8);
                (void)run_tool(false, "qemu-io", "-f", object->format, "-c", write, "-c", "flush", path, NULL);
        }
        close_object(subject, object);
}

bool point_stacks(const struct subject *subject, enum store_role role)
{
        return subject->driver->snapshot_stacks(role);
}

struct store_object *point_begin(struct history *history, enum store_role role)
{
        struct store_object *made = &history->made[history->count++];

        if (history->count > POINTS)
                bail("more than %d points in a history", POINTS);
        *made = object_of(history->subject, role, history->clone.base);
        made->of = &history->clone;
        made->format = history->clone.format;
        made->virtual_bytes = history->clone.virtual_bytes;
        return made;
}

void point_seal(struct history *history, struct store_object *made)
{
        struct subject *subject = history->subject;
        struct cowherd_error err;
        char *fingerprint = NULL;

        if (subject->driver->seal_base(&subject->place, made, &fingerprint, &err) < 0)
                bail("%s: seal_base of what was a clone: %s", subject->label, err.text);
        free_base(made);
        made->fingerprint = fingerprint;
        if (point_stacks(subject, made->role))
                history->clone.base = made;
}

struct store_object *point_take(struct history *history, enum store_role role)
{
        struct store_object *made = point_begin(history, role);
        struct subject *subject = history->subject;
        struct cowherd_error err;

        if (subject->driver->snapshot(&subject->place, &history->clone, made, &err) < 0)
                bail("%s: snapshot: %s", subject->label, err.text);
        point_seal(history, made);
        return made;
}

void point_restore(struct history *history, const struct store_object *snapshot)
{
        struct subject *subject = history->subject;
        struct cowherd_error err;

        if (subject->driver->restore(&subject->place, &history->clone, snapshot, &err) != 0)
                bail("%s: restore: %s", subject->label, err.text);
        history->clone.base = point_stacks(subject, STORE_SNAPSHOT) ? snapshot : snapshot->base;
}

uint64_t point_hash(struct subject *subject, const struct store_object *made)
{
        struct store_object clone = make_clone(subject, made);
        uint64_t hash = hash_object(subject, &clone);

        destroy_object(subject, &clone);
        return hash;
}
