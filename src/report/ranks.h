/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: whether two lists of runs differ by more than chance. */
#pragma once

#include <stddef.h>

#define RANKS_RUNS 5 /* fewer can't tell anything at 1 % */

/*
 * The two-sided p of the Mann-Whitney U test of two samples: how often two lists of the same source would differ as much. By the
 * normal approximation, corrected for ties and continuity; 1 where all values are equal.
 */
double ranks_p(const double *a, size_t a_count, const double *b, size_t b_count);
