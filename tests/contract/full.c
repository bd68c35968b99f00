/* SPDX-License-Identifier: Apache-2.0 */
/* A full disk: with data first, then with files so small that they take the room of metadata. */
#include "full.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Until nothing goes in any more, in ever smaller pieces. */
static void fill_with_data(int folder)
{
        static char block[1 << 20];

        owned_fd int fd = openat(folder, "filling", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                bail("cannot fill a disk: %s", strerror(errno));
        memset(block, 0xa5, sizeof block);
        for (size_t piece = sizeof block; piece >= 512; piece /= 2)
                while (write(fd, block, piece) > 0)
                        ;
        (void)fsync(fd);
}

static void fill_with_files(int folder)
{
        static const char text[1500] = "filling";
        char name[32];

        if (mkdirat(folder, "files", 0700) < 0)
                return;
        for (unsigned i = 0, refused = 0; i < 200000 && refused < 3; i++) {
                (void)snprintf(name, sizeof name, "files/%u", i);
                owned_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0 || write(fd, text, sizeof text) < 0) {
                        refused++;
                        (void)syncfs(folder);
                }
        }
}

static const char *clone_on_full(struct subject *subject, const struct store_object *base, uint64_t golden)
{
        struct store_object clone = object_of(subject, STORE_CLONE, base);
        owned_str char *before = list_place(subject);
        struct cowherd_error err = {0};

        if (subject->driver->clone(&subject->place, &clone, &err) == 0) {
                printf("# %s: there was room for a clone yet\n", subject->label);
                if (hash_object(subject, &clone) != golden)
                        return "a clone that was told to be whole is not";
                destroy_object(subject, &clone);
                return NULL;
        }
        printf("# %s\n", err.text);
        if (err.code != COWHERD_IO)
                return "a full disk is told with another code than 74";
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "a clone that failed left something behind";
        }
        return NULL;
}

/* A snapshot of a clone, or a base made of it: whole, or not there and the clone as it was. */
static const char *snapshot_on_full(struct subject *subject, const struct store_object *clone, enum store_role role, uint64_t golden)
{
        struct store_object made = object_of(subject, role, clone->base);
        owned_str char *before = list_place(subject);
        struct cowherd_error err = {0};

        made.of = clone;
        made.format = clone->format;
        if (subject->driver->snapshot(&subject->place, clone, &made, &err) == 0) {
                printf("# %s: there was room for a snapshot yet\n", subject->label);
                uint64_t hash = hash_object(subject, clone);
                destroy_object(subject, &made);
                return hash == golden ? NULL : "a snapshot on a full disk changed the clone";
        }
        printf("# %s\n", err.text);
        if (err.code != COWHERD_IO)
                return "a full disk is told with another code than 74";
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "a snapshot that failed left something behind";
        }
        return hash_object(subject, clone) == golden ? NULL : "a snapshot that failed changed the clone";
}

static const char *all_on_full(struct subject *subject, const struct store_object *base, const struct store_object *clone,
                               uint64_t golden)
{
        const char *wrong = clone_on_full(subject, base, golden);

        if (wrong == NULL)
                wrong = snapshot_on_full(subject, clone, STORE_SNAPSHOT, golden);
        return wrong;
}

const char *full_disk(struct subject *subject)
{
        struct store_object base = make_base(subject);
        uint64_t golden = hash_object(subject, &base);
        struct store_object clone = make_clone(subject, &base); /* so that clones/ is there */
        struct cowherd_error err;

        /* snapshots/ likewise: an empty folder is no leftover, but would look like one. */
        if (file_make_folders(subject->place.fd, "snapshots", 0711, &err) < 0)
                bail("%s", err.text);
        fill_with_data(subject->place.fd);
        const char *wrong = all_on_full(subject, &base, &clone, golden);
        if (wrong == NULL) {
                fill_with_files(subject->place.fd);
                fill_with_data(subject->place.fd);
                wrong = all_on_full(subject, &base, &clone, golden);
        }
        destroy_object(subject, &clone);
        if (wrong == NULL && hash_object(subject, &base) != golden)
                wrong = "a full disk changed the base";
        destroy_object(subject, &base); /* removing must work on a full disk too */
        free_base(&base);
        return wrong;
}
