/* SPDX-License-Identifier: Apache-2.0 */
/* What every store promises while all goes well. Each case makes its own objects and takes them away again. */
#include "subject.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is(const struct subject *subject, const char *name)
{
        return str_equal(subject->driver->name, name);
}

static const char *case_probe(struct subject *subject)
{
        owned_str char *before = list_place(subject);
        struct store_probe probe;
        struct cowherd_error err;

        if (subject->driver->probe(&subject->place, subject->kind, &probe, &err) < 0)
                return "the probe failed";
        if (!probe.usable) {
                printf("# %s\n", probe.reason);
                return "the probe says that the store is not usable";
        }
        if (probe.detail[0] == '\0' || probe.reason[0] != '\0')
                return "a usable store has a detail and no reason";
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0)
                return "the probe left something behind";
        if (subject->driver->probe(&subject->place, STORE_INSTANCE, &probe, &err) < 0 || probe.usable ||
            probe.reason[0] == '\0')
                return "a kind that the store does not keep has no reason";
        return NULL;
}

static const char *compare_clones(struct subject *subject, const struct store_object *base, uint64_t golden)
{
        struct store_object one = make_clone(subject, base), two = make_clone(subject, base);

        if (hash_object(subject, &one) != golden || hash_object(subject, &two) != golden)
                return "a new clone differs from its base";
        change_object(subject, &one);
        uint64_t changed = hash_object(subject, &one);
        if (changed == golden)
                return "what was written to a clone is not there";
        if (hash_object(subject, base) != golden)
                return "writing to a clone changed its base";
        if (hash_object(subject, &two) != golden)
                return "writing to a clone changed another clone";
        change_object(subject, &two);
        if (hash_object(subject, &one) != changed)
                return "writing to a clone changed the one before";
        struct store_object three = make_clone(subject, base);
        if (hash_object(subject, &three) != golden)
                return "a clone made later differs from the base";
        destroy_object(subject, &one);
        if (hash_object(subject, &three) != golden || hash_object(subject, base) != golden)
                return "removing a clone changed what is left";
        destroy_object(subject, &two);
        destroy_object(subject, &three);
        return NULL;
}

static const char *case_isolation(struct subject *subject)
{
        owned_str char *before = list_place(subject);
        struct store_object base = make_base(subject);

        const char *wrong = compare_clones(subject, &base, hash_object(subject, &base));
        if (wrong != NULL)
                return wrong;
        destroy_object(subject, &base);
        free_base(&base);
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "destroying all of it left something behind";
        }
        return NULL;
}

/* A clone's own files where it was not written to: read alone, without the rest. */
static const char *case_unwritten(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        owned_str char *base_tree = open_object(subject, &base), *kept = x_asprintf("%s/usr/share/kept", base_tree);
        uint64_t hash = file_hash(kept);

        close_object(subject, &base);
        change_object(subject, &clone);
        owned_str char *tree = open_object(subject, &clone), *clone_kept = x_asprintf("%s/usr/share/kept", tree);
        if (file_hash(clone_kept) != hash)
                return "a file that was not written to differs from the base's";
        close_object(subject, &clone);
        destroy_object(subject, &clone);
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

#define SLACK_BYTES (512u << 10)

static const char *judge_usage(struct subject *subject, const struct store_object *clone,
                               const struct store_usage *fresh)
{
        bool copies = is(subject, "copy");

        if (fresh->missing)
                return "a clone that is there is told as missing";
        if (!copies && fresh->unique_bytes > SLACK_BYTES)
                return "a new clone has more bytes of its own than it should";
        if (!copies && fresh->shared_bytes < SAMPLE_BYTES)
                return "a new clone does not tell what it shares";
        if (copies && fresh->unique_bytes + fresh->shared_bytes < SAMPLE_BYTES)
                return "a copy does not tell its bytes";
        owned_str char *path = open_object(subject, clone);
        if (subject->kind == STORE_TREE)
                tree_write(path, "usr/share/written");
        else
                disk_write(path, clone->format);
        sync();
        struct store_usage written = usage_of(subject, clone);
        close_object(subject, clone);
        uint64_t grown = written.unique_bytes - fresh->unique_bytes;
        printf("# %s: unique %llu, shared %llu; grown by %llu\n", subject->label,
               (unsigned long long)fresh->unique_bytes, (unsigned long long)fresh->shared_bytes,
               (unsigned long long)grown);
        /* What is written over a copy's own blocks takes none that are new. */
        if (!(copies && subject->kind == STORE_DISK) && (grown < WRITTEN_BYTES || grown > WRITTEN_BYTES + SLACK_BYTES))
                return "writing a MiB did not make about a MiB unique";
        return NULL;
}

static const char *case_usage(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);

        sync();
        struct store_usage of_base = usage_of(subject, &base), fresh = usage_of(subject, &clone);
        printf("# %s: base unique %llu, shared %llu\n", subject->label, (unsigned long long)of_base.unique_bytes,
               (unsigned long long)of_base.shared_bytes);
        if (of_base.unique_bytes < SAMPLE_BYTES)
                return "a base does not tell its bytes";
        const char *wrong = judge_usage(subject, &clone, &fresh);
        if (wrong != NULL)
                return wrong;
        destroy_object(subject, &clone);
        if (!usage_of(subject, &clone).missing)
                return "a clone that is gone is not told as missing";
        destroy_object(subject, &base);
        if (!usage_of(subject, &base).missing)
                return "a base that is gone is not told as missing";
        free_base(&base);
        return NULL;
}

static bool lists(struct subject *subject, const struct store_object *object)
{
        owned_strv struct strv ids = {0};
        struct cowherd_error err;
        char text[32];

        if (subject->driver->list_ids(&subject->place, object->role, &ids, &err) < 0)
                bail("%s: list_ids: %s", subject->label, err.text);
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)object->id);
        return strv_has(&ids, text);
}

static const char *case_list(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        owned_strv struct strv ids = {0};
        struct cowherd_error err;
        owned_str char *stranger = x_asprintf("%s/clones/not-an-id", subject->place.folder);

        (void)run_tool(false, "mkdir", "-p", stranger, NULL);
        if (!lists(subject, &base) || !lists(subject, &clone))
                return "an object that is there is not listed";
        if (subject->driver->list_ids(&subject->place, STORE_CLONE, &ids, &err) < 0 || strv_has(&ids, "not-an-id"))
                return "a folder that is no id is listed";
        (void)run_tool(false, "rmdir", stranger, NULL);
        destroy_object(subject, &clone);
        if (lists(subject, &clone))
                return "a clone that is gone is listed";
        destroy_object(subject, &base);
        if (lists(subject, &base))
                return "a base that is gone is listed";
        free_base(&base);
        return NULL;
}

static const char *case_idempotent(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);

        free(open_object(subject, &clone));
        free(open_object(subject, &clone)); /* twice is once */
        close_object(subject, &clone);
        close_object(subject, &clone);
        destroy_object(subject, &clone);
        destroy_object(subject, &clone);
        destroy_object(subject, &base);
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

static const char *case_durable(struct subject *subject)
{
        subject->place.durable = true;
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        uint64_t golden = hash_object(subject, &base);

        if (hash_object(subject, &clone) != golden)
                return "a durable clone differs from its base";
        destroy_object(subject, &clone);
        destroy_object(subject, &base);
        free_base(&base);
        subject->place.durable = false;
        return NULL;
}

#define THREADS 8
#define CLONES_EACH 4

struct worker {
        struct subject *subject;
        const struct store_object *base;
        struct store_object clones[CLONES_EACH];
        struct cowherd_error err;
        int failed;
        pthread_t thread;
};

static void *work(void *argument)
{
        struct worker *worker = argument;
        const struct store_driver *driver = worker->subject->driver;

        for (size_t i = 0; i < CLONES_EACH && worker->failed == 0; i++)
                worker->failed = driver->clone(&worker->subject->place, &worker->clones[i], &worker->err);
        return NULL;
}

static const char *check_workers(struct subject *subject, struct worker *workers, uint64_t golden)
{
        const char *wrong = NULL;

        for (size_t i = 0; i < THREADS; i++) {
                (void)pthread_join(workers[i].thread, NULL);
                if (workers[i].failed != 0) {
                        printf("# %s\n", workers[i].err.text);
                        wrong = "a clone made beside others failed";
                }
        }
        for (size_t i = 0; i < THREADS && wrong == NULL; i++)
                if (hash_object(subject, &workers[i].clones[0]) != golden)
                        wrong = "a clone made beside others differs from the base";
        for (size_t i = 0; i < THREADS; i++)
                for (size_t j = 0; j < CLONES_EACH; j++)
                        destroy_object(subject, &workers[i].clones[j]);
        return wrong;
}

static const char *case_parallel(struct subject *subject)
{
        struct worker workers[THREADS] = {0};
        struct store_object base = make_base(subject);
        uint64_t golden = hash_object(subject, &base);

        for (size_t i = 0; i < THREADS; i++) {
                workers[i].subject = subject;
                for (size_t j = 0; j < CLONES_EACH; j++)
                        workers[i].clones[j] = object_of(subject, STORE_CLONE, &base);
        }
        for (size_t i = 0; i < THREADS; i++)
                if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
                        bail("cannot start a thread");
        const char *wrong = check_workers(subject, workers, golden);
        destroy_object(subject, &base);
        free_base(&base);
        return wrong;
}

/* A disk may be larger than its base's. */
static const char *case_growth(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = object_of(subject, STORE_CLONE, &base);
        struct cowherd_error err;

        clone.virtual_bytes = 2 * DISK_BYTES;
        if (subject->driver->clone(&subject->place, &clone, &err) < 0)
                bail("%s: clone: %s", subject->label, err.text);
        owned_str char *path = open_object(subject, &clone);
        if (!run_tool(true, "qemu-io", "-f", clone.format, "-c", "write -q 31M 1M", path, NULL))
                return "the second half of a grown disk can't be written";
        destroy_object(subject, &clone);
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

const struct contract_case contract_cases[] = {
        {"probe tells the truth and leaves nothing", case_probe, ANY_KIND},
        {"a clone differs from its base only where it was written", case_isolation, ANY_KIND},
        {"what was not written stays the base's", case_unwritten, STORE_TREE},
        {"usage tells unique and shared bytes", case_usage, ANY_KIND},
        {"all objects are listed, strangers are not", case_list, ANY_KIND},
        {"activate, deactivate and destroy can be repeated", case_idempotent, ANY_KIND},
        {"durable objects are the same", case_durable, ANY_KIND},
        {"clones made side by side are whole", case_parallel, ANY_KIND},
        {"a disk grows", case_growth, STORE_DISK},
};
const size_t contract_case_count = array_length(contract_cases);
