/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a script of a test and keeps what it wrote. */
#pragma once

#include "fake_cowherd.h"
#include "rexx/rexx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct ran {
        int status;
        char *out, *err; /* what went to standard output and to standard error, until the next run */
};

/* Runs a text as the script "t.rexx" of a temporary folder, which is the current folder meanwhile. */
struct ran run_script(const char *text);
/* The same with the options given; `file` is set by it where it is NULL. `length` bytes of text. */
struct ran run_with(struct cowherd_rexx_options options, const char *text, size_t length);

/* That a script writes exactly this on standard output, and nothing on standard error, and ends with 0. */
void assert_says(const char *script, const char *expected);
/* That a text has another in it, or has not; the failure shows both. */
void assert_has(const char *text, const char *part);
void assert_has_not(const char *text, const char *part);
/* That these commands and no others reached the herd, apart by newlines. */
void assert_commands(const char *expected);

/* cmocka's setup and teardown of each test: a fresh fake, and a folder of its own. */
int fresh(void **state);
int tidy(void **state);
#define rexx_test(function) cmocka_unit_test_setup_teardown(function, fresh, tidy)
