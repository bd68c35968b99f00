/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image room's door to the archive module: libarchive and what it pulls in are loaded when the first tarball comes,
 * so that a clone never pays for them.
 */
#include "image/archive.h"

#include "image/archive_module.h"
#include "sys/module.h"

int archive_unpack(const char *path, int tree, const struct file_progress *progress, uint64_t *ret_devices,
                   struct cowherd_error *err)
{
        void *unpack;

        if (module_symbol("archive", "archive_module_unpack", &unpack, err) < 0)
                return -1;
        return ((archive_unpack_fn *)unpack)(path, tree, &ARCHIVE_LIMITS, progress, ret_devices, err);
}

int archive_pack_image(int tree, const char *distro, const char *release, int at, const char *metadata,
                       const char *rootfs, struct cowherd_error *err)
{
        void *pack;

        if (module_symbol("archive", "archive_module_pack", &pack, err) < 0)
                return -1;
        return ((archive_pack_fn *)pack)(tree, distro, release, at, metadata, rootfs, err);
}

int archive_pack_entry(int folder, const char *name, const char *as, int to, struct cowherd_error *err)
{
        void *pack;

        if (module_symbol("archive", "archive_module_pack_entry", &pack, err) < 0)
                return -1;
        return ((archive_pack_entry_fn *)pack)(folder, name, as, to, err);
}

int archive_unpack_entry(int from, const char *as, int folder, const char *name, struct cowherd_error *err)
{
        void *unpack;

        if (module_symbol("archive", "archive_module_unpack_entry", &unpack, err) < 0)
                return -1;
        return ((archive_unpack_entry_fn *)unpack)(from, as, folder, name, &ARCHIVE_LIMITS, err);
}
