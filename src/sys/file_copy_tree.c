/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a tree in one walk, with a second stack of folders for the copy. A folder gets its attributes when all in it
 * is made: a read-only one could not be filled, and its times would not last. Inodes with several names are remembered
 * with the first name of their copy. What is mounted in the tree is left out; a folder that it is mounted on is made,
 * empty.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file_copy.h"
#include "sys/inode_map.h"
#include "sys/openat2.h"
#include "sys/walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define REPORT_BYTES ((uint64_t)4 << 20)

struct copier {
        enum file_tree_mode mode;
        const struct file_progress *progress;
        uint64_t done, reported;
        bool cannot_share;  /* known after the first try */
        int root;           /* the copy's, the caller's descriptor */
        struct stat target; /* the copy's root: left out where it lies in the tree itself */
        struct walk from;
        struct folder_stack to;
        struct inode_map links;
};

static void copier_free(struct copier *copier)
{
        walk_free(&copier->from);
        folder_stack_free(&copier->to);
        inode_map_free(&copier->links);
}
define_owned(struct copier, copier_free)

static void report(struct copier *copier, uint64_t bytes)
{
        copier->done += bytes;
        if (copier->progress == NULL || copier->progress->report == NULL ||
            copier->done - copier->reported < REPORT_BYTES)
                return;
        copier->reported = copier->done;
        copier->progress->report(copier->progress->context, copier->done, 0);
}

/* Opens (O_PATH) the folder of a path below the copy's root, whatever its length, and points *name at its last part. */
static int open_above(int root, char *path, const char **name)
{
        int fd = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        while (fd >= 0 && strlen(path) >= PATH_MAX) {
                size_t cut = PATH_MAX - 1; /* a slash comes soon: a name has at most 255 bytes */
                while (cut > 0 && path[cut] != '/')
                        cut--;
                path[cut] = '\0';
                int next = openat(fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                close_at(&fd);
                fd = next;
                path += cut + 1;
        }
        *name = path;
        return fd;
}

/* Makes a name for an inode that was copied already (0), or remembers this as its first name (1). */
static int link_or_remember(struct copier *copier, const char *name, const struct stat *found,
                            struct cowherd_error *err)
{
        if (found->st_nlink < 2)
                return 1;
        const char *first = inode_map_get(&copier->links, found->st_dev, found->st_ino);
        if (first == NULL) {
                owned_str char *path = walk_path(&copier->from);
                inode_map_put(&copier->links, found->st_dev, found->st_ino, path);
                return 1;
        }
        owned_str char *path = x_strdup(first);
        const char *last;
        owned_fd int above = open_above(copier->root, path, &last);
        if (above < 0 || linkat(above, last, folder_top(&copier->to), name, 0) < 0)
                return fail_errno(err, "cannot make another name of '%s'", first);
        return 0;
}

/* 0 shared, 1 to be copied. */
static int try_share(struct copier *copier, int from, int to, struct cowherd_error *err)
{
        if (copier->mode == FILE_TREE_SHARE)
                return file_share(from, to, err);
        if (copier->cannot_share)
                return 1;
        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        if (!file_cannot_share(errno))
                return fail_errno(err, "cannot share the blocks of a file");
        copier->cannot_share = errno != EINVAL; /* that is about this one file: a swap file, or one without checksums */
        return 1;
}

static int fill_file(struct copier *copier, int from, int to, const struct stat *found, struct cowherd_error *err)
{
        int copies = found->st_size == 0 ? 0 : try_share(copier, from, to, err);

        if (copies < 0)
                return -1;
        if (copies == 1 && file_copy_data(from, to, found, copier->progress, copier->done, 0, err) < 0)
                return -1;
        report(copier, (uint64_t)found->st_blocks * 512);
        return attributes_copy(from, to, found, err);
}

static int copy_file(struct copier *copier, const struct walk_entry *entry, struct cowherd_error *err)
{
        struct stat found;
        owned_fd int from = openat2_entry(entry->folder, entry->name, O_RDONLY);

        if (from < 0)
                return errno == EXDEV ? 0 : fail_errno(err, "cannot open it");
        if (fstat(from, &found) < 0)
                return fail_errno(err, "cannot look at it");
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_BUSY, "it was replaced while it was copied");
        int is_new = link_or_remember(copier, entry->name, &found, err);
        if (is_new <= 0)
                return is_new;
        owned_fd int to = openat(folder_top(&copier->to), entry->name,
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return fail_errno(err, "cannot make its copy");
        return fill_file(copier, from, to, &found, err);
}

static int link_file(struct copier *copier, const struct walk_entry *entry, struct cowherd_error *err)
{
        if (linkat(entry->folder, entry->name, folder_top(&copier->to), entry->name, 0) == 0)
                return 0;
        if (errno == EXDEV)
                return fail(err, COWHERD_UNAVAILABLE,
                            "cannot hard-link it: the two folders lie on different filesystems");
        if (errno == EMLINK)
                return fail(err, COWHERD_UNAVAILABLE,
                            "cannot hard-link it: it has as many names as the filesystem allows");
        return fail_errno(err, "cannot hard-link it");
}

static int make_symlink(int from, int to, const char *name, struct cowherd_error *err)
{
        char text[PATH_MAX + 1];
        ssize_t length = readlinkat(from, name, text, sizeof text - 1);

        if (length < 0)
                return fail_errno(err, "cannot read the symlink");
        text[length] = '\0';
        if (symlinkat(text, to, name) < 0)
                return fail_errno(err, "cannot make the symlink");
        return 0;
}

/* A symlink, fifo or device node. */
static int copy_special(struct copier *copier, const struct walk_entry *entry, const struct stat *found,
                        struct cowherd_error *err)
{
        int to = folder_top(&copier->to);
        int is_new = link_or_remember(copier, entry->name, found, err);

        if (is_new <= 0)
                return is_new;
        if (S_ISLNK(found->st_mode)) {
                if (make_symlink(entry->folder, to, entry->name, err) < 0)
                        return -1;
        } else if (mknodat(to, entry->name, (found->st_mode & S_IFMT) | 0600, found->st_rdev) < 0) {
                return errno == EPERM && !S_ISFIFO(found->st_mode) ? 0 : fail_errno(err, "cannot make the node");
        }
        return attributes_copy_name(entry->folder, to, entry->name, found, err);
}

static int copy_folder(struct copier *copier, const struct walk_entry *entry, struct cowherd_error *err)
{
        struct stat found;
        owned_fd int from = openat2_entry(entry->folder, entry->name, O_RDONLY | O_DIRECTORY);

        if (from < 0 && errno != EXDEV)
                return fail_errno(err, "cannot open the folder");
        if (from >= 0 && fstat(from, &found) < 0)
                return fail_errno(err, "cannot look at the folder");
        if (from >= 0 && found.st_dev == copier->target.st_dev && found.st_ino == copier->target.st_ino)
                return 0;
        if (mkdirat(folder_top(&copier->to), entry->name, from < 0 ? 0755 : 0700) < 0)
                return fail_errno(err, "cannot make the folder's copy");
        if (from < 0)
                return 0;
        int to = openat(folder_top(&copier->to), entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (to < 0)
                return fail_errno(err, "cannot open the folder's copy");
        if (folder_push(&copier->to, to, err) < 0)
                return -1;
        return walk_enter(&copier->from, take_fd(from), err);
}

static int leave_folder(struct copier *copier, struct walk_entry *entry, struct cowherd_error *err)
{
        struct stat found;

        if (fstat(entry->folder, &found) < 0)
                return fail_errno(err, "cannot look at the folder");
        if (attributes_copy(entry->folder, folder_top(&copier->to), &found, err) < 0)
                return -1;
        if (walk_leave(&copier->from, entry, err) < 0)
                return -1;
        return folder_pop(&copier->to, err);
}

static unsigned char type_of(const struct stat *found)
{
        return (unsigned char)IFTODT(found->st_mode);
}

static int copy_entry(struct copier *copier, const struct walk_entry *entry, struct cowherd_error *err)
{
        struct stat found;
        unsigned char type = entry->type;

        if (type != DT_REG && type != DT_DIR) {
                if (fstatat(entry->folder, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                        return fail_errno(err, "cannot look at it");
                type = type_of(&found);
        }
        if (type == DT_DIR)
                return copy_folder(copier, entry, err);
        if (type == DT_REG)
                return copier->mode == FILE_TREE_LINK ? link_file(copier, entry, err) : copy_file(copier, entry, err);
        return type == DT_SOCK ? 0 : copy_special(copier, entry, &found, err);
}

static int copy_all(struct copier *copier, struct cowherd_error *err)
{
        struct walk_entry entry;

        while (walk_next(&copier->from, &entry))
                if ((entry.leaving ? leave_folder(copier, &entry, err) : copy_entry(copier, &entry, err)) < 0) {
                        owned_str char *where = walk_path(&copier->from);
                        return fail_while(err, "copying '%s' of the tree", where);
                }
        return 0;
}

/* A descriptor of its own on an open folder: reading a folder moves the descriptor's position. */
static int open_again(int fd, int *ret_fd, struct cowherd_error *err)
{
        int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (again < 0)
                return fail_errno(err, "cannot open a tree");
        *ret_fd = again;
        return 0;
}

int file_copy_tree(int from, int to, enum file_tree_mode mode, const struct file_progress *progress,
                   struct cowherd_error *err)
{
        owned_by(copier_free) struct copier copier = {.mode = mode, .progress = progress, .root = to};
        int source = -1, target = -1;

        if (fstat(to, &copier.target) < 0)
                return fail_errno(err, "cannot look at the folder to be filled");
        if (open_again(to, &target, err) < 0 || folder_push(&copier.to, target, err) < 0)
                return -1;
        if (open_again(from, &source, err) < 0 || walk_enter(&copier.from, source, err) < 0)
                return -1;
        return copy_all(&copier, err);
}
