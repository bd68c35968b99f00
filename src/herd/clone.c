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
#include "herd/clone.h"

#include "base/number.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

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

        if (herd_find(herd, request->target, "base", name, &cloning->base.row, err) < 0)
                return say_register(err);
        if (thing_open(herd, request_flag(request, KEY_DURABLE), &cloning->base, err) < 0)
                return -1;
        if (!memory_is_kept(&cloning->base.row))
                return 0;
        cloning->wakes = !request_has(request, KEY_START) || request_flag(request, KEY_START);
        return memory_open(herd, &cloning->base, cloning->base.row.name, &cloning->memory, err);
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

        if (choose_disk_size(cloning, &disk_bytes, err) < 0 || cloning_choose_warm(cloning, err) < 0 ||
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
        cloning_make_plan(&cloning);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                plan_print(&cloning.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to clone '%s'", cloning.base.row.name);
                return 0;
        }
        if (herd_recover(call->herd, NULL, err) < 0)
                return -1;
        int applied = cloning_apply(&cloning, err);
        cloning_refill(&cloning, applied < 0 && err->code == COWHERD_DATA);
        if (applied < 0)
                return -1;
        return cloning_answer(&cloning, err);
}
