/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Mann-Whitney U test. It asks nothing of how times are spread, and they are never spread normally: a machine has a least
 * time and many reasons to take longer. (H. B. Mann, D. R. Whitney, 1947; ties as in Conover, Practical Nonparametric Statistics.)
 */
#include "report/ranks.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>

struct run {
        double value;
        bool is_a;
};

static int compare_runs(const void *left, const void *right)
{
        const struct run *a = left, *b = right;

        return (a->value > b->value) - (a->value < b->value);
}

/* The sum of a's ranks, equal values sharing the mean of theirs; *ret_ties: the sum of t³ - t over all groups of equal ones. */
static double rank_sum(const struct run *runs, size_t count, double *ret_ties)
{
        double sum = 0, ties = 0;

        for (size_t i = 0; i < count;) {
                size_t end = i, of_a = 0;
                for (; end < count && runs[end].value == runs[i].value; end++)
                        of_a += runs[end].is_a;
                double equal = (double)(end - i), rank = (double)(i + 1 + end) / 2;
                sum += rank * (double)of_a;
                ties += equal * equal * equal - equal;
                i = end;
        }
        *ret_ties = ties;
        return sum;
}

double ranks_p(const double *a, size_t a_count, const double *b, size_t b_count)
{
        size_t count = a_count + b_count;
        owned_mem struct run *runs = x_calloc(count + 1, sizeof *runs);
        double ties = 0, n = (double)count, na = (double)a_count, nb = (double)b_count;

        for (size_t i = 0; i < count; i++)
                runs[i] = (struct run){.value = i < a_count ? a[i] : b[i - a_count], .is_a = i < a_count};
        qsort(runs, count, sizeof *runs, compare_runs);
        double u = rank_sum(runs, count, &ties) - na * (na + 1) / 2;
        double variance = count < 2 ? 0 : na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
        if (!(variance > 0))
                return 1;
        double away = fmax(0, fabs(u - na * nb / 2) - 0.5);
        return erfc(away / sqrt(variance) / sqrt(2));
}
