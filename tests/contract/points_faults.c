/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time that were interrupted, given up, or can't be had. */
#include "points.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void call_snapshot(struct history *history, const struct store_object *made)
{
        struct cowherd_error err;

        if (history->subject->driver->snapshot(&history->subject->place, &history->clone, made, &err) < 0)
                bail("%s: snapshot: %s", history->subject->label, err.text);
}

static bool prepare(struct history *history, const struct store_object *made)
{
        owned_str char *next = NULL;
        struct cowherd_error err;

        if (history->subject->driver->snapshot_prepare == NULL)
                return false;
        if (history->subject->driver->snapshot_prepare(&history->subject->place, &history->clone, made, &next, &err) < 0)
                bail("%s: snapshot_prepare: %s", history->subject->label, err.text);
        return next != NULL;
}

/* Prepared, prepared again, made, made again, sealed twice: as often as it is killed and gone on with. */
static const char *see_repeated(struct history *history, enum store_role role)
{
        struct subject *subject = history->subject;

        mark(subject, &history->clone, history->count == 0 ? 0 : 1);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *made = point_begin(history, role);
        if (point_stacks(subject, role))
                (void)prepare(history, made), (void)prepare(history, made);
        call_snapshot(history, made);
        if (point_stacks(subject, role) && prepare(history, made))
                return "there is something to switch to where all was moved";
        call_snapshot(history, made);
        const struct store_object *below = history->clone.base;
        point_seal(history, made);
        history->clone.base = below; /* killed before the catalogue heard of it */
        call_snapshot(history, made);
        point_seal(history, made);
        if (hash_object(subject, &history->clone) != then || point_hash(subject, made) != then)
                return "a snapshot that was made again and again is not what the clone was";
        struct cowherd_error err;
        for (unsigned i = 0; i < 2 && role == STORE_SNAPSHOT; i++) {
                mark(subject, &history->clone, 7);
                if (subject->driver->restore(&subject->place, &history->clone, made, &err) != 0) /* killed before it was settled */
                        bail("%s: restore: %s", subject->label, err.text);
        }
        if (role == STORE_SNAPSHOT)
                point_restore(history, made);
        return hash_object(subject, &history->clone) == then ? NULL : "restoring again and again gives something else";
}

static const char *case_repeated(struct subject *subject)
{
        struct history history;

        history_begin(&history, subject);
        const char *wrong = see_repeated(&history, STORE_SNAPSHOT);
        return history_end(&history, wrong != NULL ? wrong : see_repeated(&history, STORE_BASE));
}

/* What a killed snapshot of a store that copies leaves: half a copy, which is no snapshot yet. */
static const char *see_half(struct history *history)
{
        static const char *const halves[] = {"making/etc/half", "making/usr"};
        struct subject *subject = history->subject;
        char folder[STORE_PATH_BYTES];

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *made = point_begin(history, STORE_SNAPSHOT);
        for (size_t i = 0; i < array_length(halves); i++) {
                owned_str char *half = x_asprintf("%s/%s/%s", subject->place.folder, store_object_folder(made, folder), halves[i]);
                (void)run_tool(false, "mkdir", "-p", half, NULL);
        }
        call_snapshot(history, made);
        point_seal(history, made);
        if (point_hash(subject, made) != then)
                return "a snapshot that was gone on with is not what the clone was";
        owned_str char *restoring = x_asprintf("%s/%s/restored/etc", subject->place.folder, store_object_folder(&history->clone, folder));
        (void)run_tool(false, "mkdir", "-p", restoring, NULL);
        mark(subject, &history->clone, 1);
        point_restore(history, made);
        return hash_object(subject, &history->clone) == then ? NULL : "a restore that was gone on with is not what the clone was";
}

static const char *case_half(struct subject *subject)
{
        struct history history;

        if (str_equal(subject->driver->name, "zfs"))
                return NULL; /* its snapshots are whole at once */
        history_begin(&history, subject);
        return history_end(&history, see_half(&history));
}

static const char *see_cancelled(struct history *history)
{
        struct subject *subject = history->subject;
        enum store_role role = point_stacks(subject, STORE_SNAPSHOT) ? STORE_SNAPSHOT : STORE_BASE;
        struct cowherd_error err;

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        owned_str char *before = list_place(subject);
        struct store_object *made = point_begin(history, role);
        if (!prepare(history, made) && str_equal(subject->driver->name, "qcow2"))
                return "there is nothing to switch to where nothing was moved";
        for (unsigned i = 0; i < 2; i++)
                if (subject->driver->snapshot_cancel(&subject->place, &history->clone, made, &err) != 0)
                        return "a snapshot that was prepared can't be given up";
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "a snapshot that was given up left something behind";
        }
        if (hash_object(subject, &history->clone) != then)
                return "a snapshot that was given up changed the clone";
        call_snapshot(history, made);
        if (subject->driver->snapshot_cancel(&subject->place, &history->clone, made, &err) != 1)
                return "a snapshot that has been made can be given up";
        point_seal(history, made);
        return hash_object(subject, &history->clone) == then ? NULL : "a snapshot after one that was given up changed the clone";
}

static const char *case_cancelled(struct subject *subject)
{
        struct history history;

        if (subject->driver->snapshot_cancel == NULL)
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_cancelled(&history));
}

/* The two renames of a stacking store, with a kill between them. */
static const char *see_between(struct history *history)
{
        static const char *const names[][2] = {{"disk.qcow2", "next.qcow2"}, {"upper", "next"}};
        struct subject *subject = history->subject;
        const char *const *leaf = names[subject->kind == STORE_TREE];
        char folder[STORE_PATH_BYTES];

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        struct store_object *made = point_begin(history, STORE_BASE);
        (void)prepare(history, made);
        owned_str char *own = x_asprintf("%s/%s/%s", subject->place.folder, store_object_folder(&history->clone, folder), leaf[0]);
        owned_str char *moved = x_asprintf("%s/%s/%s", subject->place.folder, store_object_folder(made, folder), leaf[0]);
        if (rename(own, moved) < 0)
                bail("cannot rename '%s': %s", own, strerror(errno));
        call_snapshot(history, made);
        owned_str char *next = x_asprintf("%s/%s/%s", subject->place.folder, store_object_folder(&history->clone, folder), leaf[1]);
        if (access(next, F_OK) == 0)
                return "what the clone goes on with was not moved to its place";
        point_seal(history, made);
        if (hash_object(subject, &history->clone) != then || point_hash(subject, made) != then)
                return "a promotion that was gone on with is not what the clone was";
        return NULL;
}

static const char *case_between(struct subject *subject)
{
        struct history history;

        if (!point_stacks(subject, STORE_BASE))
                return NULL;
        history_begin(&history, subject);
        return history_end(&history, see_between(&history));
}

/* A clone of a clone of a clone …, by bases, until the store says that it is enough; and then once more, flattened. */
#define DEEP 80

static const char *grow_chain(struct history *history, struct store_object *chain, struct cowherd_error *err)
{
        struct subject *subject = history->subject;

        for (size_t i = 0; i < DEEP; i++) {
                history->count = 0;
                struct store_object *made = point_begin(history, STORE_BASE);
                if (subject->driver->snapshot(&subject->place, &history->clone, made, err) < 0) {
                        printf("# after %zu: %s\n", i, err->text);
                        return err->code != COWHERD_UNAVAILABLE || err->hint[0] == '\0' ? "too deep a chain is not refused with 69 and a hint" : NULL;
                }
                chain[i] = *made;
                made->fingerprint = NULL;
                point_seal(history, &chain[i]);
        }
        return "a chain can be as deep as one likes";
}

static const char *see_deep(struct history *history, struct store_object *chain)
{
        struct subject *subject = history->subject;
        struct cowherd_error err;

        mark(subject, &history->clone, 0);
        uint64_t then = hash_object(subject, &history->clone);
        const char *wrong = grow_chain(history, chain, &err);
        if (wrong != NULL)
                return wrong;
        history->count = 0;
        if (hash_object(subject, &history->clone) != then)
                return "at the end of a deep chain the clone is not what it was";
        if (subject->driver->flatten(&subject->place, &history->clone, NULL, NULL, &err) != 0)
                bail("%s: flatten: %s", subject->label, err.text);
        history->clone.base = NULL;
        (void)point_take(history, STORE_BASE);
        return point_hash(subject, &history->made[0]) == then ? NULL : "a deep chain that was flattened is not what it was";
}

static const char *case_deep(struct subject *subject)
{
        static struct store_object chain[DEEP];
        struct history history;

        /* It is the same on every filesystem, and takes its time. */
        if (!point_stacks(subject, STORE_BASE) || !str_equal(file_system_name(subject->place.fd), "ext4"))
                return NULL;
        memset(chain, 0, sizeof chain);
        history_begin(&history, subject);
        const char *wrong = see_deep(&history, chain);
        for (size_t i = 0; wrong == NULL && i < DEEP && chain[i].id != 0; i++) {
                destroy_object(subject, &chain[i]);
                free_base(&chain[i]);
        }
        return history_end(&history, wrong);
}

const struct contract_case contract_point_faults[] = {
        {"a snapshot that is called again finishes", case_repeated, ANY_KIND},
        {"half a copy is no snapshot", case_half, STORE_TREE},
        {"a snapshot that was prepared can be given up", case_cancelled, ANY_KIND},
        {"a kill between the two renames loses nothing", case_between, ANY_KIND},
        {"too deep a chain is refused, and can be flattened", case_deep, ANY_KIND},
};
const size_t contract_point_fault_count = array_length(contract_point_faults);
