/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nspawn would make in a tree before it runs: the folders of a system that are missing, and the places that folders of the
 * host are shown at. Where owners are shown shifted it can't: root of this host has no id there (EOVERFLOW). So they are made here
 * before, by who owns the tree's root, and no symlink of the tree leads out (openat2).
 */
#include "engine/nspawn/nspawn.h"
#include "engine/nspawn/user_net.h"

#include "sys/act_as.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = {"dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"};

static bool is_there(int tree, const char *path)
{
        struct cowherd_error ignored;
        owned_fd int fd = -1;

        return file_open_in_root(tree, path, O_PATH, 0, &fd, &ignored) == 0;
}

static int make_place(int tree, const struct engine_mount *mount, struct cowherd_error *err)
{
        struct stat host;

        if (is_there(tree, mount->guest))
                return 0;
        if (stat(mount->host, &host) < 0)
                return fail_errno(err, "cannot look at '%s'", mount->host);
        return S_ISDIR(host.st_mode) ? file_make_folders_in_root(tree, mount->guest, err) : file_write_in_root(tree, mount->guest, "", 0644, err);
}

static int make_all(int tree, const struct engine_machine *machine, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(folders); i++)
                if (!is_there(tree, folders[i]) && file_make_folders_in_root(tree, folders[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < machine->mount_count; i++)
                if (make_place(tree, &machine->mounts[i], err) < 0)
                        return fail_while(err, "making the place for '%s'", machine->mounts[i].host);
        return machine->network == ENGINE_NETWORK_USER ? file_write_in_root(tree, "etc/resolv.conf", USER_NET_RESOLVER, 0644, err) : 0;
}

int nspawn_prepare_tree(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_fd int tree = -1;
        struct cowherd_error second;
        struct stat owner;

        if (file_open_folder(AT_FDCWD, instance->root, &tree, err) < 0)
                return -1;
        if (fstat(tree, &owner) < 0)
                return fail_errno(err, "cannot look at the root of the tree");
        if (owner.st_uid == 0 || geteuid() != 0)
                return make_all(tree, instance->machine, err);
        int result = act_as(owner.st_uid, owner.st_gid, err);
        if (result == 0)
                result = make_all(tree, instance->machine, err);
        if (act_as(0, 0, &second) < 0 && result == 0) {
                *err = second;
                return -1;
        }
        return result;
}
