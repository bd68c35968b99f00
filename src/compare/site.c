/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a comparison: ROOT/tmp/compare-HEX, so that it is on the filesystem that is asked about. Whoever works in it holds the lock
 * beside it; a folder whose lock is free was left by a killed comparison. What lies outside of it (LXD's instances, ZFS's datasets) bears its
 * name, and a note in the folder says before that it will be there.
 */
#include "compare/session.h"

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MODE 0711 /* as the herd's own: a machine's user id must reach its disk */
#define NOTE_BYTES 4096
#define TRIES 5u /* to make a folder that others take away */

void site_free(struct site *site)
{
        free(site->root);
        free(site->folder);
        free(site->herd);
        free(site->raw);
        close_at(&site->lock);
        close_at(&site->tmp);
        *site = (struct site)SITE_NONE;
}

void site_fill(struct site *site, const char *root, const char *mark)
{
        site->root = x_strdup(root);
        (void)snprintf(site->mark, sizeof site->mark, "%s", mark);
        site->folder = x_asprintf("%s/tmp/%s", root, mark);
        site->herd = x_asprintf("%s/herd", site->folder);
        site->raw = x_asprintf("%s/raw", site->folder);
}

/*
 * ROOT/tmp, with our lock in it, by which it can't be removed. One that goes before that, by a teardown, is made again. The lock is waited
 * for: whoever looks for locks may hold it for a moment.
 */
static int make_tmp(struct site *site, bool *ret_had_root, bool *ret_had_tmp, struct cowherd_error *err)
{
        owned_str char *tmp = x_asprintf("%s/tmp", site->root), *lock = x_asprintf(COMPARE_LOCK, site->mark);

        for (unsigned tries = 1;; tries++) {
                *ret_had_root = access(site->root, F_OK) == 0;
                *ret_had_tmp = access(tmp, F_OK) == 0;
                if (file_make_folders(AT_FDCWD, tmp, FOLDER_MODE, err) == 0 && file_open_folder(AT_FDCWD, tmp, &site->tmp, err) == 0 &&
                    lock_take(site->tmp, lock, true, &site->lock, err) == 0)
                        return 0;
                if (err->code != COWHERD_NOT_FOUND || tries == TRIES)
                        return -1;
                close_at(&site->tmp);
                site->tmp = -1;
        }
}

int site_make(const char *root, struct site *ret, struct cowherd_error *err)
{
        struct site site owned_by(site_free) = SITE_NONE;
        char hex[13], mark[COMPARE_MARK_BYTES];
        bool had_root = false, had_tmp = false;

        (void)snprintf(mark, sizeof mark, COMPARE_MARK "%s", random_hex(6, hex));
        site_fill(&site, root, mark);
        if (make_tmp(&site, &had_root, &had_tmp, err) < 0)
                return fail_while(err, "making a folder to measure in");
        owned_str char *notes = x_asprintf("%s/notes", site.folder);
        if (file_make_folders(AT_FDCWD, site.raw, FOLDER_MODE, err) < 0 || file_make_folders(AT_FDCWD, notes, 0700, err) < 0 ||
            (!had_root && site_note(&site, "made-root", "", err) < 0) || (!had_tmp && site_note(&site, "made-tmp", "", err) < 0)) {
                struct cowherd_error ignored;
                ignore_result(site_remove(&site, &ignored));
                return -1;
        }
        *ret = site;
        site = (struct site)SITE_NONE;
        return 0;
}

int site_note(const struct site *site, const char *what, const char *where, struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/notes/%s", site->folder, what);

        return file_replace(AT_FDCWD, path, where, 0600, false, err);
}

/* The text of a note, to be freed, or NULL where there is none. */
static char *note(const struct site *site, const char *what)
{
        owned_str char *path = x_asprintf("%s/notes/%s", site->folder, what), *text = NULL;
        struct cowherd_error ignored;

        return file_read(AT_FDCWD, path, NOTE_BYTES, &text, NULL, &ignored) < 0 ? NULL : take(text);
}

/* ---- taking away ---- */

/* What LXD still does for a raw tool that was killed: it goes on without it, and must end before its instance can be seen. */
static void await_lxd(const struct site *site, const char *lxc)
{
        owned_str char *said = NULL;
        struct cowherd_error ignored;

        if (tool(NULL, &said, &ignored, lxc, "query", "/1.0/operations", NULL) < 0)
                return;
        json_t *operations = json_loads(said, 0, NULL), *path;
        size_t index;
        json_array_foreach(json_object_get(operations, "running"), index, path) {
                owned_str char *about = NULL, *wait = x_asprintf("%s/wait?timeout=60", json_string_value(path)), *answer = NULL;
                if (tool(NULL, &about, &ignored, lxc, "query", json_string_value(path), NULL) == 0 && strstr(about, site->mark) != NULL)
                        ignore_result(tool(NULL, &answer, &ignored, lxc, "query", wait, NULL));
        }
        json_decref(operations);
}

/* The raw tool's instances in LXD: those that bear the mark. */
static int remove_from_lxd(const struct site *site, struct cowherd_error *err)
{
        owned_str char *noted = note(site, "lxd"), *names = NULL;
        const char *lxc = tool_of_lxd();

        if (noted == NULL || lxc == NULL)
                return 0;
        await_lxd(site, lxc);
        if (tool(NULL, &names, err, lxc, "list", "-c", "n", "-f", "csv", NULL) < 0)
                return -1;
        char *rest = NULL;
        for (const char *name = strtok_r(names, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest))
                if (str_starts(name, site->mark) && tool(NULL, NULL, err, lxc, "delete", "--force", name, NULL) < 0)
                        return -1;
        return 0;
}

static int remove_from_zfs(const struct site *site, struct cowherd_error *err)
{
        owned_str char *dataset = note(site, "zfs");
        struct cowherd_error ignored;

        if (dataset == NULL || tool(NULL, NULL, &ignored, "zfs", "list", "-H", "-o", "name", dataset, NULL) < 0)
                return 0;
        return tool(NULL, NULL, err, "zfs", "destroy", "-r", dataset, NULL);
}

/* What systemd-nspawn keeps in /run of a container, named by its machine name, where it was killed itself. */
static void remove_from_run(const struct site *site)
{
        static const char *const folders[] = {"/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export", "/run/systemd/nspawn/locks"};
        struct cowherd_error ignored;

        for (size_t i = 0; i < array_length(folders); i++) {
                DIR *listing = opendir(folders[i]);
                for (const struct dirent *entry = NULL; listing != NULL && (entry = readdir(listing)) != NULL;)
                        if (strstr(entry->d_name, site->mark) != NULL)
                                ignore_result(file_remove_tree(dirfd(listing), entry->d_name, &ignored));
                if (listing != NULL)
                        (void)closedir(listing);
        }
}

static int unmount_raw(const struct site *site, struct cowherd_error *err)
{
        if (access(site->raw, F_OK) < 0)
                return 0; /* killed before it was made, or when it was gone already */
        for (;;) {
                owned_str char *target = NULL;
                int got = mount_find_under(site->raw, &target, err);
                if (got != 0)
                        return got < 0 ? -1 : 0;
                if (mount_unmount(target, err) < 0)
                        return -1;
        }
}

static int remove_raw(const struct site *site, struct cowherd_error *err)
{
        owned_str char *in_pool = x_asprintf("%s/pools/btrfs/%s", site->herd, site->mark);

        process_end_below(site->mark);
        remove_from_run(site);
        if (unmount_raw(site, err) < 0 || remove_from_lxd(site, err) < 0 || remove_from_zfs(site, err) < 0)
                return -1;
        return file_remove_tree(AT_FDCWD, in_pool, err);
}

/* Every instance of the herd in there, running or not; there may be none. */
static int remove_clones(struct cowherd_herd *herd, struct cowherd_error *err)
{
        if (say(herd, COWHERD_ANY, NULL, NULL, err, "cleanup", NULL) < 0)
                return -1;
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (say(herd, (enum cowherd_target)target, NULL, NULL, err, "delete", "name=*", "force=true", NULL) < 0 && err->code != COWHERD_NOT_FOUND)
                        return -1;
        return 0;
}

static int remove_bases(struct cowherd_herd *herd, struct cowherd_error *err)
{
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                owned_answer struct cowherd_answer *bases = NULL;
                if (say(herd, (enum cowherd_target)target, NULL, &bases, err, "list_bases", NULL) < 0)
                        return -1;
                for (size_t i = 0; i < cowherd_answer_items(bases); i++) {
                        owned_str char *name = x_asprintf("name=%s", cowherd_answer_item_get(bases, i, "name"));
                        if (say(herd, (enum cowherd_target)target, NULL, NULL, err, "remove_base", name, NULL) < 0)
                                return -1;
                }
                if (say(herd, (enum cowherd_target)target, NULL, NULL, err, "teardown", NULL) < 0)
                        return -1;
        }
        return 0;
}

static int remove_herd(const struct site *site, struct cowherd_error *err)
{
        const struct cowherd_options options = {.root = site->herd};
        struct cowherd_herd *herd = NULL;

        if (access(site->herd, F_OK) < 0)
                return remove_raw(site, err);
        if (cowherd_open(&options, &herd, err) < 0)
                return -1;
        int done = remove_clones(herd, err) < 0 || remove_raw(site, err) < 0 || remove_bases(herd, err) < 0 ? -1 : 0;
        cowherd_close(herd);
        return done;
}

int site_remove(struct site *site, struct cowherd_error *err)
{
        owned_str char *made_root = note(site, "made-root"), *made_tmp = note(site, "made-tmp"), *lock = x_asprintf(COMPARE_LOCK, site->mark);

        if (remove_herd(site, err) < 0 || file_remove_tree(site->tmp, site->mark, err) < 0)
                return fail_while(err, "taking away '%s'", site->folder);
        lock_remove(site->tmp, lock, &site->lock);
        owned_str char *tmp = x_asprintf("%s/tmp", site->root);
        if (made_tmp != NULL)
                (void)rmdir(tmp); /* if another has put something in: not ours any more */
        if (made_root != NULL)
                (void)rmdir(site->root);
        return 0;
}
