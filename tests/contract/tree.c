/* SPDX-License-Identifier: Apache-2.0 */
/* A small root filesystem with one of everything, and a number that changes with anything in it. */
#include "subject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define must(call)                                                                                                     \
        do {                                                                                                           \
                if ((call) < 0)                                                                                        \
                        bail("%s: %s", #call, strerror(errno));                                                        \
        } while (0)

static void put(int root, const char *name, const char *text, mode_t mode)
{
        owned_fd int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        must(fd);
        must(write(fd, text, strlen(text)));
        must(fchmod(fd, mode));
}

static void put_noise(int root, const char *name, size_t bytes, off_t hole, uint64_t seed)
{
        owned_fd int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        must(fd);
        must((int)lseek(fd, hole, SEEK_SET));
        write_noise(fd, bytes, seed);
}

void tree_fill(const char *path)
{
        static const char *const folders[] = {"etc",       "usr",  "usr/bin",   "usr/share", "var",
                                              "var/empty", "home", "home/user", "tmp",       "dev"};
        owned_fd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        must(root);
        for (size_t i = 0; i < array_length(folders); i++)
                must(mkdirat(root, folders[i], 0755));
        put(root, "etc/hostname", "golden\n", 0644);
        put(root, "etc/shadow", "root:*:1::::::\n", 0640);
        put(root, "usr/bin/setuid", "#!/bin/sh\n", 04755);
        put(root, "usr/share/kept", "left alone\n", 0444);
        put(root, "usr/share/a name with, colons: and \"quotes\"", "odd\n", 0644);
        put_noise(root, "usr/share/sample", SAMPLE_BYTES, 0, 1);
        put_noise(root, "usr/share/holes", 65536, 4 << 20, 2);
        must(linkat(root, "usr/share/sample", root, "usr/bin/linked", 0));
        must(symlinkat("usr/bin", root, "bin"));
        must(symlinkat("/etc/passwd", root, "etc/absolute"));
        must(mkfifoat(root, "var/fifo", 0600));
        must(mknodat(root, "dev/null", S_IFCHR | 0666, makedev(1, 3)));
        must(fchmodat(root, "tmp", 01777, 0));
        must(fchownat(root, "home/user", 1000, 1000, 0));
        owned_fd int user = openat(root, "home/user", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put(user, "notes", "mine\n", 0600);
        must(fchownat(user, "notes", 1000, 1000, 0));
        owned_fd int notes = openat(user, "notes", O_RDONLY | O_CLOEXEC);
        must(fsetxattr(notes, "user.colour", "brown", 5, 0));
        must(fsetxattr(notes, "trusted.herd", "cow", 3, 0));
        must(fchmod(root, 0751));
}

static uint64_t hash_attributes(uint64_t hash, const char *path)
{
        char names[4096], value[4096];
        uint64_t sum = 0; /* their order is the filesystem's affair */
        ssize_t length = llistxattr(path, names, sizeof names);

        for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
                if (str_starts(name, "trusted.overlay.") || str_starts(name, "security."))
                        continue;
                ssize_t bytes = lgetxattr(path, name, value, sizeof value);
                must((int)bytes);
                sum += hash_bytes(hash_bytes(1, name, strlen(name)), value, (size_t)bytes);
        }
        return hash_bytes(hash, &sum, sizeof sum);
}

static uint64_t hash_entry(uint64_t hash, const char *path, const char *name)
{
        struct stat found;
        char target[4096];

        must(lstat(path, &found));
        hash = hash_bytes(hash, name, strlen(name) + 1);
        hash = hash_bytes(hash, &found.st_mode, sizeof found.st_mode);
        hash = hash_bytes(hash, &found.st_uid, sizeof found.st_uid);
        hash = hash_bytes(hash, &found.st_gid, sizeof found.st_gid);
        hash = hash_bytes(hash, &found.st_mtim, sizeof found.st_mtim);
        hash = hash_attributes(hash, path);
        if (S_ISCHR(found.st_mode))
                return hash_bytes(hash, &found.st_rdev, sizeof found.st_rdev);
        if (S_ISREG(found.st_mode)) {
                uint64_t content = file_hash(path);
                return hash_bytes(hash, &content, sizeof content);
        }
        if (S_ISLNK(found.st_mode)) {
                ssize_t length = readlink(path, target, sizeof target);
                must((int)length);
                return hash_bytes(hash, target, (size_t)length);
        }
        if (!S_ISDIR(found.st_mode))
                return hash;
        struct dirent **entries = NULL;
        int count = scandir(path, &entries, NULL, alphasort);
        must(count);
        for (int i = 0; i < count; i++) {
                if (!str_equal(entries[i]->d_name, ".") && !str_equal(entries[i]->d_name, "..")) {
                        owned_str char *below = x_asprintf("%s/%s", path, entries[i]->d_name);
                        hash = hash_entry(hash, below, entries[i]->d_name);
                }
                free(entries[i]);
        }
        free(entries);
        return hash;
}

uint64_t tree_hash(const char *path)
{
        return hash_entry(1, path, "");
}

void tree_write(const char *path, const char *name)
{
        owned_str char *file = x_asprintf("%s/%s", path, name);

        owned_fd int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        must(fd);
        write_noise(fd, WRITTEN_BYTES, 77);
        must(fsync(fd));
}

void tree_change(const char *path)
{
        owned_fd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        must(root);
        /* In place, not by a new file: what a store that hands out the base's inodes would let through. */
        owned_fd int linked = openat(root, "usr/bin/linked", O_WRONLY | O_CLOEXEC);
        must(linked);
        must((int)pwrite(linked, "changed", 7, 4096));
        owned_fd int hostname = openat(root, "etc/hostname", O_WRONLY | O_TRUNC | O_CLOEXEC);
        must(hostname);
        must((int)write(hostname, "clone\n", 6));
        must(fchmodat(root, "etc/shadow", 0600, 0));
        must(fchownat(root, "usr/bin/setuid", 7, 7, 0));
        must(unlinkat(root, "usr/share/holes", 0));
        must(unlinkat(root, "var/empty", AT_REMOVEDIR));
        must(unlinkat(root, "bin", 0));
        must(mkdirat(root, "bin", 0755));
        owned_fd int notes = openat(root, "home/user/notes", O_RDONLY | O_CLOEXEC);
        must(notes);
        must(fsetxattr(notes, "user.colour", "black", 5, 0));
        must(fremovexattr(notes, "trusted.herd"));
        must(renameat(root, "etc/absolute", root, "etc/renamed"));
        must(linkat(root, "etc/hostname", root, "etc/hostname.link", 0));
        must(fchmod(root, 0700));
        const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
        must(utimensat(root, "usr/share/sample", times, 0));
}
