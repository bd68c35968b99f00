/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each pair of engine and store that works and is wanted is given a base of its own and measured. One that breaks is left alone; the others
 * go on.
 */
#include "compare/stores.h"

#include "sys/process.h"

#include <stdio.h>
#include <string.h>

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
        bool lives = !pair->broken && pair_measure_life(pair);
        if (lives && !pair->broken && !pair->session->options->quick && pair->target == COWHERD_NSPAWN)
                pair_measure_jobs(pair);
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

/* One that works: measured, or why it isn't. */
static void measure_or_leave(struct session *session, const struct kind *kind, const struct images *images, bool wanted, struct found *found)
{
        const struct compare_options *options = session->options;
        struct pair pair = {.session = session, .engine = cowherd_target_name(kind->target), .store = kind->store};
        bool by_itself = options->quick && options->store == NULL;

        if (!wanted)
                note_left_out(&pair, "all", by_itself ? "a quick run takes the first choice of each engine, and the overlay" : "it was not asked for");
        else if (image_of(images, kind->target)->path == NULL)
                note_left_out(&pair, "all", "there is nothing to clone: qemu-img is not installed to make an empty disk");
        else
                measure(session, kind, images, found);
}

/* One pair: whether it works, and if so its figures. */
static void take_pair(struct session *session, const struct kind *kind, const struct cowherd_answer *status, const struct images *images)
{
        const char *engine = cowherd_target_name(kind->target);
        bool wanted = pair_is_wanted(session->options, engine, kind->store, first_choice(kind->target, cowherd_answer_get(status, "store")));
        const struct image *image = image_of(images, kind->target);
        struct found found owned_by(found_free) = {0};
        owned_str char *what = x_asprintf("store %s", kind->store);

        store_find_out(session, kind, status, image, wanted && image->path != NULL, &found);
        store_add_row(session, kind, &found);
        if (answer_value(status, "available") != 0) /* else the engine's line says all */
                setup_add(session, engine, what, found.works ? "ready" : "missing", found.works ? found.detail : found.reason, found.works ? NULL : found.command);
        if (found.works)
                measure_or_leave(session, kind, images, wanted, &found);
        if (wanted)
                session_pair_ended(session, guess_of(kind->target, session->options->quick));
}

static int take_engine(struct session *session, enum cowherd_target target, const struct images *images, struct cowherd_error *err)
{
        owned_answer struct cowherd_answer *status = NULL;
        const char *engine = cowherd_target_name(target);

        if (say(session->herd, target, NULL, &status, err, "status", NULL) < 0)
                return -1;
        bool available = answer_value(status, "available") != 0;
        setup_add(session, engine, "engine", available ? "ready" : "missing", cowherd_answer_get(status, available ? "version" : "reason"), cowherd_answer_get(status, "advice"));
        if (target == COWHERD_QEMU && cowherd_answer_get(status, "acceleration") != NULL)
                (void)snprintf(session->acceleration, sizeof session->acceleration, "%s", cowherd_answer_get(status, "acceleration"));
        for (size_t i = 0; kind_at(i) != NULL; i++)
                if (kind_at(i)->target == target)
                        take_pair(session, kind_at(i), status, images);
        return 0;
}

/* How many seconds it all will take, about. */
static double guess_all(const struct compare_options *options)
{
        static const char *const usual[COWHERD_ENGINES] = {[COWHERD_QEMU] = "qcow2", [COWHERD_LXD] = "lxd_pool", [COWHERD_NSPAWN] = "overlay"};
        double seconds = 0;

        for (size_t i = 0; kind_at(i) != NULL; i++) {
                enum cowherd_target target = kind_at(i)->target;
                if (pair_is_wanted(options, cowherd_target_name(target), kind_at(i)->store, first_choice(target, usual[target])))
                        seconds += guess_of(target, options->quick);
        }
        return seconds;
}

int pairs_measure_all(struct session *session, const struct images *images, struct cowherd_error *err)
{
        session->planned = guess_all(session->options);
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if ((session->options->engine == NULL || str_equal_case(session->options->engine, cowherd_target_name((enum cowherd_target)target))) &&
                    take_engine(session, (enum cowherd_target)target, images, err) < 0)
                        return -1;
        return 0;
}
