/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the verb table as they are written down: parameters by key, and verbs with the keys they take. */
#pragma once

#include "command/verbs.h"

/* What a parameter is, wherever it is taken. Its `required` and `aliases` are each verb's to say. */
const struct cowherd_parameter *parameter_of(enum key key);

/* A verb's use of a parameter; what is not set here is as parameter_of says. */
struct use {
        enum key key; /* KEY_COUNT ends the list */
        bool required;
        const char *aliases;
        const char *type;
        const char *range;
        const char *fallback;
        const char *help;
};

struct verb_row {
        struct cowherd_verb public; /* its parameters not yet set */
        const struct use *uses;     /* NULL: none but those of every verb */
        enum key bare[VERB_BARE_WORDS];
        unsigned bare_count;
};

/* The row of a verb. */
const struct verb_row *verb_row_of(enum verb_id id);
