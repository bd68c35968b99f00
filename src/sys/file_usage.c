/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tree takes on its disk. Folders that are mounted on it are not counted. Which extents are shared is asked of
 * the filesystem by FIEMAP, file by file; what lies in memory still is not shared with anybody.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "sys/inode_map.h"
#include "sys/openat2.h"
#include "sys/walk.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

/* Told of each file and folder of a tree, inodes with several names once. `folder` and `name` lead to it. */
struct visitor {
        int (*visit)(void *context, int folder, const char *name, const struct stat *found, struct cowherd_error *err);
        void *context;
        struct inode_map seen;
};

static int visit_once(struct visitor *visitor, int folder, const char *name, const struct stat *found,
                      struct cowherd_error *err)
{
        if (found->st_nlink > 1 && !S_ISDIR(found->st_mode)) {
                if (inode_map_get(&visitor->seen, found->st_dev, found->st_ino) != NULL)
                        return 0;
                inode_map_put(&visitor->seen, found->st_dev, found->st_ino, "");
        }
        return visitor->visit(visitor->context, folder, name, found, err);
}

static int visit_entry(struct visitor *visitor, struct walk *walk, const struct walk_entry *entry,
                       struct cowherd_error *err)
{
        struct stat found;

        if (fstatat(entry->folder, entry->name, &found, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot look at '%s'", entry->name);
        if (!S_ISDIR(found.st_mode))
                return visit_once(visitor, entry->folder, entry->name, &found, err);
        owned_fd int fd = openat2_look(entry->folder, entry->name, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return errno == ENOENT || errno == EXDEV ? 0
                                                         : fail_errno(err, "cannot open the folder '%s'", entry->name);
        if (visit_once(visitor, entry->folder, entry->name, &found, err) < 0)
                return -1;
        return walk_enter(walk, take_fd(fd), err);
}

static int visit_all(struct visitor *visitor, struct walk *walk, struct cowherd_error *err)
{
        struct walk_entry entry;

        while (walk_next(walk, &entry))
                if ((entry.leaving ? walk_leave(walk, &entry, err) : visit_entry(visitor, walk, &entry, err)) < 0) {
                        owned_str char *where = walk_path(walk);
                        return fail_while(err, "at '%s'", where);
                }
        return 0;
}

static int visit_tree(struct visitor *visitor, int at, const char *path, struct cowherd_error *err)
{
        owned_walk struct walk walk = {0};
        struct stat found;

        if (fstatat(at, path, &found, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        if (visit_once(visitor, at, path, &found, err) < 0)
                return -1;
        if (!S_ISDIR(found.st_mode))
                return 0;
        const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int fd = openat(at, path, flags | O_NOATIME);
        if (fd < 0 && errno == EPERM)
                fd = openat(at, path, flags);
        if (fd < 0)
                return fail_errno(err, "cannot open the folder '%s'", path);
        if (walk_enter(&walk, fd, err) < 0 || visit_all(visitor, &walk, err) < 0)
                return fail_while(err, "measuring '%s'", path);
        return 0;
}

/* One round of splitmix64's finaliser: every bit of the sum so far and of the value tells on every bit. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
        sum = (sum ^ value) + UINT64_C(0x9e3779b97f4a7c15);
        sum = (sum ^ (sum >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        sum = (sum ^ (sum >> 27)) * UINT64_C(0x94d049bb133111eb);
        return sum ^ (sum >> 31);
}

/* Not the change time, which a hard link of another store moves; a folder's size is the filesystem's own affair. */
static uint64_t digest_of(const struct stat *found)
{
        uint64_t sum = mix(found->st_ino, found->st_mode);

        sum = mix(sum, (uint64_t)found->st_uid << 32 | found->st_gid);
        sum = mix(sum, S_ISDIR(found->st_mode) ? 0 : (uint64_t)found->st_size);
        return mix(mix(sum, (uint64_t)found->st_mtim.tv_sec), (uint64_t)found->st_mtim.tv_nsec);
}

static int add_usage(void *context, int folder, const char *name, const struct stat *found, struct cowherd_error *err)
{
        struct file_usage *usage = context;

        (void)folder, (void)name, (void)err;
        usage->allocated_bytes += (uint64_t)found->st_blocks * 512;
        usage->digest += digest_of(found);
        if (!S_ISDIR(found->st_mode)) {
                usage->apparent_bytes += (uint64_t)found->st_size;
                usage->files++;
        }
        return 0;
}

int file_measure(int at, const char *path, struct file_usage *ret, struct cowherd_error *err)
{
        struct file_usage usage = {0};
        struct visitor visitor = {.visit = add_usage, .context = &usage};

        int result = visit_tree(&visitor, at, path, err);
        inode_map_free(&visitor.seen);
        if (result < 0)
                return -1;
        *ret = usage;
        return 0;
}

#define EXTENTS_AT_ONCE 128

/* What is counted: extents of which the flags in `mask` are as in `wanted`. */
struct extent_kind {
        uint32_t mask, wanted;
        uint64_t bytes;
};

/* Adds the bytes of some extents; true after the last one of the file, else *start is where the next begin. */
static bool add_extents(const struct fiemap *map, struct extent_kind *kind, uint64_t *start)
{
        for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
                const struct fiemap_extent *extent = &map->fm_extents[i];
                if ((extent->fe_flags & kind->mask) == kind->wanted)
                        kind->bytes += extent->fe_length;
                *start = extent->fe_logical + extent->fe_length;
                if ((extent->fe_flags & FIEMAP_EXTENT_LAST) != 0)
                        return true;
        }
        return map->fm_mapped_extents == 0;
}

static int extents_of_file(int fd, struct extent_kind *kind, struct cowherd_error *err)
{
        size_t bytes = sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent);
        owned_mem struct fiemap *map = x_malloc(bytes);
        uint64_t start = 0;
        bool done = false;

        while (!done) {
                memset(map, 0, bytes);
                map->fm_start = start;
                map->fm_length = FIEMAP_MAX_OFFSET - start;
                map->fm_extent_count = EXTENTS_AT_ONCE;
                if (ioctl(fd, FS_IOC_FIEMAP, map) < 0) {
                        if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL)
                                break;
                        return fail_errno(err, "cannot read the extents of a file");
                }
                done = add_extents(map, kind, &start);
        }
        return 0;
}

static int add_of_kind(void *context, int folder, const char *name, const struct stat *found, struct cowherd_error *err)
{
        struct extent_kind *total = context, of_file = {.mask = total->mask, .wanted = total->wanted};
        uint64_t allocated = (uint64_t)found->st_blocks * 512;

        if (!S_ISREG(found->st_mode) || allocated == 0)
                return 0;
        owned_fd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s'", name);
        if (extents_of_file(fd, &of_file, err) < 0)
                return -1;
        total->bytes += of_file.bytes < allocated ? of_file.bytes : allocated; /* compressed extents are longer than what they take */
        return 0;
}

static int count_kind(int at, const char *path, struct extent_kind kind, uint64_t *ret_bytes, struct cowherd_error *err)
{
        struct visitor visitor = {.visit = add_of_kind, .context = &kind};

        int result = visit_tree(&visitor, at, path, err);
        inode_map_free(&visitor.seen);
        if (result < 0)
                return -1;
        *ret_bytes = kind.bytes;
        return 0;
}

int file_shared_bytes(int at, const char *path, uint64_t *ret_bytes, struct cowherd_error *err)
{
        const struct extent_kind shared = {.mask = FIEMAP_EXTENT_SHARED, .wanted = FIEMAP_EXTENT_SHARED};

        return count_kind(at, path, shared, ret_bytes, err);
}

int file_unshared_bytes(int at, const char *path, uint64_t *ret_bytes, struct cowherd_error *err)
{
        const struct extent_kind unshared = {.mask = FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_DATA_INLINE};

        return count_kind(at, path, unshared, ret_bytes, err);
}
