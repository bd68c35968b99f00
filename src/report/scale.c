/* SPDX-License-Identifier: Apache-2.0 */
/* Axes: from what to what, with which marks. A logarithmic one is only taken where a linear one would hide the least bar. */
#include "report/scale.h"

#include <math.h>

#define LOG_FROM 40.0  /* most : least from which a linear bar would be a hair */
#define MARKS 4        /* spaces between them: as many as a phone has room for */

/* 1, 2 or 5 times a power of ten, at least `step`; of bytes a power of two. */
static double nice_step(bool is_bytes, double step)
{
        if (is_bytes)
                return exp2(ceil(log2(step)));
        double power = pow(10, floor(log10(step))), digit = step / power;

        return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

static void mark_linear(struct scale *scale, double most)
{
        double step = nice_step(scale->is_bytes, most / MARKS);

        scale->high = step * ceil(most / step);
        for (size_t i = 0; i < SCALE_TICKS && step * (double)i <= scale->high * 1.0001; i++)
                scale->ticks[scale->tick_count++] = step * (double)i;
}

/* It begins far enough below the least for that one to have a bar, too. */
static void mark_log(struct scale *scale, double least, double most)
{
        double unit = scale->is_bytes ? 4 : 10;
        double from = floor(log(least) / log(unit) - 0.25), to = ceil(log(most) / log(unit) - 1e-9);
        double every = fmax(1, ceil((to - from) / MARKS));

        scale->low = pow(unit, from);
        scale->high = pow(unit, to);
        for (double at = from; at <= to && scale->tick_count < SCALE_TICKS; at += every)
                scale->ticks[scale->tick_count++] = pow(unit, at);
}

struct scale scale_of(bool is_bytes, double least, double most)
{
        struct scale scale = {.is_bytes = is_bytes};

        if (!(most > 0))
                most = 1;
        scale.is_log = least > 0 && most / least > LOG_FROM;
        if (scale.is_log)
                mark_log(&scale, least, most);
        else
                mark_linear(&scale, most);
        return scale;
}

double scale_position(const struct scale *scale, double value)
{
        double at = scale->is_log ? (value <= scale->low ? 0 : log(value / scale->low) / log(scale->high / scale->low))
                                  : (value - scale->low) / (scale->high - scale->low);

        return 100 * fmin(1, fmax(0, at));
}
