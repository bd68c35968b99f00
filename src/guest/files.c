/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of an identity. A folder is opened as the root folder itself would (openat2(2), RESOLVE_IN_ROOT; plainly where the kernel is
 * older and the root is all there is); what is written there is put together beside its place, and renamed: never half there, and a
 * link that lies in its place is replaced, not followed.
 */
#include "guest/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_inside(const char *path, int flags)
{
        struct open_how how = {.flags = (uint32_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

        long fd = syscall(SYS_openat2, program.root, path, &how, sizeof how);
        if (fd < 0 && errno == ENOSYS && !program.files_only)
                return openat(program.root, path + strspn(path, "/"), flags | O_CLOEXEC);
        return (int)fd;
}

char *file_text(const char *path)
{
        owned_fd int fd = open_inside(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        owned_string struct str text = {0};
        char piece[4096];
        ssize_t got;

        while (fd >= 0 && (got = read(fd, piece, sizeof piece)) != 0) {
                if ((got < 0 && errno != EINTR) || text.length > FILE_BYTES)
                        return NULL;
                str_add_bytes(&text, piece, got > 0 ? (size_t)got : 0);
        }
        return fd < 0 || strlen(str_text(&text)) != text.length ? NULL : str_take(&text);
}

bool file_exists(const char *path)
{
        owned_fd int fd = open_inside(path, O_PATH);

        return fd >= 0;
}

static int open_parent(const char *path, bool make, int *ret_fd)
{
        const char *last = strrchr(path, '/');
        owned_str char *folder = last == path ? x_strdup("/") : x_strndup(path, (size_t)(last - path));

        int fd = open_inside(folder, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && errno == ENOENT && make && last != path) {
                owned_fd int above = -1;
                int failed = open_parent(folder, true, &above);
                if (failed != 0)
                        return failed;
                mode_t mode = strcmp(strrchr(folder, '/'), "/.ssh") == 0 ? 0700 : 0755;
                if (mkdirat(above, strrchr(folder, '/') + 1, mode) < 0 && errno != EEXIST)
                        return errno;
                fd = open_inside(folder, O_RDONLY | O_DIRECTORY);
        }
        if (fd < 0)
                return errno;
        *ret_fd = fd;
        return 0;
}

static int write_all(int fd, const char *bytes, size_t length)
{
        while (length > 0) {
                ssize_t done = write(fd, bytes, length);
                if (done < 0 && errno != EINTR)
                        return errno;
                bytes += done > 0 ? done : 0;
                length -= done > 0 ? (size_t)done : 0;
        }
        return 0;
}

int file_put(const char *path, const void *bytes, size_t length, mode_t mode, bool make)
{
        const char *name = strrchr(path, '/') + 1;
        owned_str char *beside = x_asprintf("%s.cowherd", name);
        owned_fd int folder = -1;

        int failed = open_parent(path, make, &folder);
        if (failed != 0)
                return failed;
        if (unlinkat(folder, beside, 0) < 0 && errno != ENOENT)
                return errno;
        owned_fd int fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return errno;
        failed = write_all(fd, bytes, length);
        if (failed == 0 && (fchmod(fd, mode) < 0 || renameat(folder, beside, folder, name) < 0))
                failed = errno;
        if (failed != 0)
                (void)unlinkat(folder, beside, 0);
        return failed;
}

int file_put_over(const char *path, const void *bytes, size_t length, mode_t mode, bool make)
{
        owned_fd int fd = open_inside(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        struct stat found;

        if (fd < 0 || fstat(fd, &found) < 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1 || ftruncate(fd, 0) < 0)
                return file_put(path, bytes, length, mode, make);
        return write_all(fd, bytes, length);
}

void file_remove(const char *folder, const char *pattern)
{
        int fd = open_inside(folder, O_RDONLY | O_DIRECTORY);

        if (fd >= 0 && strpbrk(pattern, "*?[") == NULL) {
                (void)unlinkat(fd, pattern, 0);
                close_at(&fd);
                return;
        }
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);

        if (entries == NULL) {
                close_at(&fd);
                return;
        }
        for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
                if (fnmatch(pattern, entry->d_name, 0) == 0)
                        (void)unlinkat(fd, entry->d_name, 0); /* a folder stays */
        (void)closedir(entries);
}
