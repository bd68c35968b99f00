/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing the filesystems for a moment, so that a copy of their disk is whole. The newest mount is frozen first: it may lie in a file of
 * an older one. Whoever asked may be gone when it is time to thaw, so each freeze has its limit, of time in which this machine runs.
 */
#include "guest/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FILESYSTEMS 64
#define LIMIT_MS_MOST 600000

static struct {
        char *path, *device;
        int fd; /* -1: not frozen by us */
} systems[FILESYSTEMS];
static size_t count;
static double deadline_ms;

static void forget_all(void)
{
        for (size_t i = 0; i < count; i++) {
                close_at(&systems[i].fd);
                free(systems[i].path);
                free(systems[i].device);
        }
        count = 0;
}

/* \040 is a blank, as the kernel writes it. */
static void unescape(char *text)
{
        char *to = text;

        for (const char *at = text; *at != '\0'; to++) {
                bool escaped = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
                               at[3] <= '7';
                *to = escaped ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + at[3] - '0') : *at;
                at += escaped ? 4 : 1;
        }
        *to = '\0';
}

/* "36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw,errors=continue": proc(5). */
static void look_at(char *line)
{
        char *words[6], *rest = line, *behind = strstr(line, " - ");

        if (behind == NULL || count == FILESYSTEMS)
                return;
        *behind = '\0';
        for (size_t i = 0; i < 6; i++) {
                words[i] = strsep(&rest, " ");
                if (words[i] == NULL)
                        return;
        }
        char *source = behind + 3;
        (void)strsep(&source, " ");
        char *options = source;
        char *name = strsep(&options, " ");
        if (name == NULL || options == NULL || strncmp(name, "/dev/", 5) != 0 || strncmp(options, "rw", 2) != 0)
                return;
        for (size_t i = 0; i < count; i++)
                if (strcmp(systems[i].device, words[2]) == 0)
                        return; /* mounted twice */
        unescape(words[4]);
        systems[count].device = x_strdup(words[2]);
        systems[count].path = x_strdup(words[4]);
        systems[count++].fd = -1;
}

static int find_all(void)
{
        FILE *file = fopen("/proc/self/mountinfo", "re");
        char *line = NULL;
        size_t room = 0;

        if (file == NULL)
                return errno;
        forget_all();
        while (getline(&line, &room, file) > 0)
                look_at(line);
        free(line);
        (void)fclose(file);
        return 0;
}

static uint64_t thaw(void)
{
        uint64_t thawed = 0;

        for (size_t i = 0; i < count; i++) {
                if (systems[i].fd >= 0 && ioctl(systems[i].fd, FITHAW, 0) == 0)
                        thawed++;
        }
        forget_all();
        program.frozen = false;
        deadline_ms = 0;
        return thawed;
}

static int freeze_one(size_t index)
{
        int fd = open(systems[index].path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return errno == EACCES || errno == ENOENT ? 0 : errno; /* mounted over by another */
        if (ioctl(fd, FIFREEZE, 0) == 0) {
                systems[index].fd = fd;
                return 0;
        }
        int failed = errno;
        (void)close(fd);
        return failed == EOPNOTSUPP || failed == ENOTTY || failed == EBUSY ? 0 : failed; /* frozen by another */
}

void freeze_all(struct port *port, unsigned channel, uint32_t limit_ms)
{
        uint64_t frozen = 0;

        if (program.frozen) {
                port_say_failed(port, channel, GUEST_FAILED_FROZEN, 0, "");
                return;
        }
        int failed = program.files_only ? EPERM : find_all();
        for (size_t i = failed == 0 ? count : 0; i > 0 && failed == 0; i--) {
                failed = freeze_one(i - 1);
                frozen += systems[i - 1].fd >= 0;
        }
        if (failed != 0) {
                (void)thaw();
                port_say_failed(port, channel, GUEST_FAILED_SYSTEM, failed, "freeze");
                return;
        }
        program.frozen = frozen > 0;
        deadline_ms = frozen == 0 ? 0 : loop_now_ms() + (limit_ms == 0 || limit_ms > LIMIT_MS_MOST ? LIMIT_MS_MOST : limit_ms);
        port_say_done(port, channel, frozen);
}

/* Those that an earlier process of ours froze are thawed as well. */
static uint64_t thaw_strangers(void)
{
        uint64_t thawed = 0;

        if (program.files_only || find_all() != 0)
                return 0;
        for (size_t i = 0; i < count; i++) {
                systems[i].fd = open(systems[i].path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
                if (systems[i].fd >= 0 && ioctl(systems[i].fd, FITHAW, 0) == 0)
                        thawed++;
        }
        forget_all();
        return thawed;
}

void freeze_thaw(struct port *port, unsigned channel)
{
        port_say_done(port, channel, program.frozen ? thaw() : thaw_strangers());
}

int freeze_timeout(void)
{
        if (!program.frozen)
                return -1;
        double left = deadline_ms - loop_now_ms();
        if (left > 0)
                return (int)left + 1;
        (void)thaw();
        return -1;
}
