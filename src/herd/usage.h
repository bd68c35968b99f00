/* SPDX-License-Identifier: Apache-2.0 */
/* What usage.c measures, for the verbs that tell of bytes. */
#pragma once

#include "herd/herd.h"

/* What is told of an object's bytes. */
struct measured {
        struct store_usage usage;
        uint64_t snapshot_bytes; /* of a clone: those of its snapshots, which are among its unique ones */
        uint64_t warm_bytes;     /* of a base: those of the clones that are kept warm of it, likewise */
};
/* 1, with the error set, where another command has removed it since it was listed. */
int usage_measure(struct cowherd_herd *herd, const struct catalogue_row *row, struct measured *ret, struct cowherd_error *err) must_check;
