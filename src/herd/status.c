/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: what is usable here, and what to do where it isn't. It leaves no trace: on a machine that has no herd yet the
 * stores are asked about the folder in which it would be made.
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

/* The store that a base would go to now; or why none, where that is not just why the engine can't be used. */
static void fields_of_choice(struct cowherd_herd *herd, struct cowherd_answer *answer, enum cowherd_target target, const char *reason)
{
        struct choice choice owned_by(choice_free) = {.place.fd = -1};
        struct cowherd_error err;

        if (choice_make(herd, target, kind_of_target(target), NULL, false, &choice, &err) < 0) {
                answer_text(answer, "store", "");
                answer_text(answer, "store_reason", reason[0] != '\0' && strstr(err.text, reason) != NULL ? NULL : err.text);
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
        fields_of_choice(call->herd, answer, target, probe.reason);
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
