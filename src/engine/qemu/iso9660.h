/* SPDX-License-Identifier: Apache-2.0 */
/* A read-only CD image with a few small files in its root, made without a tool. */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct iso_file {
        const char *name; /* ASCII, at most 60 bytes; shown as it is (Joliet) */
        const char *data;
        size_t length;
};
#define ISO_FILES 16 /* at most; all of them fit one sector of each directory */

/* The whole image. `label` in ASCII, at most 16 bytes; `seconds`: the time of the files, since 1970. */
void iso_make(const char *label, const struct iso_file *files, size_t count, int64_t seconds, struct str *ret);
