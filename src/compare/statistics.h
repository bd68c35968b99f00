/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: measured values, what they come to, and how much they differ. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct series {
        double *values;
        size_t count;
        size_t capacity;
};
void series_add(struct series *series, double value);
void series_free(struct series *series);

/* The value below which a part of the sorted values lies, between neighbours by proportion (0.5: the median). Of none: 0. */
double quantile_of(const double *sorted, size_t count, double part);
double series_quantile(const struct series *series, double part);
double series_median(const struct series *series);
/*
 * {"median", "p05", "p95", "min", "max", "n"}; a single value has no p05 and p95: nobody knows its spread. JSON null of none. The caller's.
 */
json_t *series_summary(const struct series *series);
json_t *series_samples(const struct series *series);
/* A number with as many decimals as say something. */
json_t *number_of(double value);
