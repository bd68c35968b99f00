/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a figure: ours and the raw tool's in turn, A B A B, so that a machine whose speed drifts is fair to both. What fails is an entry of
 * its own, and never a number.
 */
#include "compare/pair.h"

#include "sys/clock.h"

#include <stdio.h>
#include <string.h>


static json_t *entry_of(const struct pair *pair, const char *figure)
{
        return json_pack("{s:s, s:s, s:s}", "engine", pair->engine, "store", pair->store, "figure", figure);
}

void note_failed(struct pair *pair, const char *figure, const struct cowherd_error *err)
{
        json_t *entry = entry_of(pair, figure);

        json_object_set_new(entry, "error", json_stringn_nocheck(err->text, strlen(err->text)));
        json_object_set_new(entry, "code", json_integer(err->code));
        json_array_append_new(json_object_get(pair->session->document, "failed"), entry);
}

void note_left_out(struct pair *pair, const char *figure, const char *format, ...)
{
        json_t *entry = entry_of(pair, figure);
        va_list args;

        va_start(args, format);
        owned_str char *why = x_vasprintf(format, args);
        va_end(args);
        json_object_set_new(entry, "why", json_stringn_nocheck(why, strlen(why)));
        json_array_append_new(json_object_get(pair->session->document, "left_out"), entry);
}

void figure_add(struct pair *pair, const struct figure *figure, const struct series *ours, const struct series *raw, unsigned burst)
{
        if (ours->count == 0)
                return;
        json_t *entry = entry_of(pair, figure->id);
        json_object_set_new(entry, "title", json_string(figure->title));
        json_object_set_new(entry, "unit", json_string(figure->unit));
        json_object_set_new(entry, "n", json_integer((json_int_t)ours->count));
        json_object_set_new(entry, "ours", series_summary(ours));
        json_object_set_new(entry, "raw", series_summary(raw));
        if (raw->count > 0) {
                double by = series_median(raw);
                json_object_set_new(entry, "raw_name", json_string(figure->raw_name));
                json_object_set_new(entry, "ratio", by > 0 ? number_of(series_median(ours) / by) : json_null());
        }
        json_object_set_new(entry, "compared", json_string(figure->compared));
        json_object_set_new(entry, "samples", series_samples(ours));
        json_object_set_new(entry, "raw_samples", series_samples(raw));
        if (burst > 0)
                json_object_set_new(entry, "burst_count", json_integer(burst));
        json_array_append_new(json_object_get(pair->session->document, "figures"), entry);
}

/* The raw tool's run; one that fails is said once, and it takes no further part. */
static void take_raw(struct pair *pair, const struct figure *figure, unsigned run, bool *runs, struct series *raw)
{
        struct cowherd_error err = {0};
        double value = 0;

        if (!*runs)
                return;
        if (figure->raw(pair, run, &value, &err) == 0) {
                if (raw != NULL)
                        series_add(raw, value);
                return;
        }
        *runs = false;
        note_left_out(pair, figure->id, "the raw tool beside it: %s", err.text);
}

/* One of ours. */
static bool take_ours(struct pair *pair, const struct figure *figure, unsigned run, struct series *ours)
{
        struct cowherd_error err = {0};
        double value = 0;

        if (figure->ours(pair, run, &value, &err) == 0) {
                if (ours != NULL)
                        series_add(ours, value);
                return true;
        }
        note_failed(pair, figure->id, &err);
        pair->broken = true;
        return false;
}

bool figure_take(struct pair *pair, const struct figure *figure)
{
        struct series ours = {0}, raw = {0};
        bool raw_runs = figure->raw != NULL, well = !pair->broken;
        double began = clock_ms();

        if (figure->warms && well) {
                well = take_ours(pair, figure, figure->runs, NULL);
                take_raw(pair, figure, figure->runs, &raw_runs, NULL);
        }
        for (unsigned run = 0; well && run < figure->runs && (run < figure->least || clock_ms() - began < figure->budget_ms); run++) {
                well = take_ours(pair, figure, run, &ours);
                if (well)
                        take_raw(pair, figure, run, &raw_runs, &raw);
        }
        figure_add(pair, figure, &ours, &raw, 0);
        series_free(&ours);
        series_free(&raw);
        return well;
}
