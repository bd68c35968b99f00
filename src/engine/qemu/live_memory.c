/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory files, and copies of them to and from the disk. What a guest never touched is a hole, and pages of zeros are left holes too.
 * Through a buffer and not through mappings: a file on a disk may be cut under us.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define BUFFER_BYTES (128u << 10)
#define CHUNK_BYTES (4u << 20)
#define THREADS 4
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ROLLUP_BYTES 65536

int live_memory_make(uint64_t bytes, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int fd = memfd_create("cowherd-live", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
                return fail_errno(err, "cannot make a memory file of %" PRIu64 " bytes", bytes);
        *ret_fd = take_fd(fd);
        return 0;
}

/* QEMU opens it for writing, under another user id, and never writes: it could not. */
int live_memory_seal(int fd, struct cowherd_error *err)
{
        if (fchmod(fd, 0666) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return fail_errno(err, "cannot seal a memory file");
        return 0;
}

bool live_memory_is_sealed(int fd, uint64_t bytes)
{
        struct stat found;

        return fstat(fd, &found) == 0 && (uint64_t)found.st_size == bytes && fcntl(fd, F_GET_SEALS) == SEALS;
}

/* ---- Copying ---- */

struct copy {
        int from, to;
        uint64_t bytes;
        _Atomic uint64_t next;
        _Atomic int failure; /* an errno */
};

static bool read_all(int fd, char *buffer, size_t count, uint64_t at)
{
        for (size_t done = 0; done < count;) {
                ssize_t got = pread(fd, buffer + done, count - done, (off_t)(at + done));
                if (got == 0)
                        errno = EIO; /* shorter than it was */
                if (got <= 0 && (got == 0 || errno != EINTR))
                        return false;
                done += got > 0 ? (size_t)got : 0;
        }
        return true;
}

static bool write_all(int fd, const char *buffer, size_t count, uint64_t at)
{
        for (size_t done = 0; done < count;) {
                ssize_t put = pwrite(fd, buffer + done, count - done, (off_t)(at + done));
                if (put < 0 && errno != EINTR)
                        return false;
                done += put > 0 ? (size_t)put : 0;
        }
        return true;
}

static bool is_zero(const char *page)
{
        return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

/* Writes the runs of pages that are not all zeros. */
static bool write_pages(const struct copy *copy, const char *buffer, size_t count, uint64_t at)
{
        for (size_t begin = 0; begin < count;) {
                size_t end = begin;
                while (end < count && !is_zero(buffer + end))
                        end += PAGE_BYTES;
                if (end > begin && !write_all(copy->to, buffer + begin, end - begin, at + begin))
                        return false;
                begin = end + PAGE_BYTES;
        }
        return true;
}

/* One piece that has data in `from`. */
static bool copy_extent(const struct copy *copy, char *buffer, uint64_t at, uint64_t end)
{
        while (at < end) {
                size_t count = end - at < BUFFER_BYTES ? (size_t)(end - at) : BUFFER_BYTES;
                if (!read_all(copy->from, buffer, count, at) || !write_pages(copy, buffer, count, at))
                        return false;
                at += count;
        }
        return true;
}

static bool copy_chunk(const struct copy *copy, char *buffer, uint64_t at, uint64_t end)
{
        while (at < end) {
                off_t data = lseek(copy->from, (off_t)at, SEEK_DATA);
                if (data < 0 && errno == ENXIO)
                        return true;
                if (data < 0)
                        return false;
                if ((uint64_t)data >= end)
                        return true;
                off_t hole = lseek(copy->from, data, SEEK_HOLE);
                if (hole < 0)
                        return false;
                uint64_t begin = (uint64_t)data / PAGE_BYTES * PAGE_BYTES;
                at = (uint64_t)hole < end ? ((uint64_t)hole + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES : end;
                if (!copy_extent(copy, buffer, begin, at))
                        return false;
        }
        return true;
}

static void *copy_chunks(void *context)
{
        struct copy *copy = context;
        owned_mem char *buffer = x_malloc(BUFFER_BYTES);

        while (atomic_load(&copy->failure) == 0) {
                uint64_t at = atomic_fetch_add(&copy->next, CHUNK_BYTES);
                if (at >= copy->bytes)
                        break;
                if (!copy_chunk(copy, buffer, at, at + CHUNK_BYTES < copy->bytes ? at + CHUNK_BYTES : copy->bytes))
                        atomic_store(&copy->failure, errno == 0 ? EIO : errno);
        }
        return NULL;
}

/* The threads share descriptors: SEEK_DATA moves their positions, and nobody reads at those. */
int live_memory_copy(int from, int to, uint64_t bytes, struct cowherd_error *err)
{
        struct copy copy = {.from = from, .to = to, .bytes = bytes};
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        pthread_t threads[THREADS];
        size_t started = 0;

        while (started + 1 < THREADS && (long)started + 1 < processors &&
               pthread_create(&threads[started], NULL, copy_chunks, &copy) == 0)
                started++;
        (void)copy_chunks(&copy);
        for (size_t i = 0; i < started; i++)
                (void)pthread_join(threads[i], NULL);
        errno = atomic_load(&copy.failure);
        return errno == 0 ? 0 : fail_errno(err, "cannot copy the memory of a machine");
}

/* ---- What it costs ---- */

static uint64_t sum_of(const char *text, const char *key)
{
        const char *at = strstr(text, key);

        return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10) * 1024;
}

/* "Private_…" would count the base's pages too, as long as nobody else has mapped them. */
void live_memory_measure(pid_t pid, uint64_t *ret_private, uint64_t *ret_shared)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        char path[48];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        if (file_read(AT_FDCWD, path, ROLLUP_BYTES, &text, NULL, &ignored) < 0)
                return;
        uint64_t resident = sum_of(text, "Rss:");
        *ret_private = sum_of(text, "Anonymous:");
        *ret_shared = resident > *ret_private ? resident - *ret_private : 0;
}
