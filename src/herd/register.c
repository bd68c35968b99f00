/* SPDX-License-Identifier: Apache-2.0 */
/*
 * register_base: an immutable golden image out of whatever was given. What it will be made of is found out and checked
 * first, without a side effect; then the name is reserved, so that a long bootstrap of two callers never meets. Its steps are
 * in register_steps.c; what is made of a clone (from=) is promote.c's.
 */
#include "herd/register.h"

#include "herd/adopt.h"
#include "herd/inject.h"
#include "herd/point.h"
#include "herd/warm.h"
#include "sys/clock.h"

static void registering_free(struct registering *registering)
{
        thing_free(&registering->base);
        choice_free(&registering->choice);
        origin_free(&registering->origin);
        ownership_free(&registering->owned);
        strv_free(&registering->neutralised);
}
define_owned(struct registering, registering_free)

static int fill_row(struct registering *registering, struct cowherd_error *err)
{
        const struct request *request = registering->call->request;
        const struct origin *origin = &registering->origin;
        bool disk = origin->kind == ORIGIN_DISK;
        owned_str char *extra = NULL;

        if (machine_extra(request, request->target, NULL, &extra, err) < 0)
                return -1;
        if (request_has(request, KEY_WARM)) {
                char *marked = warm_mark(extra, request_number(request, KEY_WARM));
                free(extra);
                extra = marked;
        }
        registering->base.row = (struct catalogue_row){
                .role = CATALOGUE_BASE,
                .phase = CATALOGUE_CREATING,
                .target = request->target,
                .name = x_strdup(request_text(request, KEY_NAME)),
                .store = x_strdup(registering->choice.driver->name),
                .place = x_strdup(registering->choice.place.name),
                .kind = kind_of_target(request->target),
                .format = disk ? x_strdup(origin->disk.cloneable ? disk_format_name(origin->disk.format) : "qcow2") : NULL,
                .virtual_bytes = disk ? origin->disk.virtual_bytes : 0,
                .created_ms = clock_wall_ms(),
                .memory_bytes = request_number(request, KEY_MEMORY),
                .cpus = request_number(request, KEY_CPUS),
                .image = x_strdup(origin->asked),
                .source = x_strdup(origin->path != NULL ? origin->path : origin->remote),
                .extra = request_flag(request, KEY_ADOPT) ? adopt_mark(extra) : take(extra),
        };
        return 0;
}

/* adopt= moves what was given: only what is a file or folder of the caller's, and needs no conversion, can be. */
static int check_adopt(const struct registering *registering, struct cowherd_error *err)
{
        const struct origin *origin = &registering->origin;

        if (!request_flag(registering->call->request, KEY_ADOPT))
                return 0;
        if (origin->kind == ORIGIN_DISK && !origin->disk.cloneable) {
                (void)fail(err, COWHERD_UNAVAILABLE, "'%s' can't be adopted: %s is converted at registration", origin->path, disk_format_name(origin->disk.format));
                return fail_hint(err, "leave adopt= out");
        }
        if (origin->kind == ORIGIN_DISK)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "adopt= is not available for trees in this version: a disk image can be adopted");
        return fail_hint(err, "leave adopt= out: then it is copied, its blocks shared where the filesystem can");
}

/* ---- answer ---- */

static int answer_base(struct registering *registering)
{
        const struct catalogue_row *row = &registering->base.row;
        struct cowherd_answer *answer = registering->call->answer;
        owned_str char *path = thing_path(&registering->base.place, row);
        struct str removed owned_by(str_free) = {0};

        fields_of_base(answer, row);
        answer_text(answer, "path", path);
        answer_text(answer, "mapped_by", registering->origin.mapped_by);
        for (size_t i = 0; i < registering->neutralised.count; i++)
                str_addf(&removed, "%s%s", i > 0 ? " " : "", registering->neutralised.items[i]);
        if (removed.length > 0)
                answer_text(answer, "neutralised", str_text(&removed));
        answer_ms(answer, "duration_ms", clock_ms() - registering->call->started_ms);
        if (registering->origin.mapped_by != NULL && row->distro != NULL)
                answer_done(answer, "base '%s' registered: %s %s, which %s gives for '%s'", row->name, row->distro, row->release == NULL ? "" : row->release,
                            registering->origin.mapped_by, row->image);
        else
                answer_done(answer, "base '%s' registered from '%s' (%s)", row->name, row->source != NULL ? row->source : row->image, row->store);
        return 0;
}

/* An engine that isn't usable here is said before anything is made; a disk needs no engine to be cloned. */
static int expect_engine(const struct call *call, struct cowherd_error *err)
{
        const struct engine_driver *engine = NULL;
        struct engine_probe probe = {0};

        if (call->request->target != COWHERD_LXD)
                return 0;
        if (engine_find(COWHERD_LXD, &engine, err) < 0 || engine->probe(&probe, err) < 0)
                return -1;
        if (probe.available)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "lxd can't be used here: %s", probe.reason);
        return probe.hint[0] == '\0' ? -1 : fail_hint(err, "%s", probe.hint);
}

/* Which of them go together. */
static int check_words(const struct request *request, struct cowherd_error *err)
{
        bool from = request_has(request, KEY_FROM), live = request_flag(request, KEY_LIVE);

        if (warm_check_words(request, request->target, from && live, err) < 0)
                return -1;
        if (from && register_wants_guest(request))
                return fail(err, COWHERD_USAGE, "parameters 'guest' and 'from' exclude each other: a clone is a guest already");
        if (from || !live)
                return 0;
        (void)fail(err, COWHERD_USAGE, "parameter 'live' goes with from= only: memory is kept of what runs");
        return fail_hint(err, "clone the base, start the clone, then promote it with live=true");
}

/* What it will be made of, where, and its row. */
static int find_out(struct registering *registering, struct cowherd_error *err)
{
        struct call *call = registering->call;
        const struct request *request = call->request;

        if (register_wants_guest(request) && inject_check(call, err) < 0)
                return -1;
        if (expect_engine(call, err) < 0 || origin_resolve(call, &registering->origin, err) < 0 || herd_open_for(call, err) < 0)
                return -1;
        if (choice_make(call->herd, request->target, kind_of_target(request->target), request_text(request, KEY_STORE),
                        request_flag(request, KEY_DURABLE), &registering->choice, err) < 0)
                return -1;
        if (fill_row(registering, err) < 0)
                return -1;
        registering->base.driver = registering->choice.driver;
        registering->base.place = registering->choice.place;
        registering->base.place.is_borrowed = true;
        return check_adopt(registering, err);
}

int verb_register_base(struct call *call, struct cowherd_error *err)
{
        struct registering registering owned_by(registering_free) = {
                .call = call, .origin.fd = -1, .choice.place.fd = -1, .base.place.fd = -1, .owned.herd = call->herd};
        const struct request *request = call->request;
        struct outcome outcome = {0};

        if (check_words(request, err) < 0)
                return -1;
        if (request_has(request, KEY_FROM))
                return point_register(call, err);
        if (find_out(&registering, err) < 0)
                return -1;
        register_make_plan(&registering);
        if (request_flag(request, KEY_DRY_RUN)) {
                plan_print(&registering.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to register '%s'", registering.base.row.name);
                return 0;
        }
        if (herd_recover(call->herd, NULL, err) < 0 || plan_apply(&registering.plan, &outcome, err) < 0)
                return -1;
        if (call->keep != NULL) {
                *call->keep = registering.owned;
                registering.owned = (struct ownership){.herd = call->herd};
        } else {
                warm_refill(call->herd, &registering.base.row);
        }
        return answer_base(&registering);
}
