/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user of a container, from its own /etc/passwd and /etc/group (passwd(5), group(5)): read from outside, as its own
 * root would find them, bounded. Directory services inside are not asked.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 256

struct guest_user {
        uid_t uid;
        gid_t gid;
        gid_t groups[USER_GROUPS_MAX];
        size_t group_count;
        char *name, *home, *shell; /* never NULL */
};
void guest_user_free(struct guest_user *user);

/* By name or number; NULL is root, who need not be in any file, nor need a number. 66 for a name that is not there. */
int guest_user_find(int root, const char *user, struct guest_user *ret, struct cowherd_error *err) must_check;
