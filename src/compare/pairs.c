/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pairs of engine and store there are, which of them work in this folder, and why not the others; then each of those that are wanted is
 * given a base of its own and measured. One that breaks is left alone; the others go on.
 */
#include "compare/pair.h"

#include "sys/file.h"
#include "sys/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POOL_OVERHEAD (1ull << 30) /* of a pool, besides what is put in */

static const struct kind {
        enum cowherd_target target;
        const char *store, *technology, *granularity;
} kinds[] = {
        {COWHERD_QEMU, "qcow2", "qcow2 overlay on a backing file", "64 KiB clusters"},
        {COWHERD_QEMU, "reflink", "shared extents (FICLONE)", "filesystem blocks"},
        {COWHERD_QEMU, "copy", "a full copy", "nothing is shared"},
        {COWHERD_LXD, "lxd_pool", "LXD's copy of a snapshot in its pool", "as its driver has it"},
        {COWHERD_NSPAWN, "btrfs", "btrfs snapshot of a subvolume", "4 KiB blocks"},
        {COWHERD_NSPAWN, "zfs", "ZFS clone of a snapshot", "records of up to 128 KiB"},
        {COWHERD_NSPAWN, "overlay", "overlayfs: layers, mounted when used", "whole files"},
        {COWHERD_NSPAWN, "reflink", "shared extents of every file (FICLONE)", "filesystem blocks"},
        {COWHERD_NSPAWN, "hardlink", "a farm of hard links below an overlay", "whole files"},
        {COWHERD_NSPAWN, "copy", "a full copy", "nothing is shared"},
};

/* What is known of a pair before it is measured. */
struct found {
        bool works;
        char *reason, *detail, *command, *pool;
};

/* ---- why not, and what to do ---- */

/* The reason that status gives for a store: "name: reason; name: reason". To be freed, or NULL. */
static char *reason_in(const char *refused, const char *store)
{
        owned_str char *wanted = x_asprintf("%s: ", store);

        for (const char *at = refused; at != NULL && (at = strstr(at, wanted)) != NULL; at++) {
                if (at != refused && !str_starts(at - 2, "; "))
                        continue;
                const char *begin = at + strlen(wanted), *end = begin + strlen(begin);
                for (size_t i = 0; i < array_length(kinds); i++) {
                        owned_str char *next = x_asprintf("; %s: ", kinds[i].store);
                        const char *other = strstr(begin, next);
                        end = other != NULL && other < end ? other : end;
                }
                return x_strndup(begin, (size_t)(end - begin));
        }
        return NULL;
}

/* The one command that would make a store work. */
static const char *command_for(const struct kind *kind)
{
        if (geteuid() != 0 && kind->target == COWHERD_NSPAWN)
                return "sudo cowherd compare";
        if (str_equal(kind->store, "btrfs"))
                return process_exists("mkfs.btrfs") ? "cowherd nspawn setup store=btrfs size=20G" : "apt install btrfs-progs";
        if (str_equal(kind->store, "zfs"))
                return process_exists("zpool") ? "zpool create tank DISK" : "apt install zfsutils-linux";
        if (str_equal(kind->store, "reflink"))
                return "cowherd --root DIR compare, DIR being on XFS or btrfs";
        return NULL;
}

/* ---- finding out ---- */

/* The first ZFS pool there is, to be freed, or NULL. */
static char *find_zpool(void)
{
        owned_str char *names = NULL;
        struct cowherd_error ignored;

        if (!process_exists("zpool") || tool(NULL, &names, &ignored, "zpool", "list", "-H", "-o", "name", NULL) < 0 || names[0] == '\0')
                return NULL;
        return x_strndup(names, strcspn(names, "\n"));
}

/* A pool that is to be set up first. */
static void try_setup(struct session *session, const struct kind *kind, const struct image *image, struct found *found)
{
        struct cowherd_error err = {0};
        unsigned long long bytes = (image->bytes * 4 + POOL_OVERHEAD) >> 20;
        const char *pool = NULL;

        if (str_equal(kind->store, "zfs")) {
                found->pool = find_zpool();
                if (found->pool == NULL) {
                        found->reason = x_strdup(process_exists("zpool") ? "there is no ZFS pool, or nobody answers for it" : "ZFS is not installed");
                        return;
                }
                pool = word("pool=%s", found->pool);
        } else {
                pool = word("size=%lluM", bytes);
        }
        found->works = say(session->herd, kind->target, NULL, NULL, &err, "setup", word("store=%s", kind->store), pool, NULL) == 0;
        if (!found->works)
                found->reason = x_strdup(err.text);
}

static void find_out(struct session *session, const struct kind *kind, const struct cowherd_answer *status, const struct image *image, bool wanted, struct found *found)
{
        bool available = answer_value(status, "available") != 0, pool = str_equal(kind->store, "btrfs") || str_equal(kind->store, "zfs");
        const char *reason = cowherd_answer_get(status, "reason"), *advice = cowherd_answer_get(status, "advice");

        found->works = available && str_in_words(cowherd_answer_get(status, "stores"), kind->store);
        if (!available) {
                found->reason = x_strdup(str_is_empty(reason) ? "the engine can't be used here" : reason);
                found->command = x_strdup(advice);
                return;
        }
        if (str_equal(kind->store, cowherd_answer_get(status, "store")))
                found->detail = x_strdup(cowherd_answer_get(status, "store_detail"));
        if (!found->works && pool && wanted)
                try_setup(session, kind, image, found);
        if (found->works)
                return;
        if (found->reason == NULL)
                found->reason = reason_in(cowherd_answer_get(status, "stores_refused"), kind->store);
        if (found->reason == NULL)
                found->reason = x_strdup("it does not work here");
        found->command = x_strdup(command_for(kind));
}

/* What is said of the folder that is measured in is meant of the caller's: that one is gone soon. */
static void name_root(const struct session *session, char **text)
{
        char *at = *text == NULL ? NULL : strstr(*text, session->site->folder);

        if (at == NULL)
                return;
        char *named = x_asprintf("%.*s%s%s", (int)(at - *text), *text, session->site->root, at + strlen(session->site->folder));
        free(*text);
        *text = named;
}

static void add_row(struct session *session, const struct kind *kind, struct found *found)
{
        name_root(session, &found->reason);
        name_root(session, &found->detail);
        json_t *row = json_pack("{s:s, s:s, s:b, s:s, s:s}", "engine", cowherd_target_name(kind->target), "store", kind->store, "works", found->works, "technology",
                                kind->technology, "granularity", kind->granularity);
        const char *texts[][2] = {{"detail", found->detail}, {"reason", found->reason}, {"command", found->command}};

        for (size_t i = 0; i < array_length(texts); i++)
                if (texts[i][1] != NULL)
                        json_object_set_new(row, texts[i][0], json_stringn_nocheck(texts[i][1], strlen(texts[i][1])));
        json_array_append_new(json_object_get(session->document, "rows"), row);
}

static void add_setup(struct session *session, const char *engine, const char *what, const char *state, const char *detail, const char *command)
{
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s}", "engine", engine, "what", what, "state", state, "detail", detail == NULL ? "" : detail);

        json_object_set_new(entry, "command", command == NULL ? json_null() : json_stringn_nocheck(command, strlen(command)));
        json_array_append_new(json_object_get(session->document, "setup"), entry);
}

/* ---- measuring ---- */

static char *zfs_snapshot_of(struct pair *pair, const char *id)
{
        owned_str char *names = NULL, *wanted = x_asprintf("/bases/%s@", id);
        struct cowherd_error ignored;
        char *rest = NULL;

        if (tool(NULL, &names, &ignored, "zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-r", pair->pool, NULL) < 0)
                return NULL;
        for (const char *name = strtok_r(names, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest))
                if (strstr(name, "/cowherd-") != NULL && strstr(name, wanted) != NULL)
                        return x_strdup(name);
        return NULL;
}

/* The snapshot that our clones are made of. Its name has the herd's number in it, which a clone is tagged with in LXD. */
static char *lxd_snapshot_of(const struct pair *pair, const char *id)
{
        owned_str char *name = x_asprintf("%s-u", pair->session->site->mark), *uuid = NULL;
        const char *lxc = tool_of_lxd(), *key = word("name=%s", name);
        struct cowherd_error ignored;

        if (lxc == NULL || say(pair->session->herd, pair->target, NULL, NULL, &ignored, "clone_from_base", word("base=%s", pair->base), key, NULL) < 0)
                return NULL;
        int got = tool(NULL, &uuid, &ignored, lxc, "config", "get", name, "user.cowherd.herd", NULL);
        if (say(pair->session->herd, pair->target, NULL, NULL, &ignored, "delete", key, "force=true", NULL) < 0 || got < 0)
                return NULL;
        return x_asprintf("cowherd-%.8s-b%s/base", uuid, id);
}

static int register_base(struct pair *pair, struct cowherd_error *err)
{
        owned_answer struct cowherd_answer *answer = NULL;
        const struct image *image = pair->image;
        const char *path, *memory = image->memory_bytes == 0 ? NULL : word("memory=%lluM", (unsigned long long)(image->memory_bytes >> 20));

        if (say(pair->session->herd, pair->target, NULL, &answer, err, "register_base", word("name=%s", pair->base), word("%s=%s", image->word, image->path),
                word("store=%s", pair->store), memory, NULL) < 0)
                return -1;
        path = cowherd_answer_get(answer, "path");
        pair->base_bytes = (uint64_t)answer_value(answer, "size_bytes");
        pair->base_path = pair->target == COWHERD_LXD ? NULL : x_strdup(path);
        if (pair->target == COWHERD_LXD && (pair->source = lxd_snapshot_of(pair, cowherd_answer_get(answer, "id"))) == NULL)
                pair->raw = NULL;
        if (str_equal(pair->store, "zfs") && (pair->source = zfs_snapshot_of(pair, cowherd_answer_get(answer, "id"))) == NULL)
                pair->raw = NULL;
        return 0;
}

void pair_measure(struct pair *pair)
{
        struct cowherd_error err = {0};

        session_step(pair->session, pair->engine, pair->store, "registering the base", 2);
        if (register_base(pair, &err) < 0) {
                note_failed(pair, "base", &err);
                return;
        }
        pair_measure_clones(pair);
        if (!pair->broken)
                pair_measure_life(pair);
        if (!pair->broken && say(pair->session->herd, pair->target, NULL, NULL, &err, "remove_base", word("name=%s", pair->base), NULL) < 0)
                note_failed(pair, "base", &err);
}

bool pair_is_wanted(const struct compare_options *options, const char *engine, const char *store, const char *first)
{
        if (options->engine != NULL && !str_equal_case(options->engine, engine))
                return false;
        if (options->store != NULL)
                return str_equal_case(options->store, store);
        return !options->quick || str_equal(store, first) || str_equal(store, "overlay");
}

static void measure(struct session *session, const struct kind *kind, const struct images *images, struct found *found)
{
        struct pair pair = {.session = session, .target = kind->target, .engine = cowherd_target_name(kind->target), .store = kind->store,
                            .image = image_of(images, kind->target), .raw = raw_of(kind->target, kind->store), .pool = take(found->pool)};

        pair.base = x_asprintf("base-%s", session->site->mark);
        pair_measure(&pair);
        free(pair.base);
        free(pair.base_path);
        free(pair.source);
        free(pair.pool);
}

/* How many seconds a pair takes, about. */
static double guess_of(enum cowherd_target target, bool quick)
{
        return target == COWHERD_QEMU ? (quick ? 25 : 150) : (quick ? 8 : 90);
}

/* Where an embedded pool can be made, a tree's first choice is that. */
static const char *first_choice(enum cowherd_target target, const char *store)
{
        return target == COWHERD_NSPAWN && process_exists("mkfs.btrfs") ? "btrfs" : store;
}

/* One pair: whether it works, and if so its figures. */
static void take_pair(struct session *session, const struct kind *kind, const struct cowherd_answer *status, const struct images *images)
{
        const char *engine = cowherd_target_name(kind->target), *store = cowherd_answer_get(status, "store");
        bool wanted = pair_is_wanted(session->options, engine, kind->store, first_choice(kind->target, store));
        const struct image *image = image_of(images, kind->target);
        struct found found = {0};

        find_out(session, kind, status, image, wanted && image->path != NULL, &found);
        add_row(session, kind, &found);
        if (!found.works) {
                add_setup(session, engine, word("store %s", kind->store), "missing", found.reason, found.command);
        } else {
                struct pair pair = {.session = session, .engine = engine, .store = kind->store};
                add_setup(session, engine, word("store %s", kind->store), "ready", found.detail, NULL);
                if (!wanted)
                        note_left_out(&pair, "all", session->options->quick && session->options->store == NULL && session->options->engine == NULL ? "a quick run takes the first choice of each engine, and the overlay" : "it was not asked for");
                else if (image->path == NULL)
                        note_left_out(&pair, "all", "there is nothing to clone: qemu-img is not installed to make an empty disk");
                else
                        measure(session, kind, images, &found);
        }
        if (wanted)
                session_pair_ended(session, guess_of(kind->target, session->options->quick));
        free(found.reason);
        free(found.detail);
        free(found.command);
        free(found.pool);
}

static int take_engine(struct session *session, enum cowherd_target target, const struct images *images, struct cowherd_error *err)
{
        owned_answer struct cowherd_answer *status = NULL;
        const char *engine = cowherd_target_name(target);

        if (say(session->herd, target, NULL, &status, err, "status", NULL) < 0)
                return -1;
        bool available = answer_value(status, "available") != 0;
        add_setup(session, engine, "engine", available ? "ready" : "missing", cowherd_answer_get(status, available ? "version" : "reason"), cowherd_answer_get(status, "advice"));
        if (target == COWHERD_QEMU)
                (void)snprintf(session->acceleration, sizeof session->acceleration, "%s", cowherd_answer_get(status, "acceleration") == NULL ? "" : cowherd_answer_get(status, "acceleration"));
        for (size_t i = 0; i < array_length(kinds); i++)
                if (kinds[i].target == target)
                        take_pair(session, &kinds[i], status, images);
        return 0;
}

int pairs_measure_all(struct session *session, const struct images *images, struct cowherd_error *err)
{
        static const char *const usual[COWHERD_ENGINES] = {[COWHERD_QEMU] = "qcow2", [COWHERD_LXD] = "lxd_pool", [COWHERD_NSPAWN] = "overlay"};

        for (size_t i = 0; i < array_length(kinds); i++)
                if (pair_is_wanted(session->options, cowherd_target_name(kinds[i].target), kinds[i].store, first_choice(kinds[i].target, usual[kinds[i].target])))
                        session->planned += guess_of(kinds[i].target, session->options->quick);
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if ((session->options->engine == NULL || str_equal_case(session->options->engine, cowherd_target_name((enum cowherd_target)target))) &&
                    take_engine(session, (enum cowherd_target)target, images, err) < 0)
                        return -1;
        return 0;
}
