/* SPDX-License-Identifier: Apache-2.0 */
/* The raw tools beside stores of disks: qemu-img's overlay, a shared copy, a plain one. */
#include "compare/pair.h"

#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char *path_of(const struct pair *pair, const char *name)
{
        return x_asprintf("%s/%s.disk", pair->session->site->raw, name);
}

static int clone_qcow2(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return tool(ret_ms, NULL, err, "qemu-img", "create", "-q", "-f", "qcow2", "-b", pair->base_path, "-F", str_ends(pair->base_path, ".raw") ? "raw" : "qcow2",
                    path, NULL);
}

static int clone_reflink(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return tool(ret_ms, NULL, err, "cp", "-a", "--reflink=always", pair->base_path, path, NULL);
}

static int clone_copy(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return tool(ret_ms, NULL, err, "cp", "-a", pair->base_path, path, NULL);
}

static int destroy(struct pair *pair, const char *name, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);

        return file_remove_tree(AT_FDCWD, path, err);
}

static int measure(struct pair *pair, const char *name, double *ret_allocated, double *ret_apparent, struct cowherd_error *err)
{
        owned_str char *path = path_of(pair, name);
        struct file_usage usage = {0};

        if (file_measure(AT_FDCWD, path, &usage, err) < 0)
                return -1;
        *ret_allocated = (double)usage.allocated_bytes;
        *ret_apparent = (double)usage.apparent_bytes;
        return 0;
}

/* Its path, for the machine that is booted by hand. */
static char *path_to_boot(struct pair *pair, const char *name)
{
        return path_of(pair, name);
}

const struct raw raw_qcow2 = {.target = COWHERD_QEMU, .store = "qcow2", .name = "qemu-img create -b", .side = "qemu-img create -b, a process that syncs",
                              .clone = clone_qcow2, .destroy = destroy, .measure = measure, .tree = path_to_boot};
const struct raw raw_disk_reflink = {.target = COWHERD_QEMU, .store = "reflink", .name = "cp -a --reflink", .side = "cp -a --reflink=always, a process",
                                     .clone = clone_reflink, .destroy = destroy, .tree = path_to_boot};
const struct raw raw_disk_copy = {.target = COWHERD_QEMU, .store = "copy", .name = "cp -a", .side = "cp -a, a process", .clone = clone_copy,
                                  .destroy = destroy, .measure = measure, .tree = path_to_boot, .is_slow = true};
