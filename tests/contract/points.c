/* SPDX-License-Identifier: Apache-2.0 */
/* What every store promises about points in time while all goes well: snapshots, restoring, promotion, flattening. */
#include "points.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *see_snapshot(struct history *history)
{
        struct subject *subject = history->subject;
        uint64_t golden = hash_object(subject, &history->base);

        change_object(subject, &history->clone);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        if (hash_object(subject, &history->clone) != then)
                return "taking a snapshot changed the clone";
        if (point_hash(subject, snapshot) != then)
                return "a snapshot does not hold what the clone was";
        for (unsigned round = 1; round <= 2; round++) {
                mark(subject, &history->clone, round);
                if (hash_object(subject, &history->clone) == then)
                        return "what was written after a snapshot is not there";
                if (point_hash(subject, snapshot) != then)
                        return "writing to a clone changed its snapshot";
                point_restore(history, snapshot);
                if (hash_object(subject, &history->clone) != then)
                        return "a restored clone is not what it was";
        }
        mark(subject, &history->clone, 3);
        struct cowherd_error err;
        if (subject->driver->check_base(&subject->place, snapshot, &err) < 0 || point_hash(subject, snapshot) != then) {
                printf("# %s\n", err.text);
                return "writing to a restored clone changed the snapshot";
        }
        return hash_object(subject, &history->base) == golden ? NULL : "snapshots changed the base";
}

static const char *case_snapshot(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_snapshot(&history));
}

/* Three points in time, gone back and forth between, then deleted one by one while the others must go on. */
static const char *see_order(struct history *history)
{
        static const size_t orders[] = {1, 2, 0, 0, 2, 1};
        struct subject *subject = history->subject;
        uint64_t hashes[3];

        for (unsigned i = 0; i < 3; i++) {
                mark(subject, &history->clone, i);
                hashes[i] = hash_object(subject, &history->clone);
                (void)point_take(history, STORE_SNAPSHOT);
        }
        for (size_t i = 0; i < array_length(orders); i++) {
                mark(subject, &history->clone, 5);
                point_restore(history, &history->made[orders[i]]);
                if (hash_object(subject, &history->clone) != hashes[orders[i]])
                        return "restoring another snapshot does not give what it holds";
        }
        if (point_stacks(subject, STORE_SNAPSHOT)) /* they are read through one another: the catalogue keeps them */
                return NULL;
        destroy_object(subject, &history->made[1]);
        for (size_t i = 0; i < 3; i += 2)
                if (point_hash(subject, &history->made[i]) != hashes[i])
                        return "deleting a snapshot changed another";
        destroy_object(subject, &history->made[0]);
        if (hash_object(subject, &history->clone) != hashes[1])
                return "deleting snapshots changed the clone that was restored from them";
        point_restore(history, &history->made[2]);
        return hash_object(subject, &history->clone) == hashes[2] ? NULL : "the last snapshot can't be restored any more";
}

static const char *case_order(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_order(&history));
}

static const char *see_promoted(struct history *history)
{
        struct subject *subject = history->subject;
        uint64_t golden = hash_object(subject, &history->base);

        change_object(subject, &history->clone);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *promoted = point_take(history, STORE_BASE);
        if (hash_object(subject, &history->clone) != then)
                return "promoting changed the clone";
        struct store_object one = make_clone(subject, promoted), two = make_clone(subject, promoted);
        if (hash_object(subject, &one) != then)
                return "a clone of a promoted base is not what was promoted";
        mark(subject, &one, 1);
        mark(subject, &history->clone, 2);
        if (hash_object(subject, &two) != then || point_hash(subject, promoted) != then)
                return "writing to a clone changed the promoted base";
        if (hash_object(subject, &history->base) != golden)
                return "a promoted base changed the one below";
        struct cowherd_error err;
        if (subject->driver->check_base(&subject->place, promoted, &err) < 0 ||
            (subject->driver->deep_check_base != NULL && subject->driver->deep_check_base(&subject->place, promoted, &err) < 0)) {
                printf("# %s\n", err.text);
                return "a promoted base is told to be changed";
        }
        destroy_object(subject, &one);
        destroy_object(subject, &two);
        return NULL;
}

static const char *case_promote(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_promoted(&history));
}

/* Snapshots of a clone that was promoted twice, and back to the one before. */
static const char *see_generations(struct history *history)
{
        struct subject *subject = history->subject;

        mark(subject, &history->clone, 0);
        uint64_t first = hash_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        mark(subject, &history->clone, 1);
        (void)point_take(history, STORE_BASE);
        mark(subject, &history->clone, 2);
        uint64_t second = hash_object(subject, &history->clone);
        struct store_object *promoted = point_take(history, STORE_BASE);
        mark(subject, &history->clone, 3);
        if (point_hash(subject, promoted) != second)
                return "a base that was promoted of a clone of a promoted one does not hold what the clone was";
        point_restore(history, snapshot);
        if (hash_object(subject, &history->clone) != first)
                return "a snapshot from before a promotion can't be restored";
        return point_hash(subject, promoted) == second ? NULL : "restoring a clone changed a base that was made of it";
}

static const char *case_generations(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_generations(&history));
}

/* A tree in use: somebody is inside, files are open, and what was written a moment ago is in the snapshot. */
static const char *see_running(struct history *history)
{
        struct subject *subject = history->subject;
        owned_str char *path = open_object(subject, &history->clone), *odd = x_asprintf("%s/etc/open", path);
        FILE *open_file = fopen(odd, "we");

        if (open_file == NULL || fputs("before\n", open_file) < 0 || fflush(open_file) != 0)
                bail("cannot write '%s'", odd);
        tree_change(path);
        uint64_t then = tree_hash(path);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        if (fputs("after\n", open_file) < 0 || fclose(open_file) != 0)
                return "after a snapshot, an open file can't be written to any more";
        tree_write(path, "etc/later");
        close_object(subject, &history->clone);
        if (point_hash(subject, snapshot) != then)
                return "the snapshot of a running clone does not hold what it was";
        point_restore(history, snapshot);
        struct stat found;
        owned_str char *tree = open_object(subject, &history->clone), *linked = x_asprintf("%s/etc/hostname.link", tree);
        if (lstat(linked, &found) < 0 || found.st_nlink != 2)
                return "hard links of a clone became files of their own";
        close_object(subject, &history->clone);
        return NULL;
}

static const char *case_running(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_running(&history));
}

#define SLACK_BYTES (512u << 10)

static const char *see_usage(struct history *history)
{
        struct subject *subject = history->subject;
        owned_strv struct strv ids = {0};
        struct cowherd_error err;
        char id[32];

        change_object(subject, &history->clone);
        struct store_object *snapshot = point_take(history, STORE_SNAPSHOT);
        sync();
        struct store_usage clone = usage_of(subject, &history->clone), of = usage_of(subject, snapshot);
        printf("# %s: clone unique %llu shared %llu, snapshot unique %llu shared %llu\n", subject->label,
               (unsigned long long)clone.unique_bytes, (unsigned long long)clone.shared_bytes,
               (unsigned long long)of.unique_bytes, (unsigned long long)of.shared_bytes);
        if (of.missing || clone.missing)
                return "a snapshot, or its clone, is told as missing";
        if (of.unique_bytes + of.shared_bytes < SAMPLE_BYTES)
                return "a snapshot does not tell the bytes that it holds";
        if (point_stacks(subject, STORE_SNAPSHOT) && clone.unique_bytes > SLACK_BYTES)
                return "after a snapshot the clone still tells as its own what is the snapshot's now";
        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)snapshot->id);
        if (subject->driver->list_ids(&subject->place, STORE_SNAPSHOT, &ids, &err) < 0 || !strv_has(&ids, id))
                return "a snapshot that is there is not listed";
        strv_free(&ids);
        destroy_object(subject, &history->clone);
        destroy_object(subject, snapshot);
        destroy_object(subject, snapshot);
        if (!usage_of(subject, snapshot).missing)
                return "a snapshot that is gone is not told as missing";
        if (subject->driver->list_ids(&subject->place, STORE_SNAPSHOT, &ids, &err) < 0 || strv_has(&ids, id))
                return "a snapshot that is gone is listed";
        return NULL;
}

static const char *case_usage(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        return history_end(&history, see_usage(&history));
}

static const char *case_durable(struct subject *subject)
{
        subject->place.durable = true;
        const char *wrong = case_generations(subject);
        subject->place.durable = false;
        return wrong;
}

const struct contract_case contract_points[] = {
        {"a snapshot holds what the clone was, and can be gone back to twice", case_snapshot, ANY_KIND},
        {"snapshots are restored and deleted in any order", case_order, ANY_KIND},
        {"a promoted base holds what the clone was", case_promote, ANY_KIND},
        {"promoted bases stand on promoted bases", case_generations, ANY_KIND},
        {"a snapshot of a running tree holds one moment", case_running, STORE_TREE},
        {"usage and lists know snapshots", case_usage, ANY_KIND},
        {"durable points in time are the same", case_durable, ANY_KIND},
};
const size_t contract_point_count = array_length(contract_points);
