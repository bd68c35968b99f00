/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone_from_base: the hot path. Names are reserved in one transaction, bytes are made by the store (many at once for
 * count=), rows are settled in another: two transactions for one clone or for a thousand, and no program is started.
 */
#include "herd/herd.h"
#include "herd/plan.h"

#include "base/number.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

struct cloning {
        struct call *call;
        struct thing base;
        const struct store_driver *driver; /* of the clones: the base's, unless store= says otherwise */
        struct catalogue_row *rows;
        struct store_object *objects;
        double *item_ms;
        bool *stuck;                       /* could not be undone now: its row stays for recovery */
        struct outcome *outcomes;
        size_t count;
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
        free(cloning->outcomes);
        ownership_free(&cloning->owned);
        thing_free(&cloning->base);
}
define_owned(struct cloning, cloning_free)

/* ---- facts ---- */

/* What this version can't do yet is said before anything is made, never passed over. */
static int refuse_unsupported(const struct request *request, struct cowherd_error *err)
{
        if (request_flag(request, KEY_START) || request_flag(request, KEY_WAIT)) {
                (void)fail(err, COWHERD_UNAVAILABLE, "starting a clone is not available in this version");
                return fail_hint(err, "leave %s out: the clone is made and lies ready", request_flag(request, KEY_START) ? "start=" : "wait=");
        }
        return 0;
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
        if (cloning->base.row.role == CATALOGUE_CLONE) {
                (void)fail(err, COWHERD_UNAVAILABLE, "'%s' is a clone: cloning a clone is not available in this version", name);
                return fail_hint(err, "clone its base '%s' instead", cloning->base.row.base_name == NULL ? "?" : cloning->base.row.base_name);
        }
        return thing_open(herd, request_flag(request, KEY_DURABLE), &cloning->base, err);
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
        if (!str_equal(cloning->driver->name, "qcow2")) {
                (void)fail(err, COWHERD_UNAVAILABLE, "disk_size= is not available for store '%s' in this version", cloning->driver->name);
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

/* What only later verbs use, kept as given. NULL where there is nothing. */
static char *extra_of(const struct request *request)
{
        static const struct {
                enum key key;
                const char *name;
        } kept[] = {{KEY_NETWORK, "network"}, {KEY_PORTS, "ports"}};
        owned_string struct str text = {0};

        for (size_t i = 0; i < array_length(kept); i++) {
                if (!request_has(request, kept[i].key))
                        continue;
                str_addf(&text, "%c\"%s\":", text.length == 0 ? '{' : ',', kept[i].name);
                answer_add_json_text(&text, request_text(request, kept[i].key));
        }
        if (text.length == 0)
                return NULL;
        str_add_char(&text, '}');
        return str_take(&text);
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

static void fill_row(const struct cloning *cloning, struct catalogue_row *row, const char *stem, size_t index, uint64_t disk_bytes)
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
                .extra = extra_of(request),
                .expires_ms = request_has(request, KEY_TTL) ? now + request_number(request, KEY_TTL) : 0,
                .disk_bytes = request_number(request, KEY_DISK_SIZE),
                .keep_identity = str_equal_case(request_text(request, KEY_IDENTITY), "keep"),
                .base_name = x_strdup(base->name),
        };
}

static int fill_rows(struct cloning *cloning, struct cowherd_error *err)
{
        const struct request *request = cloning->call->request;
        uint64_t disk_bytes = 0;

        if (choose_disk_size(cloning, &disk_bytes, err) < 0)
                return -1;
        cloning->count = request_has(request, KEY_COUNT_OF) ? request_number(request, KEY_COUNT_OF) : 1;
        cloning->rows = x_calloc(cloning->count, sizeof *cloning->rows);
        cloning->objects = x_calloc(cloning->count, sizeof *cloning->objects);
        cloning->item_ms = x_calloc(cloning->count, sizeof *cloning->item_ms);
        cloning->stuck = x_calloc(cloning->count, sizeof *cloning->stuck);
        cloning->outcomes = x_calloc(cloning->count, sizeof *cloning->outcomes);
        owned_str char *stem = name_stem(cloning);
        for (size_t i = 0; i < cloning->count; i++) {
                fill_row(cloning, &cloning->rows[i], stem, i, disk_bytes);
                if (name_check(cloning->base.row.target, cloning->rows[i].name, err) < 0)
                        return -1;
        }
        return 0;
}

/* ---- steps ---- */

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

static int make_clone(void *operation, size_t item, struct cowherd_error *err)
{
        struct cloning *cloning = operation;
        double began = clock_ms();

        const struct store_place place = place_of_item(cloning, item);
        int made = checks_while_cloning(cloning) ? cloning->driver->clone_checked(&place, &cloning->objects[item], err)
                                                 : cloning->driver->clone(&place, &cloning->objects[item], err);
        if (made < 0)
                return fail_while(err, "cloning '%s'", cloning->rows[item].name);
        cloning->item_ms[item] = clock_ms() - began;
        return 0;
}

static void unmake_clone(void *operation, size_t item)
{
        struct cloning *cloning = operation;
        struct cowherd_error ignored;

        const struct store_place place = place_of_item(cloning, item);
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
        plan_add(plan, false, check_base, NULL, "check that base '%s' is unchanged", cloning->base.row.name);
        if (cloning->count == 1)
                plan_add(plan, false, reserve, unreserve, "reserve the name '%s' and choose its identity", first);
        else
                plan_add(plan, false, reserve, unreserve, "reserve the names '%s' to '%s' and choose their identities", first, last);
        if (cloning->count > 1 && cloning->driver->prepare_clone != NULL)
                plan_add(plan, true, prepare_clone, unmake_clone, "make room in store '%s'", cloning->driver->name);
        plan_add(plan, true, make_clone, unmake_clone, "clone '%s' by store '%s'", cloning->base.row.name, cloning->driver->name);
        plan_add(plan, false, settle, NULL, "settle the catalogue");
}

/* ---- answer ---- */

static void add_clone(struct cloning *cloning, size_t index, bool measured)
{
        struct cowherd_answer *answer = cloning->call->answer;
        const struct catalogue_row *row = &cloning->rows[index];
        owned_str char *path = thing_path(&cloning->base.place, row);
        struct store_usage usage = {0};
        struct cowherd_error ignored;

        fields_of_clone(answer, row, path, "stopped");
        if (measured && row->kind == STORE_DISK && cloning->driver->usage(&cloning->base.place.place, &cloning->objects[index], &usage, &ignored) == 0)
                answer_number(answer, "space_bytes", usage.unique_bytes);
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
                if (!outcome->failed) {
                        add_clone(cloning, i, false);
                        continue;
                }
                answer_text(answer, "name", cloning->rows[i].name);
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
        answer_done(answer, "%zu clones of '%s' made: '%s' to '%s'", cloning->count, cloning->base.row.name, cloning->rows[0].name,
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
        answer_done(answer, "clone '%s' of '%s' made in %s ms (%s)", row->name, cloning->base.row.name, number_format_ms(row->clone_ms, ms), row->store);
        return 0;
}

int verb_clone_from_base(struct call *call, struct cowherd_error *err)
{
        struct cloning cloning owned_by(cloning_free) = {.call = call, .base.place.fd = -1, .owned.herd = call->herd};

        if (refuse_unsupported(call->request, err) < 0)
                return -1;
        int got = herd_open(call->herd, false, err); /* a herd with a base is there */
        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "base '%s' not found. Register it first with register_base", request_text(call->request, KEY_BASE));
        if (herd_open_for(call, err) < 0 || find_base(&cloning, err) < 0 || choose_driver(&cloning, err) < 0 || fill_rows(&cloning, err) < 0)
                return -1;
        make_plan(&cloning);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                plan_print(&cloning.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to clone '%s'", cloning.base.row.name);
                return 0;
        }
        if (herd_recover(call->herd, NULL, err) < 0 || plan_apply(&cloning.plan, cloning.outcomes, err) < 0)
                return -1;
        return answer_clones(&cloning, err);
}
