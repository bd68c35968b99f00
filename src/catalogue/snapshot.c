/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: objects that belong to a clone and have a label among its others, instead of a name. They are counted as bases
 * are, by what stands on them (the clone itself, where its store stacks; clones of it; other snapshots), and like a removed
 * base one without a label goes with the last of these.
 */
#include "catalogue/connection.h"

#include <stdlib.h>

static int fail_no_snapshot(struct catalogue *catalogue, const struct catalogue_row *clone, const char *label,
                            struct cowherd_error *err)
{
        struct catalogue_rows rows owned_rows = {0};
        size_t count = 0;

        if (catalogue_snapshots(catalogue, clone->id, &rows, err) < 0)
                return -1;
        owned_mem const char **labels = x_calloc(rows.count + 1, sizeof *labels);
        for (size_t i = 0; i < rows.count; i++)
                if (rows.items[i].label != NULL)
                        labels[count++] = rows.items[i].label;
        const char *nearest = str_nearest(label, labels, count);
        if (nearest != NULL)
                return fail(err, COWHERD_NOT_FOUND, "snapshot '%s' of '%s' not found (did you mean '%s'?)", label, clone->name, nearest);
        (void)fail(err, COWHERD_NOT_FOUND, "snapshot '%s' of '%s' not found", label, clone->name);
        return count > 0 ? fail_hint(err, "see 'list_snapshots name=%s'", clone->name) : fail_hint(err, "'%s' has no snapshots", clone->name);
}

int catalogue_find_snapshot(struct catalogue *catalogue, const struct catalogue_row *clone, const char *label,
                            struct catalogue_row *ret, struct cowherd_error *err)
{
        struct catalogue_row row owned_row = {0};
        sqlite3_stmt *find owned_statement = statement_get(catalogue, FIND_LABEL, err);

        if (find == NULL)
                return -1;
        bind_number(find, 1, clone->id);
        bind_text(find, 2, label);
        int got = statement_step(catalogue, find, err);
        if (got < 0 || (got > 0 && row_read(catalogue, find, &row, err) < 0))
                return -1;
        if (got == 0 || row.phase != CATALOGUE_READY)
                return fail_no_snapshot(catalogue, clone, label, err);
        *ret = row;
        row = (struct catalogue_row){0};
        return 0;
}

int catalogue_snapshots(struct catalogue *catalogue, uint64_t clone_id, struct catalogue_rows *ret, struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_SNAPSHOTS, err);

        if (list == NULL)
                return -1;
        bind_number(list, 1, clone_id);
        return rows_read(catalogue, list, NULL, ret, err);
}

int catalogue_nameless(struct catalogue *catalogue, struct catalogue_rows *ret, struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_NAMELESS, err);

        return list == NULL ? -1 : rows_read(catalogue, list, NULL, ret, err);
}

/* ---- how they go ---- */

int snapshots_buried(struct catalogue *catalogue, uint64_t clone_id, struct strv *ids, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_rows = {0};
        sqlite3_stmt *list owned_statement = statement_get(catalogue, LIST_BURIED, err);

        if (list == NULL)
                return -1;
        bind_number(list, 1, clone_id);
        if (rows_read(catalogue, list, NULL, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                strv_addf(ids, "%llu", (unsigned long long)rows.items[i].id);
        return 0;
}

/* Each round marks what only the marked stand on any more: as many rounds as the chain is long. */
static int mark_alone(struct catalogue *catalogue, uint64_t clone_id, struct cowherd_error *err)
{
        bool marked = true;

        while (marked)
                if (statement_run_id(catalogue, SNAPSHOT_MARK_ALONE, clone_id, &marked, err) < 0)
                        return -1;
        return 0;
}

int snapshots_follow(struct catalogue *catalogue, uint64_t clone_id, const char *operation, struct cowherd_error *err)
{
        struct strv marked owned_strv = {0};

        if (mark_alone(catalogue, clone_id, err) < 0 || snapshots_buried(catalogue, clone_id, &marked, err) < 0)
                return -1;
        for (size_t i = 0; i < marked.count; i++)
                if (intent_begin(catalogue, strtoull(marked.items[i], NULL, 10), operation, err) < 0)
                        return -1;
        return statement_run_id(catalogue, SNAPSHOT_TAKE_LABELS, clone_id, NULL, err);
}

int catalogue_remove_snapshot(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        static const struct removal removal = {SNAPSHOT_MARK_DELETING, SNAPSHOT_TAKE_LABEL, "delete_snapshot", "snapshot"};

        return remove_stood_on(catalogue, id, &removal, err);
}

int catalogue_free_nameless(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        bool freed = false;

        if (transaction_begin(catalogue, err) < 0)
                return -1;
        if (transaction_end(catalogue, free_base(catalogue, id, &freed, err), err) < 0)
                return -1;
        return freed ? 0 : 1;
}
