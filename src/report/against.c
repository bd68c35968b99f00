/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed between two runs. A difference is only called one where the runs themselves say so; and where the raw tool, which
 * nobody changed, went the same way by as much, it is the machine that changed and not cowherd. What else differs between the runs
 * (kernel, load, versions) is told beside.
 */
#include "report/document.h"
#include "report/ranks.h"
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LEVEL 0.01        /* of a hundred figures that did not change, one is called changed */
#define NOTHING 0.01      /* medians closer than one percent are the same */
#define ALIKE 0.15        /* the raw tool's change is the same as ours within this */
#define SAMPLES_MAX 100000u

static const char *const verdict_names[] = {
        [REPORT_SAME] = "same", [REPORT_NOISE] = "noise", [REPORT_BETTER] = "better", [REPORT_WORSE] = "worse",
        [REPORT_MACHINE] = "machine", [REPORT_NEW] = "new", [REPORT_GONE] = "gone",
};

const char *report_verdict_name(enum report_verdict verdict)
{
        return verdict_names[verdict];
}

void report_changes_free(struct report_changes *changes)
{
        free(changes->items);
        strv_free(&changes->conditions);
        free(changes->old_started);
        free(changes->new_started);
        *changes = (struct report_changes){0};
}

/* The numbers of an array, as many as it has. *ret is the caller's. */
static size_t numbers_of(const json_t *array, double **ret)
{
        size_t count = json_array_size(array), kept = 0;

        count = count > SAMPLES_MAX ? SAMPLES_MAX : count;
        *ret = x_calloc(count + 1, sizeof **ret);
        for (size_t i = 0; i < count; i++)
                if (json_is_number(json_array_get(array, i)))
                        (*ret)[kept++] = json_number_value(json_array_get(array, i));
        return kept;
}

/* Whether what was measured differs by more than chance, and how that was told. */
static bool differs(const struct spread *old, const json_t *old_samples, const struct spread *now, const json_t *new_samples, char *told, size_t size)
{
        owned_mem double *a = NULL, *b = NULL;
        size_t a_count = numbers_of(old_samples, &a), b_count = numbers_of(new_samples, &b);

        if (a_count >= RANKS_RUNS && b_count >= RANKS_RUNS) {
                double p = ranks_p(a, a_count, b, b_count);
                char shown[16] = "< 0.001";
                if (p >= 0.001)
                        (void)snprintf(shown, sizeof shown, "= %.3f", p);
                (void)snprintf(told, size, "Mann-Whitney, p %s, of %zu and %zu runs", shown, a_count, b_count);
                return p < LEVEL;
        }
        if (old->has_range && now->has_range) {
                bool apart = old->high < now->low || now->high < old->low;
                (void)snprintf(told, size, apart ? "the spreads do not overlap" : "the spreads overlap");
                return apart;
        }
        (void)snprintf(told, size, "two figures without a spread");
        return true;
}

static bool is_close(double a, double b)
{
        return fabs(a - b) <= NOTHING * fmax(a, b);
}

/* Whether the raw tool went the same way by as much, and by more than chance. */
static bool raw_went_along(const struct figure *old, const struct figure *now)
{
        char ignored[160];

        if (!(old->raw.known && now->raw.known && old->raw.median > 0 && old->ours.median > 0 && now->raw.median > 0 && now->ours.median > 0) ||
            !differs(&old->raw, old->raw_samples, &now->raw, now->raw_samples, ignored, sizeof ignored))
                return false;
        double ours = now->ours.median / old->ours.median, raw = now->raw.median / old->raw.median;
        return (ours > 1) == (raw > 1) && fabs(log(ours / raw)) < log(1 + ALIKE);
}

static void judge(struct report_change *change, const struct figure *old, const struct figure *now)
{
        bool differ = differs(&old->ours, old->samples, &now->ours, now->samples, change->told_by, sizeof change->told_by);

        if (old->ours.median == now->ours.median)
                change->verdict = REPORT_SAME;
        else if (!differ)
                change->verdict = REPORT_NOISE;
        else if (is_close(old->ours.median, now->ours.median))
                change->verdict = REPORT_SAME;
        else if (!old->is_bytes && raw_went_along(old, now)) {
                change->verdict = REPORT_MACHINE;
                (void)snprintf(change->told_by, sizeof change->told_by, "%.60s changed as much", now->raw_name);
        } else
                change->verdict = now->ours.median < old->ours.median ? REPORT_BETTER : REPORT_WORSE;
}

static struct report_change *add_change(struct report_changes *changes, const struct figure *figure, enum report_verdict verdict)
{
        changes->items = x_reallocarray(changes->items, changes->count + 1, sizeof *changes->items);
        struct report_change *change = &changes->items[changes->count++];
        *change = (struct report_change){.engine = figure->engine, .store = figure->store, .figure = figure->figure, .title = figure->title,
                                         .is_bytes = figure->is_bytes, .verdict = verdict};
        return change;
}

static void add_figures(struct report_changes *changes, const json_t *old, const json_t *now)
{
        struct figure before, figure;

        for (size_t i = 0; document_figure_at(now, i, &figure); i++) {
                if (!figure.ours.known)
                        continue;
                struct report_change *change = add_change(changes, &figure, REPORT_NEW);
                change->new_median = figure.ours.median;
                if (!document_figure_of(old, figure.engine, figure.store, figure.figure, &before) || before.is_bytes != figure.is_bytes)
                        continue;
                change->old_median = before.ours.median;
                judge(change, &before, &figure);
        }
        for (size_t i = 0; document_figure_at(old, i, &before); i++)
                if (before.ours.known && !document_figure_of(now, before.engine, before.store, before.figure, &figure))
                        add_change(changes, &before, REPORT_GONE)->old_median = before.ours.median;
}

static void add_condition(struct report_changes *changes, const char *what, const char *old, const char *now)
{
        if (!str_equal(old, now))
                strv_addf(&changes->conditions, "%s: %s before, %s now", what, old == NULL ? "not told" : old, now == NULL ? "not told" : now);
}

static void add_load(struct report_changes *changes, const json_t *old, const json_t *now)
{
        double before, after;

        if (document_number(old, "load_before", &before) && document_number(now, "load_before", &after) && fabs(before - after) >= 1)
                strv_addf(&changes->conditions, "load as it began: %.1f before, %.1f now", before, after);
}

static const char *version_of(const json_t *document, const char *name)
{
        const json_t *tool;
        size_t i;

        json_array_foreach(json_object_get(document, "tools"), i, tool)
                if (str_equal(document_text_or_empty(tool, "name"), name))
                        return document_text(tool, "version");
        return NULL;
}

static void add_conditions(struct report_changes *changes, const json_t *old, const json_t *now)
{
        static const char *const names[] = {"processor", "kernel", "os", "virtualization", "filesystem", "root"};
        const json_t *before = json_object_get(old, "machine"), *after = json_object_get(now, "machine"), *tool;
        size_t i;

        add_condition(changes, "cowherd", document_text(old, "version"), document_text(now, "version"));
        for (size_t j = 0; j < array_length(names); j++)
                add_condition(changes, names[j], document_text(before, names[j]), document_text(after, names[j]));
        json_array_foreach(json_object_get(now, "tools"), i, tool)
                add_condition(changes, document_text_or_empty(tool, "name"), version_of(old, document_text_or_empty(tool, "name")), document_text(tool, "version"));
        if (document_flag(old, "quick") != document_flag(now, "quick"))
                strv_add(&changes->conditions, document_flag(now, "quick") ? "a full run before, a quick one now" : "a quick run before, a full one now");
        add_load(changes, before, after);
}

int report_against(const json_t *old, const json_t *now, struct report_changes *ret, struct cowherd_error *err)
{
        struct report_changes changes = {0};

        if (document_check(old, err) < 0)
                return fail_while(err, "the earlier run");
        if (document_check(now, err) < 0)
                return -1;
        add_figures(&changes, old, now);
        add_conditions(&changes, old, now);
        changes.old_started = x_strdup(document_text(old, "started"));
        changes.new_started = x_strdup(document_text(now, "started"));
        *ret = changes;
        return 0;
}
