/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A point in time of a qcow2 clone. External overlays rather than snapshots inside the file: the file that the clone has written
 * so far becomes the snapshot (or the promoted base) by a rename, whatever its size, and a new empty overlay upon it becomes
 * the clone. Both lie equally deep, so the backing name of the file that moves stays right. A snapshot is then a base like any
 * other: it can be sealed, cloned and checked, and its bytes wait for whoever stands on it.
 *
 *     prepare     clones/5/next.qcow2 is made, upon snapshots/9/disk.qcow2, which is not there yet
 *     (a running virtual machine switches to it, and reads the old file through it)
 *     snapshot    clones/5/disk.qcow2 → snapshots/9/disk.qcow2, clones/5/next.qcow2 → clones/5/disk.qcow2
 *
 * Which of the three files are there tells how far it came, so that it can be gone on with after a kill at any point.
 */
#include "store/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEXT "next.qcow2"
#define LEAF_PATH_BYTES (2 * STORE_PATH_BYTES)

/* QEMU locks byte 100 + the number of a permission that it uses; writing is 1 (block/file-posix.c, block-common.h). */
#define QEMU_LOCK_OF_WRITERS 101

bool qcow2_is_written(int fd)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_OF_WRITERS, .l_len = 1};

        return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int qcow2_open_disk(const struct store_place *place, const struct store_object *object, bool idle, int *ret_fd,
                    struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        owned_fd int disk = openat(place->fd, store_object_path(object, path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (disk < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, path);
        if (idle && qcow2_is_written(disk))
                return folder_fail(object, COWHERD_BUSY, "is in use: a virtual machine has its disk open for writing", err);
        *ret_fd = take_fd(disk);
        return 0;
}

static const char *leaf_path(const struct store_object *object, const char *leaf, char buffer[LEAF_PATH_BYTES])
{
        char folder[STORE_PATH_BYTES];

        (void)snprintf(buffer, LEAF_PATH_BYTES, "%s/%s", store_object_folder(object, folder), leaf);
        return buffer;
}

const char *qcow2_backing_name(const struct store_object *below, char *buffer)
{
        char path[STORE_PATH_BYTES];

        (void)snprintf(buffer, QCOW2_BACKING_PATH_BYTES, "../../%s", store_object_path(below, path));
        return buffer;
}

int qcow2_make_overlay(const struct store_place *place, const char *path, const struct store_object *below, uint64_t virtual_bytes,
                       const struct stat *like, struct cowherd_error *err)
{
        char backing[QCOW2_BACKING_PATH_BYTES];
        const struct qcow2_overlay overlay = {.virtual_bytes = virtual_bytes,
                                              .backing_name = qcow2_backing_name(below, backing),
                                              .backing_format = below->format};

        if (unlinkat(place->fd, path, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/%s'", place->folder, path);
        owned_fd int disk = openat(place->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (disk < 0)
                return fail_errno(err, "cannot make '%s/%s'", place->folder, path);
        if (like != NULL && geteuid() == 0 && fchown(disk, like->st_uid, like->st_gid) < 0)
                return fail_errno(err, "cannot set the owner of '%s/%s'", place->folder, path);
        if (like != NULL && fchmod(disk, like->st_mode & 0777) < 0)
                return fail_errno(err, "cannot set the mode of '%s/%s'", place->folder, path);
        if (qcow2_overlay_write(disk, path, &overlay, err) < 0)
                return -1;
        return place->durable ? file_sync(disk, path, err) : 0;
}

int qcow2_write_overlay(const struct store_place *place, const struct store_object *object, const char *leaf,
                        const struct store_object *below, uint64_t virtual_bytes, const struct stat *like,
                        struct cowherd_error *err)
{
        char path[LEAF_PATH_BYTES], beside[LEAF_PATH_BYTES];

        (void)leaf_path(object, leaf, path);
        (void)leaf_path(object, "new.qcow2", beside);
        int made = qcow2_make_overlay(place, beside, below, virtual_bytes, like, err);
        if (made == 0 && renameat(place->fd, beside, place->fd, path) < 0)
                made = fail_errno(err, "cannot rename '%s/%s'", place->folder, beside);
        if (made < 0)
                (void)unlinkat(place->fd, beside, 0);
        return made;
}

/* ---- How far it came ---- */

struct stage {
        bool disk, next, made; /* whether each of the three files is there */
        char disk_path[STORE_PATH_BYTES], made_path[STORE_PATH_BYTES], next_path[LEAF_PATH_BYTES];
};

static bool is_there(const struct store_place *place, const char *path)
{
        return faccessat(place->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct stage look(const struct store_place *place, const struct store_object *clone, const struct store_object *made)
{
        struct stage stage;

        stage.disk = is_there(place, store_object_path(clone, stage.disk_path));
        stage.made = is_there(place, store_object_path(made, stage.made_path));
        stage.next = is_there(place, leaf_path(clone, NEXT, stage.next_path));
        return stage;
}

bool qcow2_snapshot_stacks(enum store_role role)
{
        (void)role;
        return true;
}

static int open_next(const struct store_place *place, const struct stage *stage, int *ret_fd, struct cowherd_error *err)
{
        int next = openat(place->fd, stage->next_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (next < 0)
                return fail_errno(err, "cannot open '%s/%s'", place->folder, stage->next_path);
        *ret_fd = next;
        return 0;
}

/* Whether the next overlay is the one of `made`; one of another snapshot that was given up is in the way only while it is used. */
static int is_of(const struct store_place *place, const struct store_object *made, const struct stage *stage, bool *ret,
                 struct cowherd_error *err)
{
        char backing[QCOW2_BACKING_PATH_BYTES];
        owned_fd int next = -1;
        struct qcow2_seen seen;
        bool fresh;

        if (open_next(place, stage, &next, err) < 0 || qcow2_overlay_read(next, stage->next_path, &seen, err) < 0 ||
            qcow2_overlay_is_fresh(next, stage->next_path, &fresh, err) < 0)
                return -1;
        *ret = str_equal(seen.backing_name, qcow2_backing_name(made, backing));
        if (!*ret && (!fresh || qcow2_is_written(next)))
                return fail(err, COWHERD_BUSY, "another snapshot is being taken: '%s/%s' is in use", place->folder, stage->next_path);
        return 0;
}

static int prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   const struct stage *stage, struct cowherd_error *err)
{
        owned_fd int disk = -1;
        struct qcow2_seen seen;
        struct stat like;
        bool is_ours = false;

        if (stage->next && is_of(place, made, stage, &is_ours, err) < 0)
                return -1;
        if (is_ours)
                return folder_ensure(place, made, NULL, err);
        if (qcow2_open_disk(place, clone, false, &disk, err) < 0 || qcow2_overlay_read(disk, stage->disk_path, &seen, err) < 0)
                return -1;
        if (fstat(disk, &like) < 0)
                return fail_errno(err, "cannot look at '%s/%s'", place->folder, stage->disk_path);
        if (folder_ensure(place, made, NULL, err) < 0)
                return -1;
        if (qcow2_write_overlay(place, clone, NEXT, made, seen.virtual_bytes, &like, err) < 0)
                return folder_undo(place, made, err);
        return 0;
}

int qcow2_snapshot_prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                           char **ret_next, struct cowherd_error *err)
{
        const struct stage stage = look(place, clone, made);

        if (!stage.made && (qcow2_check_chain(made, err) < 0 || prepare(place, clone, made, &stage, err) < 0))
                return -1;
        if (ret_next != NULL)
                *ret_next = stage.made ? NULL : x_strdup(stage.next_path);
        return 0;
}

static int move_file(const struct store_place *place, const char *from, const char *to, struct cowherd_error *err)
{
        if (renameat(place->fd, from, place->fd, to) < 0)
                return fail_errno(err, "cannot rename '%s/%s' to '%s'", place->folder, from, to);
        return 0;
}

int qcow2_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        struct stage stage = look(place, clone, made);

        if (!stage.made) {
                if (qcow2_snapshot_prepare(place, clone, made, NULL, err) < 0)
                        return -1;
                if (move_file(place, stage.disk_path, stage.made_path, err) < 0)
                        return -1;
                stage.disk = false;
                stage.next = true;
        }
        if (!stage.disk && !stage.next)
                return folder_fail(clone, COWHERD_DATA, "has lost its disk", err);
        if (!stage.disk && move_file(place, stage.next_path, stage.disk_path, err) < 0)
                return -1;
        if (folder_settle(place, clone, err) < 0)
                return -1;
        return folder_settle(place, made, err);
}

int qcow2_snapshot_cancel(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                          struct cowherd_error *err)
{
        const struct stage stage = look(place, clone, made);
        owned_fd int next = -1;
        bool is_ours = false, fresh = true;

        if (stage.made)
                return 1;
        if (stage.next && is_of(place, made, &stage, &is_ours, err) < 0)
                return -1;
        if (is_ours && (open_next(place, &stage, &next, err) < 0 || qcow2_overlay_is_fresh(next, stage.next_path, &fresh, err) < 0))
                return -1;
        if (is_ours && qcow2_is_written(next))
                return folder_fail(clone, COWHERD_BUSY, "is running, and has opened the disk that it was to go on with", err);
        if (!fresh)
                return 1;
        if (is_ours && unlinkat(place->fd, stage.next_path, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "cannot remove '%s/%s'", place->folder, stage.next_path);
        return folder_destroy(place, made, err);
}

int qcow2_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                  struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES], next[LEAF_PATH_BYTES];
        owned_fd int disk = -1, below = -1;
        struct qcow2_seen seen;
        struct stat like;

        if (qcow2_check_chain(snapshot, err) < 0 || qcow2_open_disk(place, clone, true, &disk, err) < 0 ||
            qcow2_open_disk(place, snapshot, false, &below, err) < 0)
                return -1;
        if (qcow2_overlay_read(below, store_object_path(snapshot, path), &seen, err) < 0)
                return -1;
        if (fstat(disk, &like) < 0)
                return fail_errno(err, "cannot look at '%s/%s'", place->folder, store_object_path(clone, path));
        if (qcow2_write_overlay(place, clone, strrchr(store_object_path(clone, path), '/') + 1, snapshot, seen.virtual_bytes, &like,
                                err) < 0)
                return -1;
        /* A snapshot that was given up has nothing to go on with any more. */
        if (unlinkat(place->fd, leaf_path(clone, NEXT, next), 0) < 0 && errno != ENOENT) {
                (void)fail_errno(err, "cannot remove '%s/%s'", place->folder, next);
                return 1;
        }
        return folder_settle(place, clone, err) < 0 ? 1 : 0;
}
