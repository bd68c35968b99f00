/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving what a base comes from. A name is first a file (in the current folder, then in the script's), then what
 * sources.conf says, then what the engine itself knows (LXD's remotes). Which one it was is told in the answer.
 */
#include "herd/fill.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void origin_free(struct origin *origin)
{
        free(origin->asked);
        free(origin->path);
        free(origin->rootfs);
        free(origin->remote);
        close_at(&origin->fd);
        free(origin->distro);
        free(origin->release);
        free(origin->mirror);
        free(origin->variant);
        free(origin->packages);
        free(origin->mapped_by);
        *origin = (struct origin){.fd = -1};
}

/* The real path of a file in a folder (NULL: the current one), or NULL where there is none. */
static char *find_in(const char *folder, const char *path)
{
        owned_str char *joined = folder == NULL || path[0] == '/' ? x_strdup(path) : x_asprintf("%s/%s", folder, path);

        return realpath(joined, NULL);
}

/* A path of the caller's: the current folder first, then the script's. NULL where it is in neither. */
static char *find_path(const struct call *call, const char *path)
{
        char *found = find_in(NULL, path);

        if (found == NULL && errno == ENOENT && call->herd->script_folder != NULL)
                found = find_in(call->herd->script_folder, path);
        return found;
}

static int not_found(const struct call *call, const char *what, const char *path, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_NOT_FOUND, "%s '%s' not found", what, path);
        if (path[0] == '/')
                return -1;
        owned_str char *here = getcwd(NULL, 0);
        return fail_hint(err, "looked in '%s'%s%s%s, and in sources.conf", here == NULL ? "." : here, call->herd->script_folder ? " and '" : "",
                         call->herd->script_folder ? call->herd->script_folder : "", call->herd->script_folder ? "'" : "");
}

static int expect_folder(const struct call *call, const char *path, struct cowherd_error *err)
{
        struct stat facts;
        size_t length = strlen(path);

        if (stat(path, &facts) < 0)
                return fail_errno(err, "cannot look at '%s'", path);
        if (!S_ISDIR(facts.st_mode))
                return fail(err, COWHERD_DATA, "rootfs '%s' is not a folder", path);
        if (str_starts(call->herd->root, path) && (length == 1 || call->herd->root[length] == '/' || call->herd->root[length] == '\0')) {
                (void)fail(err, COWHERD_DATA, "rootfs '%s' holds the herd's own root folder '%s'", path, call->herd->root);
                return fail_hint(err, "bind-mount what you mean somewhere else, or move the herd with --root");
        }
        return 0;
}

/* A disk is opened here and inspected through that descriptor, and copied from it later: it can't be swapped in between. */
static int resolve_disk(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        struct stat facts;

        origin->kind = ORIGIN_DISK;
        origin->fd = open(origin->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (origin->fd < 0 || fstat(origin->fd, &facts) < 0)
                return fail_errno(err, "cannot open image '%s'", origin->path);
        if (!S_ISREG(facts.st_mode))
                return fail(err, COWHERD_DATA, "image '%s' is not a regular file", origin->path);
        return disk_inspect(origin->fd, origin->path, request_text(call->request, KEY_FORMAT), &origin->disk, err);
}

/* A file for nspawn: a folder or a tarball, but no disk. */
static int resolve_tree_file(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        struct stat facts;

        if (stat(origin->path, &facts) < 0)
                return fail_errno(err, "cannot look at '%s'", origin->path);
        if (S_ISDIR(facts.st_mode)) {
                origin->kind = ORIGIN_FOLDER;
                return expect_folder(call, origin->path, err);
        }
        if (str_ends(origin->path, ".qcow2") || str_ends(origin->path, ".img") || str_ends(origin->path, ".raw") ||
            str_ends(origin->path, ".vmdk") || str_ends(origin->path, ".vdi") || str_ends(origin->path, ".vhdx")) {
                (void)fail(err, COWHERD_UNAVAILABLE, "'%s' is a disk image: %s clones trees", origin->path, cowherd_target_name(call->request->target));
                return fail_hint(err, "give rootfs=, tarball= or distro=, or register the disk with qemu");
        }
        origin->kind = ORIGIN_TARBALL;
        return 0;
}

/* What sources.conf says a name is. Takes its texts. */
static int take_source(const struct call *call, struct source *source, struct origin *origin, struct cowherd_error *err)
{
        enum cowherd_target target = call->request->target;

        origin->mapped_by = x_strdup(source->file);
        if (target == COWHERD_LXD && source->metadata != NULL) {
                origin->kind = ORIGIN_FILES;
                origin->path = take(source->metadata);
                origin->rootfs = take(source->rootfs);
                return 0;
        }
        if (target == COWHERD_LXD && source->image != NULL && access(source->image, F_OK) < 0) {
                origin->kind = ORIGIN_REMOTE;
                origin->remote = take(source->image);
                return 0;
        }
        if (target == COWHERD_QEMU && source->image != NULL) {
                origin->path = take(source->image);
                return resolve_disk(call, origin, err);
        }
        if (target != COWHERD_QEMU && (source->rootfs != NULL || source->tarball != NULL)) {
                origin->path = source->rootfs != NULL ? take(source->rootfs) : take(source->tarball);
                return resolve_tree_file(call, origin, err);
        }
        (void)fail(err, COWHERD_CONFIG, "%s says what '%s' is, but nothing that %s can use", source->file, origin->asked, cowherd_target_name(target));
        return fail_hint(err, target == COWHERD_QEMU ? "give image = FILE there" : "give rootfs = or tarball = there (for lxd also metadata =)");
}

static int resolve_image(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        struct source source owned_by(source_free) = {0};
        enum cowherd_target target = call->request->target;

        origin->path = find_path(call, origin->asked);
        if (origin->path != NULL && target == COWHERD_QEMU)
                return resolve_disk(call, origin, err);
        if (origin->path != NULL && target == COWHERD_NSPAWN)
                return resolve_tree_file(call, origin, err);
        struct stat facts;
        if (origin->path != NULL && stat(origin->path, &facts) == 0 && S_ISREG(facts.st_mode)) {
                origin->kind = ORIGIN_FILES;
                return 0;
        }
        x_replace(&origin->path, NULL);
        int got = source_of_image(call->herd->root, origin->asked, &source, err);
        if (got <= 0)
                return got < 0 ? -1 : take_source(call, &source, origin, err);
        if (target != COWHERD_LXD)
                return not_found(call, "image", origin->asked, err);
        origin->kind = ORIGIN_REMOTE;
        origin->remote = x_strdup(origin->asked);
        return 0;
}

static int resolve_rootfs(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        origin->kind = ORIGIN_FOLDER;
        origin->path = find_path(call, origin->asked);
        if (origin->path == NULL)
                return not_found(call, "rootfs", origin->asked, err);
        return expect_folder(call, origin->path, err);
}

static int resolve_tarball(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        struct stat facts;

        origin->kind = ORIGIN_TARBALL;
        origin->path = find_path(call, origin->asked);
        if (origin->path == NULL)
                return not_found(call, "tarball", origin->asked, err);
        if (stat(origin->path, &facts) < 0)
                return fail_errno(err, "cannot look at '%s'", origin->path);
        if (!S_ISREG(facts.st_mode))
                return fail(err, COWHERD_DATA, "tarball '%s' is not a regular file", origin->path);
        return 0;
}

static int resolve_distro(const struct call *call, struct origin *origin, struct cowherd_error *err)
{
        const struct request *request = call->request;
        struct source source owned_by(source_free) = {0};
        int got = source_of_distro(call->herd->root, origin->asked, request_text(request, KEY_RELEASE), &source, err);

        if (got < 0)
                return -1;
        if (got == 0 && source.mirror == NULL)
                return take_source(call, &source, origin, err);
        origin->kind = ORIGIN_PACKAGES;
        origin->mapped_by = x_strdup(source.file);
        origin->distro = x_strdup(source.distro != NULL ? source.distro : origin->asked);
        origin->release = x_strdup(source.release != NULL ? source.release : request_text(request, KEY_RELEASE));
        origin->mirror = x_strdup(source.mirror != NULL ? source.mirror : request_text(request, KEY_MIRROR));
        origin->variant = x_strdup(request_text(request, KEY_VARIANT));
        origin->packages = x_strdup(request_text(request, KEY_PACKAGES));
        if (str_equal_case(origin->distro, "debian") || str_equal_case(origin->distro, "ubuntu"))
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "distro '%s' can't be made here: mmdebstrap makes debian and ubuntu", origin->distro);
        return fail_hint(err, "give rootfs= or tarball=, or name a local source in sources.conf");
}

/* A virtual machine wants a disk; what makes trees can't be its source. */
static int expect_tree_engine(const struct call *call, const char *key, struct cowherd_error *err)
{
        if (call->request->target != COWHERD_QEMU)
                return 0;
        (void)fail(err, COWHERD_UNAVAILABLE, "%s= makes a tree, and qemu boots a disk", key);
        return fail_hint(err, "give image=FILE with a disk image (qcow2, raw, vmdk, vdi or vhdx)");
}

int origin_resolve(const struct call *call, struct origin *ret, struct cowherd_error *err)
{
        static const struct {
                enum key key;
                const char *name;
                int (*resolve)(const struct call *, struct origin *, struct cowherd_error *);
        } ways[] = {
                {KEY_IMAGE, "image", resolve_image},
                {KEY_ROOTFS, "rootfs", resolve_rootfs},
                {KEY_TARBALL, "tarball", resolve_tarball},
                {KEY_DISTRO, "distro", resolve_distro},
        };

        for (size_t i = 0; i < array_length(ways); i++) {
                if (!request_has(call->request, ways[i].key))
                        continue;
                if (ways[i].key != KEY_IMAGE && expect_tree_engine(call, ways[i].name, err) < 0)
                        return -1;
                x_replace(&ret->asked, request_text(call->request, ways[i].key));
                return ways[i].resolve(call, ret, err);
        }
        (void)fail(err, COWHERD_UNAVAILABLE, "from= is not available in this version");
        return fail_hint(err, "give image=, rootfs=, tarball= or distro=");
}
