/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts by mount(2) and umount2(2). Whether something is mounted is asked of the file itself (statx(2)), which costs
 * the same however many mounts there are; what is mounted there is in libmount's table, in a module of its own.
 */
#include "sys/mount.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"
#include "sys/libc.h"
#include "sys/module.h"
#include "sys/mount_module.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define MOUNTINFO_BYTES (64u << 20)
#define UNMOUNT_PAUSE_MAX_MS 128 /* a quarter of a second in all */

bool mount_is_mounted(const char *target)
{
        struct statx found;

        if (statx(AT_FDCWD, target, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &found) == 0) {
                if ((found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
                        return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
        } else if (errno == ENOENT || errno == ENOTDIR) {
                return false;
        }
        /* A dead FUSE mount can't be looked at, and is mounted all the same. */
        struct cowherd_error ignored;
        return mount_query(target, NULL, NULL, &ignored) == 0;
}

int mount_query(const char *target, char **ret_type, char **ret_source, struct cowherd_error *err)
{
        void *query = NULL;

        if (module_symbol("mount", "cowherd_mount_query", &query, err) < 0)
                return -1;
        return ((mount_query_fn *)query)(target, ret_type, ret_source, err);
}

/* Turns the octal escapes of mountinfo (\040 is a blank) into what they stand for, in place. */
static void unescape(char *text)
{
        char *to = text;

        for (const char *at = text; *at != '\0'; to++) {
                bool escaped = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
                               at[3] >= '0' && at[3] <= '7';
                *to = escaped ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0')) : *at;
                at += escaped ? 4 : 1;
        }
        *to = '\0';
}

/* Cuts the mount point, the fifth word, out of a line of mountinfo. */
static char *mount_point_of(char *line)
{
        char *word = line;

        for (int i = 0; i < 4 && word != NULL; i++) {
                word = strchr(word, ' ');
                word = word == NULL ? NULL : word + 1;
        }
        if (word == NULL)
                return NULL;
        word[strcspn(word, " ")] = '\0';
        unescape(word);
        return word;
}

int mount_find_under(const char *folder, char **ret_target, struct cowherd_error *err)
{
        owned_str char *canonical = realpath(folder, NULL), *text = NULL;
        char *rest = NULL;

        if (canonical == NULL)
                return fail_errno(err, "cannot look at '%s'", folder);
        if (file_read(AT_FDCWD, MOUNTINFO, MOUNTINFO_BYTES, &text, NULL, err) < 0)
                return -1;
        size_t length = strcmp(canonical, "/") == 0 ? 0 : strlen(canonical);
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
                const char *point = mount_point_of(line);
                if (point == NULL || strncmp(point, canonical, length) != 0 ||
                    (point[length] != '/' && point[length] != '\0'))
                        continue;
                *ret_target = x_strdup(point);
                return 0;
        }
        return 1;
}

#define MOUNT_DATA_BYTES 4095u /* mount(2) hands one page to the kernel, its NUL included */

/* Adds ",NAME=PATH"; overlay's parser takes a comma or a backslash in a path after a backslash. */
static void add_folder_option(struct str *options, const char *name, const char *path, const char *escaped)
{
        if (options->length > 0)
                str_add_char(options, ',');
        str_addf(options, "%s=", name);
        for (const char *at = path; *at != '\0'; at++) {
                if (strchr(escaped, *at) != NULL)
                        str_add_char(options, '\\');
                str_add_char(options, *at);
        }
}

int mount_overlay(const char *lowers, const char *upper, const char *work, const char *target,
                  struct cowherd_error *err)
{
        owned_string struct str options = {0};

        add_folder_option(&options, "lowerdir", lowers, ",");
        if (upper != NULL) {
                add_folder_option(&options, "upperdir", upper, ",\\");
                add_folder_option(&options, "workdir", work, ",\\");
        }
        if (options.length > MOUNT_DATA_BYTES)
                return fail(err, COWHERD_UNAVAILABLE,
                            "cannot mount an overlay at '%s': its folders' names take %zu bytes, the kernel takes %u",
                            target, options.length, MOUNT_DATA_BYTES);
        if (mount("overlay", target, "overlay", 0, options.data) == 0)
                return 0;
        if (errno == ENODEV)
                return fail(err, COWHERD_UNAVAILABLE,
                            "cannot mount an overlay at '%s': this kernel has no overlay filesystem", target);
        return fail_errno(err, "cannot mount an overlay at '%s'", target);
}

/*
 * "In use" may be so for a moment only, with no event to tell the end of it: another thread's child between its fork and its exec has our
 * descriptors, and a program that makes itself a mount namespace has every mount for a moment. So it is tried again, more and more seldom.
 */
static int unmount_patiently(const char *target)
{
        for (long pause_ms = 1; umount2(target, UMOUNT_NOFOLLOW) < 0; pause_ms *= 2) {
                const struct timespec pause = {.tv_nsec = pause_ms * 1000000};
                if (errno != EBUSY || pause_ms > UNMOUNT_PAUSE_MAX_MS)
                        return -1;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

int mount_unmount(const char *target, struct cowherd_error *err)
{
        if (unmount_patiently(target) == 0 || errno == EINVAL || errno == ENOENT)
                return 0; /* EINVAL: it is no mount point */
        if (errno == EBUSY)
                return fail(err, COWHERD_BUSY, "cannot unmount '%s': it is in use", target);
        if (errno == EPERM && !mount_is_mounted(target))
                return 0;
        return fail_errno(err, "cannot unmount '%s'", target);
}
