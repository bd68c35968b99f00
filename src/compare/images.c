/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is cloned: what was asked for; else what this herd's user clones most; else something small that is made here. Whatever it is, a base of
 * the comparison's own is registered from it, so that nothing of the user's is touched but by reading.
 */
#include "compare/images.h"

#include "sys/file.h"
#include "sys/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES "256M"

static void image_free(struct image *image)
{
        free(image->path);
        free(image->note);
        free(image->cannot_boot);
        *image = (struct image){0};
}

void images_free(struct images *images)
{
        image_free(&images->disk);
        image_free(&images->tree);
}

const struct image *image_of(const struct images *images, enum cowherd_target target)
{
        return target == COWHERD_QEMU ? &images->disk : &images->tree;
}

static bool is_tarball(const char *path)
{
        static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2"};

        for (size_t i = 0; i < array_length(endings); i++)
                if (str_ends(path, endings[i]))
                        return true;
        return false;
}

static int measure(struct image *image, struct cowherd_error *err)
{
        struct file_usage usage = {0};

        if (file_measure(AT_FDCWD, image->path, &usage, err) < 0)
                return -1;
        image->bytes = usage.allocated_bytes;
        return 0;
}

/* A file or folder, by what it is. */
static int take_path(struct images *images, const char *path, const char *note, struct cowherd_error *err)
{
        struct stat facts;

        if (stat(path, &facts) < 0)
                return fail_errno(err, "cannot look at image '%s'", path);
        bool folder = S_ISDIR(facts.st_mode), tarball = !folder && is_tarball(path);
        struct image *image = folder || tarball ? &images->tree : &images->disk;
        if (image->path != NULL)
                return fail(err, COWHERD_USAGE, "images '%s' and '%s' are both %s: expected at most one disk and one tree", image->path, path,
                            image == &images->disk ? "disks" : "trees");
        *image = (struct image){.path = realpath(path, NULL), .word = folder ? "rootfs" : tarball ? "tarball" : "image",
                                .format = folder ? "tree" : tarball ? "tarball" : "disk", .note = x_strdup(note)};
        if (image->path == NULL)
                return fail_errno(err, "cannot find image '%s'", path);
        return measure(image, err);
}

/* ---- the herd's own bases ---- */

/* A base by its name, from the caller's herd. 1: what it is made of is no file or folder that could be read. */
static int take_base(struct cowherd_herd *herd, enum cowherd_target target, const char *name, struct images *images, struct cowherd_error *err)
{
        owned_answer struct cowherd_answer *info = NULL;
        owned_str char *key = x_asprintf("name=%s", name), *note = x_asprintf("base '%s' of this herd", name);

        if (say(herd, target, NULL, &info, err, "info", key, NULL) < 0)
                return -1;
        const char *role = cowherd_answer_get(info, "role"), *path = cowherd_answer_get(info, "path"), *base = cowherd_answer_get(info, "base");
        if (!str_equal(role, "base"))
                return fail(err, COWHERD_NOT_FOUND, "'%s' is a clone: expected a base, a file or a folder", name);
        if (path == NULL || base != NULL || access(path, R_OK) < 0)
                return 1;
        if (take_path(images, path, note, err) < 0)
                return -1;
        (target == COWHERD_QEMU ? &images->disk : &images->tree)->memory_bytes = (uint64_t)answer_value(info, "memory_bytes");
        return 0;
}

/* The one that is used most, of those that stand on nothing; the newest of equals. */
static void take_most_used(struct cowherd_herd *herd, enum cowherd_target target, struct images *images)
{
        owned_answer struct cowherd_answer *bases = NULL;
        struct cowherd_error ignored;
        const char *best = NULL;
        double most = -1;

        if (say(herd, target, NULL, &bases, &ignored, "list_bases", NULL) < 0)
                return;
        for (size_t i = 0; i < cowherd_answer_items(bases); i++) {
                const char *clones = cowherd_answer_item_get(bases, i, "clones");
                double count = clones == NULL ? 0 : strtod(clones, NULL);
                if (count < most || cowherd_answer_item_get(bases, i, "base") != NULL)
                        continue;
                most = count;
                best = cowherd_answer_item_get(bases, i, "name");
        }
        if (best != NULL)
                ignore_result(take_base(herd, target, best, images, &ignored));
}

/* ---- made here ---- */

static int make_disk(const struct site *site, struct image *image, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/made.qcow2", site->folder);

        if (!process_exists("qemu-img"))
                return 0;
        if (tool(NULL, NULL, err, "qemu-img", "create", "-q", "-f", "qcow2", path, DISK_BYTES, NULL) < 0)
                return -1;
        *image = (struct image){.path = take(path), .word = "image", .format = "disk",
                                .note = x_strdup("an empty disk of " DISK_BYTES ", made for this"),
                                .cannot_boot = x_strdup("the disk is empty, so it can't be booted: give image=FILE, or register a base")};
        return measure(image, err);
}

/* Whether a program runs without anything else: it has no interpreter. */
static bool is_static(const char *path)
{
        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        Elf64_Ehdr header;
        Elf64_Phdr part;

        if (fd < 0 || read(fd, &header, sizeof header) != (ssize_t)sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
            header.e_ident[EI_CLASS] != ELFCLASS64)
                return false;
        for (unsigned i = 0; i < header.e_phnum; i++)
                if (pread(fd, &part, sizeof part, (off_t)(header.e_phoff + i * sizeof part)) != (ssize_t)sizeof part || part.p_type == PT_INTERP)
                        return false;
        return true;
}

static int add_busybox(int tree, const char *busybox, struct cowherd_error *err)
{
        static const char *const names[] = {"usr/bin/sh",  "usr/bin/true",     "usr/bin/uname",    "usr/bin/readlink",
                                            "usr/bin/cat", "usr/bin/hostname", "usr/bin/poweroff", "usr/sbin/init"};
        owned_fd int from = open(busybox, O_RDONLY | O_CLOEXEC), to = openat(tree, "usr/bin/busybox", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

        if (from < 0 || to < 0 || fchmod(to, 0755) < 0)
                return fail_errno(err, "cannot copy '%s'", busybox);
        if (file_copy(from, to, NULL, NULL, err) < 0)
                return -1;
        for (size_t i = 0; i < array_length(names); i++)
                if (symlinkat("/usr/bin/busybox", tree, names[i]) < 0)
                        return fail_errno(err, "cannot make the link '%s'", names[i]);
        return 0;
}

/* A tree of a few files: a system that boots where there is a static busybox. */
static int make_tree(const struct site *site, struct image *image, struct cowherd_error *err)
{
        static const char *const folders[] = {"etc", "usr/bin", "usr/sbin", "var/lib", "root", "dev", "proc", "sys", "run", "tmp"};
        static const char *const links[][2] = {{"usr/bin", "bin"}, {"usr/sbin", "sbin"}};
        owned_str char *path = x_asprintf("%s/made", site->folder), *busybox = process_find("busybox");
        owned_fd int tree = -1;

        if (file_make_folders(AT_FDCWD, path, 0755, err) < 0 || file_open_folder(AT_FDCWD, path, &tree, err) < 0)
                return -1;
        if (fchmod(tree, 0755) < 0)
                return fail_errno(err, "cannot make '%s'", path);
        for (size_t i = 0; i < array_length(folders); i++)
                if (file_make_folders(tree, folders[i], 0755, err) < 0)
                        return -1;
        for (size_t i = 0; i < array_length(links); i++)
                if (symlinkat(links[i][0], tree, links[i][1]) < 0)
                        return fail_errno(err, "cannot make the link '%s'", links[i][1]);
        bool boots = busybox != NULL && is_static(busybox);
        if (file_replace(tree, "etc/os-release", "ID=busybox\n", 0644, false, err) < 0 || file_replace(tree, "etc/machine-id", "", 0444, false, err) < 0 ||
            (boots && add_busybox(tree, busybox, err) < 0))
                return -1;
        *image = (struct image){.path = take(path), .word = "rootfs", .format = "tree",
                                .note = x_strdup(boots ? "a tree of busybox alone, made for this" : "a tree without programs, made for this")};
        if (!boots)
                image->cannot_boot = x_strdup("the tree has no programs, as there is no static busybox here: apt install busybox-static, or give image=FOLDER");
        return measure(image, err);
}

/* ---- choosing ---- */

static int take_asked(struct cowherd_herd *herd, const char *name, struct images *images, struct cowherd_error *err)
{
        struct cowherd_error why;

        if (access(name, F_OK) == 0)
                return take_path(images, name, "image=", err);
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                int got = take_base(herd, (enum cowherd_target)target, name, images, &why);
                if (got == 0)
                        return 0;
                if (got > 0)
                        return fail(err, COWHERD_UNAVAILABLE, "base '%s' can't be measured: it stands on another, or is not a file or folder", name);
        }
        (void)fail(err, COWHERD_NOT_FOUND, "image '%s' not found: there is neither such a file nor such a base", name);
        return fail_hint(err, "give a disk image, a folder with a root file system, a tarball, or a base's name");
}

static int take_all_asked(struct cowherd_herd *herd, const char *asked, struct images *images, struct cowherd_error *err)
{
        owned_str char *copy = x_strdup(asked);
        char *rest = NULL;

        for (const char *name = strtok_r(copy, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest))
                if (take_asked(herd, name, images, err) < 0)
                        return -1;
        return 0;
}

int images_choose(const struct compare_options *options, const struct site *site, struct images *ret, struct cowherd_error *err)
{
        const struct cowherd_options herd_options = {.root = options->root};
        struct images images owned_by(images_free) = {0};
        struct cowherd_herd *herd = NULL;

        if (cowherd_open(&herd_options, &herd, err) < 0)
                return -1;
        int done = options->image == NULL ? 0 : take_all_asked(herd, options->image, &images, err);
        if (done == 0 && options->image == NULL) {
                take_most_used(herd, COWHERD_QEMU, &images);
                take_most_used(herd, COWHERD_NSPAWN, &images);
        }
        cowherd_close(herd);
        if (done < 0 || (images.disk.path == NULL && make_disk(site, &images.disk, err) < 0) ||
            (images.tree.path == NULL && make_tree(site, &images.tree, err) < 0))
                return -1;
        *ret = images;
        images = (struct images){0};
        return 0;
}
