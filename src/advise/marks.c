/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marks. They are judgements, so each stands beside its reason, and no figure is in them: figures are what compare measures,
 * and where it has, they take the place of the table for time and space.
 */
#include "advise/marks.h"

#include <math.h>

enum { ANY = 2 };

/* The first row that fits counts: special ones stand before general ones. */
struct mark {
        enum advise_need need;
        enum cowherd_target engine;
        const char *store;  /* NULL: any */
        int acceleration;   /* 0: only without, 1: only with, ANY */
        int mark;
        const char *why;
};

#define FULL_COPY "every clone is a full copy"
#define NO_KERNEL "containers share this host's kernel, which is Linux"
#define NO_MEMORY "only virtual machines can keep their memory"

static const struct mark marks[] = {
        {ADVISE_SPEED, COWHERD_QEMU, "copy", ANY, 1, FULL_COPY},
        {ADVISE_SPEED, COWHERD_QEMU, NULL, 1, 5, "a clone is a few small writes, but it boots a kernel of its own, with hardware acceleration"},
        {ADVISE_SPEED, COWHERD_QEMU, NULL, 0, 1, "it boots a kernel of its own, without hardware acceleration"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "overlay", ANY, 10, "a clone is three empty folders, and no kernel is booted"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "btrfs", ANY, 9, "a clone is one snapshot, which waits for a commit; no kernel is booted"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "hardlink", ANY, 8, "a clone is an overlay over a farm of links; no kernel is booted"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "zfs", ANY, 6, "a clone is a process of zfs; no kernel is booted"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "reflink", ANY, 3, "the tree's files are shared one by one"},
        {ADVISE_SPEED, COWHERD_NSPAWN, "copy", ANY, 1, FULL_COPY},
        {ADVISE_SPEED, COWHERD_LXD, NULL, ANY, 5, "LXD makes the clone and takes its time, unless some are kept warm; no kernel is booted"},

        {ADVISE_SPACE, COWHERD_QEMU, "qcow2", ANY, 9, "a clone is the header of an image, and grows by clusters as it writes"},
        {ADVISE_SPACE, COWHERD_QEMU, "reflink", ANY, 9, "the file system shares the disk's blocks"},
        {ADVISE_SPACE, COWHERD_NSPAWN, "btrfs", ANY, 10, "blocks stay shared even within a file that is written to"},
        {ADVISE_SPACE, COWHERD_NSPAWN, "zfs", ANY, 10, "blocks stay shared even within a file that is written to"},
        {ADVISE_SPACE, COWHERD_NSPAWN, "overlay", ANY, 8, "the first write to a file copies that file"},
        {ADVISE_SPACE, COWHERD_NSPAWN, "hardlink", ANY, 8, "the first write to a file copies that file"},
        {ADVISE_SPACE, COWHERD_NSPAWN, "reflink", ANY, 7, "blocks are shared, but each clone has inodes of its own for all files"},
        {ADVISE_SPACE, COWHERD_LXD, NULL, ANY, 10, "LXD's pool shares blocks"},
        {ADVISE_SPACE, COWHERD_ANY, "copy", ANY, 0, FULL_COPY},

        {ADVISE_ISOLATION, COWHERD_QEMU, NULL, ANY, 10, "a kernel of its own, in a sandboxed QEMU without privileges"},
        {ADVISE_ISOLATION, COWHERD_LXD, NULL, ANY, 6, "a user namespace and LXD's confinement, but this host's kernel"},
        {ADVISE_ISOLATION, COWHERD_NSPAWN, "zfs", ANY, 3, "this host's kernel, and on zfs-fuse no user namespace"},
        {ADVISE_ISOLATION, COWHERD_NSPAWN, NULL, ANY, 5, "a user namespace and a seccomp filter, but this host's kernel"},

        {ADVISE_SIMPLE, COWHERD_QEMU, "qcow2", ANY, 8, "any disk image, nothing to set up, no root needed"},
        {ADVISE_SIMPLE, COWHERD_QEMU, NULL, ANY, 7, "any disk image, no root needed"},
        {ADVISE_SIMPLE, COWHERD_NSPAWN, "overlay", ANY, 9, "a distribution's name is enough, nothing to set up"},
        {ADVISE_SIMPLE, COWHERD_NSPAWN, "btrfs", ANY, 7, "wants btrfs, or one command for a pool in a file"},
        {ADVISE_SIMPLE, COWHERD_NSPAWN, "zfs", ANY, 4, "wants a pool, and somebody who looks after it"},
        {ADVISE_SIMPLE, COWHERD_NSPAWN, NULL, ANY, 7, "a distribution's name is enough"},
        {ADVISE_SIMPLE, COWHERD_LXD, NULL, ANY, 5, "wants a daemon, a pool and a profile"},

        {ADVISE_WINDOWS, COWHERD_QEMU, NULL, 1, 10, "os=windows gives it the devices that a stock installation has drivers for"},
        {ADVISE_WINDOWS, COWHERD_QEMU, NULL, 0, 4, "os=windows gives it devices it has drivers for, but there is no hardware acceleration"},
        {ADVISE_WINDOWS, COWHERD_ANY, NULL, ANY, 0, NO_KERNEL},

        {ADVISE_LIVE, COWHERD_QEMU, "qcow2", ANY, 10, "promote live=true keeps a running machine's memory, and clones wake in it"},
        {ADVISE_LIVE, COWHERD_QEMU, "copy", ANY, 3, "promote live=true works, but the machine stands still while its disk is copied"},
        {ADVISE_LIVE, COWHERD_QEMU, NULL, ANY, 8, "promote live=true keeps a running machine's memory, and clones wake in it"},
        {ADVISE_LIVE, COWHERD_ANY, NULL, ANY, 0, NO_MEMORY},

        {ADVISE_ANY_FILESYSTEM, COWHERD_ANY, "reflink", ANY, 0, "wants XFS or btrfs"},
        {ADVISE_ANY_FILESYSTEM, COWHERD_ANY, "btrfs", ANY, 6, "lies on any file system as a pool in a file"},
        {ADVISE_ANY_FILESYSTEM, COWHERD_ANY, "zfs", ANY, 5, "wants a pool, which may lie in a file"},
        {ADVISE_ANY_FILESYSTEM, COWHERD_LXD, NULL, ANY, 7, "its pool may be a file on any file system"},
        {ADVISE_ANY_FILESYSTEM, COWHERD_ANY, NULL, ANY, 10, "works on any file system"},

        {ADVISE_CI, COWHERD_QEMU, "copy", ANY, 1, FULL_COPY},
        {ADVISE_CI, COWHERD_QEMU, NULL, 1, 6, "a clean kernel for each job, at the price of a boot; ttl= and cleanup take what a killed job leaves"},
        {ADVISE_CI, COWHERD_QEMU, NULL, 0, 2, "a clean kernel for each job, at the price of a boot without hardware acceleration"},
        {ADVISE_CI, COWHERD_NSPAWN, "overlay", ANY, 10, "made, started and gone in a moment; ttl= and cleanup take what a killed job leaves"},
        {ADVISE_CI, COWHERD_NSPAWN, "btrfs", ANY, 9, "made, started and gone in a moment; ttl= and cleanup take what a killed job leaves"},
        {ADVISE_CI, COWHERD_NSPAWN, "hardlink", ANY, 8, "quick; its base's farm of links costs an inode for each file"},
        {ADVISE_CI, COWHERD_NSPAWN, "zfs", ANY, 5, "a process of zfs for each clone and each removal"},
        {ADVISE_CI, COWHERD_NSPAWN, "reflink", ANY, 3, "the tree's files are shared, and removed, one by one"},
        {ADVISE_CI, COWHERD_NSPAWN, NULL, ANY, 1, FULL_COPY},
        {ADVISE_CI, COWHERD_LXD, NULL, ANY, 7, "setup warm=4 keeps some ready; ttl= and cleanup take what a killed job leaves"},
};

static bool fits(const struct mark *mark, const struct advise_facts *facts, const struct advise_option *option, enum advise_need need)
{
        return mark->need == need && (mark->engine == COWHERD_ANY || mark->engine == option->engine) &&
               (mark->store == NULL || str_equal(mark->store, option->store)) &&
               (mark->acceleration == ANY || mark->acceleration == (int)facts->has_acceleration);
}

/* The quickest of those that were measured gets 10, one that takes twice as long 1.5 less, and so on. */
static double mark_time(const struct advise_facts *facts, const struct advise_option *option, char **ret_why)
{
        double best = option->start_ms;

        for (size_t i = 0; i < facts->count; i++)
                if (facts->options[i].start_ms > 0 && facts->options[i].start_ms < best)
                        best = facts->options[i].start_ms;
        double times = option->start_ms / best;
        if (times <= 1)
                *ret_why = x_asprintf("measured: a clone is ready after %.0f ms, the quickest here", option->start_ms);
        else if (times < 1.05)
                *ret_why = x_asprintf("measured: a clone is ready after %.0f ms, as quick as any here", option->start_ms);
        else
                *ret_why = x_asprintf("measured: a clone is ready after %.0f ms, %.1f times the quickest", option->start_ms, times);
        return fmax(1, 10 - 1.5 * log2(times));
}

/* Of what a full copy takes: nothing saved is 0, 99.9 % and more are 10. */
static double mark_space(const struct advise_option *option, char **ret_why)
{
        double saved = option->saved_percent;

        *ret_why = x_asprintf("measured: a clone saves %.4g %% of a full copy", floor(saved * 100) / 100);
        return saved < 1 ? 0 : saved >= 99.9 ? 10 : saved >= 99 ? 9 : saved >= 95 ? 8 : saved >= 90 ? 7 : saved / 15;
}

double advise_mark(const struct advise_facts *facts, const struct advise_option *option, enum advise_need need, char **ret_why)
{
        if ((need == ADVISE_SPEED || need == ADVISE_CI) && option->start_ms > 0)
                return mark_time(facts, option, ret_why);
        if (need == ADVISE_SPACE && option->saved_percent >= 0)
                return mark_space(option, ret_why);
        for (size_t i = 0; i < array_length(marks); i++)
                if (fits(&marks[i], facts, option, need)) {
                        *ret_why = x_strdup(marks[i].why);
                        return marks[i].mark;
                }
        *ret_why = x_strdup("nothing is known of it");
        return 0;
}
