/* SPDX-License-Identifier: Apache-2.0 */
/* What the image room's tests share: a scratch folder for each test, and short words for files in it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is meant: base/error.h */

#include "base/error.h"
#include "base/mem.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
        char path[64]; /* of the folder */
        int fd;        /* the same, opened */
};

static inline int scratch_make(void **state)
{
        struct scratch *scratch = x_calloc(1, sizeof *scratch);

        (void)snprintf(scratch->path, sizeof scratch->path, "/tmp/cowherd-unit-XXXXXX");
        if (mkdtemp(scratch->path) == NULL)
                return -1;
        scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = scratch;
        return scratch->fd < 0 ? -1 : 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *found, int type, struct FTW *place)
{
        (void)found;
        (void)type;
        (void)place;
        return remove(path);
}

static inline int scratch_remove(void **state)
{
        struct scratch *scratch = *state;
        int removed = nftw(scratch->path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);

        (void)close(scratch->fd);
        free(scratch);
        return removed;
}

/* The absolute path of a name in the folder, to be freed. */
static inline char *scratch_path(const struct scratch *scratch, const char *name)
{
        return x_asprintf("%s/%s", scratch->path, name);
}

/* Makes a file, and the folders above it. */
static inline void scratch_write(const struct scratch *scratch, const char *name, const char *text)
{
        owned_str char *path = x_strdup(name);

        for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                (void)mkdirat(scratch->fd, path, 0755);
                *slash = '/';
        }
        int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        (void)close(fd);
}

/* A small file's text, to be freed; NULL where it is no readable regular file. */
static inline char *scratch_read(const struct scratch *scratch, const char *name)
{
        char text[4096];
        int fd = openat(scratch->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

        if (fd < 0)
                return NULL;
        ssize_t got = read(fd, text, sizeof text - 1);
        (void)close(fd);
        return got < 0 ? NULL : x_strndup(text, (size_t)got);
}

static inline bool scratch_has(const struct scratch *scratch, const char *name)
{
        struct stat found;

        return fstatat(scratch->fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

#define assert_text(scratch, name, text)                                                                               \
        do {                                                                                                           \
                owned_str char *read_ = scratch_read(scratch, name);                                                   \
                assert_non_null(read_);                                                                                \
                assert_string_equal(read_, text);                                                                      \
        } while (0)

#define assert_contains(text, part) assert_non_null(strstr(text, part))

#define scratch_test(name) cmocka_unit_test_setup_teardown(name, scratch_make, scratch_remove)
