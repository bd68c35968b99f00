/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal for a person in a container: of the container's own devpts, opened from outside, so that it has a name in
 * there and `tty` finds it. The container may have planted anything in its place, so what was opened is looked at
 * first.
 */
#include "engine/nspawn/enter.h"

#include "engine/nspawn/user.h"
#include "sys/openat2.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#define TTY_GROUP 5 /* of every distribution, and of nspawn's mount of the devpts */

/* The master device of the container's own devpts; whatever else is planted in its place is refused. */
static int open_master(int root, int *ret_fd, struct cowherd_error *err)
{
        struct stat found;
        struct statfs filesystem;

        owned_fd int place = openat2_call(root, "dev/pts/ptmx", O_PATH | O_NOFOLLOW, 0,
                                          RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
        if (place < 0 || fstat(place, &found) < 0 || fstatfs(place, &filesystem) < 0)
                return fail_errno(err, "cannot open the terminals of a container");
        if (!S_ISCHR(found.st_mode) || found.st_rdev != makedev(5, 2) ||
            (unsigned long)filesystem.f_type != DEVPTS_SUPER_MAGIC)
                return fail(err, COWHERD_DENIED, "what is at '/dev/pts/ptmx' of a container is no terminal");
        owned_str char *path = x_asprintf("/proc/self/fd/%d", place);
        int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open a terminal of a container");
        *ret_fd = fd;
        return 0;
}

int enter_terminal(const struct engine_instance *instance, const char *user, int *ret_master, int *ret_slave,
                   struct cowherd_error *err)
{
        struct guest_user owner = {0};
        owned_fd int root = -1, master = -1;
        struct stat shown;
        int unlock = 0;

        if (nspawn_expect_running(instance, err) < 0 || nspawn_open_root(instance, &root, err) < 0 ||
            open_master(root, &master, err) < 0)
                return -1;
        if (guest_user_find(root, user, &owner, err) < 0)
                return -1;
        uid_t uid = owner.uid;
        guest_user_free(&owner);
        if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
                return fail_errno(err, "cannot unlock a terminal of a container");
        owned_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0)
                return fail_errno(err, "cannot open a terminal of a container");
        /* Who root is there, the folder of the terminals tells. */
        owned_fd int folder = openat2_call(root, "dev/pts", O_PATH | O_NOFOLLOW, 0,
                                           RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
        if (folder < 0 || fstat(folder, &shown) < 0 ||
            fchown(slave, shown.st_uid + uid, shown.st_gid + TTY_GROUP) < 0 || fchmod(slave, 0620) < 0)
                return fail_errno(err, "cannot give a terminal of a container its owner");
        *ret_master = take_fd(master);
        *ret_slave = take_fd(slave);
        return 0;
}
