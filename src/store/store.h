/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store makes the sharing: a clone differs from its base only where it was written. Each store is one file with one
 * `const struct store_driver` at its foot, listed in table.c. A store knows folders, ids and bytes; it knows neither
 * engines nor the catalogue.
 *
 * Layout, the same for all that live in folders (`place->folder` is the herd's root or an embedded pool's mount point):
 *
 *     bases/ID/disk.qcow2 | disk.raw | tree/        clones/ID/disk.qcow2 | disk.raw | tree/ (+ upper/ work/)
 *     snapshots/ID/ as a base (+ upper/ work/): all three lie equally deep, so a file moves among them and its relative backing name stays right
 *
 * Every callback is idempotent where it says so, safe to be called from several threads for different objects, and
 * leaves nothing behind when it fails. Bases are made in two steps, prepare_base and seal_base; between them the caller
 * fills the tree or puts the disk in its place.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum store_kind {
        STORE_DISK = 1,     /* one image file, for a virtual machine */
        STORE_TREE = 2,     /* a root filesystem in a folder */
        STORE_INSTANCE = 4, /* an instance that the engine's own daemon keeps */
};

/* Where a store keeps its objects. Borrowed by every callback. */
struct store_place {
        const char *folder;    /* absolute; bases/ and clones/ are in it */
        int fd;                /* that folder, opened; -1 for lxd_pool */
        const char *source;    /* zfs: the dataset that holds ours; lxd_pool: LXD's pool, NULL for its default */
        const char *herd_uuid; /* what everything made in an engine is tagged with */
        bool durable;          /* sync before success */
        int lock;              /* the lock of the object in hand, which the tools started for it inherit; 0: none */
};

enum store_role { STORE_BASE, STORE_CLONE, STORE_SNAPSHOT };

struct store_object {
        uint64_t id;
        enum store_role role;
        enum store_kind kind;
        const char *name;      /* an LXD clone bears it in LXD; elsewhere for messages only; NULL: of a clone, it is kept warm */
        const char *format;    /* of a disk: "qcow2" or "raw" */
        uint64_t virtual_bytes; /* of a disk: the size the guest sees */
        const char *fingerprint; /* of a base: what seal_base gave */
        const struct store_object *base; /* what it stands on: of a clone, of a snapshot, of a base that was promoted; else NULL */
        bool prepared;         /* of a clone: prepare_clone was called for it */
        /*
         * Of a tree, for activate: all owners are to be shown shifted by this (root is id_shift), as a user namespace needs it, while
         * the disk keeps them as they are. A store that mounts nothing ignores it, and where the filesystem can't do it they are
         * shown unshifted: the owner of the activated tree's root tells. 0: unshifted, or as it is mounted already.
         */
        uint32_t id_shift;
        const struct store_object *of; /* of a snapshot: the clone it was taken of (its id and name are what is looked at) */
};

/* "bases", "clones" or "snapshots". */
const char *store_role_folder(enum store_role role);
/* "bases/12" or "clones/57", into buffer. Returns buffer. */
#define STORE_PATH_BYTES 64
const char *store_object_folder(const struct store_object *object, char *buffer);
/* "bases/12/disk.qcow2", "clones/57/tree": where the bytes are, into buffer. Returns buffer. */
const char *store_object_path(const struct store_object *object, char *buffer);

struct store_probe {
        bool usable;
        char reason[256]; /* why not, or "" */
        char detail[128]; /* what was found: "XFS with reflink", "zfs-fuse 0.7.0, pool tank" */
};

/* How what a store's objects lie on is. */
struct store_health {
        bool ok;
        char detail[192]; /* what was found */
        char advice[192]; /* a command, or what to do, where it is not ok */
};

struct store_usage {
        bool missing;            /* it is not there any more (another tool removed it); the numbers are then 0 */
        uint64_t unique_bytes;   /* allocated for this object alone */
        uint64_t shared_bytes;   /* read through it but held by others too */
        uint64_t apparent_bytes; /* what ls shows: lengths of its own files, holes included */
};

/* What an LXD-like store makes a base from: one of image name, files, or a running daemon's image. */
struct store_import {
        const char *image;     /* as the engine's own client takes it: "ubuntu:22.04", an alias, a fingerprint; or NULL */
        const char *metadata;  /* a tarball with metadata.yaml, or NULL */
        const char *rootfs;    /* a tarball or squashfs of the root filesystem; NULL where `metadata` is unified */
        void (*progress)(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
        void *context;
};
/* What import found out, for the answer; texts are the caller's (free), NULL where not known. */
struct store_imported {
        char *distro;
        char *release;
        char *description;
        char *fingerprint;   /* of the image, so that it can be told what it was */
};

/* What `setup` was asked for. Borrowed. */
struct store_setup {
        const char *root;       /* the herd's root folder */
        const char *herd_uuid;
        const char *pool;       /* zfs: the pool or dataset to work under; lxd_pool: the LXD pool's name; NULL: ours to choose */
        const char *pool_driver; /* lxd_pool: "btrfs", "zfs", "lvm", "dir"; else NULL */
        uint64_t size_bytes;    /* of a pool to be made, 0: the default */
        int lock;               /* what the tools started for it inherit, so that they keep it should we be killed; 0: none */
};
/* Where the place is that setup made or found. Texts are the caller's. */
struct store_made {
        char *folder;  /* absolute, or relative to the root */
        char *source;  /* the backing file, dataset or LXD pool, NULL for none */
        bool ours;     /* made by us, so that teardown removes it */
        bool nothing;  /* of a setup that failed: before it made anything, so there is nothing to undo */
        uint64_t size_bytes;
};

struct store_driver {
        const char *name;
        const char *summary;   /* one line for status and the manual */
        unsigned kinds;        /* enum store_kind, or-ed */
        bool on_request;       /* never chosen by itself: copy, hardlink */
        unsigned parallel;     /* how many clones at once are worth it */

        /* Makes, or finds again, the place this store needs (an embedded pool, a dataset, an LXD pool and profile). NULL: it needs none. */
        int (*setup)(const struct store_setup *setup, struct store_made *ret, struct cowherd_error *err) must_check;
        /* Makes a place usable that setup made before (mounts it after a reboot); a few microseconds where it is. May be NULL. */
        int (*attach)(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err) must_check;
        /*
         * Undoes setup; the place holds nothing any more. With made->source NULL, setup or teardown was killed: what may
         * be there is found by what setup was asked for (or its source, in setup->pool), and by the herd's marks. May be NULL.
         */
        int (*teardown)(const struct store_setup *setup, const struct store_made *made, struct cowherd_error *err) must_check;

        /* Whether this store works in this place, now, for this user. Leaves nothing behind. Fails only on our own faults. */
        int (*probe)(const struct store_place *place, enum store_kind kind, struct store_probe *ret, struct cowherd_error *err) must_check;
        /* 0, or -1 and the reason in *err (69), asked before anything is made. May be NULL: it always can. */
        int (*can_clone)(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;

        /* Makes bases/ID and, for a tree, the empty writable bases/ID/tree. */
        int (*prepare_base)(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;
        /* Instances only: makes the base from an image, starts it once, frees it of the identity of that boot, seals it. */
        int (*import_base)(const struct store_place *place, const struct store_object *base, const struct store_import *source,
                           struct store_imported *ret, struct cowherd_error *err) must_check;
        /* Makes the filled base immutable. *ret_fingerprint is the caller's. */
        int (*seal_base)(const struct store_place *place, const struct store_object *base, char **ret_fingerprint, struct cowherd_error *err) must_check;
        /* O(1): whether the base is what seal_base saw; 65 with what changed where it is not. Asked at each clone. */
        int (*check_base)(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;

        /* NULL where check_base sees everything; else the same by looking at all of it, for doctor. */
        int (*deep_check_base)(const struct store_place *place, const struct store_object *base, struct cowherd_error *err) must_check;

        /*
         * NULL, or what is better done for all of many clones before the first of them is made: on btrfs a mkdir waits for the
         * transaction that a sibling's snapshot is committing. destroy undoes it.
         */
        int (*prepare_clone)(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err) must_check;
        /* Makes clones/ID from clone->base, a sealed base or snapshot. Whole or not at all. */
        int (*clone)(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err) must_check;
        /*
         * NULL, or clone and check_base in one, where that saves something: the check takes long enough to be worth doing while
         * the clone is made, or the base is opened once for both. A clone of a base that was changed may be there after that
         * failure, as after any: destroy takes it away.
         */
        int (*clone_checked)(const struct store_place *place, const struct store_object *clone, struct cowherd_error *err) must_check;
        /*
         * Clones that are kept warm, of instances only, else NULL: made by `clone` without a name (they lie under one that only the
         * store knows), then taken for clone->name: 0, and it bears that name. `checked`: as clone_checked. 66 where it is gone. What its
         * engine keeps of the name besides is told by `rename` to that same name; until then it is found all the same.
         */
        int (*take_warm)(const struct store_place *place, const struct store_object *clone, bool checked, struct cowherd_error *err) must_check;
        /* Instances only, else NULL: the engine's own name of it follows. */
        int (*rename)(const struct store_place *place, const struct store_object *object, const char *name, struct cowherd_error *err) must_check;
        /* Removes every byte of an object, half-made ones too. What is not there is success; in use is 75. */
        int (*destroy)(const struct store_place *place, const struct store_object *object, struct cowherd_error *err) must_check;

        /* Makes the object usable and says where: *ret_path absolute, the caller's. NULL: it always is, at store_object_path. */
        int (*activate)(const struct store_place *place, const struct store_object *object, char **ret_path, struct cowherd_error *err) must_check;
        int (*deactivate)(const struct store_place *place, const struct store_object *object, struct cowherd_error *err) must_check;

        /*
         * Points in time. A snapshot, and a base that is made of a clone, are made by the same callback: `made` is the new object
         * (STORE_SNAPSHOT or STORE_BASE), its content what the clone is now. Two ways there are:
         *   - it stacks (snapshot_stacks says so for that role): `made` takes the clone's own bytes, stands on what the clone stood on,
         *     and the clone goes on, empty, upon it. The herd then settles clone->base = made.
         *   - it does not: `made` is a copy on write, the clone stays where it is, with the base it has.
         * Either way made->base is what the clone stands on before the call (NULL where it is flattened), made->of the clone.
         * Idempotent: after a kill it is called again with the same objects (clone->base as before) and finishes. The caller then
         * seals `made` by seal_base (snapshots too; again after a kill), before which a base's tree may be written through activate.
         * A `made` that is given up before `snapshot` is called is taken away by snapshot_cancel where it stacks, else by destroy.
         * 69 where the chain would be too long, with the hint to flatten.
         */
        bool (*snapshot_stacks)(enum store_role role);
        /*
         * Only where it stacks: makes made's folder and the overlay that the clone will go on with, before anything is moved.
         * *ret_next: its path, relative to the place's folder, for an engine that is running; the caller's; NULL where `snapshot`
         * has moved things already and nothing is left to switch to. ret_next may be NULL. Idempotent: what an engine has begun
         * to write is never touched.
         */
        int (*snapshot_prepare)(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                                char **ret_next, struct cowherd_error *err) must_check;
        int (*snapshot)(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                        struct cowherd_error *err) must_check;
        /*
         * Undoes snapshot_prepare: 0, and `made` is gone. 1 where `snapshot` has begun, or an engine has written to the next overlay:
         * then it must be finished by `snapshot`. 75 where an engine holds the next overlay: let it switch first. May be NULL.
         */
        int (*snapshot_cancel)(const struct store_place *place, const struct store_object *clone, const struct store_object *made,
                               struct cowherd_error *err) must_check;
        /*
         * The stopped clone becomes what the snapshot holds; what it was is gone. Idempotent, and at no moment without one of both.
         * The clone then stands on the snapshot where snapshots stack, else on what the snapshot stands on (snapshot->base): the
         * herd settles that. -1: the clone is what it was. 1: what was begun could be neither finished nor undone, *err says why, and to
         * call it again finishes it.
         */
        int (*restore)(const struct store_place *place, const struct store_object *clone, const struct store_object *snapshot,
                       struct cowherd_error *err) must_check;
        /*
         * The stopped clone gets bytes of its own of all that it reads through its base, then stands on nothing. Idempotent. NULL: its
         * clones never need their base's bytes (a btrfs snapshot), so it is the catalogue's to say. `report` may be NULL. -1: the clone is
         * what it was. 1: what was begun could be neither finished nor undone, *err says why, and to call it again finishes it.
         */
        int (*flatten)(const struct store_place *place, const struct store_object *clone,
                       void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                       struct cowherd_error *err) must_check;

        int (*usage)(const struct store_place *place, const struct store_object *object, struct store_usage *ret, struct cowherd_error *err) must_check;
        /* Devices that fail, a pool that is not whole, room that runs out. Changes nothing. NULL: there is nothing of its own to tell. */
        int (*health)(const struct store_place *place, struct store_health *ret, struct cowherd_error *err) must_check;
        /* The ids of all objects of a role that lie in this place, as decimal texts: recovery finds by bytes what no row knows. */
        int (*list_ids)(const struct store_place *place, enum store_role role, struct strv *ret, struct cowherd_error *err) must_check;
};

/* Driver `index` of the table in order of preference, or NULL past the last; one in a module is opened for it (NULL and *err on failure). */
size_t store_count(void);
/* Name of driver `index`, without opening its module. */
const char *store_name_at(size_t index);
/* The driver of a name; 64 with a suggestion where there is none, 69 where its module can't be opened. */
int store_find(const char *name, const struct store_driver **ret, struct cowherd_error *err) must_check;
