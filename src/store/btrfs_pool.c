/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded pool: a sparse file ROOT/pools/btrfs.img with a btrfs in it, loop-mounted on ROOT/pools/btrfs, for herds
 * whose own filesystem can't share. A herd whose root lies on btrfs needs none, and setup answers with the root itself.
 *
 * Two loop devices on one file would destroy it, so looking and mounting happen under pools/btrfs.lock. A file is made
 * and formatted beside and renamed into place: what has the final name is whole. Metadata is kept once (-m single), as
 * both copies would lie in the same file, and each clone would take twice the bytes. Deleted blocks are given back to
 * the file's own filesystem (discard=async makes holes in it).
 */
#include "store/btrfs.h"

#include "base/number.h"
#include "sys/lock.h"
#include "sys/mount.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define POOL_FOLDER "pools/btrfs"
#define POOL_FILE "pools/btrfs.img"
#define POOL_NEW "pools/btrfs.img.new"
#define POOL_LOCK "btrfs.lock"
#define POOL_OPTIONS "noatime,discard=async"
#define POOL_DEFAULT_BYTES (20ull << 30)
#define POOL_LEAST_BYTES                                                                                               \
        (256ull << 20) /* mkfs.btrfs wants 109 MiB; with less than this there is no room for a tree                    \
                        */
#define MKFS_TIMEOUT_MS 120000

/*
 * A snapshot adds a reference to each child of the tree's root node. With the default of 16 KiB the tree of a small
 * Debian is one node with some 470 children, and the 256th snapshot of it takes 70 ms; with 8 KiB it has one level
 * more, a root with 7 children, and takes 5.
 */
#define POOL_NODE_BYTES "8192"

/* statx(2) tells it without a look at the mount table. */
static bool is_attached(int at, const char *folder)
{
        struct statx found;

        if (statx(at, folder, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &found) < 0)
                return false;
        return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* How large the pool becomes: what was asked for if it fits, else 20 GiB or nine tenths of what is free. */
static int choose_size(int root, const struct store_setup *setup, uint64_t *ret_bytes, struct cowherd_error *err)
{
        struct statvfs filesystem;
        char asked[NUMBER_TEXT_BYTES], free_text[NUMBER_TEXT_BYTES];

        if (fstatvfs(root, &filesystem) < 0)
                return fail_errno(err, "cannot ask for the free space of '%s'", setup->root);
        uint64_t free_bytes = (uint64_t)filesystem.f_bavail * filesystem.f_frsize;
        uint64_t bytes = setup->size_bytes;
        if (bytes == 0)
                bytes = free_bytes / 10 * 9 < POOL_DEFAULT_BYTES ? free_bytes / 10 * 9 : POOL_DEFAULT_BYTES;
        bytes = bytes >> 20 << 20;
        (void)number_format_size(free_bytes, free_text);
        if (bytes < POOL_LEAST_BYTES && setup->size_bytes != 0)
                return fail(err, COWHERD_USAGE, "a btrfs pool of %s is too small: it takes at least 256 MiB",
                            number_format_size(setup->size_bytes, asked));
        if (bytes < POOL_LEAST_BYTES || bytes > free_bytes) {
                (void)fail(err, COWHERD_IO, "no space for a btrfs pool of %s: '%s' has %s free",
                           number_format_size(bytes < POOL_LEAST_BYTES ? POOL_LEAST_BYTES : bytes, asked), setup->root,
                           free_text);
                return fail_hint(err, "give a smaller size=, or free some space");
        }
        *ret_bytes = bytes;
        return 0;
}

static int format_file(int root, int lock, const struct store_setup *setup, uint64_t bytes, struct cowherd_error *err)
{
        owned_process struct process mkfs = {.timeout_ms = MKFS_TIMEOUT_MS, .keep = {lock}, .keep_count = 1};

        owned_fd int file = openat(root, POOL_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0)
                return fail_errno(err, "cannot make '%s/%s'", setup->root, POOL_NEW);
        if (ftruncate(file, (off_t)bytes) < 0)
                return fail_errno(err, "cannot give '%s/%s' its size", setup->root, POOL_NEW);
        process_add(&mkfs, "mkfs.btrfs", "-q", "-K", "-m", "single", "-n", POOL_NODE_BYTES, "-L", "cowherd", NULL);
        strv_addf(&mkfs.argv, "%s/%s", setup->root, POOL_NEW);
        if (process_check(&mkfs, NULL, err) < 0)
                return -1;
        if (file_sync(file, POOL_NEW, err) < 0)
                return -1;
        if (renameat(root, POOL_NEW, root, POOL_FILE) < 0)
                return fail_errno(err, "cannot give '%s/%s' its name", setup->root, POOL_FILE);
        return 0;
}

static int make_file(int root, int lock, const struct store_setup *setup, struct cowherd_error *err)
{
        uint64_t bytes = 0;
        struct cowherd_error second;

        if (faccessat(root, POOL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        if (choose_size(root, setup, &bytes, err) < 0)
                return -1;
        if (format_file(root, lock, setup, bytes, err) < 0) {
                (void)!file_remove_tree(root, POOL_NEW, &second);
                return -1;
        }
        return 0;
}

/* With the pool's lock held. */
static int mount_pool(int root, const struct store_setup *setup, struct cowherd_error *err)
{
        owned_str char *file = x_asprintf("%s/%s", setup->root, POOL_FILE);
        owned_str char *folder = x_asprintf("%s/%s", setup->root, POOL_FOLDER);

        if (is_attached(root, POOL_FOLDER))
                return 0;
        if (faccessat(root, POOL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "the pool's file '%s' is not there", file);
        if (file_make_folders(root, POOL_FOLDER, 0711, err) < 0)
                return -1;
        if (mount_loop(file, folder, "btrfs", POOL_OPTIONS, err) < 0)
                return fail_while(err, "mounting the pool '%s'", file);
        if (chmod(folder, 0711) < 0)
                return fail_errno(err, "cannot set the mode of '%s'", folder);
        return 0;
}

static int take_lock(int root, int *ret_pools, int *ret_lock, struct cowherd_error *err)
{
        owned_fd int pools = -1;

        if (file_make_folders(root, "pools", 0711, err) < 0)
                return -1;
        if (file_open_folder(root, "pools", &pools, err) < 0)
                return -1;
        if (lock_take(pools, POOL_LOCK, true, ret_lock, err) < 0)
                return -1;
        *ret_pools = take_fd(pools);
        return 0;
}

static int make_pool(int root, const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err)
{
        owned_fd int pools = -1, lock = -1;
        struct stat file;

        if (geteuid() != 0)
                return fail(err, COWHERD_DENIED, "a btrfs pool has to be mounted, which needs root");
        if (take_lock(root, &pools, &lock, err) < 0)
                return -1;
        if (make_file(root, lock, setup, err) < 0 || mount_pool(root, setup, err) < 0)
                return -1;
        if (fstatat(root, POOL_FILE, &file, 0) < 0)
                return fail_errno(err, "cannot look at '%s/%s'", setup->root, POOL_FILE);
        *ret = (struct store_made){
                .folder = x_strdup(POOL_FOLDER),
                .source = x_strdup(POOL_FILE),
                .ours = true,
                .size_bytes = (uint64_t)file.st_size,
        };
        return 0;
}

int btrfs_pool_setup(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err)
{
        owned_fd int root = -1;

        if (file_open_folder(AT_FDCWD, setup->root, &root, err) < 0)
                return -1;
        bool has_pool = faccessat(root, POOL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        if (!has_pool && str_equal(file_system_name(root), "btrfs")) {
                *ret = (struct store_made){.folder = x_strdup(setup->root)};
                return 0;
        }
        return make_pool(root, setup, ret, err);
}

int btrfs_pool_attach(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err)
{
        owned_str char *folder = x_asprintf("%s/%s", setup->root, POOL_FOLDER);
        owned_fd int root = -1, pools = -1, lock = -1;

        if (!made->ours || is_attached(AT_FDCWD, folder))
                return 0;
        if (geteuid() != 0)
                return fail(err, COWHERD_DENIED, "the btrfs pool of '%s' is not mounted, and mounting it needs root",
                            setup->root);
        if (file_open_folder(AT_FDCWD, setup->root, &root, err) < 0 || take_lock(root, &pools, &lock, err) < 0)
                return -1;
        return mount_pool(root, setup, err);
}

/* Whoever asks for a teardown has looked already; what is about to be deleted is worth a second look. */
static int refuse_filled(int root, const struct store_setup *setup, struct cowherd_error *err)
{
        owned_str char *folder = x_asprintf("%s/%s", setup->root, POOL_FOLDER);
        owned_strv struct strv ids = {0};
        owned_fd int fd = -1;

        if (file_open_folder(root, POOL_FOLDER, &fd, err) < 0)
                return -1;
        const struct store_place place = {.folder = folder, .fd = fd};
        if (folder_list_ids(&place, STORE_BASE, &ids, err) < 0 || folder_list_ids(&place, STORE_CLONE, &ids, err) < 0)
                return -1;
        if (ids.count > 0)
                return fail(err, COWHERD_BUSY, "the pool '%s' still holds %zu bases and clones", folder, ids.count);
        return 0;
}

static int unmount_pool(int root, const struct store_setup *setup, struct cowherd_error *err)
{
        owned_str char *folder = x_asprintf("%s/%s", setup->root, POOL_FOLDER);

        if (faccessat(root, POOL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (mount_pool(root, setup, err) < 0 || refuse_filled(root, setup, err) < 0)
                return -1;
        if (mount_unmount(folder, err) < 0)
                return fail_while(err, "unmounting the pool '%s'", folder);
        return 0;
}

int btrfs_pool_teardown(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err)
{
        owned_fd int root = -1, pools = -1, lock = -1;

        if (!made->ours)
                return 0;
        if (file_open_folder(AT_FDCWD, setup->root, &root, err) < 0 || take_lock(root, &pools, &lock, err) < 0)
                return -1;
        if (unmount_pool(root, setup, err) < 0)
                return -1;
        if (unlinkat(root, POOL_FILE, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/%s'", setup->root, POOL_FILE);
        if (file_remove_tree(root, POOL_NEW, err) < 0)
                return -1;
        if (unlinkat(root, POOL_FOLDER, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/%s'", setup->root, POOL_FOLDER);
        if (unlinkat(pools, POOL_LOCK, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/pools/%s'", setup->root, POOL_LOCK);
        (void)unlinkat(root, "pools", AT_REMOVEDIR); /* if no other pool is in it */
        return 0;
}
