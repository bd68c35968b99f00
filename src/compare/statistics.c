/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and quantiles. A median and not a mean: a machine that does something else for a moment makes one value large, not all. */
#include "compare/statistics.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

void series_add(struct series *series, double value)
{
        if (series->count == series->capacity) {
                series->capacity = series->capacity < 16 ? 16 : series->capacity * 2;
                series->values = x_reallocarray(series->values, series->capacity, sizeof *series->values);
        }
        series->values[series->count++] = value;
}

void series_free(struct series *series)
{
        free(series->values);
        *series = (struct series){0};
}

static int by_size(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

/* A sorted copy, the caller's. */
static double *sorted(const struct series *series)
{
        double *copy = x_calloc(series->count + 1, sizeof *copy);

        if (series->count > 0)
                memcpy(copy, series->values, series->count * sizeof *copy);
        qsort(copy, series->count, sizeof *copy, by_size);
        return copy;
}

double quantile_of(const double *values, size_t count, double part)
{
        if (count == 0)
                return 0;
        double at = part * (double)(count - 1);
        size_t below = (size_t)at;
        if (below + 1 >= count)
                return values[count - 1];
        return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}

double series_quantile(const struct series *series, double part)
{
        owned_mem double *values = sorted(series);

        return quantile_of(values, series->count, part);
}

double series_median(const struct series *series)
{
        return series_quantile(series, 0.5);
}

json_t *number_of(double value)
{
        double step = fabs(value) < 1 ? 1e4 : fabs(value) < 100 ? 1e3 : 10;

        if (fabs(value) >= 1e6)
                return json_integer((json_int_t)llround(value));
        return json_real(round(value * step) / step);
}

json_t *series_summary(const struct series *series)
{
        if (series->count == 0)
                return json_null();
        owned_mem double *values = sorted(series);
        json_t *summary = json_object();
        json_object_set_new(summary, "median", number_of(quantile_of(values, series->count, 0.5)));
        if (series->count > 1) {
                json_object_set_new(summary, "p05", number_of(quantile_of(values, series->count, 0.05)));
                json_object_set_new(summary, "p95", number_of(quantile_of(values, series->count, 0.95)));
        }
        json_object_set_new(summary, "min", number_of(values[0]));
        json_object_set_new(summary, "max", number_of(values[series->count - 1]));
        json_object_set_new(summary, "n", json_integer((json_int_t)series->count));
        return summary;
}

json_t *series_samples(const struct series *series)
{
        json_t *samples = json_array();

        for (size_t i = 0; i < series->count; i++)
                json_array_append_new(samples, number_of(series->values[i]));
        return samples;
}
