/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup: the root folder, and the places some stores need (an embedded btrfs pool, a ZFS dataset, an LXD pool
 * and profile). A place is written down before it is made, so that what a kill leaves is found and taken away by
 * teardown (teardown.c), or made whole by setup again: the stores' setup and teardown can both be repeated.
 *
 * setup warm= says how many clones are kept ready (warm.h), of one base or of all; what is too much is taken away at once.
 */
#include "herd/plan.h"
#include "herd/warm.h"

struct setting_up {
        struct call *call;
        struct places_lock lock;
        const struct store_driver *driver;
        struct store_setup setup;
        struct store_made made;
        bool makes_place;
        struct catalogue_row base; /* whose warm= is set, or none: the engine's */
        struct warm_count warm;
        struct plan plan;
};

static void setting_up_free(struct setting_up *setting)
{
        free(setting->made.folder);
        free(setting->made.source);
        places_unlock(&setting->lock);
        catalogue_row_free(&setting->base);
}
define_owned(struct setting_up, setting_up_free)

/* A place that was there before this setup is not taken away because a repetition failed. */
static int make_place(void *operation, size_t item, struct cowherd_error *err)
{
        struct setting_up *setting = operation;
        struct cowherd_herd *herd = setting->call->herd;
        struct catalogue_place before owned_by(catalogue_place_free) = {0};
        struct catalogue_place place = {
                .name = (char *)(uintptr_t)setting->driver->name,
                .store = (char *)(uintptr_t)setting->driver->name,
                .source = (char *)(uintptr_t)setting->setup.pool,
                .size_bytes = setting->setup.size_bytes,
        };
        struct cowherd_error ignored;

        (void)item;
        int got = catalogue_get_place(herd->catalogue, place.name, &before, err);
        if (got < 0 || (got > 0 && place_write_unfinished(herd, &place, err) < 0))
                return -1;
        if (setting->driver->setup(&setting->setup, &setting->made, err) < 0) {
                if (got > 0 && setting->made.nothing)
                        ignore_result(catalogue_drop_place(herd->catalogue, place.name, &ignored));
                else if (got > 0 && catalogue_get_place(herd->catalogue, place.name, &before, &ignored) == 0)
                        ignore_result(place_undo(&setting->lock, &before, &ignored));
                return -1;
        }
        place.folder = setting->made.folder;
        place.source = setting->made.source;
        place.size_bytes = setting->made.size_bytes;
        place.ours = setting->made.ours;
        return catalogue_put_place(herd->catalogue, &place, err);
}

/* The store is asked whether it works now, in its place, before it is made the engine's choice. */
static int choose_store(void *operation, size_t item, struct cowherd_error *err)
{
        struct setting_up *setting = operation;
        struct cowherd_herd *herd = setting->call->herd;
        enum cowherd_target target = setting->call->request->target;
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        owned_str char *key = x_asprintf("%s.store", cowherd_target_name(target));

        (void)item;
        if (choice_make(herd, target, kind_of_target(target), setting->driver->name, false, &choice, err) < 0)
                return -1;
        return catalogue_set_setting(herd->catalogue, key, setting->driver->name, err);
}

static int keep_warm_of_base(struct setting_up *setting, uint64_t wanted, struct cowherd_error *err)
{
        struct cowherd_herd *herd = setting->call->herd;
        struct ownership owned owned_by(ownership_free) = {.herd = herd};

        if (herd_own(&owned, &setting->base, err) < 0)
                return -1;
        char *marked = warm_mark(setting->base.extra, wanted);
        free(setting->base.extra);
        setting->base.extra = marked;
        return catalogue_settle(herd->catalogue, &setting->base, 1, err);
}

/* Nobody makes more while it is written down, and what is too much then is taken away. */
static int keep_warm(void *operation, size_t item, struct cowherd_error *err)
{
        struct setting_up *setting = operation;
        struct cowherd_herd *herd = setting->call->herd;
        enum cowherd_target target = setting->call->request->target;
        struct warm_pause pause owned_by(warm_pause_end) = WARM_PAUSE_OF(herd);
        uint64_t wanted = request_number(setting->call->request, KEY_WARM);

        (void)item;
        if (warm_pause(&pause, err) < 0 || catalogue_warm_begin(herd->catalogue, err) < 0)
                return -1;
        if (setting->base.id != 0 ? keep_warm_of_base(setting, wanted, err) < 0 : warm_set_default(herd, target, wanted, err) < 0)
                return -1;
        return warm_trim(herd, target, err);
}

/* Where those that stand have more they end, and others are made within it: it holds at once. */
static int limit_warm_memory(void *operation, size_t item, struct cowherd_error *err)
{
        struct setting_up *setting = operation;
        struct cowherd_herd *herd = setting->call->herd;
        struct warm_pause pause owned_by(warm_pause_end) = WARM_PAUSE_OF(herd);
        uint64_t limit = request_number(setting->call->request, KEY_WARM_MEMORY);
        struct warm_memory used;
        size_t ended;

        (void)item;
        if (warm_pause(&pause, err) < 0 || warm_set_memory_limit(herd, limit, err) < 0 || warm_memory_used(herd, &used, err) < 0)
                return -1;
        return used.bytes <= limit ? 0 : warm_end_machines(herd, &ended, err);
}

/* base= says whose warm= is meant. */
static int find_base(struct setting_up *setting, struct cowherd_error *err)
{
        const struct request *request = setting->call->request;

        if (!request_has(request, KEY_BASE))
                return 0;
        if (!request_has(request, KEY_WARM)) {
                (void)fail(err, COWHERD_USAGE, "parameter 'base' goes with warm= only");
                return fail_hint(err, "say how many clones of it are to be kept ready, such as warm=4");
        }
        if (setting->call->herd->catalogue == NULL)
                return fail(err, COWHERD_NOT_FOUND, "base '%s' not found", request_text(request, KEY_BASE));
        if (herd_find(setting->call->herd, request->target, "base", request_text(request, KEY_BASE), &setting->base, err) < 0)
                return -1;
        if (expect_role(&setting->base, CATALOGUE_BASE, err) < 0 || warm_is_possible(&setting->base))
                return setting->base.role == CATALOGUE_BASE ? 0 : -1;
        (void)fail(err, COWHERD_UNAVAILABLE, "base '%s' keeps no memory: a clone of its disk is made in less than a millisecond as it is", setting->base.name);
        return fail_hint(err, "leave warm= out, or make a live base: promote a running clone with live=true");
}

/* Whether a store needs a place of its own here: it can make one, and the root can't serve (or a pool was asked for). */
static int needs_place(struct setting_up *setting, bool *ret, struct cowherd_error *err)
{
        const struct request *request = setting->call->request;
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        bool asked = request_has(request, KEY_SIZE) || request_has(request, KEY_POOL);

        if (setting->driver->setup == NULL && asked) {
                (void)fail(err, COWHERD_USAGE, "store '%s' needs no pool", setting->driver->name);
                return fail_hint(err, "size= and pool= are for store=btrfs, store=zfs and for lxd");
        }
        *ret = setting->driver->setup != NULL;
        if (!*ret || asked || (setting->driver->kinds & STORE_INSTANCE) != 0)
                return 0;
        if (choice_probe(setting->call->herd, setting->driver->name, kind_of_target(request->target), false, &choice, err) < 0)
                return -1;
        *ret = !choice.probe.usable;
        return 0;
}

static int find_driver(struct setting_up *setting, struct cowherd_error *err)
{
        const struct request *request = setting->call->request;
        const char *asked = request_text(request, KEY_STORE);
        struct choice choice owned_by(choice_free) = {.place.fd = -1};

        if (request->target == COWHERD_LXD) {
                setting->setup.pool_driver = str_equal_case(asked, "lxd_pool") ? NULL : asked;
                return store_find("lxd_pool", &setting->driver, err);
        }
        if (asked != NULL) {
                if (store_find(asked, &setting->driver, err) < 0)
                        return -1;
                if ((setting->driver->kinds & (unsigned)kind_of_target(request->target)) != 0)
                        return 0;
                return fail(err, COWHERD_UNAVAILABLE, "store '%s' does not keep what %s runs", asked, cowherd_target_name(request->target));
        }
        if (choice_make(setting->call->herd, request->target, kind_of_target(request->target), NULL, false, &choice, err) < 0)
                return -1;
        setting->driver = choice.driver;
        return 0;
}

static void make_plan(struct setting_up *setting)
{
        struct plan *plan = &setting->plan;

        *plan = (struct plan){.items = 1, .parallel = 1, .operation = setting};
        if (setting->makes_place)
                plan_add(plan, false, make_place, NULL, "make, or find again, the pool of store '%s'", setting->driver->name);
        plan_add(plan, false, choose_store, NULL, "see that store '%s' works, and make it the choice of %s", setting->driver->name,
                 cowherd_target_name(setting->call->request->target));
        if (request_has(setting->call->request, KEY_WARM_MEMORY))
                plan_add(plan, false, limit_warm_memory, NULL, "let machines that stand ready have %s of memory of their own at most",
                         request_text(setting->call->request, KEY_WARM_MEMORY));
        if (request_has(setting->call->request, KEY_WARM))
                plan_add(plan, false, keep_warm, NULL, "keep %s clones of %s%s ready, and take away what is more", request_text(setting->call->request, KEY_WARM),
                         setting->base.id != 0 ? "base " : "each base", setting->base.id != 0 ? setting->base.name : "");
}

/* The helper fills in what is missing, once the answer is given. */
static int answer_warm(struct setting_up *setting, struct cowherd_error *err)
{
        struct call *call = setting->call;

        if (request_has(call->request, KEY_WARM_MEMORY))
                answer_number(call->answer, "warm_memory_limit_bytes", request_number(call->request, KEY_WARM_MEMORY));
        if (!request_has(call->request, KEY_WARM) && !request_has(call->request, KEY_WARM_MEMORY))
                return 0;
        if (warm_count_all(call->herd, call->request->target, &setting->warm, err) < 0)
                return -1;
        answer_number(call->answer, "warm", request_has(call->request, KEY_WARM) ? request_number(call->request, KEY_WARM) : setting->warm.wanted);
        answer_number(call->answer, "ready", setting->warm.ready);
        warm_refill_all(call->herd, call->request->target);
        return 0;
}

/* One setup at a time; what an interrupted one left of this store is out of the way before this one begins, and of others if it can be. */
static int begin(struct setting_up *setting, struct cowherd_error *err)
{
        size_t settled = 0;

        if (places_lock(&setting->lock, true, err) < 0)
                return -1;
        setting->setup.lock = setting->lock.fd;
        return places_settle(&setting->lock, setting->driver->name, &settled, err);
}

static int check_words(const struct request *request, struct cowherd_error *err)
{
        if (warm_check_words(request, request->target, true, err) < 0)
                return -1;
        if (!request_has(request, KEY_WARM_MEMORY) || request->target == COWHERD_QEMU)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "warm_memory= is for virtual machines that stand ready: what is kept warm of %s does not run", cowherd_target_name(request->target));
        return fail_hint(err, "leave warm_memory= out");
}

static int set_up(struct call *call, struct cowherd_error *err)
{
        const struct request *request = call->request;
        struct setting_up setting owned_by(setting_up_free) = {.call = call, .lock = {.herd = call->herd, .fd = -1}};
        struct outcome outcome = {0};
        bool dry = request_flag(request, KEY_DRY_RUN);

        if (check_words(request, err) < 0)
                return -1;
        if ((dry ? herd_open(call->herd, false, err) : herd_open(call->herd, true, err)) < 0)
                return -1;
        setting.setup = (struct store_setup){.root = call->herd->root,
                                             .herd_uuid = call->herd->catalogue == NULL ? "" : catalogue_uuid(call->herd->catalogue),
                                             .pool = request_text(request, KEY_POOL),
                                             .size_bytes = request_number(request, KEY_SIZE)};
        if (find_base(&setting, err) < 0 || find_driver(&setting, err) < 0 || (!dry && begin(&setting, err) < 0) ||
            needs_place(&setting, &setting.makes_place, err) < 0)
                return -1;
        make_plan(&setting);
        if (dry) {
                plan_print(&setting.plan, call->answer);
                answer_done(call->answer, "nothing done: this is the plan to set %s up", cowherd_target_name(request->target));
                return 0;
        }
        if (plan_apply(&setting.plan, &outcome, err) < 0)
                return -1;
        answer_text(call->answer, "engine", cowherd_target_name(request->target));
        answer_text(call->answer, "store", setting.driver->name);
        answer_text(call->answer, "root", call->herd->root);
        answer_text(call->answer, "pool", setting.made.source);
        if (answer_warm(&setting, err) < 0)
                return -1;
        answer_done(call->answer, "%s is set up with store '%s'", cowherd_target_name(request->target), setting.driver->name);
        return 0;
}

/* A setup that failed leaves no herd where there was none. */
int verb_setup(struct call *call, struct cowherd_error *err)
{
        struct cowherd_herd *herd = call->herd;
        struct cowherd_error ignored;

        int got = herd_open(herd, false, err);
        if (got < 0)
                return -1;
        if (set_up(call, err) == 0)
                return 0;
        if (got > 0 && herd->catalogue != NULL)
                ignore_result(herd_remove_empty(herd, &ignored));
        return -1;
}
