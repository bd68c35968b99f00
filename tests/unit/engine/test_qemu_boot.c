/* SPDX-License-Identifier: Apache-2.0 */
/* What a console says of a firmware that has nothing to boot, and what it says of others; seen when it is written. */
#include "engine/qemu/boot_watch.h"

#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEABIOS "\x1b" "c\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\n"

static bool gave_up(const char *text)
{
        return boot_text_gave_up(text, strlen(text));
}

static void test_texts(void **state)
{
        (void)state;
        assert_true(gave_up(SEABIOS "Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n"));
        assert_true(gave_up("No bootable\x1b[0m device.\x1b[3;1H \r\n"));
        assert_true(gave_up("This is not a bootable disk.  Please insert a bootable floppy and\r\npress any key to try again ... \r\n"));
        assert_true(gave_up("\x1b[07;01HPress \x1b[1m\x1b[37mESC\x1b[0m in 1 seconds to skip \x1b[1m\x1b[33mstartup.nsh\x1b[0m or any other key to continue.\r\n"
                            "\x1b[08;01H\x1b[1m\x1b[33m\x1b[40mShell> \x1b[0m\x1b[37m\x1b[40m"));
        assert_false(gave_up("\x1b[07;01HPress ESC in 1 seconds to skip startup.nsh or any other key to continue."));
        assert_false(gave_up(""));
        assert_false(gave_up(SEABIOS "Booting from Hard Disk...\r\n"));
        assert_false(gave_up(SEABIOS "Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n"));
        assert_false(gave_up("No bootable device.\r\nlogin: "));
        assert_false(gave_up("No bootable device.  Retrying in 60 seconds.\r\n"));
        assert_false(gave_up("\x1b"));
        assert_false(gave_up("\x1b["));
        assert_false(gave_up("\x1b[0"));
}

/* A folder with a machine's log in it. */
static char place[] = "/tmp/cowherd-boot-test.XXXXXX";

static void say(int log, const char *text)
{
        assert_int_equal(write(log, text, strlen(text)), (ssize_t)strlen(text));
}

static bool is_told(const struct boot_watch *watch)
{
        struct pollfd ready = {.fd = watch->changes, .events = POLLIN};

        return poll(&ready, 1, 0) > 0;
}

static void test_watch(void **state)
{
        owned_fd int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct engine_instance instance = {.id = 5, .name = "m", .folder = folder, .path = "clones/5/disk.qcow2"};
        struct boot_watch watch owned_by(boot_watch_end) = BOOT_WATCH_NONE;
        struct cowherd_error err;

        (void)state;
        boot_watch_begin(&instance, &watch); /* it was never started */
        assert_true(watch.log < 0 && watch.changes < 0 && !boot_watch_gave_up(&watch));
        assert_int_equal(file_make_folders(folder, "clones/5", 0700, &err), 0);
        owned_fd int log = openat(folder, "clones/5/console.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        say(log, SEABIOS);
        boot_watch_begin(&instance, &watch);
        assert_true(watch.changes >= 0);
        assert_false(boot_watch_gave_up(&watch) || is_told(&watch));
        for (int i = 0; i < 100; i++)
                say(log, "Booting from Hard Disk...\r\n");
        say(log, "\r\nNo bootable");
        assert_true(is_told(&watch));
        assert_false(boot_watch_gave_up(&watch) || is_told(&watch));
        say(log, " device.\r\n");
        assert_true(is_told(&watch) && boot_watch_gave_up(&watch));
        say(log, "Linux version 6.1\r\n");
        assert_false(boot_watch_gave_up(&watch));
}

static int begin(void **state)
{
        (void)state;
        return mkdtemp(place) == NULL ? -1 : 0;
}

static int finish(void **state)
{
        struct cowherd_error err;

        (void)state;
        return file_remove_tree(AT_FDCWD, place, &err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_texts),
                cmocka_unit_test(test_watch),
        };

        return cmocka_run_group_tests_name("boot watch", tests, begin, finish);
}
