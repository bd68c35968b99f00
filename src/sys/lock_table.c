/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is locked, from /proc/locks (proc(5)), so that thousands of lock files are asked about in one read. The kernel
 * names a file there by its *superblock's* device and its inode. On btrfs stat(2) shows each subvolume with a device
 * number of its own that no superblock has; the table of mounts tells which superblocks are btrfs, and there the inode
 * decides.
 */
#include "sys/lock.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define PROC_FILE_BYTES (64u << 20)

struct locked {
        dev_t device;
        ino_t inode;
};

struct devices {
        dev_t *items;
        size_t count;
};

struct lock_table {
        struct locked *items; /* in order */
        size_t count;
        struct devices btrfs; /* the superblocks of btrfs, each once */
        struct devices others;
};

static int compare(const void *a, const void *b)
{
        const struct locked *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* "1: FLOCK  ADVISORY  WRITE 1234 fe:00:4711 0 EOF"; a line with "->" is somebody who waits. */
static bool parse_lock(const char *line, struct locked *ret)
{
        unsigned device_major, device_minor;
        unsigned long inode;

        if (sscanf(line, "%*d: %*s %*s %*s %*d %x:%x:%lu", &device_major, &device_minor, &inode) != 3)
                return false;
        *ret = (struct locked){makedev(device_major, device_minor), inode};
        return true;
}

static void add_lock(struct lock_table *table, const char *line)
{
        struct locked found;

        if (!parse_lock(line, &found))
                return;
        if ((table->count & (table->count - 1)) == 0) /* full at each power of two */
                table->items =
                        x_reallocarray(table->items, table->count == 0 ? 1 : table->count * 2, sizeof *table->items);
        table->items[table->count++] = found;
}

static bool has_device(const struct devices *devices, dev_t device)
{
        for (size_t i = 0; i < devices->count; i++)
                if (devices->items[i] == device)
                        return true;
        return false;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": proc(5), mountinfo. */
static void add_mount(struct lock_table *table, const char *line)
{
        unsigned device_major, device_minor;
        const char *type = strstr(line, " - ");

        if (type == NULL || sscanf(line, "%*d %*d %u:%u", &device_major, &device_minor) != 2 || device_major != 0)
                return;
        struct devices *devices = str_starts(type, " - btrfs ") ? &table->btrfs : &table->others;
        dev_t device = makedev(device_major, device_minor);
        if (has_device(devices, device))
                return;
        devices->items = x_reallocarray(devices->items, devices->count + 1, sizeof *devices->items);
        devices->items[devices->count++] = device;
}

static int for_each_line(const char *path, void (*add)(struct lock_table *, const char *), struct lock_table *table,
                         struct cowherd_error *err)
{
        owned_str char *text = NULL;
        char *rest = NULL;

        if (file_read(AT_FDCWD, path, PROC_FILE_BYTES, &text, NULL, err) < 0)
                return -1;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
                add(table, line);
        return 0;
}

int lock_table_read(struct lock_table **ret, struct cowherd_error *err)
{
        struct lock_table *table = x_calloc(1, sizeof *table);

        if (for_each_line("/proc/locks", add_lock, table, err) < 0 ||
            for_each_line("/proc/self/mountinfo", add_mount, table, err) < 0) {
                lock_table_free(table);
                return -1;
        }
        if (table->count > 1)
                qsort(table->items, table->count, sizeof *table->items, compare);
        *ret = table;
        return 0;
}

static bool has(const struct lock_table *table, dev_t device, ino_t inode)
{
        struct locked wanted = {device, inode};

        return table->count > 0 && bsearch(&wanted, table->items, table->count, sizeof *table->items, compare) != NULL;
}

bool lock_table_has(const struct lock_table *table, dev_t device, ino_t inode)
{
        if (has(table, device, inode))
                return true;
        if (table->btrfs.count == 0 || major(device) != 0 || has_device(&table->others, device))
                return false; /* a superblock's own number */
        for (size_t i = 0; i < table->btrfs.count; i++)
                if (has(table, table->btrfs.items[i], inode))
                        return true;
        return false;
}

void lock_table_free(struct lock_table *table)
{
        if (table == NULL)
                return;
        free(table->items);
        free(table->btrfs.items);
        free(table->others.items);
        free(table);
}
