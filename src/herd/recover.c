/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After kill -9: whole or nothing. An object whose row is CREATING or DELETING while its lock is free was left by a killed
 * command, and is taken away by whoever comes next: a half-made clone cannot be finished (its caller is gone and was
 * never told), a half-deleted one is finished. What an engine has not heard of yet (a rename) is told it. `cleanup` sweeps besides: bytes that no row knows (a power cut may lose a
 * row, never the other way round), staging folders, lock files of nobody.
 */
#include "herd/live.h"

#include "base/number.h"
#include "herd/adopt.h"
#include "herd/inject.h"
#include "herd/memory.h"
#include "herd/point.h"
#include "herd/warm.h"
#include "store/folder.h"
#include "sys/file.h"
#include "sys/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int herd_destroy_freed(struct cowherd_herd *herd, const struct strv *ids, struct cowherd_error *err)
{
        for (size_t i = 0; i < ids->count; i++) {
                struct ownership owned owned_by(ownership_free) = {.herd = herd};
                struct catalogue_row row owned_by(catalogue_row_free) = {0};
                uint64_t id = 0;

                (void)number_parse(ids->items[i], &id);
                if (ownership_take(&owned, id, true, err) < 0)
                        return -1;
                int got = catalogue_get(herd->catalogue, id, &row, err);
                if (got < 0 || (got == 0 && herd_settle_unfinished(herd, &row, err) < 0))
                        return fail_while(err, "taking away a removed base");
                ownership_remove(&owned);
        }
        return 0;
}

/* Removes the staging folder that a registration may have used. */
static int remove_staging(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        owned_str char *staging = x_asprintf("tmp/%llu", (unsigned long long)id);

        return file_remove_tree(herd->fd, staging, err);
}

/* A clone that was started as it was made, or is deleted while it runs, runs no more. */
static int end_life(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};

        if (catalogue_get(herd->catalogue, id, &live.thing.row, err) != 0 || live_open(herd, false, &live, err) < 0)
                return -1;
        return live_tidy(&live, true, err);
}

int herd_settle_unfinished(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        struct strv freed owned_by(strv_free) = {0};

        if (row->phase == CATALOGUE_READY)
                return 0;
        int got = catalogue_get(herd->catalogue, row->id, &thing.row, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (thing_open(herd, false, &thing, err) < 0)
                return -1;
        if (row->role == CATALOGUE_BASE && row->phase == CATALOGUE_CREATING &&
            (inject_end(herd, row->id, err) < 0 || adopt_give_back(&thing, err) < 0 || remove_staging(herd, row->id, err) < 0))
                return -1;
        bool lives = row->name != NULL || row->kind == STORE_DISK; /* an instance that is kept warm was never started */
        if (row->role == CATALOGUE_CLONE && lives && end_life(herd, row->id, err) < 0)
                return -1;
        if (row->role == CATALOGUE_BASE && row->target == COWHERD_QEMU && memory_release(herd, row->id, NULL, err) < 0)
                return -1;
        if (thing.driver->destroy(&thing.place.place, &thing.object, err) < 0)
                return -1;
        if (catalogue_forget(herd->catalogue, &row->id, 1, &freed, err) < 0)
                return -1;
        return herd_destroy_freed(herd, &freed, err);
}

/* start, stop … : the engine is asked what became of it. What runs is well; what does not leaves nothing of itself behind. */
static int settle_power(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};

        if (catalogue_get(herd->catalogue, id, &live.thing.row, err) != 0 || live_open(herd, false, &live, err) < 0 || live_tidy(&live, false, err) < 0)
                return -1;
        return catalogue_end(herd->catalogue, id, err);
}

/* create: its base goes; with its bytes, where no clone was made of it. */
static int settle_create(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (row->name == NULL)
                return catalogue_end(herd->catalogue, row->id, err);
        int got = catalogue_remove_base(herd->catalogue, row->id, err);
        if (got != 0)
                return got < 0 ? -1 : catalogue_end(herd->catalogue, row->id, err);
        if (catalogue_get(herd->catalogue, row->id, &now, err) != 0 || herd_settle_unfinished(herd, &now, err) < 0)
                return -1;
        return 1;
}

int herd_settle_ready(struct cowherd_herd *herd, const struct catalogue_row *row, struct cowherd_error *err)
{
        owned_str char *operation = NULL;
        int got = catalogue_operation(herd->catalogue, row->id, &operation, err);

        if (got != 0)
                return got < 0 ? -1 : 0;
        if (str_equal(operation, OPERATION_CREATE))
                return settle_create(herd, row, err);
        if (str_equal(operation, OPERATION_UNPROMOTE))
                return row->role == CATALOGUE_BASE ? settle_create(herd, row, err) : catalogue_end(herd->catalogue, row->id, err);
        if (str_equal(operation, "rename") || str_equal(operation, OPERATION_TAKE))
                return herd_finish_rename(herd, row->id, err);
        got = point_recover(herd, row, operation, err);
        return got <= 0 ? got : settle_power(herd, row->id, err);
}

/*
 * Whether another row's turn settles this one as well: what is being made of a clone, its clone's intent; a snapshot that goes with its
 * clone, the clone's end.
 */
static int has_keeper(struct cowherd_herd *herd, const struct catalogue_row *row, bool *ret, struct cowherd_error *err)
{
        struct catalogue_row of owned_by(catalogue_row_free) = {0};
        owned_str char *operation = NULL;

        *ret = false;
        if (row->of_id == 0 || row->role == CATALOGUE_CLONE || row->phase == CATALOGUE_READY ||
            (row->role == CATALOGUE_BASE && row->phase == CATALOGUE_DELETING))
                return 0;
        int got = catalogue_get(herd->catalogue, row->of_id, &of, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (row->phase == CATALOGUE_DELETING || of.phase == CATALOGUE_DELETING) {
                *ret = of.phase == CATALOGUE_DELETING;
                return 0;
        }
        got = catalogue_operation(herd->catalogue, of.id, &operation, err);
        *ret = got == 0;
        return got < 0 ? -1 : 0;
}

static void count_failure(struct recovery *recovery, const struct cowherd_error *err)
{
        if (recovery->failed++ == 0)
                recovery->first = *err;
}

/*
 * A clone that was kept warm is whole once it is settled, and its engine is told its name by the helper, or by who next works on it:
 * nobody else is to wait for that.
 */
static int can_wait(struct cowherd_herd *herd, const struct catalogue_row *row, const struct recovery *recovery, bool *ret, struct cowherd_error *err)
{
        owned_str char *operation = NULL;

        *ret = false;
        if (!recovery->only_wrecks || row->phase != CATALOGUE_READY)
                return 0;
        int got = catalogue_operation(herd->catalogue, row->id, &operation, err);
        *ret = str_equal(operation, OPERATION_TAKE);
        return got < 0 ? -1 : 0;
}

/* Settles one row if nobody owns it. */
static int recover_row(struct cowherd_herd *herd, const struct catalogue_row *row, struct recovery *recovery, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        bool kept = false;

        if (can_wait(herd, row, recovery, &kept, err) < 0 || (!kept && has_keeper(herd, row, &kept, err) < 0))
                return -1;
        if (kept)
                return 0;
        int got = ownership_take(&owned, row->id, false, err);
        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        got = catalogue_get(herd->catalogue, row->id, &now, err);
        if (got < 0)
                return -1;
        if (got > 0) {
                ownership_remove(&owned);
                return 0;
        }
        if (now.phase == CATALOGUE_READY) {
                got = herd_settle_ready(herd, &now, err);
                if (got < 0)
                        count_failure(recovery, err);
                recovery->finished += got >= 0;
                if (got > 0)
                        ownership_remove(&owned);
                return 0;
        }
        if (herd_settle_unfinished(herd, &now, err) < 0) {
                count_failure(recovery, err);
                return 0;
        }
        recovery->undone += now.phase == CATALOGUE_CREATING;
        recovery->finished += now.phase == CATALOGUE_DELETING;
        ownership_remove(&owned);
        return 0;
}

static bool is_among(const struct catalogue_rows *rows, size_t count, uint64_t id)
{
        for (size_t i = 0; i < count; i++)
                if (rows->items[i].id == id)
                        return true;
        return false;
}

int herd_recover(struct cowherd_herd *herd, struct recovery *ret, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct recovery ignored = {.only_wrecks = true}, *recovery = ret == NULL ? &ignored : ret;

        /* To settle one may leave others to be taken away: a removed base that its last clone was cut loose from. */
        for (size_t seen = 0, settled = 0;; settled = recovery->finished + recovery->undone) {
                if (catalogue_unfinished(herd->catalogue, &rows, err) < 0)
                        return -1;
                size_t count = rows.count;
                for (size_t i = seen; i < count; i++)
                        if (!is_among(&rows, seen, rows.items[i].id) && recover_row(herd, &rows.items[i], recovery, err) < 0)
                                return fail_while(err, "settling what an interrupted command left");
                if (count == seen || recovery->finished + recovery->undone == settled)
                        return 0;
                seen = count;
        }
}

/* ---- sweeping: what no row knows ---- */

/* Whether the catalogue has a row of this id, in any phase. */
static int has_row(struct cowherd_herd *herd, uint64_t id, bool *ret, struct cowherd_error *err)
{
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        int got = catalogue_get(herd->catalogue, id, &row, err);

        if (got < 0)
                return -1;
        *ret = got == 0;
        return 0;
}

/* Destroys one object that lies in a place without a row; nobody may be working on it. */
static int sweep_object(struct cowherd_herd *herd, const struct store_driver *driver, const struct place *place, enum store_role role,
                        uint64_t id, struct recovery *recovery, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        bool known = false;
        int got = ownership_take(&owned, id, false, err);

        if (got != 0) {
                recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        if (has_row(herd, id, &known, err) < 0)
                return -1;
        if (known)
                return 0;
        const enum store_kind kind = (driver->kinds & STORE_INSTANCE) != 0 ? STORE_INSTANCE : STORE_TREE;
        const struct store_object object = {.id = id, .role = role, .kind = kind};
        if (recovery->only_look) {
                recovery->orphans++;
                ownership_remove(&owned);
                return 0;
        }
        if (driver->destroy(&place->place, &object, err) < 0) {
                count_failure(recovery, err);
                return 0;
        }
        recovery->orphans++;
        ownership_remove(&owned);
        return 0;
}

static int sweep_role(struct cowherd_herd *herd, const struct store_driver *driver, const struct place *place, enum store_role role,
                      struct recovery *recovery, struct cowherd_error *err)
{
        struct strv ids owned_by(strv_free) = {0};

        if (driver->list_ids(&place->place, role, &ids, err) < 0)
                return -1;
        for (size_t i = 0; i < ids.count; i++) {
                uint64_t id = 0;
                bool known = false;
                if (!number_parse(ids.items[i], &id))
                        continue;
                if (has_row(herd, id, &known, err) < 0)
                        return -1;
                if (!known && sweep_object(herd, driver, place, role, id, recovery, err) < 0)
                        return -1;
        }
        return 0;
}

/* What stores were killed over while they tried a place out. */
static int sweep_probes(const struct place *place, struct recovery *recovery, struct cowherd_error *err)
{
        size_t count = 0;

        if (place->fd < 0 || recovery->only_look)
                return 0;
        if (folder_sweep_probes(&place->place, &count, err) < 0)
                return -1;
        recovery->orphans += count;
        return 0;
}

/* Clones before snapshots before bases: they stand on them. */
static int sweep_place(struct cowherd_herd *herd, const char *name, const char *store, struct recovery *recovery, struct cowherd_error *err)
{
        struct place place owned_by(place_close) = {.fd = -1};
        const struct store_driver *driver = NULL;

        if (store_find(store, &driver, err) < 0 || place_open(herd, name, false, &place, err) < 0)
                return -1;
        if (sweep_probes(&place, recovery, err) < 0 || sweep_role(herd, driver, &place, STORE_CLONE, recovery, err) < 0 ||
            sweep_role(herd, driver, &place, STORE_SNAPSHOT, recovery, err) < 0)
                return -1;
        return sweep_role(herd, driver, &place, STORE_BASE, recovery, err);
}

/* Calls `each` with the numeric names in a folder of the root; a folder that isn't there has none. */
static int for_each_id(struct cowherd_herd *herd, const char *folder, int (*each)(struct cowherd_herd *, uint64_t, struct cowherd_error *),
                       struct cowherd_error *err)
{
        int fd = openat(herd->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int result = 0;

        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open folder '%s/%s'", herd->root, folder);
        DIR *listing = fdopendir(fd);
        if (listing == NULL) {
                (void)fail_errno(err, "cannot read folder '%s/%s'", herd->root, folder);
                close_at(&fd);
                return -1;
        }
        for (const struct dirent *entry = readdir(listing); entry != NULL && result == 0; entry = readdir(listing)) {
                uint64_t id = 0;
                if (number_parse(entry->d_name, &id))
                        result = each(herd, id, err);
        }
        (void)closedir(listing);
        return result;
}

static int sweep_lock(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        bool known = false;

        if (has_row(herd, id, &known, err) < 0)
                return -1;
        if (known)
                return 0;
        int got = ownership_take(&owned, id, false, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        if (has_row(herd, id, &known, err) < 0)
                return -1;
        if (!known)
                ownership_remove(&owned);
        return 0;
}

static int sweep_staging(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        int got = ownership_take(&owned, id, false, err);

        if (got != 0)
                return got < 0 ? -1 : 0;
        return remove_staging(herd, id, err);
}

/* LXD is asked where it answers; that it doesn't is no failure of a sweep. */
static void sweep_lxd(struct cowherd_herd *herd, struct recovery *recovery)
{
        const struct engine_driver *engine = NULL;
        struct engine_probe probe = {0};
        struct cowherd_error err;

        if (engine_find(COWHERD_LXD, &engine, &err) < 0 || engine->probe(&probe, &err) < 0 || !probe.available)
                return;
        if (sweep_place(herd, "", "lxd_pool", recovery, &err) < 0)
                count_failure(recovery, &err);
}

int herd_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err)
{
        struct strv places owned_by(strv_free) = {0};

        if (!recovery->only_look && (places_sweep(herd, recovery, err) < 0 || point_sweep(herd, recovery, err) < 0))
                count_failure(recovery, err);
        if (catalogue_list_places(herd->catalogue, &places, err) < 0)
                return -1;
        if (sweep_place(herd, "", "overlay", recovery, err) < 0)
                return fail_while(err, "sweeping '%s'", herd->root);
        for (size_t i = 0; i < places.count; i++) {
                struct catalogue_place place owned_by(catalogue_place_free) = {0};
                if (catalogue_get_place(herd->catalogue, places.items[i], &place, err) != 0 || place_is_unfinished(&place))
                        continue;
                if (!str_equal(place.store, "lxd_pool") && sweep_place(herd, place.name, place.store, recovery, err) < 0)
                        count_failure(recovery, err);
        }
        sweep_lxd(herd, recovery);
        if (recovery->only_look)
                return 0;
        if (for_each_id(herd, "tmp", sweep_staging, err) < 0)
                return -1;
        return for_each_id(herd, "locks", sweep_lock, err);
}
