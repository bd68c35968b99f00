/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine whose disk can't be booted never becomes ready, and nobody has to wait for that to the end of the time: its firmware says so on the
 * serial console, whose log is begun anew at each start. Read is the end of that log, each time it grows (inotify). Only if the firmware's
 * sentence is the very last that was said it has given up: a guest that prints the same goes on, and what it prints next takes it back.
 *
 * SeaBIOS stands still behind its sentence, as QEMU is not told to reboot. A FAT filesystem without a partition table has a boot sector that
 * says another (mkfs.fat(8)), and waits for a key. OVMF goes over to its own shell, which looks for a startup.nsh and then waits for a command.
 */
#include "engine/qemu/boot_watch.h"

#include "base/str.h"
#include "engine/qemu/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_BYTES 512
#define ESCAPE '\x1b'

void boot_watch_begin(const struct engine_instance *instance, struct boot_watch *ret)
{
        struct boot_watch watch owned_by(boot_watch_end) = BOOT_WATCH_NONE;
        owned_fd int folder = -1;
        struct cowherd_error ignored;
        char path[64];

        if (qemu_folder_open(instance, &folder, &ignored) < 0)
                return;
        watch.log = openat(folder, QEMU_CONSOLE_LOG, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        watch.changes = watch.log < 0 ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", watch.log);
        if (watch.changes < 0 || inotify_add_watch(watch.changes, path, IN_MODIFY) < 0)
                return;
        *ret = watch;
        watch = (struct boot_watch)BOOT_WATCH_NONE;
}

void boot_watch_end(struct boot_watch *watch)
{
        close_at(&watch->log);
        close_at(&watch->changes);
        *watch = (struct boot_watch)BOOT_WATCH_NONE;
}

/* What follows a terminal's escape sequence: ESC [ … letter, or ESC and one more. */
static const char *behind_escape(const char *at, const char *end)
{
        if (at + 1 < end && at[1] == '[') {
                for (at += 2; at < end && (*at < '@' || *at > '~'); at++)
                        continue;
                return at < end ? at + 1 : end;
        }
        return at + 2 < end ? at + 2 : end;
}

/* The words, with one blank between them and none at the end; no terminal's escape sequence. */
static void add_words(struct str *words, const char *text, size_t bytes)
{
        const char *end = text + bytes;
        bool blank = false;

        while (text < end) {
                if (*text == ESCAPE) {
                        text = behind_escape(text, end);
                } else if ((unsigned char)*text <= ' ') {
                        blank = words->length > 0;
                        text++;
                } else {
                        if (blank)
                                str_add_char(words, ' ');
                        str_add_char(words, *text++);
                        blank = false;
                }
        }
}

bool boot_text_gave_up(const char *text, size_t bytes)
{
        static const char *const last[] = {
                "No bootable device.",
                "This is not a bootable disk. Please insert a bootable floppy and press any key to try again ...",
                "to skip startup.nsh or any other key to continue. Shell>",
        };
        owned_string struct str words = {0};

        add_words(&words, text, bytes);
        for (size_t i = 0; i < array_length(last); i++)
                if (str_ends(str_text(&words), last[i]))
                        return true;
        return false;
}

bool boot_watch_gave_up(const struct boot_watch *watch)
{
        char events[4096], text[END_BYTES];
        struct stat found;

        if (watch->log < 0)
                return false;
        while (read(watch->changes, events, sizeof events) > 0)
                continue;
        if (fstat(watch->log, &found) < 0)
                return false;
        off_t at = found.st_size > END_BYTES ? found.st_size - END_BYTES : 0;
        ssize_t got = pread(watch->log, text, sizeof text, at);
        return got > 0 && boot_text_gave_up(text, (size_t)got);
}
