/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that lists can be asked for by columns=. */
#pragma once

#include "command/request.h"

/* The fields that a verb's items have or can have, apart by blanks; NULL for a verb that takes no columns=. */
const char *columns_of_verb(enum verb_id verb);
/* Checks a columns= of names with commas between them: 64 with the nearest one for a field that the verb's items don't have. */
int columns_check(const struct request *request, struct cowherd_error *err) must_check;
