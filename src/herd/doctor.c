/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: is everything well here, and what to do where it isn't. Engines and the host first, then this herd: what cleanup would
 * take, and whether every base, snapshot and pool is what it should be. Like status it leaves no trace. A note is no problem:
 * an engine that nobody uses and that isn't there, a host without acceleration.
 */
#include "herd/doctor.h"
#include "herd/memory.h"
#include "herd/warm.h"

#include "compare/compare.h"
#include "sys/clock.h"

#include <string.h>

void doctor_add(struct findings *findings, const char *check, enum level level, const char *detail, const char *advice)
{
        static const char *const words[] = {[LEVEL_OK] = "ok", [LEVEL_NOTE] = "note", [LEVEL_PROBLEM] = "problem"};
        struct cowherd_answer *answer = findings->call->answer;

        answer_item(answer);
        answer_text(answer, "check", check);
        answer_flag(answer, "ok", level == LEVEL_OK);
        answer_text(answer, "level", words[level]);
        answer_text(answer, "detail", detail);
        answer_text(answer, "advice", level == LEVEL_OK || str_is_empty(advice) ? NULL : advice);
        findings->bad += level == LEVEL_PROBLEM;
}

bool doctor_wants(const struct findings *findings, enum cowherd_target target)
{
        return findings->asked == COWHERD_ANY || findings->asked == target;
}

static void add_finding(struct findings *findings, const char *check, bool ok, const char *detail, const char *advice)
{
        doctor_add(findings, check, ok ? LEVEL_OK : LEVEL_PROBLEM, detail, advice);
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
        findings->engines += probe.available;
        if (!probe.available) {
                bool needed = findings->asked == target || is_in_use(herd, target);
                doctor_add(findings, check, needed ? LEVEL_PROBLEM : LEVEL_NOTE, probe.reason, probe.hint);
                return;
        }
        owned_str char *detail = x_asprintf("%s%s%s", probe.version, probe.acceleration[0] == '\0' ? "" : ", ", probe.acceleration);
        doctor_add(findings, check, probe.hint[0] == '\0' ? LEVEL_OK : LEVEL_NOTE, detail, probe.hint);
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
        return got < 0 || (got == 0 && now.phase != CATALOGUE_READY);
}

/* What cleanup would take: what killed commands left, what no row knows, clones that have lived long enough. */
static int check_leftovers(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0}, expired owned_by(catalogue_rows_free) = {0};
        struct recovery orphans = {.only_look = true};
        struct cowherd_error why = {0};
        size_t left = 0;

        if (catalogue_unfinished(herd->catalogue, &rows, err) < 0 || catalogue_expired(herd->catalogue, clock_wall_ms(), &expired, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                left += is_left_over(herd, rows.items[i].id);
        if (herd_sweep(herd, &orphans, &why) < 0 || compare_sweep(herd->fd, herd->root, true, &orphans.orphans, &orphans.busy, &why) < 0)
                add_finding(findings, "leftovers", false, why.text, why.hint);
        bool is_bad = left + orphans.orphans > 0;
        owned_str char *detail = x_asprintf("%zu unfinished, %zu that nobody knows, %zu expired", left, orphans.orphans, expired.count);
        doctor_add(findings, "leftovers", is_bad ? LEVEL_PROBLEM : expired.count > 0 ? LEVEL_NOTE : LEVEL_OK, is_bad || expired.count > 0 ? detail : "none",
                   "run 'cowherd cleanup'");
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

/* The snapshots of one clone; those without a name are there for clones that were made of it. */
static int check_snapshots_of(struct cowherd_herd *herd, struct findings *findings, const struct catalogue_row *clone, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_snapshots(herd->catalogue, clone->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                const char *label = rows.items[i].label;
                owned_str char *what = label != NULL ? x_asprintf("snapshot %s of %s", label, clone->name)
                                                     : x_asprintf("what clones of %s stand on", clone->name);
                check_sealed(herd, findings, what, rows.items[i].id, label != NULL ? "delete the snapshot and take another one" : "delete those clones, and make new ones");
        }
        return 0;
}

static int check_snapshots(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows clones owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, findings->asked, CATALOGUE_CLONE, NULL, &clones, err) < 0)
                return -1;
        for (size_t i = 0; i < clones.count; i++)
                if (check_snapshots_of(herd, findings, &clones.items[i], err) < 0)
                        return -1;
        return 0;
}

/* Every base as its store sealed it? */
static int check_bases(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(herd->catalogue, findings->asked, CATALOGUE_BASE, NULL, &rows, err) < 0)
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
        /* Machines that stand ready are ended by a cleanup or a reboot, and come with the next clone. */
        bool waits = base->kind == STORE_DISK && complaint == NULL;
        bool ok = got == 0 && (count.ready >= count.wanted || is_filling || waits);

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
                if (doctor_wants(findings, rows.items[i].target))
                        check_warm_of(herd, findings, &rows.items[i], is_filling);
        return 0;
}

static int check_herd(struct cowherd_herd *herd, struct findings *findings, struct cowherd_error *err)
{
        if (check_leftovers(herd, findings, err) < 0 || check_bases(herd, findings, err) < 0 || check_snapshots(herd, findings, err) < 0)
                return -1;
        return check_warm(herd, findings, err);
}

int verb_doctor(struct call *call, struct cowherd_error *err)
{
        struct findings findings = {.call = call, .asked = request_engine(call->request)};
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        answer_list(call->answer);
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (doctor_wants(&findings, (enum cowherd_target)target))
                        check_engine(call->herd, &findings, (enum cowherd_target)target);
        doctor_host(&findings);
        if (doctor_pools(&findings, err) < 0 || (got == 0 && check_herd(call->herd, &findings, err) < 0))
                return -1;
        answer_items_end(call->answer);
        answer_number(call->answer, "problems", findings.bad);
        answer_number(call->answer, "engines", findings.engines);
        if (findings.engines == 0 && findings.asked != COWHERD_ANY)
                return fail(err, COWHERD_UNAVAILABLE, "%s can't be used here", cowherd_target_name(findings.asked));
        if (findings.engines == 0)
                return fail(err, COWHERD_UNAVAILABLE, "no engine can be used here");
        if (findings.bad > 0)
                return fail(err, COWHERD_UNAVAILABLE, "%zu problem%s found: each is told with what to do", findings.bad, findings.bad == 1 ? "" : "s");
        if (findings.asked != COWHERD_ANY)
                answer_done(call->answer, "no problem found; %s is ready", cowherd_target_name(findings.asked));
        else
                answer_done(call->answer, "no problem found; %zu of %d engines are ready", findings.engines, COWHERD_ENGINES);
        return 0;
}
