/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: whether there is enough of what measuring takes. */
#pragma once

#include "compare/images.h"
#include "compare/session.h"

struct needs {
        uint64_t disk_bytes, memory_bytes;
};
/* What a run needs at most, as far as that can be known before. Pure. */
struct needs needs_of(const struct compare_options *options, const struct images *images);
/* 74 where the folder has too little space, 75 where this host has too little memory; each says how much is there, and how much it takes. */
int needs_check(const struct needs *needs, const char *folder, uint64_t memory_available_bytes, struct cowherd_error *err) must_check;
