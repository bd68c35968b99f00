/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a clone, each with its undo; those of its start are in clone_start.c.
 */
#include "herd/clone.h"

#include "sys/clock.h"

/* A snapshot taken in vain would stay under its clone where the store stacks: names are looked for before. */
static int expect_free_names(const struct cloning *cloning, struct cowherd_error *err)
{
        struct catalogue *catalogue = cloning->call->herd->catalogue;

        for (size_t i = 0; i < cloning->count; i++) {
                struct catalogue_row taken owned_by(catalogue_row_free) = {0};
                const struct catalogue_row *row = &cloning->rows[i];
                if (catalogue_find(catalogue, row->target, row->name, &taken, err) == 0)
                        return taken.phase == CATALOGUE_READY ? fail_taken(&taken, err) : 0; /* reserving waits for its maker */
                if (err->code != COWHERD_NOT_FOUND)
                        return -1;
        }
        return 0;
}

/* From here on the snapshot is the base, which people know by the clone's name. */
static int take_source(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        struct cowherd_herd *herd = cloning->call->herd;
        bool durable = request_flag(cloning->call->request, KEY_DURABLE);

        (void)item;
        if (expect_free_names(cloning, err) < 0 || point_nameless(&cloning->source, &cloning->base.row, durable, err) < 0)
                return -1;
        thing_free(&cloning->base);
        if (catalogue_get(herd->catalogue, cloning->source.made.row.id, &cloning->base.row, err) != 0 || thing_open(herd, durable, &cloning->base, err) < 0)
                return -1;
        cloning->base.row.name = x_strdup(cloning->source.clone.row.name);
        for (size_t i = 0; i < cloning->count; i++) {
                cloning->rows[i].base_id = cloning->base.row.id;
                cloning->rows[i].of_id = cloning->source.clone.row.id;
        }
        return 0;
}

static void untake_source(void *operation, size_t item)
{
        struct cloning *cloning = operation;

        (void)item;
        point_drop_nameless(&cloning->source);
}

/* Whether the store looks at the base while it clones it: of one clone only, as many would ask as often. */
static bool checks_while_cloning(const struct cloning *cloning)
{
        return cloning->count == 1 && cloning->driver == cloning->base.driver && cloning->driver->clone_checked != NULL;
}

static int check_base(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        const struct thing *base = &cloning->base;

        (void)item;
        cloning->taken = cloning->memory.live;
        cloning->taken.may_stand_by = true;
        if (cloning->memory.kept != NULL && memory_check(base, &cloning->memory, false, err) < 0)
                return -1;
        if (cloning->wakes && memory_check_room(&base->row, cloning->count, err) < 0)
                return -1;
        if (checks_while_cloning(cloning))
                return 0;
        return base->driver->check_base(&base->place.place, &base->object, err);
}

/* Inside the reserving transaction: the id is known, so identity can be chosen. */
static int choose_identity(void *context, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct cloning *cloning = context;
        struct catalogue_row *own = &cloning->rows[row - cloning->rows];

        if (row->was_warm && row->kind == STORE_DISK)
                return cloning_choose_warm_identity(cloning, own, err);
        if (!row->keep_identity)
                identity_choose(own, catalogue_uuid(cloning->call->herd->catalogue));
        return 0;
}

static int reserve(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        double began = clock_ms();

        (void)item;
        if (herd_reserve(&cloning->owned, cloning->rows, cloning->count, "clone_from_base", choose_identity, cloning, err) < 0)
                return -1;
        for (size_t i = 0; i < cloning->count; i++)
                cloning->objects[i] = object_of(&cloning->rows[i], &cloning->base.object);
        ownership_free(&cloning->source.making); /* the clones keep it from now on, and its lock is taken by who forgets the last */
        ownership_free(&cloning->source.owned);
        cloning->reserved_ms = clock_ms() - began;
        return 0;
}

/* Forgets the rows of clones that are not there (any more), but for those whose bytes could not be taken away. */
static int forget_failed(struct cloning *cloning, bool all, struct cowherd_error *err)
{
        owned_mem uint64_t *ids = x_calloc(cloning->count, sizeof *ids);
        struct strv freed owned_by(strv_free) = {0};
        size_t count = 0;

        for (size_t i = 0; i < cloning->count; i++)
                if ((all || cloning->outcomes[i].failed) && !cloning->stuck[i])
                        ids[count++] = cloning->rows[i].id;
        if (count == 0)
                return 0;
        if (catalogue_forget(cloning->call->herd->catalogue, ids, count, &freed, err) < 0)
                return -1;
        return herd_destroy_freed(cloning->call->herd, &freed, err);
}

static void unreserve(void *operation, size_t item)
{
        struct cloning *cloning = operation;
        struct cowherd_error ignored;

        (void)item;
        if (cloning->owned.count == 0)
                return; /* nothing was reserved */
        if (forget_failed(cloning, true, &ignored) < 0)
                return; /* the rows stay CREATING, unlocked by our end: the next command settles them */
        ownership_free(&cloning->owned);
}

struct store_place cloning_place(const struct cloning *cloning)
{
        struct store_place place = cloning->base.place.place;

        if (cloning->owned.count > 0)
                place.lock = cloning->owned.lock;
        return place;
}

static int prepare_clone(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        const struct store_place place = cloning_place(cloning);

        if (cloning->driver->prepare_clone(&place, &cloning->objects[item], err) < 0)
                return fail_while(err, "cloning '%s'", cloning->rows[item].name);
        cloning->objects[item].prepared = true;
        return 0;
}

static int make_clone(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        double began = clock_ms();

        const struct store_place place = cloning_place(cloning);
        bool checked = checks_while_cloning(cloning);
        int made = cloning_take_warm(cloning, item, &place, checked, err);
        if (made > 0)
                made = checked ? cloning->driver->clone_checked(&place, &cloning->objects[item], err) : cloning->driver->clone(&place, &cloning->objects[item], err);
        if (made < 0)
                return fail_while(err, "cloning '%s'", cloning->rows[item].name);
        cloning->item_ms[item] = clock_ms() - began;
        return 0;
}

static void unmake_clone(void *operation, size_t item)
{
        struct cloning *cloning = operation;
        struct cowherd_error ignored;

        if (cloning->stuck[item])
                return; /* it still runs */
        const struct store_place place = cloning_place(cloning);
        cloning->stuck[item] = cloning->driver->destroy(&place, &cloning->objects[item], &ignored) < 0;
}

static int settle(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        struct catalogue *catalogue = cloning->call->herd->catalogue;
        owned_mem struct catalogue_row *made = x_calloc(cloning->count, sizeof *made);
        size_t count = 0;

        (void)item;
        for (size_t i = 0; i < cloning->count; i++) {
                if (cloning->outcomes[i].failed)
                        continue;
                if (cloning->group.lives != NULL)
                        cloning_keep_identity(cloning, i);
                cloning->rows[i].clone_ms = cloning->item_ms[i] + cloning->reserved_ms / (double)cloning->count;
                cloning->rows[i].as_reserved = cloning->group.lives == NULL && !cloning->rows[i].was_warm;
                made[count++] = cloning->rows[i]; /* borrowed */
        }
        if (catalogue_settle(catalogue, made, count, err) < 0)
                return -1;
        return count == cloning->count ? 0 : forget_failed(cloning, false, err);
}

void cloning_make_plan(struct cloning *cloning)
{
        struct plan *plan = &cloning->plan;
        const char *first = cloning->rows[0].name, *last = cloning->rows[cloning->count - 1].name;

        *plan = (struct plan){.items = cloning->count, .parallel = cloning->driver->parallel, .operation = cloning,
                              .atomic = request_flag(cloning->call->request, KEY_ATOMIC)};
        if (cloning->base.row.role == CATALOGUE_CLONE)
                plan_add(plan, false, take_source, untake_source, "take a snapshot of clone '%s' for %s to stand on", cloning->base.row.name,
                         cloning->count == 1 ? "its clone" : "its clones");
        plan_add(plan, false, check_base, NULL, "check that %s '%s' is unchanged", cloning->base.row.role == CATALOGUE_CLONE ? "the snapshot of" : "base", cloning->base.row.name);
        if (cloning->count == 1)
                plan_add(plan, false, reserve, unreserve, "reserve the name '%s' and choose its identity", first);
        else
                plan_add(plan, false, reserve, unreserve, "reserve the names '%s' to '%s' and choose their identities", first, last);
        if (cloning->count > 1 && cloning->driver->prepare_clone != NULL)
                plan_add(plan, true, prepare_clone, unmake_clone, "make room in store '%s'", cloning->driver->name);
        plan_add(plan, true, make_clone, unmake_clone, "%s '%s' by store '%s'", cloning->may_be_warm ? "take what is kept warm, or clone" : "clone", cloning->base.row.name,
                 cloning->driver->name);
        cloning_add_start(cloning);
        plan_add(plan, false, settle, NULL, "settle the catalogue");
        cloning_add_wait(cloning);
}

int cloning_apply(struct cloning *cloning, struct cowherd_error *err)
{
        bool waits = cloning_waits_afterwards(cloning);

        cloning->deadline_ms = wait_deadline(cloning->call->request);
        cloning->plan.count -= waits; /* that step is the plan's last */
        if (plan_apply(&cloning->plan, cloning->outcomes, err) < 0)
                return -1;
        cloning->is_settled = true;
        if (waits)
                cloning_wait(cloning);
        return 0;
}
