/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the marks, and the commands to begin with. */
#pragma once

#include "advise/advise.h"

/* The mark of an option for a need, 0 to 10; why is put into *ret_why (to be freed). */
double advise_mark(const struct advise_facts *facts, const struct advise_option *option, enum advise_need need, char **ret_why);

/* Adds what to type: what is wanting, a base, a clone. */
void advise_begin(const struct advise_facts *facts, const struct advise_option *option, const struct advise_needs *needs, struct strv *ret);

bool advise_needs_has(const struct advise_needs *needs, enum advise_need need);
