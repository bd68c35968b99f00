/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a herd: its root folder, its lock folder, its catalogue. Nothing is made until a command has something to keep,
 * so that `cowherd list` on a fresh machine leaves no trace.
 */
#include "herd/herd.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MODE 0711 /* a virtual machine's own user id must reach its disk; nobody may look around */

/* Where this user's herd lives by default: system-wide for root, the XDG data folder for others. NULL without a home. */
static char *default_root(void)
{
        const char *root = getenv("COWHERD_ROOT"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

        if (!str_is_empty(root))
                return x_strdup(root);
        if (geteuid() == 0)
                return x_strdup("/var/lib/cowherd");
        if (data != NULL && data[0] == '/')
                return x_asprintf("%s/cowherd", data);
        if (home != NULL && home[0] == '/')
                return x_asprintf("%s/.local/share/cowherd", home);
        return NULL;
}

/* Makes a path absolute by the current folder; the file itself need not exist. */
static int make_absolute(const char *path, char **ret, struct cowherd_error *err)
{
        if (path[0] == '/') {
                *ret = x_strdup(path);
                return 0;
        }
        owned_str char *here = getcwd(NULL, 0);
        if (here == NULL)
                return fail_errno(err, "cannot find the current folder");
        *ret = x_asprintf("%s/%s", here, path);
        return 0;
}

static int check_root(const char *root, struct cowherd_error *err)
{
        if (str_is_empty(root)) {
                (void)fail(err, COWHERD_CONFIG, "the herd has no root folder: neither HOME nor COWHERD_ROOT is set");
                return fail_hint(err, "say --root DIR, or set COWHERD_ROOT");
        }
        for (const char *at = root; *at != '\0'; at++)
                if ((unsigned char)*at < ' ' || *at == 0x7f)
                        return fail(err, COWHERD_CONFIG, "root folder '%s' has a control character in its name", root);
        return 0;
}

int cowherd_open(const struct cowherd_options *options, struct cowherd_herd **ret_herd, struct cowherd_error *err)
{
        owned_str char *wanted = options != NULL && options->root != NULL ? x_strdup(options->root) : default_root();
        owned_str char *root = NULL, *script_folder = NULL;

        if (check_root(wanted, err) < 0)
                return -1;
        if (make_absolute(wanted, &root, err) < 0)
                return -1;
        while (strlen(root) > 1 && str_ends(root, "/"))
                root[strlen(root) - 1] = '\0';
        if (options != NULL && options->script_folder != NULL &&
            make_absolute(options->script_folder, &script_folder, err) < 0)
                return -1;

        struct cowherd_herd *herd = x_calloc(1, sizeof *herd);
        *herd = (struct cowherd_herd){.root = take(root), .script_folder = take(script_folder), .fd = -1, .locks = -1};
        *ret_herd = herd;
        return 0;
}

void cowherd_close(struct cowherd_herd *herd)
{
        if (herd == NULL)
                return;
        catalogue_close(herd->catalogue);
        close_at(&herd->locks);
        close_at(&herd->fd);
        free(herd->root);
        free(herd->script_folder);
        free(herd);
}

void cowherd_set_streams(struct cowherd_herd *herd, const struct cowherd_streams *streams)
{
        herd->has_streams = streams != NULL;
        herd->streams = streams != NULL ? *streams : (struct cowherd_streams){0};
}

void cowherd_set_progress(struct cowherd_herd *herd, cowherd_progress_fn *progress, void *context)
{
        herd->progress = progress;
        herd->progress_context = context;
}

void herd_report(struct cowherd_herd *herd, const char *what, uint64_t done, uint64_t total)
{
        if (herd->progress != NULL)
                herd->progress(herd->progress_context, what, done, total);
}

/* Opens a folder of the root, making it first where `create` says so. */
static int open_or_make(int at, const char *path, bool create, int *ret_fd, struct cowherd_error *err)
{
        int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT && create) {
                if (file_make_folders(at, path, FOLDER_MODE, err) < 0)
                        return -1;
                fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd < 0)
                return errno == ENOENT && !create ? 1 : fail_errno(err, "cannot open folder '%s'", path);
        *ret_fd = fd;
        return 0;
}

static int open_root(struct cowherd_herd *herd, bool create, struct cowherd_error *err)
{
        int got = open_or_make(AT_FDCWD, herd->root, create, &herd->fd, err);

        if (got < 0 && err->os_errno == ENOTDIR)
                return fail(err, COWHERD_CONFIG, "the herd's root '%s' is not a folder", herd->root);
        if (got < 0 && geteuid() != 0)
                return fail_hint(err, "a folder of your own can be the herd's root: say --root DIR or set COWHERD_ROOT");
        return got;
}

int herd_open(struct cowherd_herd *herd, bool create, struct cowherd_error *err)
{
        if (herd->catalogue != NULL)
                return 0;
        if (herd->fd < 0) {
                int got = open_root(herd, create, err);
                if (got != 0)
                        return got;
        }
        int got = catalogue_open(herd->fd, herd->root, create, &herd->catalogue, err);
        if (got != 0)
                return got;
        if (herd->locks >= 0)
                return 0;
        if (open_or_make(herd->fd, "locks", true, &herd->locks, err) < 0) {
                catalogue_close(herd->catalogue);
                herd->catalogue = NULL;
                return fail_while(err, "opening the herd at '%s'", herd->root);
        }
        return 0;
}

int herd_open_for(const struct call *call, struct cowherd_error *err)
{
        struct cowherd_herd *herd = call->herd;
        bool durable = request_flag(call->request, KEY_DURABLE);

        bool dry = request_flag(call->request, KEY_DRY_RUN);

        int got = herd_open(herd, !dry, err);
        if (got != 0)
                return got;
        if (durable == herd->durable)
                return 0;
        if (catalogue_set_durable(herd->catalogue, durable, err) < 0)
                return -1;
        herd->durable = durable;
        return 0;
}
