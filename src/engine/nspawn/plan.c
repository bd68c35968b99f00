/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start finds: an init to boot or something that can wait instead, and who may own the files. The tree itself
 * tells the owners: shown shifted already by its store, or of a filesystem that nspawn can shift (tried on it, with
 * nothing mounted), or neither; then root inside is root outside, which is said.
 */
#include "engine/nspawn/nspawn.h"

#include "sys/file.h"
#include "sys/mount_idmap.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether a tree has an executable regular file of this path, as its own root finds it. */
static bool has_program(int tree, const char *path)
{
        struct cowherd_error ignored;
        struct stat found;
        owned_fd int fd = -1;

        return file_open_in_root(tree, path, O_PATH, 0, &fd, &ignored) == 0 && fstat(fd, &found) == 0 &&
               S_ISREG(found.st_mode) && (found.st_mode & S_IXUSR) != 0;
}

/* What a tree's /sbin/init is in the end, links followed inside the tree. */
static const char *init_kind(int tree)
{
        struct cowherd_error ignored;
        char link[32], program[PATH_MAX];
        owned_fd int fd = -1;

        if (file_open_in_root(tree, "sbin/init", O_PATH, 0, &fd, &ignored) < 0)
                return "other";
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, program, sizeof program - 1);
        if (length < 0)
                return "other";
        program[length] = '\0';
        return str_ends(program, "/systemd") ? "systemd" : str_ends(program, "/busybox") ? "busybox" : "other";
}

/* Those that nspawn looks for with --boot, in its order. */
static const char *find_init(int tree)
{
        if (has_program(tree, "usr/lib/systemd/systemd") || has_program(tree, "lib/systemd/systemd"))
                return "systemd";
        return has_program(tree, "sbin/init") ? init_kind(tree) : NULL;
}

/* What can wait for ever without doing anything, in a tree without an init. False where it has nothing of the kind. */
static bool find_idle(int tree, struct nspawn_plan *plan)
{
        static const struct {
                const char *program;
                const char *words[4];
        } idles[] = {
                {"bin/sleep", {"/bin/sleep", "infinity", NULL, NULL}},
                {"usr/bin/sleep", {"/usr/bin/sleep", "infinity", NULL, NULL}},
                {"bin/busybox", {"/bin/busybox", "sleep", "infinity", NULL}},
                {"usr/bin/busybox", {"/usr/bin/busybox", "sleep", "infinity", NULL}},
                {"bin/sh", {"/bin/sh", "-c", "read -r line", NULL}}, /* of a console that nobody types on */
                {"usr/bin/sh", {"/usr/bin/sh", "-c", "read -r line", NULL}},
        };

        for (size_t i = 0; i < array_length(idles); i++) {
                if (!has_program(tree, idles[i].program))
                        continue;
                for (size_t word = 0; word < array_length(plan->idle); word++)
                        plan->idle[word] = idles[i].words[word];
                return true;
        }
        return false;
}

static bool can_shift(int folder, uint32_t shift)
{
        struct cowherd_error ignored;
        owned_fd int shifted = -1;

        return mount_shifted(folder, shift, &shifted, &ignored) == 0;
}

static void find_owners(const struct engine_instance *instance, int tree, struct nspawn_plan *plan)
{
        struct stat found;

        plan->owners = NSPAWN_OWNERS_HOST;
        plan->shift = nspawn_id_shift(instance);
        if (fstat(tree, &found) < 0)
                return;
        if (found.st_uid == plan->shift)
                plan->owners = NSPAWN_OWNERS_SHIFTED;
        else if (can_shift(tree, plan->shift))
                plan->owners = NSPAWN_OWNERS_MAPPED;
}

static int look_at_mounts(const struct engine_instance *instance, const struct nspawn_plan *plan, bool *ret_mapped,
                          struct cowherd_error *err)
{
        for (size_t i = 0; i < instance->machine->mount_count; i++) {
                const struct engine_mount *mount = &instance->machine->mounts[i];
                owned_fd int fd = open(mount->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                if (fd < 0)
                        return fail_errno(err, "cannot open '%s', which is to be mounted in '%s'", mount->host,
                                          instance->name);
                ret_mapped[i] = plan->owners != NSPAWN_OWNERS_HOST && can_shift(fd, plan->shift);
        }
        return 0;
}

int nspawn_make_plan(const struct engine_instance *instance, struct nspawn_plan *ret, bool *ret_mounts_mapped,
                     struct cowherd_error *err)
{
        struct nspawn_plan plan = {.mounts_mapped = ret_mounts_mapped};
        owned_fd int tree = -1;

        if (instance->root == NULL)
                return fail(err, COWHERD_INTERNAL, "the tree of '%s' was not activated", instance->name);
        if (file_open_folder(AT_FDCWD, instance->root, &tree, err) < 0)
                return -1;
        plan.init = find_init(tree);
        if (plan.init == NULL && !find_idle(tree, &plan)) {
                (void)fail(err, COWHERD_DATA,
                           "the tree of '%s' has nothing to run: neither an init nor 'sleep', 'busybox' or 'sh'",
                           instance->name);
                return fail_hint(err, "install one in its base: for systemd, the packages systemd-sysv and dbus");
        }
        find_owners(instance, tree, &plan);
        if (look_at_mounts(instance, &plan, ret_mounts_mapped, err) < 0)
                return -1;
        *ret = plan;
        return 0;
}

void nspawn_note(const struct nspawn_plan *plan, char *buffer, size_t bytes)
{
        const char *owners = plan->owners == NSPAWN_OWNERS_HOST
                                     ? "it runs without a user namespace, as its store's filesystem can't show owners "
                                       "shifted: its root is this host's root"
                                     : "";

        buffer[0] = '\0';
        if (plan->init == NULL)
                (void)snprintf(buffer, bytes, "its tree has no init, so '%s' runs in it%s%s", plan->idle[0],
                               owners[0] == '\0' ? "" : "; ", owners);
        else
                (void)snprintf(buffer, bytes, "%s", owners);
}
