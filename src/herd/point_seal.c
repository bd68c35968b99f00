/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A point in time that was taken becomes an object of its own: of a base's tree the identity is taken out, its store seals it, and its row
 * and the clone's are settled in one transaction, so that nobody ever sees the clone stand on what is not there, or not on what
 * has its bytes. Who settles a point after a kill (point_recover.c) goes the same way.
 */
#include "herd/memory.h"
#include "herd/point.h"

#include "image/tree.h"
#include "sys/file.h"

#include <fcntl.h>

static int neutralise_tree(struct point *point, const char *path, struct cowherd_error *err)
{
        const struct thing *made = &point->made;
        char folder[STORE_PATH_BYTES];
        owned_str char *aside = x_asprintf("%s/aside", store_object_folder(&made->object, folder));
        owned_fd int tree = -1;

        if (file_open_folder(AT_FDCWD, path, &tree, err) < 0)
                return -1;
        return tree_neutralise(tree, made->place.fd, aside, &point->neutralised, err);
}

int point_neutralise(struct point *point, struct cowherd_error *err)
{
        const struct thing *made = &point->made;
        owned_str char *path = NULL;
        struct cowherd_error second;

        if (made->row.role != CATALOGUE_BASE || made->row.kind != STORE_TREE)
                return 0;
        if (made->driver->activate == NULL)
                path = thing_path(&made->place, &made->row);
        else if (made->driver->activate(&made->place.place, &made->object, &path, err) < 0)
                return -1;
        int got = neutralise_tree(point, path, err);
        if (made->driver->deactivate != NULL &&
            made->driver->deactivate(&made->place.place, &made->object, got < 0 ? &second : err) < 0)
                return -1;
        return got;
}

int point_seal(struct point *point, struct cowherd_error *err)
{
        struct thing *made = &point->made;
        struct store_usage usage = {0};
        owned_str char *fingerprint = NULL;

        if (made->driver->seal_base(&made->place.place, &made->object, &fingerprint, err) < 0)
                return -1;
        free(made->row.fingerprint);
        made->row.fingerprint = take(fingerprint);
        made->object.fingerprint = made->row.fingerprint;
        if (made->row.role == CATALOGUE_SNAPSHOT && made->row.kind != STORE_DISK)
                return 0; /* a walk or a question that nobody asked for: `usage` does */
        if (made->driver->usage(&made->place.place, &made->object, &usage, err) < 0)
                return -1;
        made->row.size_bytes = usage.unique_bytes + (made->row.role == CATALOGUE_BASE ? usage.shared_bytes : 0);
        return point->live ? memory_seal(point, err) : 0;
}

/* What people say that something stands on which stands on what the clone stood on: see catalogue_row.of_id. */
static uint64_t called_as_the_clone(const struct catalogue_row *clone, uint64_t id)
{
        if (clone->of_id == clone->id || (clone->of_id == 0 && clone->base_id == 0))
                return id;
        return clone->of_id != 0 ? clone->of_id : clone->base_id;
}

/* `operation`, or NULL: what is intended with both of them next. */
static int settle(struct point *point, const char *operation, struct cowherd_error *err)
{
        struct catalogue_row rows[2] = {point->made.row, point->clone.row}; /* borrowed */
        const struct catalogue_row *clone = &point->clone.row;
        bool is_base = rows[0].role == CATALOGUE_BASE;

        if (is_base)
                rows[0].of_id = clone->of_id == 0 ? 0 : called_as_the_clone(clone, rows[0].id);
        if (point->stacks || point->follows) {
                rows[1].base_id = rows[0].id;
                rows[1].of_id = is_base ? 0 : called_as_the_clone(clone, clone->id);
        }
        if (point->stacks && is_base && rows[0].kind == STORE_TREE)
                rows[1].identity_applied = false; /* it was taken out of the bytes that both read */
        if ((operation == NULL ? catalogue_settle(point->herd->catalogue, rows, 2, err)
                               : catalogue_settle_and_begin(point->herd->catalogue, rows, 2, operation, err)) < 0)
                return -1;
        point->made.row.of_id = rows[0].of_id;
        point->clone.row.base_id = rows[1].base_id;
        point->clone.row.of_id = rows[1].of_id;
        point->clone.row.identity_applied = rows[1].identity_applied;
        return 0;
}

int point_settle(struct point *point, struct cowherd_error *err)
{
        return settle(point, NULL, err);
}

int point_settle_nameless(struct point *point, struct cowherd_error *err)
{
        struct catalogue *catalogue = point->herd->catalogue;

        if (settle(point, OPERATION_UNPROMOTE, err) < 0 || catalogue_remove_base(catalogue, point->made.row.id, err) < 0 ||
            catalogue_end(catalogue, point->made.row.id, err) < 0)
                return -1;
        return catalogue_end(catalogue, point->clone.row.id, err);
}
