/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows to things: a row of the catalogue with its store, its place (mounted again if need be) and the bases it stands
 * on. Here engines and stores are married: kind for kind, path for path.
 */
#include "herd/machine.h"

#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Static_assert(CATALOGUE_BASE == (int)STORE_BASE && CATALOGUE_CLONE == (int)STORE_CLONE && CATALOGUE_SNAPSHOT == (int)STORE_SNAPSHOT, "roles are the same in both rooms");

#define CHAIN_MAX 64 /* bases under a clone; an overlay takes 40 */

void place_close(struct place *place)
{
        if (!place->is_borrowed) {
                close_at(&place->fd);
                free(place->name);
                free(place->folder);
                free(place->source);
        }
        *place = (struct place){.fd = -1};
}

/* Whether a store's objects lie in folders: LXD keeps its own. */
static bool has_folder(const struct store_driver *driver)
{
        return (driver->kinds & STORE_INSTANCE) == 0;
}

/* Fills in folder and source of a place that setup made, attached. */
static int attach_made(struct cowherd_herd *herd, const struct catalogue_place *made, struct place *place, struct cowherd_error *err)
{
        const struct store_driver *driver = NULL;

        if (store_find(made->store, &driver, err) < 0)
                return -1;
        const struct store_setup setup = {.root = herd->root, .herd_uuid = catalogue_uuid(herd->catalogue), .size_bytes = made->size_bytes};
        const struct store_made where = {.folder = made->folder, .source = made->source, .ours = made->ours, .size_bytes = made->size_bytes};
        if (driver->attach != NULL && driver->attach(&setup, &where, err) < 0)
                return fail_while(err, "attaching place '%s'", place->name);
        place->source = x_strdup(made->source);
        if (has_folder(driver) && made->folder != NULL)
                place->folder = made->folder[0] == '/' ? x_strdup(made->folder) : x_asprintf("%s/%s", herd->root, made->folder);
        return 0;
}

static int attach_place(struct cowherd_herd *herd, struct place *place, struct cowherd_error *err)
{
        struct catalogue_place made owned_by(catalogue_place_free) = {0};
        int got = catalogue_get_place(herd->catalogue, place->name, &made, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_CONFIG, "place '%s' is not in the catalogue of '%s' any more", place->name, herd->root);
        if (place_is_unfinished(&made)) {
                (void)fail(err, COWHERD_BUSY, "the pool of store '%s' is half made or half removed", made.store);
                return fail_hint(err, "a setup or teardown is under way; if it was interrupted, run cleanup");
        }
        return attach_made(herd, &made, place, err);
}

/* The root, or before there is one the nearest folder above it: where a store is asked what it could do. */
static char *root_or_above(const struct cowherd_herd *herd)
{
        owned_str char *folder = x_strdup(herd->root);

        while (herd->catalogue == NULL && strlen(folder) > 1 && access(folder, F_OK) < 0) {
                char *slash = strrchr(folder, '/');
                slash[slash == folder ? 1 : 0] = '\0';
        }
        return take(folder);
}

/* Opens the folder of what was attached, for the stores. */
static int open_attached(const struct cowherd_herd *herd, struct place *place, bool durable, struct cowherd_error *err)
{
        if (place->folder != NULL && file_open_folder(AT_FDCWD, place->folder, &place->fd, err) < 0)
                return -1;
        place->place = (struct store_place){
                .folder = place->folder,
                .fd = place->fd,
                .source = place->source,
                .herd_uuid = herd->catalogue == NULL ? "" : catalogue_uuid(herd->catalogue),
                .durable = durable,
        };
        return 0;
}

int place_open(struct cowherd_herd *herd, const char *name, bool durable, struct place *ret, struct cowherd_error *err)
{
        struct place place owned_by(place_close) = {.fd = -1, .name = x_strdup(name == NULL ? "" : name)};

        if (place.name[0] == '\0')
                place.folder = root_or_above(herd);
        else if (attach_place(herd, &place, err) < 0)
                return -1;
        if (open_attached(herd, &place, durable, err) < 0)
                return -1;
        *ret = place;
        place = (struct place){.fd = -1};
        return 0;
}

bool place_is_gone(struct cowherd_herd *herd, const struct catalogue_place *made)
{
        struct place place owned_by(place_close) = {.fd = -1, .name = x_strdup(made->name)};
        struct cowherd_error why;

        if (attach_made(herd, made, &place, &why) == 0 && open_attached(herd, &place, false, &why) == 0)
                return false;
        return why.code == COWHERD_NOT_FOUND;
}

struct store_object object_of(const struct catalogue_row *row, const struct store_object *base)
{
        return (struct store_object){
                .id = row->id,
                .role = (enum store_role)row->role,
                .kind = (enum store_kind)row->kind,
                .name = row->role == CATALOGUE_SNAPSHOT ? row->label : row->name,
                .format = row->format,
                .virtual_bytes = row->virtual_bytes,
                .fingerprint = row->fingerprint,
                .base = base,
        };
}

void thing_free(struct thing *thing)
{
        if (thing->base != NULL)
                thing_free(thing->base);
        free(thing->base);
        place_close(&thing->place);
        catalogue_row_free(&thing->row);
        *thing = (struct thing){.place.fd = -1};
}

/* Opens one thing, without what it stands on. Where it lies in the same place as what stands on it, it has that one's. */
static int open_one(struct cowherd_herd *herd, bool durable, struct thing *thing, const struct thing *above, struct cowherd_error *err)
{
        thing->place.fd = -1;
        if (store_find(thing->row.store, &thing->driver, err) < 0)
                return -1;
        if (above != NULL && str_equal(above->place.name, thing->row.place == NULL ? "" : thing->row.place)) {
                thing->place = above->place;
                thing->place.is_borrowed = true;
        } else if (place_open(herd, thing->row.place, durable, &thing->place, err) < 0) {
                return -1;
        }
        thing->object = object_of(&thing->row, NULL);
        if (thing->row.of_id == 0 || thing->row.role == CATALOGUE_CLONE ||
            (thing->row.role == CATALOGUE_BASE && thing->row.phase != CATALOGUE_CREATING))
                return 0;
        thing->of = (struct store_object){.id = thing->row.of_id,
                                          .role = STORE_CLONE,
                                          .kind = thing->object.kind,
                                          .name = thing->row.base_name,
                                          .format = thing->row.format,
                                          .virtual_bytes = thing->row.virtual_bytes};
        thing->object.of = &thing->of;
        return 0;
}

int thing_open(struct cowherd_herd *herd, bool durable, struct thing *thing, struct cowherd_error *err)
{
        struct thing *at = thing;

        if (open_one(herd, durable, at, NULL, err) < 0)
                return -1;
        for (unsigned depth = 0; at->row.base_id != 0; depth++) {
                if (depth == CHAIN_MAX)
                        return fail(err, COWHERD_DATA, "base %llu stands on more than %d others", (unsigned long long)thing->row.id, CHAIN_MAX);
                at->base = x_calloc(1, sizeof *at->base);
                at->base->place.fd = -1;
                int got = catalogue_get(herd->catalogue, at->row.base_id, &at->base->row, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        return fail(err, COWHERD_INTERNAL, "base %llu of '%s' is not in the catalogue", (unsigned long long)at->row.base_id,
                                    at->row.name == NULL ? "?" : at->row.name);
                if (open_one(herd, durable, at->base, at, err) < 0)
                        return -1;
                at->object.base = &at->base->object;
                at = at->base;
        }
        return 0;
}

char *thing_path(const struct place *place, const struct catalogue_row *row)
{
        char path[STORE_PATH_BYTES];
        const struct store_object object = object_of(row, NULL);

        if (row->kind == STORE_INSTANCE)
                return x_strdup(row->name);
        return x_asprintf("%s/%s", place->folder, store_object_path(&object, path));
}

int expect_role(const struct catalogue_row *row, enum catalogue_role role, struct cowherd_error *err)
{
        if (row->role == role)
                return 0;
        if (role == CATALOGUE_BASE) {
                (void)fail(err, COWHERD_NOT_FOUND, "base '%s' not found: it is the name of a clone", row->name);
                return fail_hint(err, "see 'list_bases' for the bases; 'promote' will make a base of a clone");
        }
        (void)fail(err, COWHERD_NOT_FOUND, "clone '%s' not found: it is the name of a base", row->name);
        return fail_hint(err, "of a base, clone_from_base base=%s makes clones; remove_base takes it away", row->name);
}

int herd_find(struct cowherd_herd *herd, enum cowherd_target target, const char *what, const char *name, struct catalogue_row *ret,
              struct cowherd_error *err)
{
        if (catalogue_find(herd->catalogue, target, name, ret, err) == 0)
                return 0;
        if (err->code != COWHERD_NOT_FOUND)
                return -1;
        owned_str char *nearest = err->hint[0] == '\0' ? NULL : x_strndup(err->hint, strcspn(err->hint, "?"));
        return fail(err, COWHERD_NOT_FOUND, "%s%s'%s' not found%s%s%s", what, what[0] == '\0' ? "" : " ", name, nearest == NULL ? "" : " (",
                    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?)");
}

int say_register(struct cowherd_error *err)
{
        size_t used = strlen(err->text);

        if (err->code == COWHERD_NOT_FOUND)
                (void)snprintf(err->text + used, sizeof err->text - used, ". Register it first with register_base");
        return -1;
}

/* The place of a name in a small list, opened when first met. NULL where it can't be: all of its rows are unknown then. */
struct opened_places {
        struct place items[8];
        bool failed[8];
        size_t count;
};

static const struct place *place_for(struct cowherd_herd *herd, struct opened_places *places, const char *name)
{
        struct cowherd_error ignored;

        for (size_t i = 0; i < places->count; i++)
                if (str_equal(places->items[i].name, name == NULL ? "" : name))
                        return places->failed[i] ? NULL : &places->items[i];
        if (places->count == array_length(places->items))
                return NULL;
        size_t at = places->count++;
        places->failed[at] = place_open(herd, name, false, &places->items[at], &ignored) < 0;
        if (!places->failed[at])
                return &places->items[at];
        places->items[at] = (struct place){.fd = -1, .name = x_strdup(name == NULL ? "" : name)};
        return NULL;
}

/* Asks one engine about its rows. */
static int states_of_engine(struct cowherd_herd *herd, enum cowherd_target target, const struct catalogue_row *rows, size_t count,
                            struct opened_places *places, enum engine_state *ret, struct cowherd_error *err)
{
        const struct engine_driver *engine = NULL;
        owned_mem struct engine_instance *asked = x_calloc(count, sizeof *asked);
        owned_mem char(*paths)[STORE_PATH_BYTES] = x_calloc(count, sizeof *paths);
        struct strv runtimes owned_by(strv_free) = {0};
        owned_mem size_t *which = x_calloc(count, sizeof *which);
        owned_mem enum engine_state *states = x_calloc(count, sizeof *states);
        size_t used = 0;

        for (size_t i = 0; i < count; i++) {
                const struct place *place = rows[i].target == target ? place_for(herd, places, rows[i].place) : NULL;
                const struct store_object object = object_of(&rows[i], NULL);
                if (place == NULL)
                        continue;
                which[used] = i;
                strv_take(&runtimes, machine_runtime(herd, rows[i].id));
                asked[used] = (struct engine_instance){.id = rows[i].id, .name = rows[i].name, .herd_uuid = catalogue_uuid(herd->catalogue), .folder = place->fd,
                                                       .path = store_object_path(&object, paths[used]), .runtime = runtimes.items[used]};
                used++;
        }
        if (used == 0)
                return 0;
        if (engine_find(target, &engine, err) < 0 || engine->states(asked, used, states, err) < 0)
                return -1;
        for (size_t i = 0; i < used; i++)
                ret[which[i]] = states[i];
        return 0;
}

int herd_states(struct cowherd_herd *herd, const struct catalogue_row *rows, size_t count, enum engine_state *ret,
                struct cowherd_error *err)
{
        struct opened_places places = {0};
        int result = 0;

        for (size_t i = 0; i < count; i++)
                ret[i] = ENGINE_UNKNOWN;
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (states_of_engine(herd, (enum cowherd_target)target, rows, count, &places, ret, err) < 0)
                        result = -1;
        for (size_t i = 0; i < places.count; i++)
                place_close(&places.items[i]);
        return result;
}
