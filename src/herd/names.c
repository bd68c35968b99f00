/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the catalogue has, for completion: no engine is asked and nothing is made, so that it takes no time to speak of. */
#include "herd/herd.h"

#include <string.h>

struct telling {
        const char *prefix;
        void (*each)(void *context, const char *name, const char *about);
        void *context;
};

static void tell_rows(const struct telling *telling, const struct catalogue_rows *rows)
{
        size_t length = strlen(telling->prefix);

        for (size_t i = 0; i < rows->count; i++) {
                const struct catalogue_row *row = &rows->items[i];
                const char *name = row->role == CATALOGUE_SNAPSHOT ? row->label : row->name;
                bool of_base = row->role == CATALOGUE_CLONE && row->base_name != NULL;
                if (name == NULL || strncmp(name, telling->prefix, length) != 0)
                        continue;
                owned_str char *about = of_base ? x_asprintf("clone of %s on %s", row->base_name, cowherd_target_name(row->target))
                                                : x_asprintf("%s on %s", row->role == CATALOGUE_BASE ? "base" : row->role == CATALOGUE_CLONE ? "clone" : "snapshot",
                                                             cowherd_target_name(row->target));
                telling->each(telling->context, name, about);
        }
}

static int list(struct cowherd_herd *herd, enum cowherd_target target, enum catalogue_role role, const struct telling *telling, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        owned_str char *pattern = x_asprintf("%s*", telling->prefix);

        if (catalogue_list(herd->catalogue, target, role, pattern, &rows, err) < 0)
                return -1;
        tell_rows(telling, &rows);
        return 0;
}

static int list_snapshots(struct cowherd_herd *herd, enum cowherd_target target, const char *of, const struct telling *telling, struct cowherd_error *err)
{
        struct catalogue_row clone owned_by(catalogue_row_free) = {0};
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (of == NULL || str_is_pattern(of))
                return 0;
        if (catalogue_find(herd->catalogue, target, of, &clone, err) < 0 || catalogue_snapshots(herd->catalogue, clone.id, &rows, err) < 0)
                return -1;
        tell_rows(telling, &rows);
        return 0;
}

int cowherd_names(struct cowherd_herd *herd, enum cowherd_target target, unsigned what, const char *of, const char *prefix,
                  void (*each)(void *context, const char *name, const char *about), void *context, struct cowherd_error *err)
{
        const struct telling telling = {.prefix = prefix == NULL ? "" : prefix, .each = each, .context = context};
        const enum cowherd_target engine = target < COWHERD_ENGINES ? target : COWHERD_ANY;
        int got = herd_open(herd, false, err);

        if (got != 0)
                return got < 0 ? -1 : 0;
        if ((what & COWHERD_NAMES_BASES) != 0 && list(herd, engine, CATALOGUE_BASE, &telling, err) < 0)
                return -1;
        if ((what & COWHERD_NAMES_CLONES) != 0 && list(herd, engine, CATALOGUE_CLONE, &telling, err) < 0)
                return -1;
        return (what & COWHERD_NAMES_SNAPSHOTS) != 0 ? list_snapshots(herd, engine, of, &telling, err) : 0;
}
