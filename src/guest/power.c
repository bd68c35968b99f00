/* SPDX-License-Identifier: Apache-2.0 */
/* Switching off and booting anew, as this guest's init wants to be asked: systemd and busybox by signals, others by their programs. */
#include "guest/program.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int ask(int number)
{
        return kill(1, number) < 0 ? errno : 0;
}

int power_change(enum guest_power power)
{
        static const char *const off[] = {"poweroff", NULL}, *const again[] = {"reboot", NULL};
        bool reboot = power == GUEST_POWER_REBOOT;
        char init[256] = "";

        if (program.files_only)
                return EPERM;
        if (file_exists("/run/systemd/system"))
                return ask(SIGRTMIN + (reboot ? 5 : 4)); /* systemd(1): reboot.target, poweroff.target */
        ssize_t got = readlink("/proc/1/exe", init, sizeof init - 1);
        const char *name = got <= 0 ? NULL : strrchr(init, '/');
        if (name != NULL && strcmp(name, "/busybox") == 0)
                return ask(reboot ? SIGTERM : SIGUSR2);
        return spawn_detached(reboot ? again : off);
}
