/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places between nothing and ready. setup writes a place down as unfinished before it makes anything, teardown writes the
 * same before it takes anything away; only a ready place tells its folder. So whoever is killed in either leaves a row
 * that says what may be there, and that no other command takes for a place. setup, teardown and cleanup undo it: with the
 * lock locks/setup, which a live setup holds, and the tools that it started.
 */
#include "herd/herd.h"

#include "sys/lock.h"

#include <fcntl.h>
#include <unistd.h>

#define SETUP_LOCK "setup"
#define UNFINISHED "" /* the folder of such a place */

bool place_is_unfinished(const struct catalogue_place *place)
{
        return place->folder != NULL && str_equal(place->folder, UNFINISHED);
}

int place_write_unfinished(struct cowherd_herd *herd, const struct catalogue_place *place, struct cowherd_error *err)
{
        struct catalogue_place unfinished = *place;

        unfinished.folder = (char *)(uintptr_t)UNFINISHED;
        unfinished.ours = true;
        return catalogue_put_place(herd->catalogue, &unfinished, err);
}

void places_unlock(struct places_lock *lock)
{
        lock_remove(lock->herd->locks, SETUP_LOCK, &lock->fd);
}

int places_lock(struct places_lock *lock, bool wait, struct cowherd_error *err)
{
        return lock_take(lock->herd->locks, SETUP_LOCK, wait, &lock->fd, err);
}

/* Engines whose store was this one have none chosen any more. */
static int forget_choices(struct cowherd_herd *herd, const char *store, struct cowherd_error *err)
{
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                owned_str char *key = x_asprintf("%s.store", cowherd_target_name((enum cowherd_target)target)), *chosen = NULL;
                if (catalogue_get_setting(herd->catalogue, key, &chosen, err) < 0)
                        return -1;
                if (str_equal(chosen, store) && catalogue_set_setting(herd->catalogue, key, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

int place_undo(const struct places_lock *lock, const struct catalogue_place *place, struct cowherd_error *err)
{
        struct cowherd_herd *herd = lock->herd;
        bool unfinished = place_is_unfinished(place);
        const struct store_driver *driver = NULL;
        const struct store_setup setup = {.root = herd->root,
                                          .herd_uuid = catalogue_uuid(herd->catalogue),
                                          .pool = unfinished ? place->source : NULL,
                                          .size_bytes = place->size_bytes,
                                          .lock = lock->fd};
        const struct store_made made = {.folder = unfinished ? NULL : place->folder,
                                        .source = unfinished ? NULL : place->source,
                                        .ours = place->ours,
                                        .size_bytes = place->size_bytes};

        if (store_find(place->store, &driver, err) < 0 || (driver->teardown != NULL && driver->teardown(&setup, &made, err) < 0))
                return -1;
        if (forget_choices(herd, place->store, err) < 0)
                return -1;
        return catalogue_drop_place(herd->catalogue, place->name, err);
}

int places_settle(const struct places_lock *lock, const char *store, size_t *ret_count, struct cowherd_error *err)
{
        struct catalogue *catalogue = lock->herd->catalogue;
        struct strv names owned_by(strv_free) = {0};
        struct cowherd_error why;
        size_t count = 0;
        int done = 0;

        if (catalogue_list_places(catalogue, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                struct catalogue_place place owned_by(catalogue_place_free) = {0};
                int got = catalogue_get_place(catalogue, names.items[i], &place, err);
                if (got < 0)
                        return -1;
                if (got > 0 || !place_is_unfinished(&place))
                        continue;
                if (place_undo(lock, &place, &why) == 0) {
                        count++;
                } else if (done == 0 && (store == NULL || str_equal(store, place.store))) {
                        *err = why;
                        done = fail_while(err, "undoing a setup or teardown of store '%s' that was interrupted", place.store);
                }
        }
        *ret_count = count;
        return done;
}

/* Whether there is anything to settle: an unfinished place, or the lock file of a killed setup. */
static int is_unsettled(struct cowherd_herd *herd, bool *ret, struct cowherd_error *err)
{
        struct strv names owned_by(strv_free) = {0};
        bool unsettled = faccessat(herd->locks, SETUP_LOCK, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

        if (catalogue_list_places(herd->catalogue, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.count; i++) {
                struct catalogue_place place owned_by(catalogue_place_free) = {0};
                if (catalogue_get_place(herd->catalogue, names.items[i], &place, err) == 0)
                        unsettled |= place_is_unfinished(&place);
        }
        *ret = unsettled;
        return 0;
}

int places_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err)
{
        struct places_lock lock owned_by(places_unlock) = {.herd = herd, .fd = -1};
        bool unsettled = false;
        size_t count = 0;

        if (is_unsettled(herd, &unsettled, err) < 0)
                return -1;
        if (!unsettled)
                return 0;
        int got = places_lock(&lock, false, err);
        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        int settled = places_settle(&lock, NULL, &count, err);
        recovery->undone += count;
        return settled;
}
