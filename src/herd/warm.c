/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be kept warm and what is, and taking it away again. */
#include "herd/warm.h"

#include "base/number.h"
#include "herd/memory.h"
#include "sys/lock.h"

#include <jansson.h>
#include <string.h>

char *warm_mark(const char *extra, uint64_t wanted)
{
        json_t *marked = extra == NULL ? json_object() : json_loads(extra, 0, NULL);

        (void)json_object_set_new(marked, "warm", json_integer((json_int_t)wanted));
        char *text = json_dumps(marked, JSON_COMPACT);
        json_decref(marked);
        return text;
}

bool warm_is_possible(const struct catalogue_row *base)
{
        if (base->role != CATALOGUE_BASE)
                return false;
        return base->kind == STORE_INSTANCE || (base->extra != NULL && strstr(base->extra, "\"live\"") != NULL && memory_is_kept(base));
}

/* Whether a base has a warm= of its own. */
static bool has_own(const struct catalogue_row *base, uint64_t *ret)
{
        if (base->extra == NULL || strstr(base->extra, "\"warm\"") == NULL)
                return false;
        json_t *extra = json_loads(base->extra, 0, NULL);
        const json_t *own = json_object_get(extra, "warm");
        bool found = json_is_integer(own);
        *ret = found ? (uint64_t)json_integer_value(own) : 0;
        json_decref(extra);
        return found;
}

static char *default_key(enum cowherd_target target)
{
        return x_asprintf("%s.warm", cowherd_target_name(target));
}

int warm_wanted(struct cowherd_herd *herd, const struct catalogue_row *base, uint64_t *ret, struct cowherd_error *err)
{
        owned_str char *key = default_key(base->target), *value = NULL;

        *ret = 0;
        if (!warm_is_possible(base) || has_own(base, ret))
                return 0;
        if (catalogue_get_setting(herd->catalogue, key, &value, err) < 0)
                return -1;
        if (value != NULL)
                (void)number_parse(value, ret);
        return 0;
}

int warm_set_default(struct cowherd_herd *herd, enum cowherd_target target, uint64_t wanted, struct cowherd_error *err)
{
        owned_str char *key = default_key(target), *value = wanted == 0 ? NULL : x_asprintf("%llu", (unsigned long long)wanted);

        return catalogue_set_setting(herd->catalogue, key, value, err);
}

int warm_check_words(const struct request *request, enum cowherd_target target, bool live, struct cowherd_error *err)
{
        if (!request_has(request, KEY_WARM) || target == COWHERD_LXD || (target == COWHERD_QEMU && live))
                return 0;
        if (target == COWHERD_QEMU) {
                (void)fail(err, COWHERD_UNAVAILABLE, "warm= is for live bases: a clone of a disk is made in less than a millisecond as it is");
                return fail_hint(err, "leave warm= out, or make a live base: promote a running clone with live=true");
        }
        (void)fail(err, COWHERD_UNAVAILABLE, "warm= is of no use to %s: a clone of a tree is made in less than a millisecond as it is", cowherd_target_name(target));
        return fail_hint(err, "leave warm= out");
}

/* ---- counting ---- */

static void count_one(struct cowherd_herd *herd, const struct catalogue_row *row, struct warm_count *count)
{
        if (row->phase != CATALOGUE_READY)
                return;
        bool stands = row->kind == STORE_INSTANCE || warm_stands(herd, row, NULL);
        count->ready += stands;
        count->dead += !stands;
}

int warm_count(struct cowherd_herd *herd, const struct catalogue_row *base, struct warm_count *ret, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        *ret = (struct warm_count){0};
        if (!warm_is_possible(base))
                return 0;
        if (warm_wanted(herd, base, &ret->wanted, err) < 0 || catalogue_warm(herd->catalogue, base->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                count_one(herd, &rows.items[i], ret);
        return 0;
}

int warm_count_all(struct cowherd_herd *herd, enum cowherd_target target, struct warm_count *ret, struct cowherd_error *err)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};

        *ret = (struct warm_count){0};
        if (catalogue_list(herd->catalogue, target, CATALOGUE_BASE, NULL, &bases, err) < 0)
                return -1;
        for (size_t i = 0; i < bases.count; i++) {
                struct warm_count one;
                if (warm_count(herd, &bases.items[i], &one, err) < 0)
                        return -1;
                ret->wanted += one.wanted;
                ret->ready += one.ready;
                ret->dead += one.dead;
        }
        return 0;
}

int fields_of_warm(struct cowherd_herd *herd, struct cowherd_answer *answer, const struct catalogue_row *base, struct cowherd_error *err)
{
        struct warm_count count;

        if (warm_count(herd, base, &count, err) < 0)
                return -1;
        if (count.wanted == 0 && count.ready == 0)
                return 0;
        answer_number(answer, "warm", count.wanted);
        answer_number(answer, "ready", count.ready);
        return 0;
}

char *warm_complaint(struct cowherd_herd *herd)
{
        struct cowherd_error ignored;
        char *text = NULL;

        return catalogue_get_setting(herd->catalogue, WARM_COMPLAINT_KEY, &text, &ignored) < 0 ? NULL : text;
}

/* ---- no helper ---- */

int warm_pause(struct warm_pause *pause, struct cowherd_error *err)
{
        int locks = pause->herd->locks;

        if (lock_take(locks, WARM_STOP_LOCK, true, &pause->stop, err) < 0 || lock_take(locks, WARM_LOCK, true, &pause->lock, err) < 0)
                return fail_while(err, "waiting for the end of the helper that keeps clones warm");
        return 0;
}

void warm_pause_end(struct warm_pause *pause)
{
        lock_remove(pause->herd->locks, WARM_LOCK, &pause->lock);
        lock_remove(pause->herd->locks, WARM_STOP_LOCK, &pause->stop);
}

/* ---- taking away ---- */

static int bury(struct cowherd_herd *herd, uint64_t id, struct cowherd_error *err)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};

        if (ownership_take(&owned, id, true, err) < 0)
                return -1;
        int got = catalogue_get(herd->catalogue, id, &now, err);
        if (got < 0)
                return -1;
        if (got == 0 && (now.name != NULL || now.phase == CATALOGUE_READY))
                return 0; /* it was taken meanwhile, or stays */
        if (got == 0 && herd_settle_unfinished(herd, &now, err) < 0)
                return fail_while(err, "taking away what is kept warm");
        return 0;
}

int warm_bury(struct cowherd_herd *herd, uint64_t base_id, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_warm(herd->catalogue, base_id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                if (rows.items[i].phase != CATALOGUE_READY && bury(herd, rows.items[i].id, err) < 0)
                        return -1;
        return 0;
}

int warm_trim(struct cowherd_herd *herd, enum cowherd_target target, struct cowherd_error *err)
{
        struct catalogue_rows bases owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, target, CATALOGUE_BASE, NULL, &bases, err) < 0)
                return -1;
        for (size_t i = 0; i < bases.count; i++) {
                struct warm_count count;
                if (warm_count(herd, &bases.items[i], &count, err) < 0)
                        return -1;
                if (count.ready > count.wanted && (catalogue_drop_warm(herd->catalogue, bases.items[i].id, count.wanted, err) < 0 ||
                                                   warm_bury(herd, bases.items[i].id, err) < 0))
                        return -1;
        }
        return 0;
}
