/* SPDX-License-Identifier: Apache-2.0 */
/* The places that stores make for themselves: made once however often, found again after an unmount, gone in the end.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void free_made(struct store_made *made)
{
        free(made->folder);
        free(made->source);
}

static struct store_made set_up(struct subject *subject, const struct store_setup *setup)
{
        struct store_made made = {0};
        struct cowherd_error err;

        if (subject->driver->setup(setup, &made, &err) < 0)
                bail("%s: setup: %s", subject->label, err.text);
        return made;
}

/* The subject, at home in the place that was made. */
static struct subject inside(const struct subject *subject, const struct store_made *made, int root, char *folder,
                             size_t bytes)
{
        struct subject in = *subject;

        (void)snprintf(folder, bytes, "%s/%s", subject->place.folder, made->folder);
        in.place.folder = folder;
        in.place.source = str_equal(subject->driver->name, "zfs") ? made->source : NULL;
        in.place.fd = openat(root, made->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (in.place.fd < 0)
                bail("%s: cannot open '%s': %s", subject->label, folder, strerror(errno));
        return in;
}

static const char *reattach(struct subject *subject, const struct store_setup *setup, const struct store_made *made)
{
        owned_str char *folder = x_asprintf("%s/%s", setup->root, made->folder),
                       *probe = x_asprintf("%s/bases", folder);
        struct cowherd_error err;

        if (subject->driver->attach == NULL)
                return NULL;
        (void)run_tool(false, "umount", folder, NULL);
        if (access(probe, F_OK) == 0)
                return "the pool is still there after an unmount";
        for (int i = 0; i < 2; i++)
                if (subject->driver->attach(setup, made, &err) < 0)
                        bail("%s: attach: %s", subject->label, err.text);
        return access(probe, F_OK) == 0 ? NULL : "the pool was not attached again";
}

static const char *use_pool(struct subject *subject, const struct store_setup *setup, const struct store_made *made)
{
        char folder[512];
        struct cowherd_error err = {0};
        struct subject in = inside(subject, made, subject->place.fd, folder, sizeof folder);
        struct store_object base = make_base(&in), clone = make_clone(&in, &base);
        uint64_t golden = hash_object(&in, &clone);

        (void)close(in.place.fd);
        if (subject->driver->teardown(setup, made, &err) == 0 || err.code != COWHERD_BUSY) {
                printf("# %s\n", err.text);
                return "a pool that holds something is not kept with 75";
        }
        const char *wrong = reattach(subject, setup, made);
        if (wrong != NULL)
                return wrong;
        in = inside(subject, made, subject->place.fd, folder, sizeof folder);
        if (hash_object(&in, &clone) != golden || hash_object(&in, &base) != golden)
                return "after attaching, what was in the pool differs";
        if (subject->driver->check_base(&in.place, &base, &err) < 0) {
                printf("# %s\n", err.text);
                return "after attaching, a base is told to be changed";
        }
        destroy_object(&in, &clone);
        destroy_object(&in, &base);
        free_base(&base);
        (void)close(in.place.fd);
        return NULL;
}

static bool is_empty(const char *folder)
{
        return run_tool(true, "rmdir", folder, NULL) && run_tool(false, "mkdir", folder, NULL);
}

const char *pool_life(struct subject *subject)
{
        const struct store_setup setup = {
                .root = subject->place.folder,
                .herd_uuid = "12345678-0000-4000-8000-000000000000",
                .pool = subject->place.source,
                .size_bytes = 300ull << 20,
        };
        struct store_made made = set_up(subject, &setup), again = set_up(subject, &setup);
        struct cowherd_error err;

        if (!made.ours || !str_equal(made.folder, again.folder) || !str_equal(made.source, again.source))
                return "setting up again does not find what is there";
        const char *wrong = use_pool(subject, &setup, &made);
        if (wrong != NULL)
                return wrong;
        for (int i = 0; i < 2; i++)
                if (subject->driver->teardown(&setup, &made, &err) < 0)
                        bail("%s: teardown: %s", subject->label, err.text);
        free_made(&made);
        free_made(&again);
        return is_empty(subject->place.folder) ? NULL : "after teardown something is left";
}
