/* SPDX-License-Identifier: Apache-2.0 */
/* The module cowherd-mount: libmount's table of mounts, and its reading of mount options. */
#include "sys/mount_module.h"

#include "base/mem.h"

#include <libmount.h>
#include <limits.h>
#include <stdlib.h>

#define MOUNTINFO "/proc/self/mountinfo"

static void release_table(struct libmnt_table **table)
{
        mnt_unref_table(*table);
}

extern mount_query_fn cowherd_mount_query;
__attribute__((visibility("default"))) int cowherd_mount_query(const char *target, char **ret_type, char **ret_source,
                                                               struct cowherd_error *err)
{
        __attribute__((cleanup(release_table))) struct libmnt_table *table = mnt_new_table_from_file(MOUNTINFO);
        owned_str char *canonical = realpath(target, NULL);

        if (table == NULL)
                return fail(err, COWHERD_SYSTEM, "cannot read the table of mounts '%s'", MOUNTINFO);
        /* Backward: the topmost of several mounts on one target. */
        struct libmnt_fs *row = mnt_table_find_target(table, canonical == NULL ? target : canonical, MNT_ITER_BACKWARD);
        if (row == NULL)
                return 1;
        const char *type = mnt_fs_get_fstype(row), *source = mnt_fs_get_source(row);
        if (ret_type != NULL)
                *ret_type = x_strdup(type == NULL ? "" : type);
        if (ret_source != NULL)
                *ret_source = x_strdup(source == NULL ? "" : source);
        return 0;
}

extern mount_split_fn cowherd_mount_split;
__attribute__((visibility("default"))) int cowherd_mount_split(const char *options, unsigned long *ret_flags,
                                                               char **ret_data, struct cowherd_error *err)
{
        owned_str char *vfs = NULL, *data = NULL;
        unsigned long flags = 0;

        if (mnt_split_optstr(options, NULL, &vfs, &data, 0, 0) != 0 ||
            (vfs != NULL && mnt_optstr_get_flags(vfs, &flags, mnt_get_builtin_optmap(MNT_LINUX_MAP)) != 0))
                return fail(err, COWHERD_INTERNAL, "cannot understand the mount options '%s'", options);
        *ret_flags = flags;
        *ret_data = take(data);
        return 0;
}
