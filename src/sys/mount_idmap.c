/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay can't be shifted itself, but what it is made of can: since Linux 5.19 it takes the shift of its layers'
 * mounts, of the upper's too. The kernel makes an overlay of attached mounts only, and attached ones would stay if we
 * were killed; so a thread goes into a mount namespace of its own, attaches and mounts there, and hands out a copy of
 * the result (open_tree(2)), which the caller then attaches at its place. All else vanishes with the thread, and so it
 * does with kill -9.
 *
 * A user namespace needs somebody born in it: a child that lives until its namespace was opened.
 */
#include "sys/mount_idmap.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/act_as.h"
#include "sys/libc.h"
#include "sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_map(pid_t pid, const char *name, uint32_t shift)
{
        char path[64], line[64];

        (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
        int length = snprintf(line, sizeof line, "0 %u %u\n", shift, MOUNT_IDMAP_COUNT);
        owned_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd >= 0 && write(fd, line, (size_t)length) == length ? 0 : -1;
}

/* Fills in the maps of a child's user namespace and opens it. */
static int open_namespace_of(pid_t pid, uint32_t shift, int *ret_fd, struct cowherd_error *err)
{
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
        if (write_map(pid, "uid_map", shift) < 0 || write_map(pid, "gid_map", shift) < 0)
                return fail_errno(err, "cannot map the users of a container");
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, "cannot open a user namespace");
        *ret_fd = take_fd(fd);
        return 0;
}

int mount_user_namespace(uint32_t shift, int *ret_fd, struct cowherd_error *err)
{
        /* As fork(2), without what the C library would do in the child, which calls the kernel only. */
        pid_t parent = getpid(), pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) { /* with our locks in its hands: it must not live longer than we do */
                (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
                if (syscall(SYS_getppid) != parent)
                        syscall(SYS_exit_group, 0);
                (void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
                syscall(SYS_exit_group, 0);
        }
        if (pid < 0) {
                int os_errno = errno;
                (void)fail(err, COWHERD_UNAVAILABLE, "this kernel gives no user namespace: %s", strerror(os_errno));
                err->os_errno = os_errno;
                return -1;
        }
        int result = open_namespace_of(pid, shift, ret_fd, err);
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        return result;
}

/* A copy of the mount of an open folder, shifted by an open user namespace. 1 where the filesystem can't. */
static int copy_shifted(int folder, int namespace, int *ret_fd, struct cowherd_error *err)
{
        struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)namespace};

        owned_fd int fd = open_tree(folder, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        if (fd < 0)
                return fail_errno(err, "cannot copy a mount");
        if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
                if (errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
                        return 1;
                return fail_errno(err, "cannot shift the owners of a mount");
        }
        *ret_fd = take_fd(fd);
        return 0;
}

int mount_shifted(int folder, uint32_t shift, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int namespace = -1;

        if (mount_user_namespace(shift, &namespace, err) < 0)
                return -1;
        return copy_shifted(folder, namespace, ret_fd, err);
}

/* What the thread gets and gives back. */
struct job {
        const struct mount_layers *layers;
        uint32_t shift;
        int shifted; /* the copy of layers->folder */
        int mounted; /* the result */
        const char *target;
        int result;
        struct cowherd_error err;
};

/* In a namespace of its own: the layers at "./l" of a new empty folder, which lies upon the target there. */
static int attach_layers(const struct job *job, struct cowherd_error *err)
{
        if (unshare(CLONE_NEWNS) < 0)
                return fail_errno(err, "cannot make a mount namespace");
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return fail_errno(err, "cannot keep a mount namespace private");
        if (mount("tmpfs", job->target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0700") < 0 ||
            chdir(job->target) < 0)
                return fail_errno(err, "cannot make a place for the layers of an overlay");
        if (mkdir("l", 0700) < 0 || mkdir("t", 0700) < 0)
                return fail_errno(err, "cannot make a place for the layers of an overlay");
        if (move_mount(job->shifted, "", AT_FDCWD, "l", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return fail_errno(err, "cannot attach the layers of an overlay");
        return 0;
}

static int mount_layers_at(struct job *job, struct cowherd_error *err)
{
        const struct mount_layers *layers = job->layers;
        owned_string struct str lowers = {0};

        for (size_t i = 0; i < layers->lower_count; i++)
                str_addf(&lowers, "%sl/%s", i == 0 ? "" : ":", layers->lowers[i]);
        owned_str char *upper = x_asprintf("l/%s", layers->upper), *work = x_asprintf("l/%s", layers->work);
        /* An overlay does what it does as who mounted it. */
        if (act_as(job->shift, job->shift, err) < 0)
                return -1;
        if (mount_overlay(str_text(&lowers), upper, work, "t", err) < 0)
                return -1;
        struct statvfs found;
        if (statvfs("t", &found) < 0 ||
            (found.f_flag & ST_RDONLY) != 0) /* how an overlay fails that can't use its upper */
                return fail(err, COWHERD_SYSTEM, "the kernel mounts the overlay at '%s' read-only", job->target);
        job->mounted = open_tree(AT_FDCWD, "t", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        return job->mounted < 0 ? fail_errno(err, "cannot take an overlay out of its namespace") : 0;
}

static void *work_alone(void *context)
{
        struct job *job = context;

        job->result = attach_layers(job, &job->err);
        if (job->result == 0)
                job->result = mount_layers_at(job, &job->err);
        return NULL;
}

int mount_overlay_shifted(const struct mount_layers *layers, uint32_t shift, const char *target,
                          struct cowherd_error *err)
{
        struct job job = {.layers = layers, .shift = shift, .shifted = -1, .mounted = -1, .target = target};
        owned_fd int shifted = -1;
        pthread_t thread;

        int cannot = mount_shifted(layers->folder, shift, &shifted, err);
        if (cannot != 0)
                return cannot;
        job.shifted = shifted;
        int failed = pthread_create(&thread, NULL, work_alone, &job);
        if (failed != 0) {
                errno = failed;
                return fail_errno(err, "cannot start a thread");
        }
        (void)pthread_join(thread, NULL);
        owned_fd int mounted = job.mounted;
        if (job.result < 0) {
                *err = job.err;
                return -1;
        }
        if (move_mount(mounted, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return fail_errno(err, "cannot mount an overlay at '%s'", target);
        return 0;
}
