/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone_from_base: the hot path. Names are reserved in one transaction, bytes are made by the store (many at once for
 * count=), rows are settled in another: two transactions for one clone or for a thousand, and no program is started.
 *
 * Clones of a live base wake at once in its memory, as if start=true wait=true had been said, unless start=false was.
 *
 * A clone may have been made in advance (warm.h): then it is only given its name.
 *
 * What is cloned may be a clone: then a nameless snapshot is taken of it first, and cloned. It goes with the last that stands on it.
 */
#include "herd/memory.h"
#include "herd/power.h"
#include "herd/warm.h"

#include "base/number.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

struct cloning {
        struct call *call;
        struct thing base;                 /* before its snapshot is taken, a source that is a clone */
        struct point source;               /* that clone, and the snapshot */
        struct memory memory;              /* of a live base … */
        bool wakes;                        /* … that the clones wake from */
        const struct store_driver *driver; /* of the clones: the base's, unless store= says otherwise */
        bool may_be_warm;                  /* one that is kept warm would do */
        struct catalogue_row *rows;
        struct store_object *objects;
        double *item_ms;
        bool is_settled;                   /* the rows are READY */
        bool *stuck;                       /* could not be undone now: its row stays for recovery */
        struct outcome *outcomes;
        size_t count;
        struct group group;                /* where they are to be started: their lives, and the outcomes above */
        double deadline_ms;                /* when wait=true gives up */
        double reserved_ms;                /* how long the reserving took, for all of them */
        struct ownership owned;
        struct plan plan;
};

static void cloning_free(struct cloning *cloning)
{
        for (size_t i = 0; cloning->rows != NULL && i < cloning->count; i++)
                catalogue_row_free(&cloning->rows[i]);
        free(cloning->rows);
        free(cloning->objects);
        free(cloning->item_ms);
        free(cloning->stuck);
        group_free(&cloning->group); /* with the outcomes */
        ownership_free(&cloning->owned);
        memory_free(&cloning->memory);
        thing_free(&cloning->base);
        point_free(&cloning->source);
}
define_owned(struct cloning, cloning_free)

/* ---- facts ---- */

static int check_words(const struct cloning *cloning, struct cowherd_error *err)
{
        const struct request *request = cloning->call->request;

        if (cloning->wakes)
                return memory_check_words(request, &cloning->base.row, err);
        if (!request_flag(request, KEY_WAIT) || request_flag(request, KEY_START))
                return 0;
        (void)fail(err, COWHERD_USAGE, "parameter 'wait' goes with start=true only");
        return fail_hint(err, "say start=true wait=true");
}

static int find_base(struct cloning *cloning, struct cowherd_error *err)
{
        const struct request *request = cloning->call->request;
        const char *name = request_text(request, KEY_BASE);
        struct cowherd_herd *herd = cloning->call->herd;

        if (herd_find(herd, request->target, "base", name, &cloning->base.row, err) < 0) {
                if (err->code != COWHERD_NOT_FOUND)
                        return -1;
                size_t used = strlen(err->text);
                (void)snprintf(err->text + used, sizeof err->text - used, ". Register it first with register_base");
                return -1;
        }
        if (thing_open(herd, request_flag(request, KEY_DURABLE), &cloning->base, err) < 0)
                return -1;
        if (!memory_is_kept(&cloning->base.row))
                return 0;
        cloning->wakes = !request_has(request, KEY_START) || request_flag(request, KEY_START);
        return memory_open(herd, &cloning->base, cloning->base.row.name, &cloning->memory, err);
}

static bool is_started(const struct cloning *cloning)
{
        return cloning->wakes || request_flag(cloning->call->request, KEY_START);
}

static int choose_driver(struct cloning *cloning, struct cowherd_error *err)
{
        const char *asked = request_text(cloning->call->request, KEY_STORE);
        const struct thing *base = &cloning->base;

        cloning->driver = base->driver;
        if (asked != NULL && store_find(asked, &cloning->driver, err) < 0)
                return -1;
        if ((cloning->driver->kinds & base->row.kind) == 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "store '%s' can't clone base '%s', which store '%s' keeps as %s", cloning->driver->name, base->row.name,
                           base->driver->name, base->row.kind == STORE_DISK ? "a disk" : base->row.kind == STORE_TREE ? "a tree" : "an LXD instance");
                return fail_hint(err, "leave store= out");
        }
        if (cloning->driver->can_clone != NULL && cloning->driver->can_clone(&base->place.place, &base->object, err) < 0)
                return -1;
        return 0;
}

/* The size of the clones' disk: disk_size= grows it, never shrinks. */
static int choose_disk_size(struct cloning *cloning, uint64_t *ret_bytes, struct cowherd_error *err)
{
        const struct request *request = cloning->call->request;
        const struct catalogue_row *base = &cloning->base.row;
        uint64_t wanted = request_number(request, KEY_DISK_SIZE);

        *ret_bytes = base->virtual_bytes;
        if (!request_has(request, KEY_DISK_SIZE))
                return 0;
        if (base->kind == STORE_TREE) {
                (void)fail(err, COWHERD_UNAVAILABLE, "disk_size= is for disk images: in store '%s' a clone has no disk of its own, and takes what it needs of its pool or filesystem",
                           cloning->driver->name);
                return fail_hint(err, "leave disk_size= out");
        }
        if (wanted < base->virtual_bytes || wanted % 512 != 0) {
                char size[NUMBER_TEXT_BYTES];
                (void)fail(err, COWHERD_USAGE, "disk_size='%s' is not a disk size that '%s' can have", request_text(request, KEY_DISK_SIZE), base->name);
                return fail_hint(err, "a multiple of 512 bytes, at least the base's %s", number_format_size(base->virtual_bytes, size));
        }
        *ret_bytes = wanted;
        return 0;
}

/* All but the size of its disk is told to the engine at the first start. */
static int choose_warm(struct cloning *cloning, struct cowherd_error *err)
{
        const struct thing *base = &cloning->base;
        uint64_t wanted = 0;

        if (cloning->driver->take_warm == NULL || cloning->driver != base->driver || request_has(cloning->call->request, KEY_DISK_SIZE))
                return 0;
        if (warm_wanted(cloning->call->herd, &base->row, &wanted, err) < 0)
                return -1;
        cloning->may_be_warm = wanted > 0;
        return 0;
}

/* The name of clone `index`: as given, NAME-1 … with count=, or made up from the base's. */
static char *clone_name(const struct cloning *cloning, const char *stem, size_t index)
{
        if (request_has(cloning->call->request, KEY_COUNT_OF))
                return x_asprintf("%s-%zu", stem, index + 1);
        return x_strdup(stem);
}

#define NAME_STEM_MAX 48 /* leaves room for "-" and six digits, and for count's suffix */

static char *name_stem(const struct cloning *cloning)
{
        const char *name = request_text(cloning->call->request, KEY_NAME);
        char digits[7];

        if (name != NULL)
                return x_strdup(name);
        return x_asprintf("%.*s-%s", NAME_STEM_MAX, cloning->base.row.name, random_hex(3, digits));
}

static void fill_row(const struct cloning *cloning, struct catalogue_row *row, const char *stem, size_t index, uint64_t disk_bytes, const char *extra)
{
        const struct request *request = cloning->call->request;
        const struct catalogue_row *base = &cloning->base.row;
        uint64_t now = clock_wall_ms();

        *row = (struct catalogue_row){
                .role = CATALOGUE_CLONE,
                .phase = CATALOGUE_CREATING,
                .target = base->target,
                .name = clone_name(cloning, stem, index),
                .store = x_strdup(cloning->driver->name),
                .place = x_strdup(base->place),
                .kind = base->kind,
                .format = x_strdup(str_equal(cloning->driver->name, "qcow2") ? "qcow2" : base->format),
                .virtual_bytes = disk_bytes,
                .base_id = base->id,
                .created_ms = now,
                .memory_bytes = request_has(request, KEY_MEMORY) ? request_number(request, KEY_MEMORY) : base->memory_bytes,
                .cpus = request_has(request, KEY_CPUS) ? request_number(request, KEY_CPUS) : base->cpus,
                .extra = x_strdup(extra),
                .expires_ms = request_has(request, KEY_TTL) ? now + request_number(request, KEY_TTL) : 0,
                .disk_bytes = request_number(request, KEY_DISK_SIZE),
                .keep_identity = str_equal_case(request_text(request, KEY_IDENTITY), "keep"),
                .base_name = x_strdup(base->name),
                .may_be_warm = cloning->may_be_warm,
        };
}

static int fill_rows(struct cloning *cloning, struct cowherd_error *err)
{
        const struct request *request = cloning->call->request;
        uint64_t disk_bytes = 0;
        owned_str char *extra = NULL;

        if (choose_disk_size(cloning, &disk_bytes, err) < 0 || choose_warm(cloning, err) < 0 ||
            machine_extra(request, cloning->base.row.target, cloning->base.row.extra, &extra, err) < 0)
                return -1;
        cloning->count = request_has(request, KEY_COUNT_OF) ? request_number(request, KEY_COUNT_OF) : 1;
        cloning->rows = x_calloc(cloning->count, sizeof *cloning->rows);
        cloning->objects = x_calloc(cloning->count, sizeof *cloning->objects);
        cloning->item_ms = x_calloc(cloning->count, sizeof *cloning->item_ms);
        cloning->stuck = x_calloc(cloning->count, sizeof *cloning->stuck);
        cloning->outcomes = x_calloc(cloning->count, sizeof *cloning->outcomes);
        cloning->group.outcomes = cloning->outcomes;
        owned_str char *stem = name_stem(cloning);
        for (size_t i = 0; i < cloning->count; i++) {
                fill_row(cloning, &cloning->rows[i], stem, i, disk_bytes, extra);
                if (name_check(cloning->base.row.target, cloning->rows[i].name, err) < 0)
                        return -1;
        }
        return 0;
}

/* ---- steps ---- */

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

        (void)err;
        if (!row->keep_identity)
                identity_choose(&cloning->rows[row - cloning->rows], catalogue_uuid(cloning->call->herd->catalogue));
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
        ownership_remove(&cloning->owned);
}

/* The place, with the lock of the clone in hand for the tools that make it. Locks are in the order of the rows. */
static struct store_place place_of_item(const struct cloning *cloning, size_t item)
{
        struct store_place place = cloning->base.place.place;

        if (item < cloning->owned.count)
                place.lock = cloning->owned.fds[item];
        return place;
}

static int prepare_clone(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        const struct store_place place = place_of_item(cloning, item);

        if (cloning->driver->prepare_clone(&place, &cloning->objects[item], err) < 0)
                return fail_while(err, "cloning '%s'", cloning->rows[item].name);
        cloning->objects[item].prepared = true;
        return 0;
}

/* Gives one that was kept warm its name. What is started now is named in all its engine knows; else that can wait. */
static int take_warm(const struct cloning *cloning, size_t item, const struct store_place *place, struct cowherd_error *err)
{
        const struct store_object *object = &cloning->objects[item];

        if (cloning->driver->take_warm(place, object, checks_while_cloning(cloning), err) < 0)
                return -1;
        return is_started(cloning) ? cloning->driver->rename(place, object, object->name, err) : 0;
}

/* Makes its bytes, or takes those that were kept warm; where another tool removed those, they are made after all. */
static int make_bytes(struct cloning *cloning, size_t item, const struct store_place *place, struct cowherd_error *err)
{
        struct catalogue_row *row = &cloning->rows[item];

        if (row->was_warm) {
                int taken = take_warm(cloning, item, place, err);
                if (taken == 0 || err->code != COWHERD_NOT_FOUND)
                        return taken;
                row->was_warm = false;
        }
        return checks_while_cloning(cloning) ? cloning->driver->clone_checked(place, &cloning->objects[item], err)
                                             : cloning->driver->clone(place, &cloning->objects[item], err);
}

static int make_clone(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        double began = clock_ms();

        const struct store_place place = place_of_item(cloning, item);
        if (make_bytes(cloning, item, &place, err) < 0)
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
        const struct store_place place = place_of_item(cloning, item);
        cloning->stuck[item] = cloning->driver->destroy(&place, &cloning->objects[item], &ignored) < 0;
}

/* ---- start=true ---- */

static int open_lives(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        struct group *group = &cloning->group;

        (void)item;
        group->lives = x_calloc(cloning->count, sizeof *group->lives);
        for (group->count = 0; group->count < cloning->count; group->count++) {
                size_t i = group->count;
                struct cowherd_error own;
                group->lives[i].thing.place.fd = -1;
                bool made = false;
                if (!cloning->outcomes[i].failed && (live_open_new(cloning->call->herd, &cloning->rows[i], cloning->owned.fds[i], &group->lives[i], &own) < 0 ||
                                                     live_make_host_key(&group->lives[i], &made, &own) < 0))
                        group_fail_item(group, i, &own);
                if (cloning->wakes)
                        group->lives[i].machine.machine.live = &cloning->memory.live;
        }
        return group_judge(group, err);
}

static int start(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;

        if (live_start(&cloning->group.lives[item], err) < 0)
                return -1;
        cloning->group.lives[item].state = ENGINE_RUNNING;
        return 0;
}

static void unstart(void *operation, size_t item)
{
        struct cloning *cloning = operation;
        struct cowherd_error ignored;

        if (cloning->group.lives != NULL && cloning->group.lives[item].started)
                cloning->stuck[item] = live_end(&cloning->group.lives[item], &ignored) < 0;
}

static int wait_ready(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;

        return live_wait(&cloning->group.lives[item], ENGINE_EVENT_READY, cloning->deadline_ms, err);
}

static void add_start(struct cloning *cloning)
{
        const struct request *request = cloning->call->request;
        struct plan *plan = &cloning->plan;

        if (!is_started(cloning))
                return;
        plan_add(plan, false, open_lives, NULL, "open what the engine is to be told");
        if (cloning->wakes)
                plan_add(plan, true, start, unstart, "wake it in the memory of '%s', give it an identity of its own, bring its link up", cloning->base.row.name);
        else
                plan_add(plan, true, start, unstart, "start it, with an identity of its own");
        if (request_flag(request, KEY_WAIT) && plan->atomic && !cloning->wakes)
                plan_add(plan, true, wait_ready, NULL, "wait until it is ready");
        plan->parallel = group_parallel(cloning->count);
}

static bool waits_afterwards(const struct cloning *cloning)
{
        return request_flag(cloning->call->request, KEY_WAIT) && !cloning->plan.atomic && !cloning->wakes;
}

/* Once the rows are settled: others may stop and delete what never gets ready. */
static void wait_for_them(struct cloning *cloning)
{
        ownership_free(&cloning->owned);
        group_wait(&cloning->group, ENGINE_EVENT_READY, cloning->deadline_ms, NULL);
        for (size_t i = 0; i < cloning->count; i++)
                cloning->rows[i].identity_applied |= cloning->group.lives[i].wait.identity_applied;
}

/* The host key is kept until it is inside, as the rest of the identity. */
static void settle_identity(struct catalogue_row *row, const struct live *live)
{
        x_replace(&row->extra, live->thing.row.extra);
        if (live->start.identity_applied || live->wait.identity_applied)
                live_identity_is_inside(row);
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
                        settle_identity(&cloning->rows[i], &cloning->group.lives[i]);
                cloning->rows[i].then = cloning->rows[i].was_warm && !is_started(cloning) ? OPERATION_TAKE : NULL;
                cloning->rows[i].clone_ms = cloning->item_ms[i] + cloning->reserved_ms / (double)cloning->count;
                made[count++] = cloning->rows[i]; /* borrowed */
        }
        if (catalogue_settle(catalogue, made, count, err) < 0)
                return -1;
        return count == cloning->count ? 0 : forget_failed(cloning, false, err);
}

static void make_plan(struct cloning *cloning)
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
        add_start(cloning);
        plan_add(plan, false, settle, NULL, "settle the catalogue");
        if (waits_afterwards(cloning))
                plan_add(plan, true, wait_ready, NULL, "wait until it is ready");
}

/* ---- answer ---- */

static void add_clone(struct cloning *cloning, size_t index, bool measured)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct catalogue_row *row = &cloning->rows[index];
        owned_str char *path = thing_path(&cloning->base.place, row);
        struct store_usage usage = {0};
        struct cowherd_error ignored;

        const struct live *live = cloning->group.lives == NULL ? NULL : &cloning->group.lives[index];
        if (live == NULL && cloning->memory.kept != NULL)
                answer_text(answer, "note", "a clone of the live base's disk alone: when it is started it boots");
        fields_of_clone(answer, row, path, live == NULL ? "stopped" : engine_state_name(live->state));
        if (row->was_warm)
                answer_flag(answer, "warm", true);
        if (live != NULL && live->started)
                fields_of_start(answer, live);
        if (live != NULL && live->wait_ms > 0)
                fields_of_wait(answer, live);
        if (measured && row->kind == STORE_DISK && cloning->driver->usage(&cloning->base.place.place, &cloning->objects[index], &usage, &ignored) == 0)
                answer_number(answer, "space_bytes", usage.unique_bytes);
}

/* Whether a clone was made and stays: also one that only never got ready. */
static bool is_there(const struct cloning *cloning, size_t index)
{
        return !cloning->outcomes[index].failed || (cloning->is_settled && cloning->group.lives != NULL && cloning->group.lives[index].started && !cloning->group.lives[index].stopped);
}

static const char *done_text(const struct cloning *cloning)
{
        return cloning->wakes ? " and awake" : cloning->group.lives == NULL ? "" : " and started";
}

/* The answer of several: an item each, with its own success, and the first failure's code for all. */
static int answer_several(struct cloning *cloning, struct cowherd_error *err)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct cowherd_error *first = NULL;
        size_t failed = 0;

        for (size_t i = 0; i < cloning->count; i++)
                failed += cloning->outcomes[i].failed;
        answer_number(answer, "failed", failed);
        answer_ms(answer, "duration_ms", clock_ms() - cloning->call->started_ms);
        answer_list(answer);
        for (size_t i = 0; i < cloning->count; i++) {
                const struct outcome *outcome = &cloning->outcomes[i];
                answer_item(answer);
                answer_flag(answer, "success", !outcome->failed);
                if (is_there(cloning, i))
                        add_clone(cloning, i, false);
                else
                        answer_text(answer, "name", cloning->rows[i].name);
                if (!outcome->failed)
                        continue;
                answer_text(answer, "error", outcome->err.text);
                answer_number(answer, "code", (uint64_t)outcome->err.code);
                if (first == NULL)
                        first = &outcome->err;
        }
        answer_items_end(answer);
        if (first != NULL) {
                *err = *first;
                return fail_while(err, "%zu of %zu clones failed, the first", failed, cloning->count);
        }
        answer_done(answer, "%zu clones of '%s' made%s: '%s' to '%s'", cloning->count, cloning->base.row.name, done_text(cloning), cloning->rows[0].name,
                    cloning->rows[cloning->count - 1].name);
        return 0;
}

static int answer_clones(struct cloning *cloning, struct cowherd_error *err)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct catalogue_row *row = &cloning->rows[0];
        char ms[NUMBER_TEXT_BYTES];

        if (request_has(cloning->call->request, KEY_COUNT_OF))
                return answer_several(cloning, err);
        add_clone(cloning, 0, true);
        if (cloning->outcomes[0].failed) {
                *err = cloning->outcomes[0].err;
                return -1;
        }
        if (cloning->group.lives != NULL) {
                answer_ms(answer, "duration_ms", clock_ms() - cloning->call->started_ms);
                answer_done(answer, "clone '%s' of '%s' made%s (%s)", row->name, cloning->base.row.name, done_text(cloning), row->store);
                return 0;
        }
        answer_done(answer, "clone '%s' of '%s' made in %s ms (%s)", row->name, cloning->base.row.name, number_format_ms(row->clone_ms, ms), row->store);
        return 0;
}

/* The helper makes others, and tells the engine names; it waits for our locks. What is kept of a base that was changed goes. */
static void refill(struct cloning *cloning, bool is_changed)
{
        struct cowherd_herd *herd = cloning->call->herd;
        struct cowherd_error ignored;

        if (!cloning->may_be_warm)
                return;
        if (is_changed && catalogue_drop_warm(herd->catalogue, cloning->base.row.id, 0, &ignored) == 0)
                ignore_result(warm_bury(herd, cloning->base.row.id, &ignored));
        if (!is_started(cloning))
                ownership_free(&cloning->owned);
        warm_refill(herd, &cloning->base.row);
}

int verb_clone_from_base(struct call *call, struct cowherd_error *err)
{
        struct cloning cloning owned_by(cloning_free) = {.call = call, .group.call = call, .base.place.fd = -1, .source = POINT_OF(call->herd), .owned.herd = call->herd};

        int got = herd_open(call->herd, false, err); /* a herd with a base is there */
        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "base '%s' not found. Register it first with register_base", request_text(call->request, KEY_BASE));
        if (herd_open_for(call, err) < 0 || find_base(&cloning, err) < 0 || check_words(&cloning, err) < 0 || choose_driver(&cloning, err) < 0 || fill_rows(&cloning, err) < 0)
                return -1;
        make_plan(&cloning);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                plan_print(&cloning.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to clone '%s'", cloning.base.row.name);
                return 0;
        }
        cloning.deadline_ms = wait_deadline(call->request);
        cloning.plan.count -= waits_afterwards(&cloning); /* that step is the plan's last */
        if (herd_recover(call->herd, NULL, err) < 0)
                return -1;
        int applied = plan_apply(&cloning.plan, cloning.outcomes, err);
        refill(&cloning, applied < 0 && err->code == COWHERD_DATA);
        if (applied < 0)
                return -1;
        cloning.is_settled = true;
        if (waits_afterwards(&cloning))
                wait_for_them(&cloning);
        return answer_clones(&cloning, err);
}
