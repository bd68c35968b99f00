/* SPDX-License-Identifier: Apache-2.0 */
/* What every store promises when something is wrong: a changed base, leftovers, somebody inside, a full disk. */
#include "subject.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is(const struct subject *subject, const char *name)
{
        return str_equal(subject->driver->name, name);
}

static void spoil_disk(const char *path)
{
        struct cowherd_error err;

        owned_fd int fd = open(path, O_RDWR | O_CLOEXEC);
        owned_fd int reading = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && faccessat(AT_FDCWD, path, F_OK, 0) == 0)
                printf("# '%s' can be opened for writing: there is no immutable flag here\n", path);
        if (file_set_immutable(reading, false, &err) < 0)
                bail("%s", err.text);
        owned_fd int writing = open(path, O_RDWR | O_CLOEXEC);
        if (writing < 0 || pwrite(writing, "spoilt", 6, 2 << 20) != 6)
                bail("cannot change '%s': %s", path, strerror(errno));
}

/* Changes a base behind the store's back, by whatever it takes. */
static void spoil(struct subject *subject, const struct store_object *base)
{
        char relative[STORE_PATH_BYTES];
        owned_str char *path = x_asprintf("%s/%s", subject->place.folder, store_object_path(base, relative));
        owned_str char *file = x_asprintf("%s/etc/spoilt", path);

        if (is(subject, "zfs")) {
                owned_str char *snapshot = x_asprintf("%s/bases/%llu%s", subject->place.source,
                                                      (unsigned long long)base->id, base->fingerprint);
                (void)run_tool(false, "zfs", "destroy", snapshot, NULL);
        } else if (subject->kind == STORE_DISK) {
                spoil_disk(path);
        } else {
                if (is(subject, "btrfs"))
                        (void)run_tool(false, "btrfs", "property", "set", "-ts", path, "ro", "false", NULL);
                (void)run_tool(false, "touch", file, NULL);
                if (is(subject, "btrfs")) {
                        (void)run_tool(false, "btrfs", "filesystem", "sync", path, NULL);
                        (void)run_tool(false, "btrfs", "property", "set", "-ts", path, "ro", "true", NULL);
                }
        }
}

static const char *case_changed_base(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        struct store_object late = object_of(subject, STORE_CLONE, &base);
        struct cowherd_error err = {0};

        destroy_object(subject, &clone);
        if (subject->driver->check_base(&subject->place, &base, &err) < 0) {
                printf("# %s\n", err.text);
                return "cloning changed the base's fingerprint";
        }
        spoil(subject, &base);
        int refused = subject->driver->check_base(&subject->place, &base, &err);
        if (refused == 0)
                refused = subject->driver->clone(&subject->place, &late, &err);
        if (refused == 0)
                return "a changed base is cloned";
        printf("# %s\n", err.text);
        if (err.code != COWHERD_DATA)
                return "a changed base is refused with another code than 65";
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

static const char *case_vanished_base(struct subject *subject)
{
        struct store_object base = make_base(subject), late = object_of(subject, STORE_CLONE, &base);
        struct cowherd_error err = {0};

        destroy_object(subject, &base);
        int refused = subject->driver->check_base(&subject->place, &base, &err);
        if (refused == 0)
                refused = subject->driver->clone(&subject->place, &late, &err);
        if (refused == 0 || err.code != COWHERD_DATA)
                return "a base that is gone is not refused with 65";
        free_base(&base);
        return NULL;
}

static const char *case_same_id(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        struct cowherd_error err = {0};

        change_object(subject, &clone);
        uint64_t before = hash_object(subject, &clone);
        if (subject->driver->clone(&subject->place, &clone, &err) == 0 || err.code != COWHERD_EXISTS) {
                printf("# %s\n", err.text);
                return "a second clone of one id is not refused with 73";
        }
        if (hash_object(subject, &clone) != before)
                return "a refused clone harmed the one that was there";
        destroy_object(subject, &clone);
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

/* The steps of a clone that was killed on its way, as far as folders go. */
static void leave_half(struct subject *subject, const struct store_object *object, unsigned steps)
{
        static const char *const parts[] = {"", "upper", "work/work", "farm/etc", "tree/etc", "tree/usr"};
        char folder[STORE_PATH_BYTES];
        owned_str char *at = x_asprintf("%s/%s", subject->place.folder, store_object_folder(object, folder));

        for (unsigned i = 0; i < steps && i < array_length(parts); i++) {
                owned_str char *part = x_asprintf("%s/%s", at, parts[i]);
                (void)run_tool(false, "mkdir", "-p", part, NULL);
        }
        if (steps > 1 && subject->kind == STORE_DISK) {
                owned_str char *disk = x_asprintf("%s/disk.%s", at, object->format);
                (void)run_tool(false, "truncate", "-s", "1M", disk, NULL);
        }
}

static const char *case_half_made(struct subject *subject)
{
        owned_str char *before = list_place(subject);

        for (unsigned steps = 1; steps <= 6; steps++) {
                struct store_object clone = object_of(subject, STORE_CLONE, NULL),
                                    base = object_of(subject, STORE_BASE, NULL);
                struct cowherd_error err;
                leave_half(subject, &clone, steps);
                leave_half(subject, &base, steps);
                if (steps == 3 && subject->driver->prepare_base(&subject->place, &base, &err) == 0 &&
                    !is(subject, "zfs"))
                        return "a base was made where one was lying";
                destroy_object(subject, &clone);
                destroy_object(subject, &base);
        }
        struct store_object unsealed = object_of(subject, STORE_BASE, NULL);
        struct cowherd_error err;
        if (subject->driver->prepare_base(&subject->place, &unsealed, &err) < 0)
                bail("%s: prepare_base: %s", subject->label, err.text);
        destroy_object(subject, &unsealed);
        owned_str char *after = list_place(subject);
        if (strcmp(before, after) != 0) {
                printf("# before:\n%s# after:\n%s", before, after);
                return "destroying what was half-made left something behind";
        }
        return NULL;
}

static const char *case_busy(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        uint64_t golden = hash_object(subject, &clone);
        owned_str char *path = open_object(subject, &clone);
        struct cowherd_error err = {0};

        int inside = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int refused = subject->driver->destroy(&subject->place, &clone, &err);
        if (refused == 0 || err.code != COWHERD_BUSY) {
                printf("# %s\n", err.text);
                return "a clone in use is not refused with 75";
        }
        (void)close(inside);
        if (hash_object(subject, &clone) != golden)
                return "a refused removal harmed the clone";
        free(open_object(subject, &clone));
        destroy_object(subject, &clone); /* mounted, but nobody in it */
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

/* A base with clones: some stores can't part with it before they are gone, and say 75; others can. No clone is harmed.
 */
static const char *case_base_in_use(struct subject *subject)
{
        struct store_object base = make_base(subject), clone = make_clone(subject, &base);
        struct cowherd_error err = {0};
        uint64_t golden = hash_object(subject, &clone);

        if (is(subject, "qcow2") || is(subject, "overlay")) {
                destroy_object(
                        subject,
                        &clone); /* theirs are read through the base: the catalogue keeps it while it is needed */
        } else {
                if (subject->driver->destroy(&subject->place, &base, &err) < 0 && err.code != COWHERD_BUSY)
                        return "removing a base in use failed with another code than 75";
                if (hash_object(subject, &clone) != golden)
                        return "removing a base harmed its clone";
                destroy_object(subject, &clone);
        }
        destroy_object(subject, &base);
        free_base(&base);
        return NULL;
}

const struct contract_case contract_faults[] = {
        {"a changed base is refused", case_changed_base, ANY_KIND},
        {"a base that is gone is refused", case_vanished_base, ANY_KIND},
        {"an id is never used twice", case_same_id, ANY_KIND},
        {"what was half-made is removed", case_half_made, ANY_KIND},
        {"what is in use is not removed", case_busy, ANY_KIND, .mounting = true},
        {"a base that is removed takes no clone with it", case_base_in_use, ANY_KIND},
};
const size_t contract_fault_count = array_length(contract_faults);
