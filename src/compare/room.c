/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Too little space or memory is said before anything is measured: a run that ends half-way for want of it has wasted its time and filled the
 * disk of others.
 */
#include "compare/room.h"

#include "base/number.h"
#include "compare/pair.h"

#include <sys/statvfs.h>

#define SPARE_BYTES (64ull << 20)        /* catalogues, logs, pools' own structures */
#define CLONE_BYTES (64ull << 10)        /* of a clone that shares, in a burst */
#define BURST 100u
#define BURST_OF_SLOW 10u                /* of full copies, at most what is asked for */
#define MACHINE_BYTES (1ull << 30)       /* a machine's memory by default */
#define MACHINE_OVERHEAD (128ull << 20)  /* QEMU's own */
#define CONTAINER_BYTES (128ull << 20)

static bool takes(const struct compare_options *options, const char *engine, const char *store)
{
        bool lxd = str_equal(engine, "lxd"), qemu = str_equal(engine, "qemu");

        return pair_is_wanted(options, engine, store, lxd ? "lxd_pool" : qemu ? "qcow2" : "btrfs");
}

/* Copies of an image: a base for each store that has its own, a full copy to compare with, and bursts of copies. */
static uint64_t copies_of(const struct compare_options *options, const char *engine, const char *const *stores, size_t count)
{
        unsigned slow = options->clones != 0 ? options->clones : BURST_OF_SLOW;
        uint64_t copies = 0;

        for (size_t i = 0; i < count; i++)
                if (takes(options, engine, stores[i]))
                        copies += str_equal(stores[i], "copy") ? 2 + (options->quick && options->clones == 0 ? 0 : slow) : 1;
        return copies == 0 ? 0 : copies + 1;
}

struct needs needs_of(const struct compare_options *options, const struct images *images)
{
        static const char *const disk_stores[] = {"qcow2", "reflink", "copy"}, *const tree_stores[] = {"btrfs", "overlay", "hardlink", "copy"};
        uint64_t disks = copies_of(options, "qemu", disk_stores, array_length(disk_stores)), trees = copies_of(options, "nspawn", tree_stores, array_length(tree_stores)) +
                                                                                                   takes(options, "lxd", "lxd_pool");
        unsigned burst = options->clones != 0 ? options->clones : BURST;
        struct needs needs = {.disk_bytes = SPARE_BYTES + disks * images->disk.bytes + trees * images->tree.bytes + burst * CLONE_BYTES};

        if (trees > 0 && images->tree.cannot_boot == NULL)
                needs.memory_bytes = CONTAINER_BYTES;
        if (disks > 0 && images->disk.path != NULL && images->disk.cannot_boot == NULL)
                needs.memory_bytes = (images->disk.memory_bytes != 0 ? images->disk.memory_bytes : MACHINE_BYTES) + MACHINE_OVERHEAD;
        return needs;
}

int needs_check(const struct needs *needs, const char *folder, uint64_t memory_available_bytes, struct cowherd_error *err)
{
        char there[NUMBER_TEXT_BYTES], wanted[NUMBER_TEXT_BYTES];
        struct statvfs facts;

        if (statvfs(folder, &facts) < 0)
                return fail_errno(err, "cannot find out how much space '%s' has", folder);
        uint64_t free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
        if (free_bytes < needs->disk_bytes) {
                (void)fail(err, COWHERD_IO, "too little space to measure: '%s' has %s, and it takes up to %s", folder, number_format_size(free_bytes, there),
                           number_format_size(needs->disk_bytes, wanted));
                return fail_hint(err, "give a smaller image=, fewer clones=, one engine= or store=, quick=true, or a root folder elsewhere");
        }
        if (memory_available_bytes < needs->memory_bytes) {
                (void)fail(err, COWHERD_BUSY, "too little memory to measure: there are %s, and a running clone takes up to %s", number_format_size(memory_available_bytes, there),
                           number_format_size(needs->memory_bytes, wanted));
                return fail_hint(err, "end something else, or leave the virtual machines out: engine=nspawn");
        }
        return 0;
}
