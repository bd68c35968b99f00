/* SPDX-License-Identifier: Apache-2.0 */
/* Names and patterns of names, and single values by their type. */
#pragma once

#include "command/request.h"

#define NAME_LENGTH_MAX 63u

/* As name_check, but `*` and `?` may stand for any letters. 64 with the rule that it breaks. */
int pattern_check(enum cowherd_target target, const char *pattern, struct cowherd_error *err) must_check;

/*
 * Checks a text against a parameter's type and range, and fills ret->number for sizes, durations, counts and booleans.
 * *ret_text (the caller's) is the text, in the table's spelling for a choice. 64 with what was expected.
 */
int value_check(enum cowherd_target target, const struct cowherd_parameter *parameter, const char *text, char **ret_text,
                uint64_t *ret_number, struct cowherd_error *err) must_check;

/* What the parameters of a request that is otherwise complete mean for each other: 64 where they contradict. */
int request_check_together(const struct request *request, struct cowherd_error *err) must_check;
