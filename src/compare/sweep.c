/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What killed comparisons have left, by the marks in a herd's tmp/. The lock beside a folder tells: as long as it is held, by a comparison or by
 * a tool that outlived it, nothing is touched. The name of a lock alone counts too: a kill may leave that and no more.
 */
#include "compare/session.h"

#include "sys/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int sweep_one(int tmp, const char *root, const char *mark, size_t *ret_removed, size_t *ret_busy, struct cowherd_error *err)
{
        struct site site owned_by(site_free) = SITE_NONE;

        site_fill(&site, root, mark);
        owned_str char *lock = x_asprintf(COMPARE_LOCK, mark);
        site.tmp = fcntl(tmp, F_DUPFD_CLOEXEC, 3);
        int got = lock_take(site.tmp, lock, false, &site.lock, err);
        if (got != 0) {
                *ret_busy += got > 0;
                return got < 0 ? -1 : 0;
        }
        if (site_remove(&site, err) < 0)
                return -1;
        (*ret_removed)++;
        return 0;
}

/* The same, only seen. */
static int look_at_one(int tmp, const char *mark, size_t *ret_left, size_t *ret_busy, struct cowherd_error *err)
{
        owned_str char *lock = x_asprintf(COMPARE_LOCK, mark);
        bool works = false;

        if (lock_is_held(tmp, lock, &works, err) < 0)
                return -1;
        *ret_busy += works;
        *ret_left += !works;
        return 0;
}

/* The mark in a name such as "compare-0123456789ab" or that with ".lock". */
static bool is_mark(const char *name, char *ret, size_t size)
{
        size_t digits = str_starts(name, COMPARE_MARK) ? strspn(name + strlen(COMPARE_MARK), "0123456789abcdef") : 0;

        if (digits != 12 || (name[strlen(COMPARE_MARK) + digits] != '\0' && !str_equal(name + strlen(COMPARE_MARK) + digits, ".lock")))
                return false;
        (void)snprintf(ret, size, "%.*s", (int)(strlen(COMPARE_MARK) + digits), name);
        return true;
}

bool compare_is_mark(const char *name)
{
        char mark[COMPARE_MARK_BYTES];

        return is_mark(name, mark, sizeof mark);
}

static int list_marks(int tmp, const char *root, struct strv *ret, struct cowherd_error *err)
{
        int again = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *listing = again < 0 ? NULL : fdopendir(again);

        if (listing == NULL) {
                (void)fail_errno(err, "cannot read folder '%s/tmp'", root);
                close_at(&again);
                return -1;
        }
        for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
                char mark[COMPARE_MARK_BYTES];
                if (is_mark(entry->d_name, mark, sizeof mark) && !strv_has(ret, mark))
                        strv_add(ret, mark);
        }
        (void)closedir(listing);
        return 0;
}

int compare_sweep(int root_fd, const char *root, bool only_look, size_t *ret_removed, size_t *ret_busy, struct cowherd_error *err)
{
        owned_fd int tmp = openat(root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct strv marks owned_by(strv_free) = {0};
        int done = 0;

        if (tmp < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open folder '%s/tmp'", root);
        if (list_marks(tmp, root, &marks, err) < 0)
                return -1;
        for (size_t i = 0; i < marks.count; i++) {
                struct cowherd_error why = {0};
                if ((only_look ? look_at_one(tmp, marks.items[i], ret_removed, ret_busy, &why)
                               : sweep_one(tmp, root, marks.items[i], ret_removed, ret_busy, &why)) == 0)
                        continue;
                if (done == 0)
                        *err = why;
                done = -1;
        }
        return done;
}
