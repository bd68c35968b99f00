/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no row knows, taken away by `cleanup`: bytes in a place (a power cut may lose a row, never the other way round; so what lies
 * there is listed, by each store and by LXD), what was made to try a place out, staging folders of nobody. Ids are never used
 * again, so a number without a row that nobody holds the lock of belongs to no one, now or later.
 */
#include "herd/point.h"

#include "base/number.h"
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

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

/* What is swept: the objects of one role that lie in a place. */
struct sweeping {
        struct cowherd_herd *herd;
        const struct store_driver *driver;
        const struct place *place;
        enum store_role role;
        struct recovery *recovery;
};

/* Who deletes takes the bytes away and then the row: between the listing and the look at the row both may have gone. */
static int still_lies_there(const struct sweeping *it, const char *id_text, bool *ret, struct cowherd_error *err)
{
        struct strv ids owned_by(strv_free) = {0};

        if (it->driver->list_ids(&it->place->place, it->role, &ids, err) < 0)
                return -1;
        *ret = strv_has(&ids, id_text);
        return 0;
}

/* Destroys one object that was seen without a row; nobody may be working on it. */
static int sweep_object(const struct sweeping *it, uint64_t id, const char *id_text, struct cowherd_error *err)
{
        const enum store_kind kind = (it->driver->kinds & STORE_INSTANCE) != 0 ? STORE_INSTANCE : STORE_TREE;
        const struct store_object object = {.id = id, .role = it->role, .kind = kind};
        struct ownership owned owned_by(ownership_free) = {.herd = it->herd};
        bool known = false, there = false;
        int got = ownership_take(&owned, id, false, err);

        if (got != 0) {
                it->recovery->busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        if (has_row(it->herd, id, &known, err) < 0)
                return -1;
        if (known)
                return 0;
        if (still_lies_there(it, id_text, &there, err) < 0)
                return -1;
        if (there && !it->recovery->only_look && it->driver->destroy(&it->place->place, &object, err) < 0) {
                recovery_count_failure(it->recovery, err);
                return 0;
        }
        it->recovery->orphans += there;
        return 0;
}

static int sweep_role(struct cowherd_herd *herd, const struct store_driver *driver, const struct place *place, enum store_role role,
                      struct recovery *recovery, struct cowherd_error *err)
{
        const struct sweeping it = {herd, driver, place, role, recovery};
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
                if (!known && sweep_object(&it, id, ids.items[i], err) < 0)
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

/* The staging folder of an object that nobody works on. */
static int sweep_staged(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        int got = ownership_take(&owned, id, false, err);

        if (got != 0)
                return got < 0 ? -1 : 0;
        return herd_remove_staging(herd, id, err);
}

/* Those of them that bear a number, if there is a folder for them at all. */
static int sweep_staging(struct cowherd_herd *herd, struct cowherd_error *err)
{
        int fd = openat(herd->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int result = 0;

        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open folder '%s/tmp'", herd->root);
        DIR *listing = fdopendir(fd);
        if (listing == NULL) {
                (void)fail_errno(err, "cannot read folder '%s/tmp'", herd->root);
                close_at(&fd);
                return -1;
        }
        for (const struct dirent *entry = readdir(listing); entry != NULL && result == 0; entry = readdir(listing)) {
                uint64_t id = 0;
                if (number_parse(entry->d_name, &id))
                        result = sweep_staged(herd, id, err);
        }
        (void)closedir(listing);
        return result;
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
                recovery_count_failure(recovery, &err);
}

int herd_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err)
{
        struct strv places owned_by(strv_free) = {0};

        if (!recovery->only_look && (places_sweep(herd, recovery, err) < 0 || point_sweep(herd, recovery, err) < 0))
                recovery_count_failure(recovery, err);
        if (catalogue_list_places(herd->catalogue, &places, err) < 0)
                return -1;
        if (sweep_place(herd, "", "overlay", recovery, err) < 0)
                return fail_while(err, "sweeping '%s'", herd->root);
        for (size_t i = 0; i < places.count; i++) {
                struct catalogue_place place owned_by(catalogue_place_free) = {0};
                if (catalogue_get_place(herd->catalogue, places.items[i], &place, err) != 0 || place_is_unfinished(&place))
                        continue;
                if (!str_equal(place.store, "lxd_pool") && sweep_place(herd, place.name, place.store, recovery, err) < 0)
                        recovery_count_failure(recovery, err);
        }
        sweep_lxd(herd, recovery);
        if (recovery->only_look)
                return 0;
        return sweep_staging(herd, err);
}
