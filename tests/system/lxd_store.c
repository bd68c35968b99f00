/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the lxd_pool store and the lxd engine against a real daemon ($LXD_DIR), one callback for each command, for
 * lxd_store.bats. The herd is $HERD (a UUID), the pool $POOL or LXD's default. Failures print the error and exit with
 * its code; results are one line each.
 */
#include "engine/engine.h"
#include "lxd_api/client.h"
#include "store/store.h"
#include "sys/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

extern const struct store_driver cowherd_store_lxd_pool;
extern const struct engine_driver cowherd_engine_lxd;

#define PARALLEL_MAX 64

static struct store_place place = {.fd = -1};
static struct cowherd_error err;

static uint64_t number(const char *text)
{
        return strtoull(text, NULL, 10);
}

static struct store_object object(const char *role, const char *id, const char *name)
{
        return (struct store_object){.id = number(id),
                                     .role = str_equal(role, "base") ? STORE_BASE : STORE_CLONE,
                                     .kind = STORE_INSTANCE,
                                     .name = name};
}

static void on_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
        (void)context;
        (void)fprintf(stderr, "%s %" PRIu64 "/%" PRIu64 "\n", what, done, total);
}

/* import ID NAME IMAGE | import ID NAME METADATA ROOTFS */
static int do_import(char **words)
{
        struct store_object base = object("base", words[0], words[1]);
        struct store_import source = {.image = words[3] == NULL ? words[2] : NULL,
                                      .metadata = words[3] != NULL ? words[2] : NULL,
                                      .rootfs = words[3],
                                      .progress = on_progress};
        struct store_imported imported = {0};
        owned_str char *fingerprint = NULL;

        if (source.rootfs != NULL && source.rootfs[0] == '\0')
                source.rootfs = NULL;
        if (cowherd_store_lxd_pool.import_base(&place, &base, &source, &imported, &err) < 0)
                return -1;
        (void)printf("distro=%s release=%s image=%.12s\n", imported.distro, imported.release, imported.fingerprint);
        free(imported.distro);
        free(imported.release);
        free(imported.description);
        free(imported.fingerprint);
        if (cowherd_store_lxd_pool.seal_base(&place, &base, &fingerprint, &err) < 0)
                return -1;
        (void)printf("fingerprint=%s\n", fingerprint);
        return 0;
}

static int do_check(char **words)
{
        struct store_object base = object("base", words[0], "the-base");

        base.fingerprint = words[1];
        return cowherd_store_lxd_pool.check_base(&place, &base, &err);
}

/* clone BASE ID NAME */
static int do_clone(char **words)
{
        struct store_object base = object("base", words[0], "the-base");
        struct store_object clone = object("clone", words[1], words[2]);
        double began = clock_ms();

        base.fingerprint = getenv("FINGERPRINT");
        clone.base = &base;
        clone.virtual_bytes = getenv("DISK_SIZE") != NULL ? number(getenv("DISK_SIZE")) : 0;
        if (cowherd_store_lxd_pool.clone(&place, &clone, &err) < 0)
                return -1;
        (void)printf("clone_ms=%.1f\n", clock_ms() - began);
        return 0;
}

struct worker {
        pthread_t thread;
        char name[32];
        struct store_object base, clone;
        struct cowherd_error err;
        int rc;
};

static void *work(void *context)
{
        struct worker *worker = context;

        worker->rc = cowherd_store_lxd_pool.clone(&place, &worker->clone, &worker->err);
        return NULL;
}

/* clones BASE FIRST_ID COUNT PREFIX: all at once, a thread each */
static int do_clones(char **words)
{
        static struct worker workers[PARALLEL_MAX];
        size_t count = (size_t)number(words[2]);
        double began = clock_ms();

        count = count > PARALLEL_MAX ? PARALLEL_MAX : count;
        for (size_t i = 0; i < count; i++) {
                struct worker *it = &workers[i];
                (void)snprintf(it->name, sizeof it->name, "%.20s-%zu", words[3], i + 1);
                it->base = object("base", words[0], "the-base");
                it->clone = object("clone", words[1], it->name);
                it->clone.id += i;
                it->base.fingerprint = getenv("FINGERPRINT");
                it->clone.base = &it->base;
                if (pthread_create(&it->thread, NULL, work, it) != 0)
                        abort();
        }
        for (size_t i = 0; i < count; i++) {
                (void)pthread_join(workers[i].thread, NULL);
                if (workers[i].rc < 0)
                        err = workers[i].err;
        }
        (void)printf("count=%zu each_ms=%.1f\n", count, (clock_ms() - began) / (double)count);
        return err.code != 0 ? -1 : 0;
}

/* destroy ROLE ID NAME; an empty name is none */
static int do_destroy(char **words)
{
        struct store_object it = object(words[0], words[1], words[2][0] != '\0' ? words[2] : NULL);

        return cowherd_store_lxd_pool.destroy(&place, &it, &err);
}

/* rename ID NAME NEW */
static int do_rename(char **words)
{
        struct store_object it = object("clone", words[0], words[1]);

        return cowherd_store_lxd_pool.rename(&place, &it, words[2], &err);
}

static struct store_object snapshot_of_clone;

/* A snapshot of a clone; its name may be empty. */
static struct store_object snapshot(const char *id, const char *name, const char *clone, const char *clone_name)
{
        snapshot_of_clone = object("clone", clone, clone_name);
        return (struct store_object){.id = number(id),
                                     .role = STORE_SNAPSHOT,
                                     .kind = STORE_INSTANCE,
                                     .name = name[0] != '\0' ? name : NULL,
                                     .of = clone_name[0] != '\0' ? &snapshot_of_clone : NULL};
}

static int seal(const struct store_object *it)
{
        owned_str char *fingerprint = NULL;

        if (cowherd_store_lxd_pool.seal_base(&place, it, &fingerprint, &err) < 0)
                return -1;
        (void)printf("fingerprint=%s\n", fingerprint);
        return 0;
}

/* snapshot CLONE_ID CLONE_NAME ID NAME */
static int do_snapshot(char **words)
{
        struct store_object clone = object("clone", words[0], words[1]), made = snapshot(words[2], words[3], words[0], words[1]);
        double began = clock_ms();

        if (cowherd_store_lxd_pool.snapshot(&place, &clone, &made, &err) < 0)
                return -1;
        (void)fprintf(stderr, "snapshot_ms=%.1f\n", clock_ms() - began);
        return seal(&made);
}

/* restore CLONE_ID CLONE_NAME ID NAME */
static int do_restore(char **words)
{
        struct store_object clone = object("clone", words[0], words[1]), from = snapshot(words[2], words[3], words[0], words[1]);

        return cowherd_store_lxd_pool.restore(&place, &clone, &from, &err);
}

/* promote CLONE_ID CLONE_NAME ID NAME */
static int do_promote(char **words)
{
        struct store_object clone = object("clone", words[0], words[1]), made = object("base", words[2], words[3]);
        double began = clock_ms();

        if (cowherd_store_lxd_pool.snapshot(&place, &clone, &made, &err) < 0)
                return -1;
        (void)fprintf(stderr, "promote_ms=%.1f\n", clock_ms() - began);
        return seal(&made);
}

/* clone-snapshot CLONE_ID CLONE_NAME SNAPSHOT_ID SNAPSHOT ID NAME: a clone of a clone */
static int do_clone_snapshot(char **words)
{
        struct store_object base = snapshot(words[2], words[3], words[0], words[1]);
        struct store_object clone = object("clone", words[4], words[5]);

        clone.base = &base;
        return cowherd_store_lxd_pool.clone(&place, &clone, &err);
}

/* drop ID NAME CLONE_ID CLONE_NAME: a snapshot; the clone's name may be empty */
static int do_drop(char **words)
{
        struct store_object it = snapshot(words[0], words[1], words[2], words[3]);

        return cowherd_store_lxd_pool.destroy(&place, &it, &err);
}

/* usage-snapshot ID NAME CLONE_ID CLONE_NAME */
static int do_usage_snapshot(char **words)
{
        struct store_object it = snapshot(words[0], words[1], words[2], words[3]);
        struct store_usage usage = {0};

        if (cowherd_store_lxd_pool.usage(&place, &it, &usage, &err) < 0)
                return -1;
        (void)printf("missing=%d unique=%" PRIu64 " shared=%" PRIu64 "\n", usage.missing, usage.unique_bytes, usage.shared_bytes);
        return 0;
}

/* check-snapshot ID NAME CLONE_ID CLONE_NAME FINGERPRINT */
static int do_check_snapshot(char **words)
{
        struct store_object it = snapshot(words[0], words[1], words[2], words[3]);

        it.fingerprint = words[4];
        return cowherd_store_lxd_pool.check_base(&place, &it, &err);
}

/* usage ROLE ID NAME */
static int do_usage(char **words)
{
        struct store_object it = object(words[0], words[1], words[2]);
        struct store_usage usage = {0};
        double began = clock_ms();

        if (cowherd_store_lxd_pool.usage(&place, &it, &usage, &err) < 0)
                return -1;
        (void)printf("missing=%d unique=%" PRIu64 " shared=%" PRIu64 " apparent=%" PRIu64 "\n", usage.missing,
                     usage.unique_bytes, usage.shared_bytes, usage.apparent_bytes);
        (void)fprintf(stderr, "usage_ms=%.1f\n", clock_ms() - began);
        return 0;
}

/* list ROLE */
static int do_list(char **words)
{
        owned_strv struct strv ids = {0};

        if (cowherd_store_lxd_pool.list_ids(&place, str_equal(words[0], "base")       ? STORE_BASE
                                            : str_equal(words[0], "snapshot") ? STORE_SNAPSHOT
                                                                              : STORE_CLONE,
                                            &ids, &err) < 0)
                return -1;
        for (size_t i = 0; i < ids.count; i++)
                (void)puts(ids.items[i]);
        return 0;
}

/* states ID NAME [ID NAME …] */
static int do_states(char **words)
{
        struct engine_instance instances[PARALLEL_MAX];
        enum engine_state states[PARALLEL_MAX];
        size_t count = 0;

        for (; words[2 * count] != NULL && count < PARALLEL_MAX; count++)
                instances[count] = (struct engine_instance){.id = number(words[2 * count]),
                                                            .name = words[2 * count + 1],
                                                            .folder = -1,
                                                            .herd_uuid = place.herd_uuid};
        double began = clock_ms();
        if (cowherd_engine_lxd.states(instances, count, states, &err) < 0)
                return -1;
        (void)fprintf(stderr, "states_ms=%.2f\n", clock_ms() - began);
        static const char *const names[] = {"unknown", "stopped", "running", "paused", "missing"};
        for (size_t i = 0; i < count; i++)
                (void)printf("%s %s\n", instances[i].name, names[states[i]]);
        return 0;
}

static int do_probe(char **words)
{
        struct engine_probe engine;
        struct store_probe store;

        (void)words;
        if (cowherd_engine_lxd.probe(&engine, &err) < 0 ||
            cowherd_store_lxd_pool.probe(&place, STORE_INSTANCE, &store, &err) < 0)
                return -1;
        (void)printf("available=%d version=%s reason=%s hint=%s\n", engine.available, engine.version, engine.reason,
                     engine.hint);
        (void)printf("usable=%d detail=%s reason=%s\n", store.usable, store.detail, store.reason);
        return 0;
}

/* setup [POOL [DRIVER [SIZE]]]; empty is not given */
static int do_setup(char **words)
{
        struct store_setup setup = {.root = "/nonexistent", .herd_uuid = place.herd_uuid};
        struct store_made made = {0};

        if (words[0] != NULL && words[0][0] != '\0')
                setup.pool = words[0];
        if (words[0] != NULL && words[1] != NULL && words[1][0] != '\0')
                setup.pool_driver = words[1];
        if (words[0] != NULL && words[1] != NULL && words[2] != NULL)
                setup.size_bytes = number(words[2]);
        if (cowherd_store_lxd_pool.setup(&setup, &made, &err) < 0)
                return -1;
        (void)printf("pool=%s ours=%d\n", made.source, made.ours);
        free(made.source);
        return 0;
}

/* teardown POOL */
static int do_teardown(char **words)
{
        struct store_setup setup = {.root = "/nonexistent", .herd_uuid = place.herd_uuid};
        struct store_made made = {.source = words[0], .ours = true};

        return cowherd_store_lxd_pool.teardown(&setup, &made, &err);
}

static const struct {
        const char *name;
        int least;
        int (*run)(char **words);
} commands[] = {
        {"import", 3, do_import},   {"check", 2, do_check},   {"clone", 3, do_clone}, {"clones", 4, do_clones},
        {"destroy", 3, do_destroy}, {"rename", 3, do_rename}, {"usage", 3, do_usage}, {"list", 1, do_list},
        {"snapshot", 4, do_snapshot}, {"restore", 4, do_restore}, {"promote", 4, do_promote}, {"drop", 4, do_drop},
        {"clone-snapshot", 6, do_clone_snapshot}, {"usage-snapshot", 4, do_usage_snapshot}, {"check-snapshot", 5, do_check_snapshot},
        {"states", 2, do_states},   {"probe", 0, do_probe},   {"setup", 0, do_setup}, {"teardown", 1, do_teardown},
};

int main(int count, char **words)
{
        place.herd_uuid = getenv("HERD");
        place.source = getenv("POOL");
        for (size_t i = 0; count > 1 && place.herd_uuid != NULL && i < array_length(commands); i++) {
                if (!str_equal(commands[i].name, words[1]) || count - 2 < commands[i].least)
                        continue;
                if (commands[i].run(words + 2) == 0)
                        return 0;
                (void)printf("error: %s\nhint: %s\n", err.text, err.hint);
                return err.code;
        }
        (void)fprintf(stderr, "usage: HERD=UUID lxd-store-check COMMAND WORDS…\n");
        return COWHERD_USAGE;
}
