/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: what could be measured, and whether it works here. */
#pragma once

#include "compare/pair.h"

/* A pair of engine and store. */
struct kind {
        enum cowherd_target target;
        const char *store, *technology, *granularity;
};
/* Number `index` of them, or NULL past the last one. Static. */
const struct kind *kind_at(size_t index);

/* What is known of a pair before it is measured. */
struct found {
        bool works;
        char *reason, *detail, *command, *pool; /* each may be NULL; owned */
};
void found_free(struct found *found);
define_owned(struct found, found_free)

/* By what the herd's status says of its engine; a pool that is missing is made where the pair is wanted. */
void store_find_out(struct session *session, const struct kind *kind, const struct cowherd_answer *status, const struct image *image, bool wanted,
                    struct found *found);
/* Writes it down: the document's rows and its set-up. */
void store_add_row(struct session *session, const struct kind *kind, struct found *found);
void setup_add(struct session *session, const char *engine, const char *what, const char *state, const char *detail, const char *command);
