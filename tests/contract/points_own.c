/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time of stores that can be flattened, and what only one store has. */
#include "points.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often progress was told, and whether it ever went back. */
struct heard {
        unsigned count;
        uint64_t last;
        bool backwards;
};

static void hear(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
        struct heard *heard = context;

        heard->backwards = heard->backwards || done_bytes < heard->last || (total_bytes != 0 && done_bytes > total_bytes);
        heard->last = done_bytes;
        heard->count++;
}

static const char *see_flat(struct history *history)
{
        struct subject *subject = history->subject;
        struct heard heard = {0};
        struct cowherd_error err;

        change_object(subject, &history->clone);
        (void)point_take(history, STORE_BASE);
        mark(subject, &history->clone, 1);
        uint64_t then = hash_object(subject, &history->clone);
        for (unsigned i = 0; i < 2; i++) /* the second time as after a kill */
                if (subject->driver->flatten(&subject->place, &history->clone, hear, &heard, &err) != 0)
                        bail("%s: flatten: %s", subject->label, err.text);
        if (heard.backwards)
                return "progress goes back";
        history->clone.base = NULL;
        destroy_object(subject, &history->made[0]);
        destroy_object(subject, &history->base);
        if (hash_object(subject, &history->clone) != then)
                return "a flattened clone is not what it was, without its base";
        sync();
        struct store_usage usage = usage_of(subject, &history->clone);
        if (usage.unique_bytes < SAMPLE_BYTES)
                return "a flattened clone does not tell the bytes of its own";
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        mark(subject, &history->clone, 2);
        if (point_hash(subject, snapshot) != then)
                return "a snapshot of a flattened clone does not hold what it was";
        point_restore(history, snapshot);
        (void)point_take(history, STORE_BASE);
        if (point_hash(subject, &history->made[2]) != then || hash_object(subject, &history->clone) != then)
                return "a flattened clone can't be promoted";
        return NULL;
}

static const char *case_flatten(struct subject *subject)
{
        struct history history;

        if (subject->driver->flatten == NULL)
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_flat(&history));
}

/* Back from a plain tree to layers, and the other way. */
static const char *see_unflattened(struct history *history)
{
        struct subject *subject = history->subject;
        struct cowherd_error err;

        mark(subject, &history->clone, 0);
        uint64_t layered = hash_object(subject, &history->clone);
        struct store_object *first = point_take(history, STORE_SNAPSHOT);
        mark(subject, &history->clone, 1);
        uint64_t plain = hash_object(subject, &history->clone);
        if (subject->driver->flatten(&subject->place, &history->clone, NULL, NULL, &err) != 0)
                bail("%s: flatten: %s", subject->label, err.text);
        history->clone.base = NULL;
        struct store_object *second = point_take(history, STORE_SNAPSHOT);
        for (unsigned i = 0; i < 2; i++) {
                mark(subject, &history->clone, 2);
                point_restore(history, first);
                if (hash_object(subject, &history->clone) != layered)
                        return "a snapshot from before flattening can't be restored";
                mark(subject, &history->clone, 3);
                point_restore(history, second);
                if (hash_object(subject, &history->clone) != plain)
                        return "a snapshot from after flattening can't be restored";
        }
        return NULL;
}

static const char *case_unflatten(struct subject *subject)
{
        struct history history;

        if (subject->driver->flatten == NULL)
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_unflattened(&history));
}

/* Subvolumes inside a clone, as a booted system makes them: a snapshot of btrfs would leave them out. */
static const char *see_nested(struct history *history)
{
        static const char *const nested[] = {"var/machines", "var/machines/one", "srv"};
        struct subject *subject = history->subject;
        owned_str char *path = open_object(subject, &history->clone);

        for (size_t i = 0; i < array_length(nested); i++) {
                owned_str char *at = x_asprintf("%s/%s", path, nested[i]), *file = x_asprintf("%s/file", nested[i]);
                (void)run_tool(false, "btrfs", "-q", "subvolume", "create", at, NULL);
                tree_write(path, file);
        }
        tree_change(path);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT), *promoted = point_take(history, STORE_BASE);
        if (point_hash(subject, snapshot) != then || point_hash(subject, promoted) != then)
                return "what was in a subvolume of the clone is not in its snapshot";
        mark(subject, &history->clone, 1);
        point_restore(history, snapshot);
        return hash_object(subject, &history->clone) == then ? NULL : "what was in a subvolume of the clone is not restored";
}

static const char *case_nested(struct subject *subject)
{
        struct history history;

        if (!str_equal(subject->driver->name, "btrfs"))
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_nested(&history));
}

/* Killed when the old dataset had gone, and the new one was not yet in its place. */
static const char *see_swap(struct history *history)
{
        struct subject *subject = history->subject;
        unsigned long long id = history->clone.id;
        owned_str char *dataset = x_asprintf("%s/clones/%llu", subject->place.source, id), *next = x_asprintf("%s-next", dataset);
        owned_str char *removed = x_asprintf("%s/removed", subject->place.source), *aside = x_asprintf("%s/%llu-killed", removed, id);
        owned_str char *folder = x_asprintf("%s/clones/%llu/next", subject->place.folder, id);
        owned_str char *waiting = x_asprintf("%s/removed/%llu-killed", subject->place.folder, id);

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        mark(subject, &history->clone, 1);
        (void)point_take(history, STORE_SNAPSHOT);
        owned_str char *name = x_asprintf("%s@s%llu", dataset, (unsigned long long)snapshot->id);
        (void)run_tool(false, "mkdir", "-p", folder, waiting, NULL);
        (void)run_tool(false, "zfs", "clone", name, next, NULL);
        (void)run_tool(false, "zfs", "create", "-o", "canmount=off", removed, NULL);
        (void)run_tool(false, "zfs", "set", "mountpoint=none", dataset, NULL);
        (void)run_tool(false, "zfs", "rename", dataset, aside, NULL);
        point_restore(history, snapshot);
        if (hash_object(subject, &history->clone) != then)
                return "a restore that was gone on with is not what the clone was";
        /* And when the new one was only being made. */
        (void)run_tool(false, "mkdir", folder, NULL);
        (void)run_tool(false, "zfs", "create", next, NULL);
        mark(subject, &history->clone, 2);
        point_restore(history, snapshot);
        if (hash_object(subject, &history->clone) != then)
                return "a restore after one that was given up is not what the clone was";
        (void)run_tool(true, "mkdir", folder, NULL);
        (void)run_tool(true, "zfs", "create", next, NULL); /* the end of this history must find it */
        return NULL;
}

static const char *case_swap(struct subject *subject)
{
        struct history history;

        if (!str_equal(subject->driver->name, "zfs"))
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_swap(&history));
}

/* Whatever goes first, the others go on: a clone before its snapshot, a snapshot before the clone that was made from it. */
static const char *see_survivors(struct history *history)
{
        struct subject *subject = history->subject;

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT), *promoted = point_take(history, STORE_BASE);
        struct store_object of_snapshot = make_clone(subject, snapshot), of_base = make_clone(subject, promoted);
        destroy_object(subject, &history->clone);
        if (point_hash(subject, snapshot) != then || point_hash(subject, promoted) != then)
                return "what was made of a clone went with it";
        if (!point_stacks(subject, STORE_SNAPSHOT) && !str_equal(subject->driver->name, "overlay"))
                destroy_object(subject, snapshot); /* where they are read through it, the catalogue keeps it */
        if (hash_object(subject, &of_snapshot) != then || hash_object(subject, &of_base) != then)
                return "a clone of a snapshot went with it";
        mark(subject, &of_snapshot, 2);
        destroy_object(subject, &of_snapshot);
        if (hash_object(subject, &of_base) != then)
                return "a clone of a promoted base is not what it was";
        destroy_object(subject, &of_base);
        return NULL;
}

static const char *case_survivors(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_survivors(&history));
}

const struct contract_case contract_own_points[] = {
        {"a flattened clone needs nobody", case_flatten, ANY_KIND},
        {"snapshots from before and after flattening are restored", case_unflatten, ANY_KIND},
        {"a clone goes, and what was made of it stays", case_survivors, ANY_KIND},
        {"subvolumes inside a clone are in its snapshots", case_nested, STORE_TREE},
        {"a kill between two datasets loses nothing", case_swap, STORE_TREE},
};
const size_t contract_own_point_count = array_length(contract_own_points);
