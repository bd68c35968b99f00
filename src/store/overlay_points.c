/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time of an overlay. A snapshot is a copy of the clone's upper (whiteouts, opaque folders and the other marks that an
 * overlay keeps in extended attributes are copied as they are), so it can be taken while the clone is mounted: what is written
 * through an overlay is in the upper's own files at once. A promoted base takes the upper itself, by a rename; that needs a clone
 * that is not mounted, as the kernel allows no changes under it. An upper that was moved away is never written again.
 *
 *     promote     clones/5/upper → bases/9/upper, clones/5/next (empty) → clones/5/upper
 *
 * Which of the folders are there tells how far it came, so that it can be gone on with after a kill at any point.
 */
#include "store/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAKING "making"
#define NEXT "next"
#define RESTORED "restored"

bool overlay_snapshot_stacks(enum store_role role)
{
        return role == STORE_BASE;
}

/* ---- Snapshots: copies ---- */

static int copy_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                         struct cowherd_error *err)
{
        const char *own = overlay_own_files(made);
        owned_fd int folder = -1;

        if (folder_ensure(place, made, &folder, err) < 0)
                return -1;
        /* The mount point of a layer is empty, and no sign of a whole snapshot: its own files come last. */
        if (folder_has(folder, own))
                return folder_settle(place, made, err);
        if (file_remove_tree(folder, MAKING, err) < 0)
                return -1;
        int done = folder_copy_tree(place, clone, overlay_own_files(clone), folder, MAKING, FILE_TREE_COPY, err);
        if (done == 0 && made->base != NULL)
                done = layers_add_rest(folder, err);
        if (done == 0 && renameat(folder, MAKING, folder, own) < 0)
                done = fail_errno(err, "cannot rename '" MAKING "' to '%s'", own);
        if (done < 0 || folder_settle(place, made, err) < 0)
                return folder_undo(place, made, err);
        return 0;
}

/* The clone is to have the shape of its snapshot: layers, or (flattened) a plain tree. */
static int take_shape(int folder, const struct store_object *snapshot, struct cowherd_error *err)
{
        if (snapshot->base != NULL)
                return layers_empty_tree(folder, err) < 0 ? -1 : layers_add_rest(folder, err);
        return file_remove_tree(folder, "upper", err) < 0 ? -1 : file_remove_tree(folder, "work", err);
}

int overlay_restore(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                    struct cowherd_error *err)
{
        const char *own = overlay_own_files(snapshot);
        owned_fd int folder = -1;

        if (layers_unmount(place, clone, err) < 0 || folder_open(place, clone, &folder, err) < 0)
                return -1;
        if (file_remove_tree(folder, RESTORED, err) < 0)
                return -1;
        if (folder_copy_tree(place, snapshot, own, folder, RESTORED, FILE_TREE_COPY, err) < 0) {
                struct cowherd_error second;
                (void)!file_remove_tree(folder, RESTORED, &second);
                return -1;
        }
        int put = folder_put(folder, RESTORED, own, err);
        if (put != 0)
                return put;
        return take_shape(folder, snapshot, err) < 0 || folder_settle(place, clone, err) < 0 ? 1 : 0;
}

/* ---- Promoted bases: the upper moves ---- */

/* The empty folder that the clone will go on with: its root is as the clone's is now. */
static int make_next(int folder, const struct store_object *clone, struct cowherd_error *err)
{
        owned_fd int own = -1, next = -1;

        if (folder_add(folder, NEXT, 0755, err) < 0)
                return -1;
        if (file_open_folder(folder, overlay_own_files(clone), &own, err) < 0 || file_open_folder(folder, NEXT, &next, err) < 0)
                return -1;
        return folder_match_root(own, next, err);
}

static int prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made, int folder,
                   int made_folder, struct cowherd_error *err)
{
        if (overlay_can_clone(place, made, err) < 0)
                return -1;
        if (made->base != NULL && layers_add_rest(made_folder, err) < 0)
                return -1;
        return make_next(folder, clone, err);
}

int overlay_snapshot_prepare(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                             char **ret_next, struct cowherd_error *err)
{
        owned_fd int folder = -1, made_folder = -1;

        if (ret_next != NULL)
                *ret_next = NULL; /* no engine goes on with it while it runs */
        if (made->role != STORE_BASE)
                return 0;
        if (folder_open(place, clone, &folder, err) < 0 || folder_ensure(place, made, &made_folder, err) < 0)
                return -1;
        if (folder_has(made_folder, overlay_own_files(made)))
                return 0;
        if (prepare(place, clone, made, folder, made_folder, err) == 0)
                return 0;
        struct cowherd_error second;
        (void)!file_remove_tree(folder, NEXT, &second);
        return folder_undo(place, made, err);
}

/* What of the clone's own is not in its place yet, where its files were moved to `made`. */
static int go_on(const struct store_object *clone, int folder, struct cowherd_error *err)
{
        if (folder_has(folder, NEXT) && !folder_has(folder, "upper") && renameat(folder, NEXT, folder, "upper") < 0)
                return fail_errno(err, "cannot rename '" NEXT "' to 'upper'");
        if (!folder_has(folder, "upper"))
                return folder_fail(clone, COWHERD_DATA, "has lost its upper folder", err);
        return layers_add_rest(folder, err);
}

/* Moves the clone's files to `made`, and puts empty ones in their place; where that fails, they come back. */
static int move_files(const struct store_place *place, const struct store_object *clone, int folder, int made_folder,
                      struct cowherd_error *err)
{
        const char *own = overlay_own_files(clone);
        bool moved = !folder_has(made_folder, own);

        if (moved && renameat(folder, own, made_folder, own) < 0)
                return fail_errno(err, "cannot move the folder '%s' of a clone", own);
        if (go_on(clone, folder, err) == 0)
                return folder_settle(place, clone, err);
        if (moved && !folder_has(folder, own))
                (void)renameat(made_folder, own, folder, own); /* else recovery finishes it */
        return -1;
}

static int promote(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                   struct cowherd_error *err)
{
        owned_fd int folder = -1, made_folder = -1;

        if (layers_unmount(place, clone, err) < 0 || overlay_snapshot_prepare(place, clone, made, NULL, err) < 0)
                return -1;
        if (folder_open(place, clone, &folder, err) < 0 || folder_open(place, made, &made_folder, err) < 0)
                return -1;
        if (move_files(place, clone, folder, made_folder, err) < 0)
                return -1;
        return folder_settle(place, made, err);
}

int overlay_snapshot(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                     struct cowherd_error *err)
{
        return made->role == STORE_BASE ? promote(place, clone, made, err) : copy_snapshot(place, clone, made, err);
}

int overlay_snapshot_cancel(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                            struct cowherd_error *err)
{
        owned_fd int folder = -1, made_folder = -1;

        if (made->role == STORE_BASE && folder_exists(place, made)) {
                if (folder_open(place, made, &made_folder, err) < 0)
                        return -1;
                if (folder_has(made_folder, overlay_own_files(made)))
                        return 1;
        }
        if (folder_open(place, clone, &folder, err) < 0 || file_remove_tree(folder, NEXT, err) < 0)
                return -1;
        return layers_destroy(place, made, err);
}

int overlay_flatten(const struct store_place *place, const struct store_object *clone,
                    void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context, struct cowherd_error *err)
{
        const struct file_progress progress = {.report = report, .context = context};

        return layers_flatten(place, clone, overlay_activate, &progress, err);
}
