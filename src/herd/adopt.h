/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt=true: a base takes the given file itself instead of a copy of it. Until the base is settled the file can always be
 * given back: the row says where it came from from the beginning.
 */
#pragma once

#include "herd/herd.h"

/* Moves the file or folder at `source` to `to`, relative to the place's folder; 69 across filesystems. */
int adopt_take(const struct thing *base, const char *source, struct cowherd_error *err) must_check;
/* Moves an adopted file back to where it came from, if it was taken; nothing where the row did not adopt. */
int adopt_give_back(const struct thing *base, struct cowherd_error *err) must_check;
/* A row's `extra` (or NULL) with the mark of a base that adopts. The caller's. */
char *adopt_mark(const char *extra);
