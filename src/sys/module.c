/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver modules by dlopen(3). A module is code that runs with our rights, so where it may lie is compiled in, and both
 * the file and its folder must be such that nobody but root and ourselves can have put it there. Opened modules stay
 * open.
 */
#include "sys/module.h"

#include "base/mem.h"
#include "base/str.h"
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct opened {
        char *name;
        void *handle;
        struct opened *next;
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct opened *all_opened;

/* The file that this code was loaded from, resolved: a library, a module, or the program. NULL where that can't be told. */
static char *own_file(void)
{
        Dl_info here;
        struct link_map *map = NULL;

        if (dladdr1(&all_opened, &here, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL)
                return NULL;
        return realpath(map->l_name[0] == '\0' ? "/proc/self/exe" : map->l_name, NULL); /* the program's has no name */
}

/* What lies in the build folder finds its modules there; all else where they are installed. */
static const char *module_folder(void)
{
        owned_str char *file = own_file(), *build = realpath(COWHERD_BUILD_DIR, NULL);
        bool built = file != NULL && build != NULL && str_starts(file, build) && file[strlen(build)] == '/';

        return built ? COWHERD_BUILD_DIR : COWHERD_MODULE_DIR;
}

char *module_program(const char *name)
{
        bool built = str_equal(module_folder(), COWHERD_BUILD_DIR);

        return x_asprintf("%s/%s", built ? COWHERD_BUILD_DIR "/src/guest" : COWHERD_PROGRAM_DIR, name);
}

/* Whether nobody but root and ourselves can have changed it. */
static bool is_ours(const struct stat *found)
{
        return (found->st_uid == 0 || found->st_uid == geteuid()) && (found->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int check_safe(const char *folder, const char *path, struct cowherd_error *err)
{
        struct stat found;

        if (lstat(path, &found) < 0) {
                if (errno != ENOENT)
                        return fail_errno(err, "cannot look at the module '%s'", path);
                (void)fail(err, COWHERD_UNAVAILABLE, "the module '%s' is not installed", strrchr(path, '/') + 1);
                return fail_hint(err, "it is looked for in '%s'", folder);
        }
        if (!S_ISREG(found.st_mode))
                return fail(err, COWHERD_DENIED, "the module '%s' is not a regular file", path);
        if (!is_ours(&found))
                return fail(err, COWHERD_DENIED, "the module '%s' can be changed by others than root and you", path);
        if (stat(folder, &found) < 0)
                return fail_errno(err, "cannot look at the folder '%s'", folder);
        if (!is_ours(&found))
                return fail(err, COWHERD_DENIED, "the module folder '%s' can be changed by others than root and you",
                            folder);
        return 0;
}

/* The handle of a module, opened when first asked for. `guard` is held. */
static int open_module(const char *name, void **ret, struct cowherd_error *err)
{
        for (const struct opened *at = all_opened; at != NULL; at = at->next)
                if (strcmp(at->name, name) == 0) {
                        *ret = at->handle;
                        return 0;
                }
        const char *folder = module_folder();
        owned_str char *path = x_asprintf("%s/cowherd-%s.so", folder, name);
        if (check_safe(folder, path, err) < 0)
                return -1;
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "cannot open the module '%s': %s", path, dlerror());
        struct opened *opened = x_malloc(sizeof *opened);
        *opened = (struct opened){x_strdup(name), handle, all_opened};
        all_opened = opened;
        *ret = handle;
        return 0;
}

int module_symbol(const char *name, const char *symbol, void **ret, struct cowherd_error *err)
{
        void *handle = NULL;

        if (strchr(name, '/') != NULL)
                return fail(err, COWHERD_INTERNAL, "'%s' is not a module's name", name);
        (void)pthread_mutex_lock(&guard);
        int result = open_module(name, &handle, err);
        (void)pthread_mutex_unlock(&guard);
        if (result < 0)
                return -1;
        void *found = dlsym(handle, symbol);
        if (found == NULL)
                return fail(err, COWHERD_INTERNAL, "the module 'cowherd-%s.so' has no '%s'", name, symbol);
        *ret = found;
        return 0;
}

int module_helper(const char *name, char **ret_path, struct cowherd_error *err)
{
        const char *folder = module_folder();
        owned_str char *path = x_asprintf("%s/cowherd-%s", folder, name);

        if (check_safe(folder, path, err) < 0)
                return -1;
        *ret_path = take(path);
        return 0;
}
