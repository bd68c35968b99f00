/* SPDX-License-Identifier: Apache-2.0 */
/* What this room's tests share: the scratch folder, and checks that something worked or failed as it should. */
#pragma once

#include "../image/scratch.h"

#include <errno.h>
#include <sys/resource.h>

/* cmocka's is made with its macro fail(), which gave way to our function of that name. */
#undef fail_msg
#define fail_msg(message, ...)                                                                                         \
        do {                                                                                                           \
                print_error("ERROR: " message "\n", ##__VA_ARGS__);                                                    \
                _fail(__FILE__, __LINE__);                                                                             \
        } while (0)

/* That a call failed, with this code and these words. */
#define assert_failed(result, err, expected_code, words)                                                               \
        do {                                                                                                           \
                assert_int_equal(result, -1);                                                                          \
                if ((err)->code != (int)(expected_code) || strstr((err)->text, words) == NULL)                         \
                        fail_msg("code %d: %s", (err)->code, (err)->text);                                             \
        } while (0)

/* That a call did what it should; its error is told where it did not. */
#define assert_done(result, err)                                                                                       \
        do {                                                                                                           \
                if ((result) != 0)                                                                                     \
                        fail_msg("failed: %s", (err)->text);                                                           \
        } while (0)

/* What fstatat(2) says of a name in the scratch folder, its symlink not followed. */
static inline struct stat scratch_stat(const struct scratch *scratch, const char *name)
{
        struct stat found;

        if (fstatat(scratch->fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
                fail_msg("no '%s'", name);
        return found;
}

/* A folder in the scratch folder, opened. */
static inline int scratch_folder(const struct scratch *scratch, const char *name)
{
        (void)mkdirat(scratch->fd, name, 0755);
        int fd = openat(scratch->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

/* From here on no more than `count` descriptors may be open. */
static inline void limit_descriptors(rlim_t count)
{
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = count;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* How many descriptors are open: a walk must give back what it took. */
static inline unsigned open_descriptors(void)
{
        unsigned count = 0;

        for (int fd = 0; fd < 1024; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

/* Makes folders called `name` in one another, `depth` deep, with a file "end" in the last. */
static inline void make_deep(int at, const char *name, unsigned depth)
{
        int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (unsigned i = 0; i < depth; i++) {
                assert_int_equal(mkdirat(fd, name, 0755), 0);
                int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(next >= 0);
                (void)close(fd);
                fd = next;
        }
        int end = openat(fd, "end", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(end >= 0);
        (void)close(end);
        (void)close(fd);
}
