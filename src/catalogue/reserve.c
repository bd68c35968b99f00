/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an object comes to be: reserved, with its name taken and an intent, and settled when it is whole. Each is one
 * transaction and as few pages as can be: a name is found taken by the unique index, not by a question before; that a
 * base is still there is found by counting the clone on it; and what indexes hold (target, name, base) is not written
 * twice.
 *
 * A clone may be one that is kept warm (warm.c): then a row that is there gets the name, and no other is written.
 */
#include "catalogue/connection.h"

/* A new clone needs a base that is named; what becomes of a clone may stand on what that stood on, removed or not. */
static int gain_base(struct catalogue *catalogue, const struct catalogue_row *row, enum statement how, struct cowherd_error *err)
{
        const char *name = row->name != NULL ? row->name : row->label != NULL ? row->label : row_is_warm(row) ? "a clone kept warm" : "a snapshot";
        bool there = false;

        if (statement_run_id(catalogue, how, row->base_id, &there, err) < 0)
                return -1;
        if (there)
                return 0;
        (void)fail(err, COWHERD_NOT_FOUND, "the base of '%s' was not found: it has just been removed", name);
        return fail_hint(err, "Register it first with register_base");
}

/* 1 where the name is taken. */
static int insert_row(struct catalogue *catalogue, const struct catalogue_row *row, struct cowherd_error *err)
{
        sqlite3_stmt *insert owned_statement = statement_get(catalogue, ROW_INSERT, err);

        if (insert == NULL)
                return -1;
        int next = row_bind(insert, row);
        (void)sqlite3_bind_int(insert, next, (int)row->target);
        bind_text(insert, next + 1, row->name);
        bind_id(insert, next + 2, row->base_id);
        return statement_run(catalogue, insert, err);
}

static int reserve_row(struct catalogue *catalogue, struct catalogue_row *row, const char *operation,
                       struct cowherd_error *err)
{
        enum statement how = row->of_id != 0 ? BASE_GAIN_ANY : row_is_warm(row) ? BASE_STAY : BASE_GAIN;
        int got = WARM_NONE;

        row->was_warm = false;
        if (row->base_id != 0 && gain_base(catalogue, row, how, err) < 0)
                return -1;
        if (row->may_be_warm)
                got = warm_take(catalogue, row, err);
        row->was_warm = got == 0;
        if (got == WARM_NONE) {
                got = insert_row(catalogue, row, err);
                row->id = (uint64_t)sqlite3_last_insert_rowid(catalogue->db);
        }
        if (got != 0)
                return got;
        row->phase = CATALOGUE_CREATING;
        return intent_begin(catalogue, row->id, operation, err);
}

/* The row that has the name of rows[at]: another's, or one of those that we have just inserted. */
static int find_taken(struct catalogue *catalogue, const struct catalogue_row *rows, size_t at,
                      struct catalogue_row *ret, struct cowherd_error *err)
{
        struct catalogue_row taken = {0};

        if (rows[at].name == NULL) {
                (void)fail(err, COWHERD_EXISTS, "snapshot '%s' already exists", rows[at].label);
                return fail_hint(err, "choose another name, or delete_snapshot it first");
        }
        int got = find_name(catalogue, rows[at].target, rows[at].name, &taken, err);
        if (got != 0)
                return got < 0 ? -1 : fail(err, COWHERD_INTERNAL, "the name '%s' is taken by nobody", rows[at].name);
        for (size_t i = 0; i < at; i++) {
                if (rows[i].id == taken.id) {
                        catalogue_row_free(&taken);
                        return fail(err, COWHERD_USAGE, "the name '%s' is asked for twice in one command",
                                    rows[at].name);
                }
        }
        *ret = taken;
        return 1;
}

static int reserve_rows(struct catalogue *catalogue, struct catalogue_row *rows, size_t count, const char *operation,
                        struct catalogue_row *ret_taken, struct cowherd_error *err)
{
        for (size_t i = 0; i < count; i++) {
                int got = reserve_row(catalogue, &rows[i], operation, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        return find_taken(catalogue, rows, i, ret_taken, err);
        }
        return 0;
}

static int tell_reserved(const struct catalogue_row *rows, size_t count, catalogue_reserved_fn *reserved, void *context,
                         struct cowherd_error *err)
{
        for (size_t i = 0; reserved != NULL && i < count; i++)
                if (reserved(context, &rows[i], err) < 0)
                        return -1;
        return 0;
}

int catalogue_reserve(struct catalogue *catalogue, struct catalogue_row *rows, size_t count, const char *operation,
                      catalogue_reserved_fn *reserved, void *context, struct catalogue_row *ret_taken,
                      struct cowherd_error *err)
{
        if (transaction_begin(catalogue, err) < 0)
                return -1;
        int got = reserve_rows(catalogue, rows, count, operation, ret_taken, err);
        if (got == 0)
                got = tell_reserved(rows, count, reserved, context, err);
        got = transaction_end(catalogue, got, err);
        for (size_t i = 0; got != 0 && i < count; i++)
                rows[i].id = 0; /* the next one will get that id */
        return got;
}

/* The parameters of ROW_SETTLE_MADE; gives the number of the next. */
static int bind_made(sqlite3_stmt *settle, const struct catalogue_row *row)
{
        const char *const identity[] = {row->hostname, row->machine_id, row->mac, row->uuid, row->generation_id, row->instance_id, row->random_seed};
        int next = 1;

        (void)sqlite3_bind_double(settle, next++, row->clone_ms);
        for (size_t i = 0; i < array_length(identity); i++)
                bind_text(settle, next++, identity[i]);
        return next;
}

/* Writes a row that stands on the base it stood on before; *ret_written tells whether it was there. */
static int write_row(struct catalogue *catalogue, const struct catalogue_row *row, bool *ret_written,
                     struct cowherd_error *err)
{
        sqlite3_stmt *settle owned_statement = statement_get(catalogue, row->as_reserved ? ROW_SETTLE_MADE : ROW_SETTLE, err);

        if (settle == NULL)
                return -1;
        int next = row->as_reserved ? bind_made(settle, row) : row_bind(settle, row);
        bind_number(settle, next, row->id);
        bind_id(settle, next + 1, row->base_id);
        if (statement_step(catalogue, settle, err) < 0)
                return -1;
        *ret_written = sqlite3_changes(catalogue->db) > 0;
        return 0;
}

int read_base(struct catalogue *catalogue, uint64_t id, uint64_t *ret_base, bool *ret_counted, struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, ROW_BASE, err);

        if (statement == NULL)
                return -1;
        bind_number(statement, 1, id);
        int got = statement_step(catalogue, statement, err);
        if (got < 0)
                return -1;
        if (got == 0)
                return 1;
        *ret_base = column_number(statement, 0);
        if (ret_counted != NULL)
                *ret_counted = column_number(statement, 1) == 0;
        return 0;
}

/* Puts a row on another base, or on none. */
static int move_row(struct catalogue *catalogue, const struct catalogue_row *row, uint64_t old_base,
                    struct cowherd_error *err)
{
        if (row->base_id != 0 && gain_base(catalogue, row, BASE_GAIN_ANY, err) < 0)
                return -1;
        sqlite3_stmt *rebase owned_statement = statement_get(catalogue, ROW_REBASE, err);
        if (rebase == NULL)
                return -1;
        bind_number(rebase, 1, row->id);
        bind_id(rebase, 2, row->base_id);
        if (statement_step(catalogue, rebase, err) < 0)
                return -1;
        if (old_base == 0)
                return 0;
        if (statement_run_id(catalogue, BASE_LOSE, old_base, NULL, err) < 0)
                return -1;
        return free_base(catalogue, old_base, NULL, err);
}

static int settle_row(struct catalogue *catalogue, const struct catalogue_row *row, struct cowherd_error *err)
{
        bool written = false;
        uint64_t old_base = 0;

        if (write_row(catalogue, row, &written, err) < 0)
                return -1;
        if (!written) { /* it is gone, or is to stand on another base */
                int got = read_base(catalogue, row->id, &old_base, NULL, err);
                if (got < 0)
                        return -1;
                if (got > 0)
                        return fail(err, COWHERD_NOT_FOUND,
                                    "'%s' was not found in the catalogue: it has just been removed", row->name);
                if (move_row(catalogue, row, old_base, err) < 0 || write_row(catalogue, row, &written, err) < 0)
                        return -1;
        }
        if (row_is_warm(row) && gain_base(catalogue, row, BASE_STAY, err) < 0)
                return -1;
        return statement_run_id(catalogue, INTENT_END, row->id, NULL, err);
}

int catalogue_settle_and_begin(struct catalogue *catalogue, const struct catalogue_row *rows, size_t count, const char *operation,
                               struct cowherd_error *err)
{
        int got = 0;

        if (transaction_begin(catalogue, err) < 0)
                return -1;
        for (size_t i = 0; got == 0 && i < count; i++) {
                got = settle_row(catalogue, &rows[i], err);
                const char *then = operation != NULL ? operation : rows[i].then;
                if (got == 0 && then != NULL)
                        got = intent_begin(catalogue, rows[i].id, then, err);
        }
        return transaction_end(catalogue, got, err);
}

int catalogue_settle(struct catalogue *catalogue, const struct catalogue_row *rows, size_t count, struct cowherd_error *err)
{
        return catalogue_settle_and_begin(catalogue, rows, count, NULL, err);
}
