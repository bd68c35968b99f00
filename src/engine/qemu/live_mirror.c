/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a machine's memory, made in two passes. The first, while the machine runs, copies all that is not zero, and has the
 * kernel map both sides; the second, while it stands still, compares what is mapped and writes what differs: a third of the time that
 * reading both by system calls takes, and no page is allocated but for what is new. Only what has data is mapped and looked at:
 * reading a hole of a memory file would fill it.
 *
 * (The kernel can tell which pages were written since (soft-dirty, proc(5)), but not everywhere, and not of a page that was swapped out and in.)
 */
#include "engine/qemu/live.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define CHUNK_BYTES (4u << 20)
#define THREADS 4

void live_mirror_free(struct live_mirror *mirror)
{
        if (mirror->source != NULL)
                (void)munmap((void *)(uintptr_t)mirror->source, mirror->bytes);
        if (mirror->target != NULL)
                (void)munmap((void *)(uintptr_t)mirror->target, mirror->bytes);
        free(mirror->kept);
        *mirror = (struct live_mirror){0};
}

struct pass {
        struct live_mirror *mirror;
        bool again; /* the second */
        _Atomic uint64_t next;
        _Atomic int failure; /* an errno */
};

static bool is_zero(const char *page)
{
        return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

/* Whether a page has to be written. */
static bool differs(const struct live_mirror *mirror, uint64_t at)
{
        const char *page = mirror->source + at;

        return mirror->kept[at / PAGE_BYTES] != 0 ? memcmp(page, mirror->target + at, PAGE_BYTES) != 0 : !is_zero(page);
}

static bool write_run(struct live_mirror *mirror, uint64_t at, uint64_t end)
{
        memset(mirror->kept + at / PAGE_BYTES, 1, (end - at) / PAGE_BYTES);
        while (at < end) {
                ssize_t put = pwrite(mirror->to, mirror->source + at, end - at, (off_t)at);
                if (put < 0 && errno != EINTR)
                        return false;
                at += put > 0 ? (uint64_t)put : 0;
        }
        return true;
}

/* Has the kernel map what the second pass reads, where it can do so at once (5.14). */
static void map_kept(const struct live_mirror *mirror, uint64_t at, uint64_t end)
{
        while (at < end) {
                uint64_t stop = at;
                while (stop < end && mirror->kept[stop / PAGE_BYTES] != 0)
                        stop += PAGE_BYTES;
                if (stop > at)
                        (void)madvise((void *)(uintptr_t)(mirror->target + at), stop - at, MADV_POPULATE_READ);
                at = stop + PAGE_BYTES;
        }
}

static bool copy_extent(const struct pass *pass, uint64_t begin, uint64_t end)
{
        struct live_mirror *mirror = pass->mirror;

        if (!pass->again)
                (void)madvise((void *)(uintptr_t)(mirror->source + begin), end - begin, MADV_POPULATE_READ);
        for (uint64_t at = begin; at < end;) {
                uint64_t stop = at;
                while (stop < end && differs(mirror, stop))
                        stop += PAGE_BYTES;
                if (stop > at && !write_run(mirror, at, stop))
                        return false;
                at = stop + PAGE_BYTES;
        }
        if (!pass->again)
                map_kept(mirror, begin, end);
        return true;
}

/* What has data between two places; 1: nothing more. */
static int next_extent(int fd, uint64_t at, uint64_t end, uint64_t *ret_begin, uint64_t *ret_end)
{
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);

        if (data < 0)
                return errno == ENXIO ? 1 : -1;
        if ((uint64_t)data >= end)
                return 1;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0)
                return -1;
        *ret_begin = (uint64_t)data / PAGE_BYTES * PAGE_BYTES;
        *ret_end = (uint64_t)hole < end ? ((uint64_t)hole + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES : end;
        return 0;
}

static bool copy_chunk(const struct pass *pass, uint64_t at, uint64_t end)
{
        uint64_t begin = 0, stop = 0;

        for (; at < end; at = stop) {
                int found = next_extent(pass->mirror->from, at, end, &begin, &stop);
                if (found != 0)
                        return found > 0;
                if (!copy_extent(pass, begin, stop))
                        return false;
        }
        return true;
}

static void *run(void *context)
{
        struct pass *pass = context;
        uint64_t bytes = pass->mirror->bytes;

        while (atomic_load(&pass->failure) == 0) {
                uint64_t at = atomic_fetch_add(&pass->next, CHUNK_BYTES);
                if (at >= bytes)
                        break;
                if (!copy_chunk(pass, at, at + CHUNK_BYTES < bytes ? at + CHUNK_BYTES : bytes))
                        atomic_store(&pass->failure, errno == 0 ? EIO : errno);
        }
        return NULL;
}

static int run_pass(struct live_mirror *mirror, bool again, struct cowherd_error *err)
{
        struct pass pass = {.mirror = mirror, .again = again};
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        pthread_t threads[THREADS];
        size_t started = 0;

        while (started + 1 < THREADS && (long)started + 1 < processors && pthread_create(&threads[started], NULL, run, &pass) == 0)
                started++;
        (void)run(&pass);
        for (size_t i = 0; i < started; i++)
                (void)pthread_join(threads[i], NULL);
        errno = atomic_load(&pass.failure);
        return errno == 0 ? 0 : fail_errno(err, "cannot copy the memory of a machine");
}

static const char *map(int fd, uint64_t bytes)
{
        void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);

        return at == MAP_FAILED ? NULL : at;
}

int live_mirror_begin(struct live_mirror *mirror, int from, int to, uint64_t bytes, struct cowherd_error *err)
{
        *mirror = (struct live_mirror){.from = from, .to = to, .bytes = bytes, .source = map(from, bytes), .target = map(to, bytes)};
        if (mirror->source == NULL || mirror->target == NULL)
                return fail_errno(err, "cannot map the memory of a machine");
        mirror->kept = x_calloc(bytes / PAGE_BYTES + 1, 1);
        return run_pass(mirror, false, err);
}

int live_mirror_catch_up(struct live_mirror *mirror, struct cowherd_error *err)
{
        return run_pass(mirror, true, err);
}
