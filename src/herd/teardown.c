/* SPDX-License-Identifier: Apache-2.0 */
/*
 * teardown: what setup made goes again, and only that: the choice of a store, its place if nothing lies in it (written down as unfinished first,
 * see places.c), and the root folder once no engine has anything in it. The catalogue goes last of all, so that what a kill leaves is
 * still a herd; where there is none, what a kill in its making or removing left is swept. While a comparison runs nothing is undone: it
 * works in the root folder.
 */
#include "herd/machine.h"
#include "herd/warm.h"

#include "compare/compare.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Undoes a place that setup made; 75 while anything lies in it. */
static int remove_place(const struct places_lock *lock, const struct catalogue_place *place, struct cowherd_error *err)
{
        struct cowherd_herd *herd = lock->herd;
        const char *name = place->name;
        struct cowherd_error ignored;
        bool used = false;

        if (catalogue_place_in_use(herd->catalogue, name, &used, err) < 0)
                return -1;
        if (used) {
                (void)fail(err, COWHERD_BUSY, "the pool of store '%s' is in use", name);
                return fail_hint(err, "delete its clones and remove its bases first");
        }
        if (place->ours && place_write_unfinished(herd, place, err) < 0)
                return -1;
        if (place_undo(lock, place, err) == 0)
                return 0;
        /* It is what it was; or some of it is gone, and it stays unfinished: then setup, teardown and cleanup go on with it. */
        if (place->ours && !place_is_gone(herd, place))
                ignore_result(catalogue_put_place(herd->catalogue, place, &ignored));
        return -1;
}

/* Undoes the places of all stores that keep what an engine runs, or of the one that was said. */
static int remove_places(struct cowherd_herd *herd, enum cowherd_target target, const char *only, struct cowherd_error *err)
{
        struct places_lock lock owned_by(places_unlock) = {.herd = herd, .fd = -1};
        struct strv names owned_by(strv_free) = {0};

        if (places_lock(&lock, true, err) < 0 || catalogue_list_places(herd->catalogue, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                struct catalogue_place place owned_by(catalogue_place_free) = {0};
                const struct store_driver *driver = NULL;
                if (only != NULL && !str_equal_case(only, names.items[i]))
                        continue;
                int got = catalogue_get_place(herd->catalogue, names.items[i], &place, err);
                if (got < 0 || (got == 0 && store_find(place.store, &driver, err) < 0))
                        return -1;
                if (got == 0 && (driver->kinds & (unsigned)kind_of_target(target)) != 0 && remove_place(&lock, &place, err) < 0)
                        return -1;
        }
        return 0;
}

/* An engine with bases or clones is in use. */
static int expect_empty(struct cowherd_herd *herd, enum cowherd_target target, struct cowherd_error *err)
{
        uint64_t bases = 0, clones = 0;

        if (catalogue_count(herd->catalogue, target, &bases, &clones, err) < 0)
                return -1;
        if (bases == 0 && clones == 0)
                return 0;
        (void)fail(err, COWHERD_BUSY, "%s is in use: it has %llu bases and %llu clones", cowherd_target_name(target), (unsigned long long)bases,
                   (unsigned long long)clones);
        return fail_hint(err, "delete the clones and remove the bases first");
}

/* No helper works any more, and none has a reason to. */
static int end_warm(struct cowherd_herd *herd, enum cowherd_target target, struct cowherd_error *err)
{
        struct warm_pause pause owned_by(warm_pause_end) = WARM_PAUSE_OF(herd);

        if (target == COWHERD_NSPAWN)
                return 0;
        if (target == COWHERD_QEMU && warm_set_memory_limit(herd, 0, err) < 0)
                return -1;
        if (warm_pause(&pause, err) < 0 || warm_set_default(herd, target, 0, err) < 0)
                return -1;
        return catalogue_set_setting(herd->catalogue, WARM_COMPLAINT_KEY, NULL, err);
}

/* A comparison that begins in this very moment keeps the folder, by its lock in there, and is none of ours to take away. */
static int remove_tmp(struct cowherd_herd *herd, struct cowherd_error *err)
{
        owned_fd int tmp = openat(herd->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int again = tmp < 0 ? -1 : openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *listing = again < 0 ? NULL : fdopendir(again);
        int done = 0;

        if (tmp < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open folder '%s/tmp'", herd->root);
        if (listing == NULL) {
                (void)fail_errno(err, "cannot read folder '%s/tmp'", herd->root);
                close_at(&again);
                return -1;
        }
        for (const struct dirent *entry = NULL; done == 0 && (entry = readdir(listing)) != NULL;)
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..") && !compare_is_mark(entry->d_name))
                        done = file_remove_tree(tmp, entry->d_name, err);
        (void)closedir(listing);
        (void)unlinkat(herd->fd, "tmp", AT_REMOVEDIR);
        return done;
}

int herd_remove_empty(struct cowherd_herd *herd, struct cowherd_error *err)
{
        /* The catalogue goes last: until then, what a kill leaves is still a herd. */
        static const char *const ours[] = {"locks", "catalogue.db.new", "catalogue.db", "catalogue.db-wal", "catalogue.db-shm"};
        static const char *const folders[] = {"bases", "clones", "snapshots", "pools", "run"};
        struct strv places owned_by(strv_free) = {0};
        struct catalogue_rows unfinished owned_by(catalogue_rows_free) = {0};
        uint64_t bases = 0, clones = 0;
        size_t swept = 0, works = 0;

        if (catalogue_list_places(herd->catalogue, &places, err) < 0 || catalogue_unfinished(herd->catalogue, &unfinished, err) < 0 ||
            catalogue_count(herd->catalogue, COWHERD_ANY, &bases, &clones, err) < 0)
                return -1;
        if (places.count > 0 || unfinished.count > 0 || bases > 0 || clones > 0)
                return 0;
        if (compare_sweep(herd->fd, herd->root, false, &swept, &works, err) < 0)
                return -1;
        owned_str char *runtime = machine_runtime(herd, 0);
        (void)rmdir(runtime);
        catalogue_close(herd->catalogue);
        herd->catalogue = NULL;
        close_at(&herd->locks);
        herd->locks = -1;
        for (size_t i = 0; i < array_length(folders); i++)
                if (unlinkat(herd->fd, folders[i], AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
                        return fail_errno(err, "cannot remove folder '%s/%s'", herd->root, folders[i]);
        if (remove_tmp(herd, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(ours); i++)
                if (file_remove_tree(herd->fd, ours[i], err) < 0)
                        return -1;
        close_at(&herd->fd);
        herd->fd = -1;
        (void)rmdir(herd->root);
        return 0;
}

/* Where there is no catalogue (any more): what a kill in the making or removing of one has left, and the folder if empty. */
static int remove_remains(struct cowherd_herd *herd, struct cowherd_error *err)
{
        bool found = false;

        if (herd->fd < 0)
                return 0;
        if (catalogue_sweep(herd->fd, herd->root, &found, err) < 0)
                return -1;
        (void)rmdir(herd->root);
        return 0;
}

/* One works in the root folder's tmp/, on bases that are in its pools. */
static int expect_no_comparison(struct cowherd_herd *herd, struct cowherd_error *err)
{
        size_t left = 0, works = 0;

        if (compare_sweep(herd->fd, herd->root, true, &left, &works, err) < 0)
                return -1;
        if (works == 0)
                return 0;
        (void)fail(err, COWHERD_BUSY, "a comparison is under way in '%s'", herd->root);
        return fail_hint(err, "wait for it, or end it with Ctrl-C; what a killed one was running has to end as well");
}

int verb_teardown(struct call *call, struct cowherd_error *err)
{
        struct cowherd_herd *herd = call->herd;
        enum cowherd_target target = call->request->target;
        /* LXD's store is one, whatever its pool is made of. */
        const char *only = target == COWHERD_LXD ? NULL : request_text(call->request, KEY_STORE);
        owned_str char *key = x_asprintf("%s.store", cowherd_target_name(target)), *store = NULL;
        int got = herd_open(herd, false, err);

        if (got < 0)
                return -1;
        answer_text(call->answer, "engine", cowherd_target_name(target));
        if (got > 0) {
                if (!request_flag(call->request, KEY_DRY_RUN) && remove_remains(herd, err) < 0)
                        return -1;
                answer_done(call->answer, "%s was not set up: nothing to undo", cowherd_target_name(target));
                return 0;
        }
        if (expect_no_comparison(herd, err) < 0 || (!request_flag(call->request, KEY_DRY_RUN) && herd_recover(herd, NULL, err) < 0))
                return -1;
        if (expect_empty(herd, target, err) < 0 || catalogue_get_setting(herd->catalogue, key, &store, err) < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_done(call->answer, "nothing done: teardown would undo the setup of %s%s%s", cowherd_target_name(target), store ? " with store " : "",
                            store ? store : "");
                return 0;
        }
        if ((only == NULL && end_warm(herd, target, err) < 0) || remove_places(herd, target, only, err) < 0)
                return -1;
        if (((only == NULL || str_equal_case(only, store)) && catalogue_set_setting(herd->catalogue, key, NULL, err) < 0) || herd_remove_empty(herd, err) < 0)
                return -1;
        if (only == NULL)
                answer_done(call->answer, "the setup of %s is undone", cowherd_target_name(target));
        else
                answer_done(call->answer, "%s has no pool of store '%s' any more", cowherd_target_name(target), only);
        return 0;
}
