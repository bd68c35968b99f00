/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an object ceases to be: marked DELETING with an intent, its bytes destroyed by the caller, and forgotten. A base
 * that something stands on only loses its name; who forgets its last dependent is told to destroy it. What becomes of a
 * clone's snapshots is told in snapshot.c.
 */
#include "catalogue/connection.h"

int intent_begin(struct catalogue *catalogue, uint64_t id, const char *operation, struct cowherd_error *err)
{
        sqlite3_stmt *intent owned_statement = statement_get(catalogue, INTENT_BEGIN, err);

        if (intent == NULL)
                return -1;
        bind_number(intent, 1, id);
        bind_text(intent, 2, operation);
        return statement_step(catalogue, intent, err);
}

int free_base(struct catalogue *catalogue, uint64_t id, bool *ret_freed, struct cowherd_error *err)
{
        bool freed = false;

        if (statement_run_id(catalogue, BASE_FREE, id, &freed, err) < 0)
                return -1;
        if (freed && intent_begin(catalogue, id, "remove_base", err) < 0)
                return -1;
        if (ret_freed != NULL)
                *ret_freed = freed;
        return 0;
}

/* Refuses what something stands on that does not go with it. */
static int check_stands_alone(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        sqlite3_stmt *statement owned_statement = statement_get(catalogue, ROW_IS_STOOD_ON, err);

        if (statement == NULL)
                return -1;
        bind_number(statement, 1, id);
        int got = statement_step(catalogue, statement, err);
        return got <= 0 ? got
                        : fail(err, COWHERD_BUSY, "object %llu is in use: others stand on it", (unsigned long long)id);
}

/* 1 where one of them is not READY. */
static int mark_all(struct catalogue *catalogue, const uint64_t *ids, size_t count, const char *operation,
                    struct cowherd_error *err)
{
        for (size_t i = 0; i < count; i++) {
                bool marked = false;
                if (statement_run_id(catalogue, ROW_MARK_DELETING, ids[i], &marked, err) < 0)
                        return -1;
                if (!marked)
                        return 1;
                if (intent_begin(catalogue, ids[i], operation, err) < 0 || snapshots_follow(catalogue, ids[i], operation, err) < 0)
                        return -1;
        }
        for (size_t i = 0; i < count; i++)
                if (check_stands_alone(catalogue, ids[i], err) < 0)
                        return -1;
        return 0;
}

int catalogue_mark_deleting(struct catalogue *catalogue, const uint64_t *ids, size_t count, const char *operation,
                            struct cowherd_error *err)
{
        if (transaction_begin(catalogue, err) < 0)
                return -1;
        return transaction_end(catalogue, mark_all(catalogue, ids, count, operation, err), err);
}

static int forget_object(struct catalogue *catalogue, uint64_t id, uint64_t *ret_base, struct cowherd_error *err)
{
        uint64_t base = 0;
        bool counted = false;

        if (read_base(catalogue, id, &base, &counted, err) < 0)
                return -1;
        if (statement_run_id(catalogue, INTENT_END, id, NULL, err) < 0)
                return -1;
        if (statement_run_id(catalogue, ROW_DELETE, id, NULL, err) < 0)
                return -1;
        if (base != 0 && counted && statement_run_id(catalogue, BASE_LOSE, base, NULL, err) < 0)
                return -1;
        *ret_base = base;
        return 0;
}

/* Forgets them all, then looks at what they stood on. `bases` has room for `count`. */
static int forget_all(struct catalogue *catalogue, const uint64_t *ids, size_t count, uint64_t *bases,
                      struct strv *freed_ids, struct cowherd_error *err)
{
        for (size_t i = 0; i < count; i++)
                if (forget_object(catalogue, ids[i], &bases[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < count; i++)
                if (snapshots_buried(catalogue, ids[i], freed_ids, err) < 0)
                        return -1;
        for (size_t i = 0; i < count; i++) {
                bool freed = false;
                if (bases[i] == 0 || (i > 0 && bases[i] == bases[i - 1]))
                        continue;
                if (free_base(catalogue, bases[i], &freed, err) < 0)
                        return -1;
                if (freed)
                        strv_addf(freed_ids, "%llu", (unsigned long long)bases[i]);
        }
        return 0;
}

int catalogue_forget(struct catalogue *catalogue, const uint64_t *ids, size_t count, struct strv *ret_freed,
                     struct cowherd_error *err)
{
        owned_mem uint64_t *bases = x_calloc(count, sizeof *bases);
        struct strv freed owned_strv = {0};

        if (transaction_begin(catalogue, err) < 0)
                return -1;
        if (transaction_end(catalogue, forget_all(catalogue, ids, count, bases, &freed, err), err) < 0)
                return -1;
        for (size_t i = 0; ret_freed != NULL && i < freed.count; i++)
                strv_add(ret_freed, freed.items[i]);
        return 0;
}

static int remove_or_unname(struct catalogue *catalogue, uint64_t id, const struct removal *how, struct cowherd_error *err)
{
        bool done = false;

        if (how->mark_deleting == BASE_MARK_DELETING && warm_drop(catalogue, id, 0, err) < 0)
                return -1;
        if (statement_run_id(catalogue, how->mark_deleting, id, &done, err) < 0)
                return -1;
        if (done)
                return intent_begin(catalogue, id, how->operation, err);
        if (statement_run_id(catalogue, how->take_name, id, &done, err) < 0)
                return -1;
        return done ? 1
                    : fail(err, COWHERD_NOT_FOUND, "%s %llu was not found: it has just been removed", how->what,
                           (unsigned long long)id);
}

int remove_stood_on(struct catalogue *catalogue, uint64_t id, const struct removal *how, struct cowherd_error *err)
{
        if (transaction_begin(catalogue, err) < 0)
                return -1;
        int got = remove_or_unname(catalogue, id, how, err);
        if (transaction_end(catalogue, got < 0 ? -1 : 0, err) < 0)
                return -1;
        return got;
}

int catalogue_remove_base(struct catalogue *catalogue, uint64_t id, struct cowherd_error *err)
{
        static const struct removal removal = {BASE_MARK_DELETING, BASE_TAKE_NAME, "remove_base", "base"};

        return remove_stood_on(catalogue, id, &removal, err);
}
