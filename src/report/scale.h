/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this room: an axis. It is linear from zero where that lets every bar be seen, else logarithmic from a power of ten (of
 * bytes, of 1024's) below the least. Positions are percent of the width, so that a picture fits any screen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SCALE_TICKS 12

struct scale {
        bool is_bytes, is_log;
        double low, high;
        double ticks[SCALE_TICKS];
        size_t tick_count;
};

/* The axis for values from `least` (0 where none is above zero) to `most`. */
struct scale scale_of(bool is_bytes, double least, double most);
/* 0 to 100. */
double scale_position(const struct scale *scale, double value);
