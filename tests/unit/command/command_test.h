/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: cmocka's headers in their order, and a request that must parse or must not. */
#pragma once

#include "command/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A command that is refused: with code 64, a sentence that holds `text` and, where it is not NULL, a hint that holds
 * `hint`. */
static inline void check_refused(const char *command, int failed, const struct cowherd_error *err, const char *text,
                                 const char *hint)
{
        if (failed != -1)
                fail_msg("was taken: %s", command);
        if (err->code != COWHERD_USAGE)
                fail_msg("code %d of: %s", err->code, command);
        if (strstr(err->text, text) == NULL)
                fail_msg("'%s' does not say '%s', of: %s", err->text, text, command);
        if (hint != NULL && strstr(err->hint, hint) == NULL)
                fail_msg("hint '%s' does not say '%s', of: %s", err->hint, hint, command);
        if (strchr(err->text, '\n') != NULL)
                fail_msg("more than one line: %s", err->text);
}

static inline void check_taken(const char *command, int failed, const struct cowherd_error *err)
{
        if (failed != 0)
                fail_msg("'%s' refused: %s", command, err->text);
}

/* A command to QEMU, what its refusal must say, and what its hint, or NULL. */
struct refused {
        const char *command, *text, *hint;
};
static inline void check_all_refused(const struct refused *cases, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                owned_request struct request request = {0};
                struct cowherd_error err = {0};
                int failed = request_parse(COWHERD_QEMU, cases[i].command, NULL, &request, &err);
                check_refused(cases[i].command, failed, &err, cases[i].text, cases[i].hint);
        }
}
