/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the folder stores share: a place in a temporary folder, a base and a clone of it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is meant: base/error.h */

#include "store/drivers.h"
#include "store/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct ground {
        char path[64];
        struct store_place place;
        struct store_object base, clone;
        char *fingerprint;
};

static inline int ground_make(void **state)
{
        struct ground *ground = x_calloc(1, sizeof *ground);

        (void)snprintf(ground->path, sizeof ground->path, "/var/tmp/cowherd-unit-XXXXXX");
        if (mkdtemp(ground->path) == NULL)
                return -1;
        ground->place = (struct store_place){.folder = ground->path, .source = "tank/cowherd-12345678"};
        ground->place.fd = open(ground->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ground->base = (struct store_object){.id = 7, .role = STORE_BASE, .kind = STORE_TREE, .name = "gold"};
        ground->clone = (struct store_object){.id = 9, .role = STORE_CLONE, .kind = STORE_TREE, .base = &ground->base};
        *state = ground;
        return ground->place.fd < 0 ? -1 : 0;
}

static inline int ground_remove(void **state)
{
        struct ground *ground = *state;
        struct cowherd_error err;
        int removed = file_remove_tree(AT_FDCWD, ground->path, &err);

        (void)close(ground->place.fd);
        free(ground->fingerprint);
        free(ground);
        return removed;
}

#define ground_test(name) cmocka_unit_test_setup_teardown(name, ground_make, ground_remove)

static inline void ground_write(const struct ground *ground, const char *name, const char *text)
{
        owned_fd int fd = openat(ground->place.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline bool ground_has(const struct ground *ground, const char *name)
{
        return faccessat(ground->place.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The objects are disks of one MiB. */
static inline void ground_be_disks(struct ground *ground, const char *format)
{
        ground->base.kind = ground->clone.kind = STORE_DISK;
        ground->base.format = ground->clone.format = format;
        ground->base.virtual_bytes = ground->clone.virtual_bytes = 1 << 20;
}

/* Makes and seals the base with a driver: a disk of a MiB that is mostly hole, or a tree with etc/hostname in it. */
static inline void ground_seal(struct ground *ground, const struct store_driver *driver)
{
        struct cowherd_error err;
        char path[STORE_PATH_BYTES];

        assert_int_equal(driver->prepare_base(&ground->place, &ground->base, &err), 0);
        if (ground->base.kind == STORE_DISK) {
                ground_write(ground, store_object_path(&ground->base, path), "boot");
                owned_fd int disk = openat(ground->place.fd, path, O_RDWR | O_CLOEXEC);
                assert_int_equal(ftruncate(disk, 1 << 20), 0);
        } else {
                assert_int_equal(mkdirat(ground->place.fd, "bases/7/tree/etc", 0755), 0);
                ground_write(ground, "bases/7/tree/etc/hostname", "gold\n");
                assert_int_equal(fchmodat(ground->place.fd, "bases/7/tree", 0751, 0), 0);
        }
        assert_int_equal(driver->seal_base(&ground->place, &ground->base, &ground->fingerprint, &err), 0);
        ground->base.fingerprint = ground->fingerprint;
}

/* Runs a callback that must fail with a code and a text that has `part` in it. */
#define assert_fails(call, expected_code, part)                                                                        \
        do {                                                                                                           \
                assert_int_equal(call, -1);                                                                            \
                assert_int_equal(err.code, expected_code);                                                             \
                if (strstr(err.text, part) == NULL)                                                                    \
                        print_message("%s\n", err.text);                                                               \
                assert_non_null(strstr(err.text, part));                                                               \
        } while (0)
