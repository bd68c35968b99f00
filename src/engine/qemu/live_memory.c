/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between memory files. What a guest never touched is a hole, and pages of zeros are made holes too. The copy is
 * read and compared before it is written: a first pass, while the machine runs, does nearly all of it, and the second, while it
 * stands still, only reads. Through a buffer and not through mappings, for a fault costs more than copying a page twice.
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
        _Atomic uint64_t next, written;
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

/* Writes the runs of pages in which the buffers differ. */
static bool write_difference(struct copy *copy, const char *wanted, const char *there, size_t count, uint64_t at)
{
        for (size_t begin = 0; begin < count;) {
                size_t end = begin;
                while (end < count && memcmp(wanted + end, there + end, PAGE_BYTES) != 0)
                        end += PAGE_BYTES;
                if (end > begin && !write_all(copy->to, wanted + begin, end - begin, at + begin))
                        return false;
                atomic_fetch_add(&copy->written, end - begin);
                begin = end + PAGE_BYTES;
        }
        return true;
}

/* One piece that has data in `from`. */
static bool copy_extent(struct copy *copy, char *buffers, uint64_t at, uint64_t end)
{
        while (at < end) {
                size_t count = end - at < BUFFER_BYTES ? (size_t)(end - at) : BUFFER_BYTES;
                char *there = buffers + BUFFER_BYTES;
                if (!read_all(copy->from, buffers, count, at) || !read_all(copy->to, there, count, at) ||
                    !write_difference(copy, buffers, there, count, at))
                        return false;
                at += count;
        }
        return true;
}

static bool copy_chunk(struct copy *copy, char *buffers, uint64_t at, uint64_t end)
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
                if (!copy_extent(copy, buffers, begin, at))
                        return false;
        }
        return true;
}

static void *copy_chunks(void *context)
{
        struct copy *copy = context;
        owned_mem char *buffers = x_malloc((size_t)2 * BUFFER_BYTES);

        while (atomic_load(&copy->failure) == 0) {
                uint64_t at = atomic_fetch_add(&copy->next, CHUNK_BYTES);
                if (at >= copy->bytes)
                        break;
                if (!copy_chunk(copy, buffers, at, at + CHUNK_BYTES < copy->bytes ? at + CHUNK_BYTES : copy->bytes))
                        atomic_store(&copy->failure, errno == 0 ? EIO : errno);
        }
        return NULL;
}

/* Descriptors of our own for SEEK_DATA: threads that share one don't mind, for nobody reads at its position. */
int live_memory_copy(int from, int to, uint64_t bytes, uint64_t *ret_bytes, struct cowherd_error *err)
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
        if (errno != 0)
                return fail_errno(err, "cannot copy the memory of a machine");
        if (ret_bytes != NULL)
                *ret_bytes = atomic_load(&copy.written);
        return 0;
}

/* ---- What it costs ---- */

static uint64_t sum_of(const char *text, const char *key)
{
        const char *at = strstr(text, key);

        return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10) * 1024;
}

void live_memory_measure(pid_t pid, uint64_t *ret_private, uint64_t *ret_shared)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        char path[48];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        if (file_read(AT_FDCWD, path, ROLLUP_BYTES, &text, NULL, &ignored) < 0)
                return;
        *ret_private = sum_of(text, "Private_Clean:") + sum_of(text, "Private_Dirty:");
        *ret_shared = sum_of(text, "Shared_Clean:") + sum_of(text, "Shared_Dirty:");
}
