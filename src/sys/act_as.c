/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel takes file capabilities away from who leaves root's ids (capabilities(7)); they are permitted still, and
 * raised again. */
#include "sys/act_as.h"

#include "base/mem.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

int act_as(uid_t uid, gid_t gid, struct cowherd_error *err)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

        (void)setfsgid(gid);
        (void)setfsuid(uid);
        if ((uid_t)setfsuid(uid) != uid ||
            (gid_t)setfsgid(gid) != gid) /* they tell what it was, never whether it worked */
                return fail(err, COWHERD_DENIED, "only root can make files that belong to %u", uid);
        if (syscall(SYS_capget, &header, sets) < 0)
                return fail_errno(err, "cannot read the capabilities of a thread");
        for (size_t i = 0; i < array_length(sets); i++)
                sets[i].effective = sets[i].permitted;
        if (syscall(SYS_capset, &header, sets) < 0)
                return fail_errno(err, "cannot raise the capabilities of a thread");
        return 0;
}
