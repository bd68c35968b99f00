/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of help that its two files share. */
#pragma once

#include "base/str.h"
#include "command/verbs.h"

/* Adds text in lines of at most 80 columns, the first after what stands in its line, the others indented. */
void help_wrap(struct str *help, const char *text, size_t indent);

/* A topic: its name, a title, and its text as it is shown. */
struct help_topic {
        const char *name;
        const char *title;
        const char *text;
};
/* Topic `index`, or NULL past the last one. */
const struct help_topic *help_topic_at(size_t index);
