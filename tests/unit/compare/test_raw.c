/* SPDX-License-Identifier: Apache-2.0 */
/* The raw tools' exact command lines, with a runner that notes them instead of running anything. */
#include "compare/pair.h"

#include "sys/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct notes {
        struct str lines;
        const char *failing; /* the command that fails */
        const char *output;
};

static int note(void *context, const struct process *process, struct process_result *ret, struct cowherd_error *err)
{
        struct notes *notes = context;
        size_t before = notes->lines.length;

        (void)err;
        for (size_t i = 0; i < process->argv.count; i++)
                str_addf(&notes->lines, "%s%s", i == 0 ? "" : " ", process->argv.items[i]);
        bool fails = notes->failing != NULL && str_starts(str_text(&notes->lines) + before, notes->failing);
        str_add_char(&notes->lines, '\n');
        *ret = (struct process_result){.status = fails, .output = x_strdup(notes->output == NULL ? "" : notes->output)};
        return 0;
}

static char folder[] = "/tmp/cowherd-raw-test.XXXXXX";

struct stage {
        struct notes notes;
        struct site site;
        struct session session;
        struct pair pair;
        struct process_runner runner;
};

static void begin(struct stage *stage, char *base_path, char *source)
{
        stage->site = (struct site){.folder = folder, .herd = (char *)(uintptr_t)"/h", .raw = (char *)(uintptr_t)"/raw"};
        (void)snprintf(stage->site.mark, sizeof stage->site.mark, "compare-0123456789ab");
        stage->session = (struct session){.site = &stage->site};
        stage->pair = (struct pair){.session = &stage->session, .base_path = base_path, .source = source, .pool = (char *)(uintptr_t)"tank"};
        stage->runner = (struct process_runner){.run = note, .context = &stage->notes};
        process_set_runner(&stage->runner);
}

static void expect(struct stage *stage, const char *lines)
{
        process_set_runner(NULL);
        assert_string_equal(str_text(&stage->notes.lines), lines);
        str_free(&stage->notes.lines);
}

static void test_disks(void **state)
{
        char qcow2[] = "/h/bases/1/disk.qcow2", raw[] = "/h/bases/1/disk.raw";
        struct cowherd_error err = {0};
        struct stage stage = {0};
        double ms;

        (void)state;
        begin(&stage, qcow2, NULL);
        assert_int_equal(raw_qcow2.clone(&stage.pair, "r0", &ms, &err), 0);
        assert_int_equal(raw_disk_reflink.clone(&stage.pair, "r1", &ms, &err), 0);
        stage.pair.base_path = raw;
        assert_int_equal(raw_qcow2.clone(&stage.pair, "r2", &ms, &err), 0);
        assert_int_equal(raw_disk_copy.clone(&stage.pair, "r3", &ms, &err), 0);
        expect(&stage, "qemu-img create -q -f qcow2 -b /h/bases/1/disk.qcow2 -F qcow2 /raw/r0.disk\n"
                       "cp -a --reflink=always /h/bases/1/disk.qcow2 /raw/r1.disk\n"
                       "qemu-img create -q -f qcow2 -b /h/bases/1/disk.raw -F raw /raw/r2.disk\n"
                       "cp -a /h/bases/1/disk.raw /raw/r3.disk\n");
}

static void test_trees(void **state)
{
        char tree[] = "/h/bases/1/tree";
        struct cowherd_error err = {0};
        struct stage stage = {0};
        double ms;

        (void)state;
        begin(&stage, tree, NULL);
        assert_int_equal(raw_tree_copy.clone(&stage.pair, "r0", &ms, &err), 0);
        assert_int_equal(raw_tree_reflink.clone(&stage.pair, "r1", &ms, &err), 0);
        assert_int_equal(raw_tree_hardlink.clone(&stage.pair, "r2", &ms, &err), 0);
        expect(&stage, "cp -a /h/bases/1/tree /raw/r0\n"
                       "cp -a --reflink=always /h/bases/1/tree /raw/r1\n"
                       "cp -a -l /h/bases/1/tree /raw/r2\n");
}

static void test_btrfs_stays_in_the_pool(void **state)
{
        owned_str char *herd = x_asprintf("%s/herd", folder), *base = x_asprintf("%s/pools/btrfs/bases/1/tree", herd);
        owned_str char *lines = x_asprintf("btrfs -q subvolume snapshot %s %s/pools/btrfs/compare-0123456789ab/r0\n"
                                           "btrfs -q subvolume delete %s/pools/btrfs/compare-0123456789ab/r0\n", base, herd, herd);
        struct cowherd_error err = {0};
        struct stage stage = {0};
        double ms;

        (void)state;
        begin(&stage, base, NULL);
        stage.site.herd = herd;
        assert_int_equal(raw_btrfs.clone(&stage.pair, "r0", &ms, &err), 0);
        assert_int_equal(raw_btrfs.destroy(&stage.pair, "r0", &err), 0);
        expect(&stage, lines);
}

static void test_zfs_below_a_dataset_of_its_own(void **state)
{
        char source[] = "tank/cowherd-01234567/bases/1@base-0a";
        owned_str char *noted = x_asprintf("%s/notes/zfs", folder);
        struct cowherd_error err = {0};
        struct stage stage = {.notes = {.failing = "zfs list", .output = "24576\n"}};
        double ms, allocated = 0, apparent = -1;

        (void)state;
        begin(&stage, NULL, source);
        assert_int_equal(raw_zfs.clone(&stage.pair, "r0", &ms, &err), 0);
        stage.notes.failing = NULL; /* it is there now */
        assert_int_equal(raw_zfs.clone(&stage.pair, "r1", &ms, &err), 0);
        assert_int_equal(raw_zfs.measure(&stage.pair, "r1", &allocated, &apparent, &err), 0);
        assert_int_equal(raw_zfs.destroy(&stage.pair, "r1", &err), 0);
        expect(&stage, "zfs list -H -o name tank/compare-0123456789ab\n"
                       "zfs create -o canmount=noauto -o mountpoint=none tank/compare-0123456789ab\n"
                       "zfs clone -o canmount=noauto tank/cowherd-01234567/bases/1@base-0a tank/compare-0123456789ab/r0\n"
                       "zfs list -H -o name tank/compare-0123456789ab\n"
                       "zfs clone -o canmount=noauto tank/cowherd-01234567/bases/1@base-0a tank/compare-0123456789ab/r1\n"
                       "zfs get -Hp -o value used tank/compare-0123456789ab/r1\n"
                       "zfs destroy tank/compare-0123456789ab/r1\n");
        assert_true((unsigned)allocated == 24576 && apparent < 0);
        FILE *file = fopen(noted, "re"); /* written before it was made, for whoever cleans up */
        char text[64] = "";
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        (void)fclose(file);
        assert_string_equal(text, "tank/compare-0123456789ab");
}

static void test_clones_for_one_command(void **state)
{
        char tree[] = "/h/bases/1/tree", file[] = "/j3";
        owned_str char *made = x_asprintf("%s%s", folder, file), *base = x_asprintf("%s/herd/pools/btrfs/bases/1/tree", folder), *herd = x_asprintf("%s/herd", folder);
        owned_str char *lines = x_asprintf(
                "systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --settings=no --machine=compare-0123456789ab-j3 --template=/h/bases/1/tree"
                " --directory=%s/j3 /bin/true\n"
                "systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --settings=no --machine=compare-0123456789ab-j4 --ephemeral"
                " --directory=/h/bases/1/tree /bin/true\n"
                "systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --settings=no --machine=compare-0123456789ab-j5 --template=%s"
                " --directory=%s/herd/pools/btrfs/compare-0123456789ab/j5 /bin/true\n",
                folder, base, folder);
        struct cowherd_error err = {0};
        struct stage stage = {0};
        double ms;

        (void)state;
        begin(&stage, tree, NULL);
        stage.site.raw = folder;
        stage.site.herd = herd;
        stage.pair.raw = &raw_btrfs;
        stage.pair.store = "copy";
        assert_int_equal(mkdir(made, 0700), 0);
        assert_int_equal(raw_template(&stage.pair, 3, &ms, &err), 0);
        assert_int_not_equal(access(made, F_OK), 0); /* what it made is gone */
        assert_int_equal(raw_ephemeral(&stage.pair, 4, &ms, &err), 0);
        stage.pair.store = "btrfs";
        stage.pair.base_path = base;
        assert_int_equal(raw_template(&stage.pair, 5, &ms, &err), 0);
        expect(&stage, lines);
}

static int set_up(void **state)
{
        owned_str char *notes = NULL;

        (void)state;
        if (mkdtemp(folder) == NULL)
                return -1;
        notes = x_asprintf("%s/notes", folder);
        return mkdir(notes, 0700);
}

static int tear_down(void **state)
{
        struct process rm owned_by(process_free) = {0};
        struct cowherd_error err;

        (void)state;
        process_add(&rm, "rm", "-r", folder, NULL);
        return process_check(&rm, NULL, &err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_disks),
                cmocka_unit_test(test_trees),
                cmocka_unit_test(test_btrfs_stays_in_the_pool),
                cmocka_unit_test(test_zfs_below_a_dataset_of_its_own),
                cmocka_unit_test(test_clones_for_one_command),
        };

        return cmocka_run_group_tests_name("compare raw tools", tests, set_up, tear_down);
}
