/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filesystems inside files, through loop devices (loop(4)). LO_FLAGS_AUTOCLEAR frees the device with its last user, so
 * that there is nothing to undo when a step fails or we are killed. A device is recognised by the device and inode
 * numbers of its backing file as the driver holds them open, whatever became of the file's name.
 */
#include "sys/mount.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/libc.h"
#include "sys/module.h"
#include "sys/mount_module.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIND_PAUSE_MAX_MS 512 /* a second in all */

static void close_folder(DIR **folder)
{
        if (*folder != NULL)
                (void)closedir(*folder);
}

/* Asks an open loop device how it shows its file, and whether that is this one. */
static bool shows(int loop, const struct stat *file, struct loop_info64 *ret)
{
        return ioctl(loop, LOOP_GET_STATUS64, ret) == 0 && ret->lo_device == file->st_dev && ret->lo_inode == file->st_ino;
}

/* Whether a loop device is backed by this file; asked of the driver, or where we may not, of its name in /sys. */
static bool is_backed_by(const char *device, const char *name, const struct stat *file)
{
        struct loop_info64 info;
        owned_fd int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        if (fd >= 0)
                return shows(fd, file, &info);
        owned_str char *link = x_asprintf("/sys/block/%s/loop/backing_file", name);
        char path[4096];
        struct stat found;
        owned_fd int text = open(link, O_RDONLY | O_CLOEXEC);
        ssize_t length = text < 0 ? -1 : read(text, path, sizeof path - 1);
        if (length <= 0)
                return false;
        path[length] = '\0';
        path[strcspn(path, "\n")] = '\0';
        return stat(path, &found) == 0 && found.st_dev == file->st_dev && found.st_ino == file->st_ino;
}

static int find_loop(const struct stat *file, char **ret_device, struct cowherd_error *err)
{
        __attribute__((cleanup(close_folder))) DIR *folder = opendir("/sys/block");

        if (folder == NULL)
                return errno == ENOENT ? 1 : fail_errno(err, "cannot read '/sys/block'");
        for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
                if (!str_starts(entry->d_name, "loop"))
                        continue;
                owned_str char *bound = x_asprintf("/sys/block/%s/loop", entry->d_name); /* there while it has a file */
                owned_str char *device = x_asprintf("/dev/%s", entry->d_name);
                if (access(bound, F_OK) < 0 || !is_backed_by(device, entry->d_name, file))
                        continue;
                *ret_device = take(device);
                return 0;
        }
        return 1;
}

int mount_find_loop(const char *file, char **ret_device, struct cowherd_error *err)
{
        struct stat found;

        if (stat(file, &found) < 0)
                return fail_errno(err, "cannot look at '%s'", file);
        return find_loop(&found, ret_device, err);
}

/* Whether an open loop device shows all of this file, to be written or not as it is wanted. */
static bool suits(int loop, const struct stat *file, bool read_only)
{
        struct loop_info64 info;

        return shows(loop, file, &info) && info.lo_offset == 0 && info.lo_sizelimit == 0 &&
               ((info.lo_flags & LO_FLAGS_READ_ONLY) != 0) == read_only;
}

/*
 * The loop device that has the file already: a copy of the mount in another namespace keeps it when ours is gone, and two on one file
 * would destroy it. So that one is mounted, and stays as long as it is open. One that is about to go can't be opened, and there is no
 * event for its end: it is looked for again, more and more seldom. 1 where there is none.
 */
static int take_bound_loop(const char *path, const struct stat *file, bool read_only, int *ret_fd, char **ret_device,
                           struct cowherd_error *err)
{
        for (long pause_ms = 1;; pause_ms *= 2) {
                const struct timespec pause = {.tv_nsec = pause_ms * 1000000};
                owned_str char *device = NULL;
                int found = find_loop(file, &device, err);
                if (found != 0)
                        return found;
                owned_fd int fd = open(device, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
                if (fd >= 0 && suits(fd, file, read_only)) {
                        *ret_fd = take_fd(fd);
                        *ret_device = take(device);
                        return 0;
                }
                if (pause_ms > FIND_PAUSE_MAX_MS)
                        return fail(err, COWHERD_BUSY, "cannot mount '%s': the loop device '%s' uses it already", path, device);
                (void)nanosleep(&pause, NULL);
        }
}

#define TRIES 64 /* another process may take the free device first */

/* Binds a free loop device to an open file: its descriptor, and its name to be freed. */
static int bind_loop(int backing, const char *file, bool read_only, int *ret_fd, char **ret_device,
                     struct cowherd_error *err)
{
        owned_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

        if (control < 0)
                return fail_errno(err, "cannot open '/dev/loop-control'");
        for (int i = 0; i < TRIES; i++) {
                struct loop_config config = {.fd = (uint32_t)backing,
                                             .info.lo_flags = LO_FLAGS_AUTOCLEAR |
                                                              (read_only ? (unsigned)LO_FLAGS_READ_ONLY : 0)};
                (void)snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "%s", file);
                int number = ioctl(control, LOOP_CTL_GET_FREE);
                if (number < 0)
                        return fail_errno(err, "cannot get a loop device");
                owned_str char *device = x_asprintf("/dev/loop%d", number);
                owned_fd int fd = open(device, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
                if (fd < 0)
                        return fail_errno(err, "cannot open '%s'", device);
                if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
                        *ret_fd = take_fd(fd);
                        *ret_device = take(device);
                        return 0;
                }
                if (errno != EBUSY)
                        return fail_errno(err, "cannot bind '%s' to '%s'", device, file);
        }
        return fail(err, COWHERD_BUSY,
                    "cannot get a loop device for '%s': others take them as fast as they become free", file);
}

/* Options as mount(8) takes them, parted by libmount; none need no libmount. */
static int split_options(const char *options, unsigned long *ret_flags, char **ret_data, struct cowherd_error *err)
{
        void *split = NULL;

        if (str_is_empty(options))
                return 0;
        if (module_symbol("mount", "cowherd_mount_split", &split, err) < 0)
                return -1;
        return ((mount_split_fn *)split)(options, ret_flags, ret_data, err);
}

static int fail_mount(const char *file, const char *target, const char *type, struct cowherd_error *err)
{
        if (errno == EINVAL || errno == EUCLEAN)
                return fail(err, COWHERD_DATA,
                            "cannot mount '%s' at '%s': it holds no sound %s filesystem, or the options do not suit it",
                            file, target, type);
        if (errno == ENODEV)
                return fail(err, COWHERD_UNAVAILABLE, "cannot mount '%s': this kernel has no %s filesystem", file,
                            type);
        return fail_errno(err, "cannot mount '%s' at '%s'", file, target);
}

int mount_loop(const char *file, const char *target, const char *type, const char *options, struct cowherd_error *err)
{
        owned_str char *device = NULL, *data = NULL;
        owned_fd int backing = -1, loop = -1;
        unsigned long flags = 0;
        struct stat found;

        if (split_options(options, &flags, &data, err) < 0)
                return -1;
        backing = open(file, ((flags & MS_RDONLY) != 0 ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (backing < 0 || fstat(backing, &found) < 0)
                return fail_errno(err, "cannot open '%s'", file);
        bool read_only = (flags & MS_RDONLY) != 0;
        int bound = take_bound_loop(file, &found, read_only, &loop, &device, err);
        if (bound < 0 || (bound > 0 && bind_loop(backing, file, read_only, &loop, &device, err) < 0))
                return -1;
        if (mount(device, target, type, flags, data) < 0)
                return fail_mount(file, target, type, err);
        return 0;
}
