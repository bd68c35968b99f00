/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to fail. A fallible function ends in a `struct cowherd_error *err` and returns 0, or -1 with *err set, or
 * 1 only where its header says what that means. *err is untouched on success. Failing is one statement:
 *
 *     return fail(err, COWHERD_EXISTS, "clone '%s' already exists", name);
 *     return fail_errno(err, "cannot open '%s'", path);
 *     if (copy(…, err) < 0)
 *             return fail_while(err, "cloning '%s'", name);
 */
#pragma once

#include "cowherd.h"

#define must_check __attribute__((warn_unused_result))
#define format_like(text, first) __attribute__((format(printf, text, first)))

/* Ignores the result of a must_check function on purpose: an undo, say, that has nobody left to tell. */
static inline void ignore_result(int result)
{
        (void)result;
}

/* Sets *err to a code and a sentence, with no hint. Always -1. */
int fail(struct cowherd_error *err, enum cowherd_code code, const char *format, ...) format_like(3, 4);

/* As fail, with errno's text added, and the code that fits errno (error_code_of_errno). Always -1. */
int fail_errno(struct cowherd_error *err, const char *format, ...) format_like(2, 3);

/* Puts "WHAT: " before the sentence of an error that is set. Always -1. */
int fail_while(struct cowherd_error *err, const char *format, ...) format_like(2, 3);

/* Gives an error that is set its hint. Always -1, so `return fail_hint(…)` can follow a (void)fail(…). */
int fail_hint(struct cowherd_error *err, const char *format, ...) format_like(2, 3);

/* ENOSPC, EDQUOT, EIO, EROFS → 74; EACCES, EPERM → 77; EBUSY, EAGAIN, ETXTBSY → 75; ENOENT → 66; EEXIST → 73; else 71. */
enum cowherd_code error_code_of_errno(int os_errno);
