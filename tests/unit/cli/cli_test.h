/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the shell face share: cmocka's headers in their order, a herd that only notes, and how wide lines are. */
#pragma once

#include "fake_herd.h"

#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Each line of a text takes so many columns at most. */
static inline void check_fits(const char *text, size_t columns)
{
        while (*text != '\0') {
                size_t bytes = strcspn(text, "\n");
                owned_str char *line = x_strndup(text, bytes);
                if (cli_columns_of(line) > columns)
                        fail_msg("more than %zu columns: %s", columns, line);
                text += bytes + (text[bytes] == '\n');
        }
}
