/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build/bench/clone: what a clone costs, beside the raw tool that would make it, on this machine, now. Run as root. It works
 * in a herd of its own, a btrfs pool, a ZFS pool and an LXD daemon in one temporary folder (bench/fixtures.sh), all of
 * which is taken away again. Each row says what is compared; `--json` prints the rows for machines.
 *
 *     build/bench/clone [--json] [--quick] [--only TEXT]
 */
#include "harness.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MANY 256
#define WARM "2"

static struct cowherd_herd *small_herd, *large_herd; /* with ten clones and with 10,000, beside bench_herd */
static char qemu_base[256], btrfs_base[256], btrfs_pool[256], zfs_base[256], zfs_raw_stem[256];

/* ---- QEMU ---- */

static double qemu_in_process(unsigned run)
{
        double ms = say(COWHERD_QEMU, "clone_from_base base=vm name=p-%u", run);

        (void)say(COWHERD_QEMU, "delete name=p-%u", run);
        return ms;
}

static double qemu_img(unsigned run)
{
        char path[256];

        (void)snprintf(path, sizeof path, "%s/raw-%u.qcow2", bench_folder, run);
        const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", qemu_base, "-F", "qcow2", path, NULL};
        double ms = measure_program(argv);
        (void)unlink(path);
        return ms;
}

static double qemu_whole(unsigned run)
{
        double ms = say_whole("qemu", "clone_from_base", "base=vm", numbered("name=w-", run), NULL);

        (void)say(COWHERD_QEMU, "delete name=w-%u", run);
        return ms;
}

static double qemu_durable(unsigned run)
{
        double ms = say_whole("qemu", "clone_from_base", "base=vm", numbered("name=d-", run), "durable=true");

        (void)say(COWHERD_QEMU, "delete name=d-%u", run);
        return ms;
}

static double qemu_many(unsigned run)
{
        double ms = say(COWHERD_QEMU, "clone_from_base base=vm name=m%u count=%d", run, MANY);

        (void)say(COWHERD_QEMU, "delete name=m%u-*", run);
        return ms / MANY;
}

static double allocated(const char *path)
{
        struct stat facts;

        if (stat(path, &facts) < 0)
                measure_die("cannot look at '%s'", path);
        return (double)facts.st_blocks * 512;
}

static double qemu_bytes(unsigned run)
{
        char command[128], path[256];

        (void)snprintf(command, sizeof command, "clone_from_base base=vm name=b-%u", run);
        (void)say_to(bench_herd, COWHERD_QEMU, command, "path", path, sizeof path);
        double bytes = allocated(path);
        (void)say(COWHERD_QEMU, "delete name=b-%u", run);
        return bytes;
}

static double qemu_img_bytes(unsigned run)
{
        char path[256];

        (void)snprintf(path, sizeof path, "%s/size-%u.qcow2", bench_folder, run);
        const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", qemu_base, "-F", "qcow2", path, NULL};
        (void)measure_program(argv);
        double bytes = allocated(path);
        (void)unlink(path);
        return bytes;
}

/* ---- nspawn on an overlay ---- */

static double nspawn_in_process(const char *base, const char *stem, unsigned run)
{
        double ms = say(COWHERD_NSPAWN, "clone_from_base base=%s name=%s-%u", base, stem, run);

        (void)say(COWHERD_NSPAWN, "delete name=%s-%u", stem, run);
        return ms;
}

static double overlay_in_process(unsigned run)
{
        return nspawn_in_process("on-overlay", "o", run);
}

static double make_folder(const char *path)
{
        double began = measure_now_ms();

        if (mkdir(path, 0700) < 0)
                measure_die("cannot make '%s'", path);
        return measure_now_ms() - began;
}

/* The raw way: three folders and mount(2), and nothing remembered. */
static double overlay_raw(unsigned run)
{
        char upper[256], work[256], merged[256], options[1024];

        (void)snprintf(upper, sizeof upper, "%s/upper-%u", bench_folder, run);
        (void)snprintf(work, sizeof work, "%s/work-%u", bench_folder, run);
        (void)snprintf(merged, sizeof merged, "%s/merged-%u", bench_folder, run);
        (void)snprintf(options, sizeof options, "lowerdir=%s/tree,upperdir=%s,workdir=%s", bench_folder, upper, work);
        double ms = make_folder(upper) + make_folder(work) + make_folder(merged), began = measure_now_ms();
        if (mount("overlay", merged, "overlay", 0, options) < 0)
                measure_die("cannot mount an overlay");
        ms += measure_now_ms() - began;
        const char *away[] = {"rm", "-rf", upper, work, merged, NULL};
        (void)umount(merged);
        (void)measure_try(away);
        return ms;
}

/* ---- nspawn on btrfs ---- */

static double btrfs_in_process(unsigned run)
{
        return nspawn_in_process("on-btrfs", "t", run);
}

/* One snapshot ioctl into a folder of its own; nothing else is timed. */
static double btrfs_ioctl(const char *parent, unsigned index)
{
        char path[320];
        struct btrfs_ioctl_vol_args_v2 args = {0};

        (void)snprintf(path, sizeof path, "%s/%u", parent, index);
        (void)make_folder(path);
        int from = open(btrfs_base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        args.fd = from;
        (void)snprintf(args.name, sizeof args.name, "tree");
        double began = measure_now_ms();
        if (ioctl(to, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0)
                measure_die("cannot snapshot '%s'", btrfs_base);
        double ms = measure_now_ms() - began;
        (void)close(from);
        (void)close(to);
        return ms;
}

static void btrfs_destroy(const char *parent, unsigned index)
{
        char path[320];
        struct btrfs_ioctl_vol_args args = {0};

        (void)snprintf(path, sizeof path, "%s/%u", parent, index);
        int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(args.name, sizeof args.name, "tree");
        (void)ioctl(at, BTRFS_IOC_SNAP_DESTROY, &args);
        (void)close(at);
        (void)rmdir(path);
}

static double btrfs_raw(unsigned run)
{
        double ms = btrfs_ioctl(btrfs_pool, run);

        btrfs_destroy(btrfs_pool, run);
        return ms;
}

/* What was deleted before is really gone: btrfs cleans up in the background, and would do so on the next one's time. */
static void btrfs_settle(void)
{
        const char *commit[] = {"btrfs", "filesystem", "sync", btrfs_pool, NULL};
        const char *wait[] = {"btrfs", "subvolume", "sync", "-s", "1", btrfs_pool, NULL};

        (void)measure_program(commit); /* a commit is what wakes the cleaner, every 30 s by itself */
        (void)measure_program(wait);
}

static double btrfs_many(unsigned run)
{
        double ms = say(COWHERD_NSPAWN, "clone_from_base base=on-btrfs name=m%u count=%d", run, MANY);

        (void)say(COWHERD_NSPAWN, "delete name=m%u-*", run);
        btrfs_settle();
        return ms / MANY;
}

static double btrfs_many_raw(unsigned run)
{
        double ms = 0;

        (void)run;
        for (unsigned i = 0; i < MANY; i++)
                ms += btrfs_ioctl(btrfs_pool, i);
        for (unsigned i = 0; i < MANY; i++)
                btrfs_destroy(btrfs_pool, i);
        btrfs_settle();
        return ms / MANY;
}

/* ---- nspawn on ZFS ---- */

static double zfs_in_process(unsigned run)
{
        return nspawn_in_process("on-zfs", "z", run);
}

static double zfs_raw(unsigned run)
{
        const char *clone = numbered(zfs_raw_stem, run);
        const char *make[] = {"zfs", "clone", "-o", "canmount=noauto", zfs_base, clone, NULL}, *destroy[] = {"zfs", "destroy", clone, NULL};
        double ms = measure_program(make);

        (void)measure_try(destroy);
        return ms;
}

/* ---- LXD ---- */

static void lxd_delete(const char *name)
{
        const char *argv[] = {"lxc", "delete", "--force", name, NULL};

        (void)measure_program(argv);
}

static double lxd_whole(unsigned run)
{
        double ms = say_whole("lxd", "clone_from_base", "base=ct", numbered("name=w-", run), NULL);

        (void)say(COWHERD_LXD, "delete name=w-%u", run);
        return ms;
}

static double lxc_copy(unsigned run)
{
        const char *name = numbered("raw-", run);
        const char *argv[] = {"lxc", "copy", "raw/base", name, NULL};
        double ms = measure_program(argv);

        lxd_delete(name);
        return ms;
}

/* Waits until the helper has made what is wanted, and is gone: it is not what is measured. */
static void await_warm(void)
{
        const struct timespec pause = {.tv_nsec = 20000000};
        char ready[16] = "", lock[300];

        (void)snprintf(lock, sizeof lock, "%s/locks/warm", bench_root);
        do {
                (void)nanosleep(&pause, NULL);
                (void)say_to(bench_herd, COWHERD_LXD, "status", "ready", ready, sizeof ready);
        } while (strcmp(ready, WARM) != 0 || access(lock, F_OK) == 0);
}

static double lxd_warm(unsigned run)
{
        await_warm();
        double ms = say_whole("lxd", "clone_from_base", "base=ct", numbered("name=k-", run), NULL);
        (void)say(COWHERD_LXD, "delete name=k-%u", run);
        return ms;
}

static double lxc_copy_beside(unsigned run)
{
        await_warm();
        return lxc_copy(run);
}

/* lxc start, and back to stopped. */
static double lxc_start(const char *name)
{
        const char *start[] = {"lxc", "start", name, NULL}, *stop[] = {"lxc", "stop", "--force", name, NULL};
        double ms = measure_program(start);

        (void)measure_program(stop);
        return ms;
}

static double first_start_of_clone(const char *base, unsigned run)
{
        const char *name = numbered("s-", run);

        (void)say(COWHERD_LXD, "clone_from_base base=%s name=%s", base, name);
        double ms = lxc_start(name);
        (void)say(COWHERD_LXD, "delete name=%s", name);
        return ms;
}

static double first_start_of_copy(const char *from, unsigned run)
{
        const char *name = numbered("raws-", run);
        const char *copy[] = {"lxc", "copy", from, name, NULL};

        (void)measure_program(copy);
        double ms = lxc_start(name);
        lxd_delete(name);
        return ms;
}

static double lxd_first_start(unsigned run)
{
        return first_start_of_clone("ct", run);
}

static double lxc_first_start(unsigned run)
{
        return first_start_of_copy("raw/base", run);
}

static double lxd_first_start_large(unsigned run)
{
        return first_start_of_clone("large", run);
}

static double lxc_first_start_large(unsigned run)
{
        return first_start_of_copy("large", run);
}

/* By then LXD has given its files the owners that it wants: what is left is a start and nothing else. */
static double lxc_second_start(unsigned run)
{
        const char *name = numbered("raws-", run);
        const char *copy[] = {"lxc", "copy", "raw/base", name, NULL};

        (void)measure_program(copy);
        (void)lxc_start(name);
        double ms = lxc_start(name);
        lxd_delete(name);
        return ms;
}

/* ---- a large catalogue against a small one ---- */

static double clone_in(struct cowherd_herd *whom, enum cowherd_target target, const char *base, unsigned run)
{
        char command[128];

        (void)snprintf(command, sizeof command, "clone_from_base base=%s name=c-%u", base, run);
        double ms = say_to(whom, target, command, NULL, NULL, 0);
        (void)snprintf(command, sizeof command, "delete name=c-%u", run);
        (void)say_to(whom, target, command, NULL, NULL, 0);
        return ms;
}

static double clone_in_large(unsigned run)
{
        return clone_in(large_herd, COWHERD_QEMU, "vm", run);
}

static double clone_in_small(unsigned run)
{
        return clone_in(small_herd, COWHERD_QEMU, "vm", run);
}

static double info_in_large(unsigned run)
{
        (void)run;
        return say_to(large_herd, COWHERD_QEMU, "info name=big-7", NULL, NULL, 0);
}

static double info_in_small(unsigned run)
{
        (void)run;
        return say_to(small_herd, COWHERD_QEMU, "info name=big-7", NULL, NULL, 0);
}

static double list_large(unsigned run)
{
        char root[160];
        const char *argv[] = {COWHERD_PROGRAM, "--root", root, "--json", "qemu", "list", NULL};

        (void)run;
        (void)snprintf(root, sizeof root, "%s/large", bench_folder);
        return measure_program(argv);
}

static double nspawn_in_large(unsigned run)
{
        return clone_in(large_herd, COWHERD_NSPAWN, "on-overlay", run);
}

static double nspawn_in_small(unsigned run)
{
        return clone_in(small_herd, COWHERD_NSPAWN, "on-overlay", run);
}

/* ---- fixtures ---- */

static void register_in(struct cowherd_herd *whom)
{
        char command[512];

        (void)snprintf(command, sizeof command, "register_base name=vm image=%s/disk.qcow2", bench_folder);
        (void)say_to(whom, COWHERD_QEMU, command, NULL, NULL, 0);
        (void)snprintf(command, sizeof command, "register_base name=on-overlay rootfs=%s/tree store=overlay", bench_folder);
        (void)say_to(whom, COWHERD_NSPAWN, command, NULL, NULL, 0);
}

static void set_up_qemu_and_trees(void)
{
        register_in(bench_herd);
        (void)say_to(bench_herd, COWHERD_QEMU, "info name=vm", "path", qemu_base, sizeof qemu_base);
}

static struct cowherd_herd *open_with(const char *name, unsigned count)
{
        char text[160];

        (void)snprintf(text, sizeof text, "%s/%s", bench_folder, name);
        struct cowherd_herd *herd = bench_open(text);
        register_in(herd);
        (void)snprintf(text, sizeof text, "clone_from_base base=vm name=big count=%u", count);
        (void)say_to(herd, COWHERD_QEMU, text, NULL, NULL, 0);
        return herd;
}

/* Before anything is deleted by the thousand: for minutes after that ext4 makes new files slowly. */
static void set_up_catalogues(void)
{
        small_herd = open_with("small", 10);
        large_herd = open_with("large", 10000);
        sync(); /* or the writing of it would be measured */
}

static void set_up_btrfs(void)
{
        char command[512];

        (void)say(COWHERD_NSPAWN, "setup store=btrfs size=4G");
        (void)snprintf(command, sizeof command, "register_base name=on-btrfs rootfs=%s/tree store=btrfs", bench_folder);
        (void)say_to(bench_herd, COWHERD_NSPAWN, command, "path", btrfs_base, sizeof btrfs_base);
        (void)snprintf(btrfs_pool, sizeof btrfs_pool, "%s/pools/btrfs/bench", bench_root);
        (void)make_folder(btrfs_pool);
}

static void set_up_zfs(void)
{
        (void)snprintf(zfs_base, sizeof zfs_base, "%s/raw@base", getenv("FIXTURE_POOL")); /* the fixtures made it */
        (void)snprintf(zfs_raw_stem, sizeof zfs_raw_stem, "%s/raw-", getenv("FIXTURE_POOL"));
        (void)say(COWHERD_NSPAWN, "setup store=zfs pool=%s", getenv("FIXTURE_POOL"));
        (void)say(COWHERD_NSPAWN, "register_base name=on-zfs rootfs=%s/tree store=zfs", bench_folder);
}

static void set_up_lxd(void)
{
        (void)say(COWHERD_LXD, "register_base name=ct rootfs=%s/debian", bench_folder);
}

static void set_up_lxd_large(void)
{
        (void)say(COWHERD_LXD, "register_base name=large tarball=%s/large.tar", bench_folder);
}

static void set_up_warm(void)
{
        (void)say(COWHERD_LXD, "setup base=ct warm=" WARM);
}

static const struct group groups[] = {
        {set_up_qemu_and_trees,
         {{"QEMU clone, in-process", "in-process with catalogue, not synced : qemu-img create -b, a process", "ms", 60, qemu_in_process, qemu_img},
          {"QEMU clone, whole process", "cowherd, a process, not synced : qemu-img create -b, a process", "ms", 60, qemu_whole, qemu_img},
          {"QEMU clone, durable=true", "cowherd, a process, all synced : qemu-img create -b, 5 syncs", "ms", 30, qemu_durable, qemu_img},
          {"QEMU clone, bytes allocated", "the overlay's blocks : qemu-img's", "bytes", 5, qemu_bytes, qemu_img_bytes},
          {"nspawn clone on overlay", "in-process with catalogue : 3 mkdir and mount(2), in-process", "ms", 60, overlay_in_process, overlay_raw}}},
        {set_up_catalogues,
         {{"QEMU clone among 10,000", "in-process, 10,000 clones : 10 clones", "ms", 60, clone_in_large, clone_in_small},
          {"QEMU info among 10,000", "in-process, 10,000 clones : 10 clones", "ms", 60, info_in_large, info_in_small},
          {"nspawn clone among 10,000", "in-process, 10,000 clones : 10 clones", "ms", 60, nspawn_in_large, nspawn_in_small},
          {"list --json of 10,000", "cowherd, a process", "ms", 10, list_large, NULL}}},
        {NULL, {{"QEMU clone, 256 at once, each", "in-process, count=256 : qemu-img create -b, one of them", "ms", 10, qemu_many, qemu_img}}},
        {set_up_btrfs,
         {{"nspawn clone on btrfs", "in-process with catalogue : the bare snapshot ioctl", "ms", 40, btrfs_in_process, btrfs_raw},
          {"nspawn clone on btrfs, 256, each", "in-process, count=256 : the bare ioctl, 256 in turn", "ms", 5, btrfs_many, btrfs_many_raw}}},
        {set_up_zfs, {{"nspawn clone on zfs", "in-process with catalogue : a bare zfs clone", "ms", 20, zfs_in_process, zfs_raw}}},
        {set_up_lxd,
         {{"LXD clone on btrfs", "cowherd, a process : lxc copy, a process", "ms", 15, lxd_whole, lxc_copy},
          {"LXD clone, first start", "lxc start of our clone : of a raw copy, of 7,000 files each", "ms", 15, lxd_first_start, lxc_first_start},
          {"LXD clone, first and a second start", "lxc start of our clone, its first : of a raw copy, its second", "ms", 15, lxd_first_start,
           lxc_second_start}}},
        {set_up_lxd_large, {{"LXD clone, first start, more files", "lxc start of our clone : of a raw copy, of 17,000 files each", "ms", 15, lxd_first_start_large, lxc_first_start_large}}},
        {set_up_warm, {{"LXD clone kept warm", "cowherd, a process, taking one that is ready : lxc copy, a process", "ms", 15, lxd_warm, lxc_copy_beside}}},
};

static void tear_down(void)
{
        cowherd_close(small_herd);
        cowherd_close(large_herd);
}

int main(int argc, char **argv)
{
        static const struct bench bench = {groups, sizeof groups / sizeof groups[0], tear_down};

        return bench_main(argc, argv, &bench);
}
