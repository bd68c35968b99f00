/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status and doctor: what is usable here, and what to do where it isn't. Both leave no trace: on a machine that has no
 * herd yet the stores are asked about the folder in which it would be made.
 */
#include "herd/memory.h"
#include "herd/warm.h"

#include "base/number.h"

#include <stdio.h>
#include <string.h>

/* How many clones of a target run now. */
static int count_running(struct cowherd_herd *herd, enum cowherd_target target, uint64_t *ret, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        uint64_t running = 0;

        if (catalogue_list(herd->catalogue, target, CATALOGUE_CLONE, NULL, &rows, err) < 0)
                return -1;
        owned_mem enum engine_state *states = x_calloc(rows.count, sizeof *states);
        if (herd_states(herd, rows.items, rows.count, states, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                running += states[i] == ENGINE_RUNNING;
        *ret = running;
        return 0;
}

/* How many bases keep a memory. */
static int count_live(struct cowherd_herd *herd, enum cowherd_target target, uint64_t *ret, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, target, CATALOGUE_BASE, NULL, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                *ret += memory_is_kept(&rows.items[i]);
        return 0;
}

/* What machines that stand ready have of their own, and may. */
static int fields_of_warm_memory(struct cowherd_herd *herd, struct cowherd_answer *answer, struct cowherd_error *err)
{
        struct warm_memory used;
        uint64_t limit = 0;

        if (warm_memory_used(herd, &used, err) < 0 || warm_memory_limit(herd, &limit, err) < 0)
                return -1;
        answer_number(answer, "warm_memory_bytes", used.bytes);
        answer_number(answer, "warm_memory_limit_bytes", limit);
        return 0;
}

static int fields_of_counts(struct cowherd_herd *herd, struct cowherd_answer *answer, enum cowherd_target target, bool available,
                            struct cowherd_error *err)
{
        uint64_t bases = 0, clones = 0, running = 0, live = 0;
        struct warm_count warm = {0};

        if (herd->catalogue != NULL && catalogue_count(herd->catalogue, target, &bases, &clones, err) < 0)
                return -1;
        if (target == COWHERD_QEMU && bases > 0 && count_live(herd, target, &live, err) < 0)
                return -1;
        if ((target == COWHERD_LXD ? bases : live) > 0 && warm_count_all(herd, target, &warm, err) < 0)
                return -1;
        if (herd->catalogue != NULL && available && clones > 0 && count_running(herd, target, &running, err) < 0)
                return -1;
        answer_number(answer, "bases", bases);
        answer_number(answer, "clones", clones);
        answer_number(answer, "running", running);
        if (target == COWHERD_QEMU)
                answer_number(answer, "live_bases", live);
        if (target == COWHERD_LXD || live > 0) {
                answer_number(answer, "warm", warm.wanted);
                answer_number(answer, "ready", warm.ready);
        }
        return live > 0 && warm.wanted + warm.ready > 0 ? fields_of_warm_memory(herd, answer, err) : 0;
}

/* The stores that an engine can use, each with why not: "btrfs overlay (not zfs: …)". */
static int fields_of_stores(struct cowherd_herd *herd, struct cowherd_answer *answer, const struct engine_driver *engine,
                            struct cowherd_error *err)
{
        enum store_kind kind = kind_of_target(engine->target);
        owned_string struct str usable = {0}, refused = {0};

        for (size_t i = 0; i < store_count(); i++) {
                struct choice choice owned_by(choice_free) = {.place.fd = -1};
                const char *name = store_name_at(i);
                if ((kind == STORE_INSTANCE) != (strcmp(name, "lxd_pool") == 0))
                        continue;
                struct cowherd_error why;
                if (choice_probe(herd, name, kind, false, &choice, &why) < 0) {
                        str_addf(&refused, "%s%s: %s", refused.length > 0 ? "; " : "", name, why.text);
                        continue;
                }
                if ((choice.driver->kinds & (unsigned)kind) == 0)
                        continue;
                if (choice.probe.usable)
                        str_addf(&usable, "%s%s", usable.length > 0 ? " " : "", name);
                else
                        str_addf(&refused, "%s%s: %s", refused.length > 0 ? "; " : "", name, choice.probe.reason);
        }
        answer_text(answer, "stores", str_text(&usable));
        answer_text(answer, "stores_refused", refused.length > 0 ? str_text(&refused) : NULL);
        (void)err;
        return 0;
}

/* The store that a base would go to now. */
static void fields_of_choice(struct cowherd_herd *herd, struct cowherd_answer *answer, enum cowherd_target target)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        struct cowherd_error err;

        if (choice_make(herd, target, kind_of_target(target), NULL, false, &choice, &err) < 0) {
                answer_text(answer, "store", "");
                answer_text(answer, "store_reason", err.text);
                return;
        }
        answer_text(answer, "store", choice.driver->name);
        answer_text(answer, "store_detail", choice.probe.detail[0] == '\0' ? NULL : choice.probe.detail);
}

static int status_of(struct call *call, enum cowherd_target target, bool *ret_available, struct cowherd_error *err)
{
        struct cowherd_answer *answer = call->answer;
        const struct engine_driver *engine = NULL;
        struct engine_probe probe = {0};
        struct cowherd_error why;

        answer_text(answer, "engine", cowherd_target_name(target));
        if (engine_find(target, &engine, &why) < 0 || engine->probe(&probe, &why) < 0) {
                (void)snprintf(probe.reason, sizeof probe.reason, "%.255s", why.text);
                (void)snprintf(probe.hint, sizeof probe.hint, "%.255s", why.hint);
        }
        answer_flag(answer, "available", probe.available);
        answer_text(answer, "reason", probe.reason);
        answer_text(answer, "advice", probe.hint[0] == '\0' ? NULL : probe.hint);
        answer_text(answer, "version", probe.version);
        fields_of_choice(call->herd, answer, target);
        if (engine != NULL && fields_of_stores(call->herd, answer, engine, err) < 0)
                return -1;
        answer_text(answer, "acceleration", probe.acceleration);
        answer_text(answer, "root", call->herd->root);
        if (fields_of_counts(call->herd, answer, target, probe.available, err) < 0)
                return -1;
        answer_text(answer, "runtime", engine == NULL ? "" : engine->runtime);
        answer_also(answer, "cowMethod", "store");
        *ret_available = probe.available;
        return 0;
}

int verb_status(struct call *call, struct cowherd_error *err)
{
        enum cowherd_target target = call->request->target;
        bool available = false;
        unsigned usable = 0;

        if (herd_open(call->herd, false, err) < 0)
                return -1;
        if (target < COWHERD_ENGINES) {
                if (status_of(call, target, &available, err) < 0)
                        return -1;
                answer_done(call->answer, available ? "%s is ready" : "%s can't be used here", cowherd_target_name(target));
                return 0;
        }
        answer_list(call->answer);
        for (int engine = 0; engine < COWHERD_ENGINES; engine++) {
                answer_item(call->answer);
                if (status_of(call, (enum cowherd_target)engine, &available, err) < 0)
                        return -1;
                usable += available;
        }
        answer_items_end(call->answer);
        answer_done(call->answer, "%u of %d engines are ready", usable, COWHERD_ENGINES);
        return 0;
}

/* ---- doctor ---- */

struct findings {
        struct cowherd_answer *answer;
        size_t bad;      /* problems: an engine that nobody uses and that isn't there is none */
        size_t engines;  /* how many are ready */
};

static void add_finding(struct findings *findings, const char *check, bool ok, const char *detail, const char *advice)
{
        answer_item(findings->answer);
        answer_text(findings->answer, "check", check);
        answer_flag(findings->answer, "ok", ok);
        answer_text(findings->answer, "detail", detail);
        answer_text(findings->answer, "advice", ok || str_is_empty(advice) ? NULL : advice);
        findings->bad += !ok;
}

/* Whether the herd has anything of this engine: only then is it a problem that it can't be used. */
static bool is_in_use(struct cowherd_herd *herd, enum cowherd_target target)
{
        uint64_t bases = 0, clones = 0;
        struct cowherd_error ignored;

        return herd->catalogue != NULL && catalogue_count(herd->catalogue, target, &bases, &clones, &ignored) == 0 && bases + clones > 0;
}

static void check_engine(struct cowherd_herd *herd, struct findings *findings, enum cowherd_target target)
{
        const struct engine_driver *engine = NULL;
        struct engine_probe probe = {0};
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        struct cowherd_error err = {0};
        owned_str char *check = x_asprintf("engine %s", cowherd_target_name(target)), *store = x_asprintf("store of %s", cowherd_target_name(target));

        if (engine_find(target, &engine, &err) < 0 || engine->probe(&probe, &err) < 0) {
                add_finding(findings, check, false, err.text, err.hint);
                return;
        }
        add_finding(findings, check, probe.available, probe.available ? probe.version : probe.reason, probe.hint);
        findings->engines += probe.available;
        if (!probe.available) {
                findings->bad -= !is_in_use(herd, target);
                return;
        }
        bool found = choice_make(herd, target, kind_of_target(target), NULL, false, &choice, &err) == 0;
        add_finding(findings, store, found, found ? choice.driver->name : err.text, err.hint);
}

/* Whether nobody works at an unfinished object any more: its lock is free, and it is still as it was listed. */
static bool is_left_over(struct cowherd_herd *herd, uint64_t id)
{
        struct ownership owned owned_by(ownership_free) = {.herd = herd};
        struct catalogue_row now owned_by(catalogue_row_free) = {0};
        struct cowherd_error ignored;
        int got = ownership_take(&owned, id, false, &ignored);

        if (got != 0)
                return got < 0;
        got = catalogue_get(herd->catalogue, id, &now, &ignored);
        if (got > 0)
                ownership_remove(&owned);
        return got < 0 || (got == 0 && now.phase != CATALOGUE_READY);
}

static int check_leftovers(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        size_t left = 0;

        if (catalogue_unfinished(herd->catalogue, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                left += is_left_over(herd, rows.items[i].id);
        owned_str char *detail = x_asprintf("%zu unfinished object%s", left, left == 1 ? "" : "s");
        add_finding(findings, "leftovers", left == 0, detail, "run 'cowherd cleanup'");
        return 0;
}

/* Of a live base also every byte of its memory. */
static int check_memory(struct cowherd_herd *herd, const struct thing *thing, struct cowherd_error *err)
{
        struct memory memory owned_by(memory_free) = {0};

        if (!memory_is_kept(&thing->row))
                return 0;
        return memory_open(herd, thing, thing->row.name == NULL ? "" : thing->row.name, &memory, err) < 0 ? -1 : memory_check(thing, &memory, true, err);
}

/* One base or snapshot. */
static void check_sealed(struct cowherd_herd *herd, struct findings *findings, const char *what, uint64_t id, const char *advice)
{
        struct thing thing owned_by(thing_free) = {.place.fd = -1};
        struct cowherd_error why = {0};
        bool ok = catalogue_get(herd->catalogue, id, &thing.row, &why) == 0 && thing_open(herd, false, &thing, &why) == 0 &&
                  thing.driver->check_base(&thing.place.place, &thing.object, &why) == 0 &&
                  (thing.driver->deep_check_base == NULL || thing.driver->deep_check_base(&thing.place.place, &thing.object, &why) == 0) &&
                  check_memory(herd, &thing, &why) == 0;

        add_finding(findings, what, ok, ok ? "unchanged" : why.text, advice);
}

/* The snapshots of all clones. */
static int check_snapshots(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows clones owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_CLONE, NULL, &clones, err) < 0)
                return -1;
        for (size_t i = 0; i < clones.count; i++) {
                struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
                if (catalogue_snapshots(herd->catalogue, clones.items[i].id, &rows, err) < 0)
                        return -1;
                for (size_t j = 0; j < rows.count; j++) {
                        owned_str char *what = x_asprintf("snapshot %s of %s", rows.items[j].label == NULL ? "(nameless)" : rows.items[j].label,
                                                          clones.items[i].name);
                        check_sealed(herd, findings, what, rows.items[j].id, "delete the snapshot and take another one");
                }
        }
        return 0;
}

/* Every base as its store sealed it? */
static int check_bases(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_BASE, NULL, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                owned_str char *what = x_asprintf("base %s", rows.items[i].name);
                check_sealed(herd, findings, what, rows.items[i].id, "register it again under another name, and clone that");
        }
        return 0;
}

/* A pool that is not full, and that nobody fills. */
static void check_warm_of(struct cowherd_herd *herd, struct findings *findings, const struct catalogue_row *base, bool is_filling)
{
        owned_str char *complaint = warm_complaint(herd), *what = x_asprintf("kept warm of %s", base->name);
        struct warm_count count = {0};
        struct cowherd_error why = {0};
        int got = warm_count(herd, base, &count, &why);
        bool ok = got == 0 && (count.ready >= count.wanted || is_filling);

        if (got == 0 && count.wanted == 0)
                return;
        owned_str char *detail = x_asprintf("%llu of %llu are ready%s%s", (unsigned long long)count.ready, (unsigned long long)count.wanted,
                                            is_filling ? ", others are being made" : !ok && complaint != NULL ? ": " : "", !ok && !is_filling && complaint != NULL ? complaint : "");
        owned_str char *advice = x_asprintf("see to that, then say %s setup base=%s warm=%llu, which fills them in", cowherd_target_name(base->target), base->name, (unsigned long long)count.wanted);
        add_finding(findings, what, ok, got < 0 ? why.text : detail, advice);
}

static int check_warm(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        bool is_filling = warm_is_filling(herd);

        if (catalogue_list(herd->catalogue, COWHERD_ANY, CATALOGUE_BASE, NULL, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                check_warm_of(herd, findings, &rows.items[i], is_filling);
        return 0;
}

int verb_doctor(struct call *call, struct cowherd_error *err)
{
        struct findings findings = {.answer = call->answer};
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        answer_list(call->answer);
        add_finding(&findings, "root folder", true, call->herd->root, NULL);
        for (int target = 0; target < COWHERD_ENGINES; target++)
                check_engine(call->herd, &findings, (enum cowherd_target)target);
        if (got == 0 && (check_leftovers(call->herd, &findings, err) < 0 || check_bases(call->herd, &findings, err) < 0 ||
                         check_snapshots(call->herd, &findings, err) < 0 || check_warm(call->herd, &findings, err) < 0))
                return -1;
        answer_items_end(call->answer);
        answer_number(call->answer, "problems", findings.bad);
        answer_number(call->answer, "engines", findings.engines);
        if (findings.engines == 0)
                return fail(err, COWHERD_UNAVAILABLE, "no engine can be used here");
        if (findings.bad == 0) {
                answer_done(call->answer, "no problem found; %zu of %d engines are ready", findings.engines, COWHERD_ENGINES);
                return 0;
        }
        return fail(err, COWHERD_UNAVAILABLE, "%zu problem%s found: each is told with what to do", findings.bad, findings.bad == 1 ? "" : "s");
}
