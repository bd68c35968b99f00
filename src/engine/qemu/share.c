/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of the host for a confined QEMU. Its user owns nothing, so root's folders come to it by an idmapped mount
 * (mount_setattr(2)): a detached bind mount of that one folder on which the folder's owner and group appear as QEMU's,
 * in both directions: what the guest makes belongs to the folder's owner on the host. Nothing else of the host can be
 * reached through it, other owners' files are what "others" may do with them, and no device or setuid file works. The
 * map is taken from a user namespace, which a child is made for.
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_map(pid_t pid, const char *name, unsigned from, unsigned to, struct cowherd_error *err)
{
        char path[64], text[64];

        (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        int length = snprintf(text, sizeof text, "%u %u 1\n", from, to);
        owned_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, (size_t)length) != length)
                return fail_errno(err, "cannot map user ids for a shared folder");
        return 0;
}

/* In the child: waits in its user namespace until the other end of the pipe is closed. */
static void wait_for_end(int pipe_end)
{
        char byte;

        while (read(pipe_end, &byte, 1) < 0 && errno == EINTR)
                continue;
        _exit(0);
}

static int open_namespace(pid_t pid, const struct stat *owner, uid_t user, int *ret_fd, struct cowherd_error *err)
{
        char path[64];

        if (write_map(pid, "uid_map", owner->st_uid, user, err) < 0 ||
            write_map(pid, "gid_map", owner->st_gid, user, err) < 0)
                return -1;
        (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open a user namespace");
        *ret_fd = take_fd(fd);
        return 0;
}

/* A user namespace in which the folder's owner is QEMU's user. */
static int make_namespace(const struct stat *owner, uid_t user, int *ret_fd, struct cowherd_error *err)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fail_errno(err, "cannot make a pipe");
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
                (void)close(ends[1]);
                wait_for_end(ends[0]);
        }
        int done = pid < 0 ? fail_errno(err, "cannot make a user namespace")
                           : open_namespace(pid, owner, user, ret_fd, err);
        close_at(&ends[0]);
        close_at(&ends[1]);
        if (pid > 0)
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        continue;
        return done;
}

static int fail_share(const struct engine_mount *mount, int tree, struct cowherd_error *err)
{
        int os_errno = errno;

        (void)fail(err, COWHERD_UNAVAILABLE, "cannot share '%s': its filesystem (%s) takes no idmapped mount (%s)",
                   mount->host, file_system_name(tree), strerror(os_errno));
        return fail_hint(err, "share a folder on ext4, xfs, btrfs or tmpfs, or use copy_to and copy_from");
}

int qemu_share_open(const struct engine_mount *mount, uid_t user, int *ret_fd, struct cowherd_error *err)
{
        struct stat owner;

        if (geteuid() != 0)
                return file_open_folder(AT_FDCWD, mount->host, ret_fd, err);
        owned_fd int tree = (int)syscall(SYS_open_tree, AT_FDCWD, mount->host, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
                     map = -1;
        if (tree < 0 || fstat(tree, &owner) < 0)
                return fail_errno(err, "cannot share '%s'", mount->host);
        if (!S_ISDIR(owner.st_mode))
                return fail(err, COWHERD_NOT_FOUND, "cannot share '%s': it is no folder", mount->host);
        if (make_namespace(&owner, user, &map, err) < 0)
                return fail_while(err, "sharing '%s'", mount->host);
        unsigned flags =
                MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (mount->read_only ? MOUNT_ATTR_RDONLY : 0);
        struct mount_attr attributes = {.attr_set = flags, .userns_fd = (unsigned)map};
        if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
                return fail_share(mount, tree, err);
        *ret_fd = take_fd(tree);
        return 0;
}
