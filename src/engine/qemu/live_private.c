/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a live clone has changed of its base's memory: the pages of its private mapping that are its own by now (proc(5), pagemap:
 * present or swapped out, and no page of the file). They are read from the process, which stands still.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)
#define OF_FILE (UINT64_C(1) << 61)
#define ENTRIES 512
#define RUN_BYTES ((size_t)1 << 20)

struct mapping {
        uint64_t begin, end, offset; /* addresses, and where in the file */
};

struct reading {
        int pagemap, memory; /* of the process */
        int to;
        char *buffer; /* of RUN_BYTES */
        uint64_t bytes;
};

static int copy_run(struct reading *reading, uint64_t address, uint64_t at, uint64_t count, struct cowherd_error *err)
{
        while (count > 0) {
                size_t part = count < RUN_BYTES ? (size_t)count : RUN_BYTES;
                ssize_t got = pread(reading->memory, reading->buffer, part, (off_t)address);
                if (got <= 0)
                        return fail_errno(err, "cannot read the memory of a machine");
                if (pwrite(reading->to, reading->buffer, (size_t)got, (off_t)at) != got)
                        return fail_errno(err, "cannot keep the memory of a machine");
                address += (uint64_t)got;
                at += (uint64_t)got;
                count -= (uint64_t)got;
                reading->bytes += (uint64_t)got;
        }
        return 0;
}

static bool is_own(uint64_t entry)
{
        return (entry & (PRESENT | SWAPPED)) != 0 && (entry & OF_FILE) == 0;
}

/* The runs of own pages among `count` pages that begin at `address`. */
static int copy_pages(struct reading *reading, const uint64_t *entries, size_t count, uint64_t address, uint64_t at,
                      struct cowherd_error *err)
{
        for (size_t begin = 0; begin < count;) {
                size_t end = begin;
                while (end < count && is_own(entries[end]))
                        end++;
                if (end > begin && copy_run(reading, address + begin * PAGE_BYTES, at + begin * PAGE_BYTES,
                                            (end - begin) * PAGE_BYTES, err) < 0)
                        return -1;
                begin = end + 1;
        }
        return 0;
}

static int copy_mapping(struct reading *reading, const struct mapping *mapping, struct cowherd_error *err)
{
        uint64_t entries[ENTRIES];

        for (uint64_t address = mapping->begin; address < mapping->end;) {
                uint64_t left = (mapping->end - address) / PAGE_BYTES;
                size_t count = left < ENTRIES ? (size_t)left : ENTRIES;
                ssize_t wanted = (ssize_t)(count * sizeof *entries);
                if (pread(reading->pagemap, entries, (size_t)wanted, (off_t)(address / PAGE_BYTES * sizeof *entries)) != wanted)
                        return fail_errno(err, "cannot tell which memory a machine has of its own");
                if (copy_pages(reading, entries, count, address, mapping->offset + address - mapping->begin, err) < 0)
                        return -1;
                address += count * PAGE_BYTES;
        }
        return 0;
}

/* Whether a line of maps is a private mapping of the file of that inode. */
static bool read_mapping(const char *line, const struct stat *file, struct mapping *ret)
{
        uint64_t inode = 0;
        char rights[8] = "";

        return sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64, &ret->begin, &ret->end, rights, &ret->offset,
                      &inode) == 5 &&
               inode == file->st_ino && strchr(rights, 'p') != NULL && strstr(line, "/memfd:") != NULL;
}

static int copy_mappings(struct reading *reading, FILE *maps, const struct stat *file, struct cowherd_error *err)
{
        char line[512];
        size_t found = 0;

        while (fgets(line, sizeof line, maps) != NULL) {
                struct mapping mapping;
                if (!read_mapping(line, file, &mapping))
                        continue;
                found++;
                if (copy_mapping(reading, &mapping, err) < 0)
                        return -1;
        }
        return found > 0 ? 0 : fail(err, COWHERD_SYSTEM, "a machine does not map the memory that it was started with");
}

static int open_of(pid_t pid, const char *name, struct cowherd_error *err)
{
        char path[48];

        (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? fail_errno(err, "cannot open '%s'", path) : fd;
}

int live_memory_copy_private(pid_t pid, int memory, int to, uint64_t *ret_bytes, struct cowherd_error *err)
{
        struct stat file;

        if (fstat(memory, &file) < 0)
                return fail_errno(err, "cannot look at the memory of a machine");
        owned_fd int pagemap = open_of(pid, "pagemap", err);
        if (pagemap < 0)
                return -1;
        owned_fd int contents = open_of(pid, "mem", err);
        if (contents < 0)
                return -1;
        int list = open_of(pid, "maps", err);
        if (list < 0)
                return -1;
        FILE *maps = fdopen(list, "re");
        owned_mem char *buffer = x_malloc(RUN_BYTES);
        struct reading reading = {.pagemap = pagemap, .memory = contents, .to = to, .buffer = buffer};
        int done = maps == NULL ? fail_errno(err, "cannot read the mappings of a machine") : copy_mappings(&reading, maps, &file, err);
        if (maps != NULL)
                (void)fclose(maps);
        else
                (void)close(list);
        *ret_bytes = reading.bytes;
        return done;
}
