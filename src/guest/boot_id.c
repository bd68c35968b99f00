/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot id, which a guest that woke has from the one that booted: a file lies over the kernel's, as in a container. Where one lies there
 * already it is written over. It is believed only when it is shown; a file that is not shown lies over nothing, and tells that a boot
 * id is still owed.
 */
#include "guest/program.h"

#include "guest/libc.h"

#include <errno.h>
#include <string.h>

#define BOOT_ID_SHOWN "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_FILE "/run/cowherd/boot-id"

static int lay(const char *text)
{
        int failed = file_put_over(BOOT_ID_FILE, text, strlen(text), 0444, true);

        if (failed != 0)
                return failed;
        (void)umount2(BOOT_ID_SHOWN, MNT_DETACH);
        if (mount(BOOT_ID_FILE, BOOT_ID_SHOWN, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, BOOT_ID_SHOWN, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return errno;
        return 0;
}

int boot_id_set(void)
{
        owned_str char *fresh = file_text("/proc/sys/kernel/random/uuid"); /* another at each reading */
        owned_str char *shown = file_text(BOOT_ID_SHOWN), *laid = file_text(BOOT_ID_FILE);

        if (fresh == NULL || shown == NULL)
                return ENOSYS;
        if (laid != NULL && strcmp(laid, shown) == 0 && file_put_over(BOOT_ID_FILE, fresh, strlen(fresh), 0444, true) == 0) {
                owned_str char *now = file_text(BOOT_ID_SHOWN);
                if (now != NULL && strcmp(now, fresh) == 0)
                        return 0; /* else a file of the same words was there, and lay over nothing */
        }
        return lay(fresh);
}

bool boot_id_is_owed(void)
{
        owned_str char *shown = file_text(BOOT_ID_SHOWN), *laid = file_text(BOOT_ID_FILE);

        return laid != NULL && shown != NULL && strcmp(laid, shown) != 0;
}

void boot_id_prepare(void)
{
        owned_str char *shown = file_text(BOOT_ID_SHOWN), *laid = file_text(BOOT_ID_FILE);

        if (shown == NULL || (laid != NULL && strcmp(laid, shown) == 0) || lay(shown) == 0)
                return;
        /* a file of what is shown that lies over nothing would be taken for one that does */
        if (laid == NULL)
                file_remove("/run/cowherd", "boot-id");
        else
                (void)file_put_over(BOOT_ID_FILE, laid, strlen(laid), 0444, true);
}
