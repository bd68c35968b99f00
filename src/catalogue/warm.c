/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clones that are kept warm: rows like any clone's, but without a name, so that the index of names and all that goes by it
 * never sees them. Their base does not count them, but stays for them. One is taken inside the transaction that reserves a
 * name: two commands can't take the same, and one that is killed afterwards leaves what any clone in the making leaves.
 *
 * Among ten thousand clones of a base they are found by an index of their own. It is made with the first of them, and not with
 * the catalogue: most herds keep none, and each index is read at each opening.
 */
#include "catalogue/connection.h"

bool row_is_warm(const struct catalogue_row *row)
{
        return row->role == CATALOGUE_CLONE && row->name == NULL;
}

int catalogue_warm_begin(struct catalogue *catalogue, struct cowherd_error *err)
{
        sqlite3_stmt *index owned_statement = statement_get(catalogue, WARM_INDEX, err);

        return index == NULL ? -1 : statement_step(catalogue, index, err);
}

/* The id of one that can be taken, 0 where there is none. */
static int find(struct catalogue *catalogue, uint64_t base_id, uint64_t *ret, struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, WARM_FIND, err);

        if (statement == NULL)
                return -1;
        bind_number(statement, 1, base_id);
        int got = statement_step(catalogue, statement, err);
        if (got < 0)
                return -1;
        *ret = got > 0 ? column_number(statement, 0) : 0;
        return 0;
}

int warm_take(struct catalogue *catalogue, struct catalogue_row *row, struct cowherd_error *err)
{
        uint64_t id = 0;

        if (find(catalogue, row->base_id, &id, err) < 0)
                return -1;
        if (id == 0)
                return WARM_NONE;
        sqlite3_stmt *name owned_statement = statement_get(catalogue, WARM_TAKE, err);
        if (name == NULL)
                return -1;
        bind_number(name, 1, id);
        bind_text(name, 2, row->name);
        int got = statement_run(catalogue, name, err);
        row->id = id;
        return got;
}

int catalogue_warm(struct catalogue *catalogue, uint64_t base_id, struct catalogue_rows *ret, struct cowherd_error *err)
{
        sqlite3_stmt *list owned_statement = statement_get(catalogue, WARM_LIST, err);

        if (list == NULL)
                return -1;
        bind_number(list, 1, base_id);
        return rows_read(catalogue, list, NULL, ret, err);
}

int warm_drop(struct catalogue *catalogue, uint64_t base_id, uint64_t keep, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_rows = {0};

        if (catalogue_warm(catalogue, base_id, &rows, err) < 0)
                return -1;
        for (size_t i = 0, ready = 0; i < rows.count; i++) {
                if (rows.items[i].phase != CATALOGUE_READY || ready++ < keep)
                        continue;
                if (statement_run_id(catalogue, ROW_MARK_DELETING, rows.items[i].id, NULL, err) < 0 ||
                    intent_begin(catalogue, rows.items[i].id, "drop", err) < 0)
                        return -1;
        }
        return 0;
}

int catalogue_drop_warm(struct catalogue *catalogue, uint64_t base_id, uint64_t keep, struct cowherd_error *err)
{
        if (transaction_begin(catalogue, err) < 0)
                return -1;
        return transaction_end(catalogue, warm_drop(catalogue, base_id, keep, err), err);
}
