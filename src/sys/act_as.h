/* SPDX-License-Identifier: Apache-2.0 */
/* Making files for somebody else: what root's files are in a tree whose owners are shown shifted. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/*
 * From here on this thread makes files that belong to uid and gid (setfsuid(2)), with all rights that it may have all
 * the same. On a mount with shifted owners root of this host has no id and could make none. Back again: act_as(0, 0)
 * where that was root.
 */
int act_as(uid_t uid, gid_t gid, struct cowherd_error *err) must_check;
