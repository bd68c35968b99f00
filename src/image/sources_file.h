/* SPDX-License-Identifier: Apache-2.0 */
/* One sources.conf: its text to the answer of one question. Of the image room alone. */
#pragma once

#include "image/sources.h"

/* Borrowed. */
struct source_question {
        const char *kind;    /* "image" or "distro" */
        const char *name;    /* of a distro without regard to case */
        const char *release; /* of a distro, or NULL: then only a section for all its releases answers */
};

/* Reads a whole text; 78 with file and line for what it does not know. 0 and *ret, or 1 where no section answers. */
int sources_parse(const char *path, const char *text, size_t length, const struct source_question *question,
                  struct source *ret, struct cowherd_error *err) must_check;
