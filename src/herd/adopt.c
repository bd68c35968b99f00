/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopting is one rename(2), and giving back is the same rename the other way. The store may have made the file read-only
 * and immutable in between, so that is taken off first.
 * What came to lie at the old place meanwhile is not overwritten: the adopted file then stays where it is, and is told.
 */
#include "herd/adopt.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

char *adopt_mark(const char *extra)
{
        json_t *marked = extra == NULL ? json_object() : json_loads(extra, 0, NULL);

        (void)json_object_set_new(marked, "adopt", json_true());
        char *text = json_dumps(marked, JSON_COMPACT);
        json_decref(marked);
        return text;
}

static bool is_marked(const struct catalogue_row *row)
{
        json_t *extra = row->extra == NULL ? NULL : json_loads(row->extra, 0, NULL);
        bool marked = json_is_true(json_object_get(extra, "adopt"));

        json_decref(extra);
        return marked;
}

int adopt_take(const struct thing *base, const char *source, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        if (renameat(AT_FDCWD, source, base->place.fd, store_object_path(&base->object, path)) == 0)
                return 0;
        if (errno != EXDEV)
                return fail_errno(err, "cannot adopt '%s'", source);
        (void)fail(err, COWHERD_UNAVAILABLE, "'%s' can't be adopted: it is on another filesystem than '%s'", source, base->place.folder);
        return fail_hint(err, "leave adopt= out: then it is copied");
}

int adopt_give_back(const struct thing *base, struct cowherd_error *err)
{
        char path[STORE_PATH_BYTES];

        if (base->row.source == NULL || !is_marked(&base->row))
                return 0;
        int fd = openat(base->place.fd, store_object_path(&base->object, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : fail_errno(err, "cannot open '%s/%s'", base->place.folder, path);
        int thawed = file_set_immutable(fd, false, err);
        if (thawed == 0 && base->object.kind == STORE_DISK)
                (void)fchmod(fd, 0644);
        close_at(&fd);
        if (thawed < 0)
                return -1;
        if (renameat2(base->place.fd, path, AT_FDCWD, base->row.source, RENAME_NOREPLACE) == 0)
                return 0;
        (void)fail_errno(err, "cannot give '%s' back from '%s/%s'", base->row.source, base->place.folder, path);
        return fail_hint(err, "move what is at '%s' now out of its way, then run cleanup", base->row.source);
}
