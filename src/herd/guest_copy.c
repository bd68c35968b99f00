/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_to and copy_from. Destinations are taken as cp and docker cp take them: a folder that is there takes the thing under its own
 * name, anything else is its new name. What comes out of a guest is not trusted: where nothing lies at its destination it is made
 * there, and taken away again should it fail; where something does, it is received in a folder beside it and put in its place when it is
 * whole. A folder is merged into one that is there.
 */
#include "herd/guest.h"

#include "image/archive.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGING ".cowherd-copy-"
#define DEPTH_MAX 200 /* of folders that are merged */

struct copying {
        struct call *call;
        struct live live;
        char *local;            /* absolute, as people are told it */
        char *name;             /* the entry in `folder` */
        int folder;
        uint64_t bytes;         /* how many were reported last */
        struct engine_copy copy;
};

static void copying_free(struct copying *copying)
{
        free(copying->local);
        free(copying->name);
        close_at(&copying->folder);
        live_free(&copying->live);
}
define_owned(struct copying, copying_free)

static void report(void *context, uint64_t done, uint64_t total)
{
        struct copying *copying = context;

        char what[300];

        copying->bytes = done;
        (void)snprintf(what, sizeof what, "copying '%.250s'", copying->name);
        herd_report(copying->call->herd, what, done, total);
}

/* The last part of a path without slashes behind it; NULL where there is none that names something. To be freed. */
static char *last_part(const char *path)
{
        size_t end = strlen(path);

        while (end > 0 && path[end - 1] == '/')
                end--;
        size_t begin = end;
        while (begin > 0 && path[begin - 1] != '/')
                begin--;
        owned_str char *part = x_strndup(path + begin, end - begin);
        return part[0] == '\0' || str_equal(part, ".") || str_equal(part, "..") ? NULL : take(part);
}

/* The folder that a path's last part is in. To be freed. */
static char *folder_part(const char *path)
{
        size_t end = strlen(path);

        while (end > 0 && path[end - 1] == '/')
                end--;
        while (end > 0 && path[end - 1] != '/')
                end--;
        return end == 0 ? x_strdup(".") : x_strndup(path, end);
}

static int check_remote(const char *remote, struct cowherd_error *err)
{
        if (remote[0] == '/')
                return 0;
        (void)fail(err, COWHERD_USAGE, "remote='%s' is not absolute", remote);
        return fail_hint(err, "expected a path of the guest that begins with '/'");
}

/* ---- in ---- */

static int open_source(struct copying *copying, const char *said, struct cowherd_error *err)
{
        struct stat facts;

        copying->local = realpath(said, NULL);
        if (copying->local == NULL && (errno == ENOENT || errno == ENOTDIR))
                return fail(err, COWHERD_NOT_FOUND, "local '%s' not found", said);
        if (copying->local == NULL || stat(copying->local, &facts) < 0)
                return fail_errno(err, "cannot look at '%s'", said);
        if (!S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode))
                return fail(err, COWHERD_DATA, "'%s' is neither a file nor a folder", copying->local);
        copying->name = last_part(copying->local);
        if (copying->name == NULL)
                return fail(err, COWHERD_USAGE, "local='%s' can't be copied: it is the root folder", said);
        owned_str char *folder = folder_part(copying->local);
        return file_open_folder(AT_FDCWD, folder, &copying->folder, err);
}

static int copy_in(struct copying *copying, struct cowherd_error *err)
{
        const struct engine_driver *engine = copying->live.machine.engine;

        if (engine->copy_in == NULL)
                return live_fail_unable(&copying->live, "copy into", err);
        return engine->copy_in(&copying->live.machine.instance, &copying->copy, err);
}

/* ---- out ---- */

static int open_destination(struct copying *copying, const char *said, const char *remote, struct cowherd_error *err)
{
        struct stat facts;
        bool is_folder = stat(said, &facts) == 0 && S_ISDIR(facts.st_mode);
        owned_str char *folder = is_folder ? x_strdup(said) : folder_part(said);

        copying->name = last_part(is_folder ? remote : said);
        if (copying->name == NULL) {
                (void)fail(err, COWHERD_USAGE, "'%s' has no name that it could have here", is_folder ? remote : said);
                return fail_hint(err, "let local= name what is not there yet");
        }
        if (!is_folder && str_ends(said, "/"))
                return fail(err, COWHERD_NOT_FOUND, "folder '%s' not found", said);
        if (file_open_folder(AT_FDCWD, folder, &copying->folder, err) < 0)
                return -1;
        owned_str char *real = realpath(folder, NULL);
        copying->local = x_asprintf("%s%s%s", real == NULL ? folder : real, real != NULL && str_equal(real, "/") ? "" : "/", copying->name);
        return 0;
}

static int put_in_place(int from, const char *from_name, int to, const char *name, unsigned depth, struct cowherd_error *err);

static int merge_entries(int from, int to, unsigned depth, struct cowherd_error *err)
{
        int listed = dup(from), got = 0;
        DIR *listing = listed < 0 ? NULL : fdopendir(listed);

        if (listing == NULL) {
                (void)fail_errno(err, "cannot read a folder that was received");
                close_at(&listed);
                return -1;
        }
        for (const struct dirent *entry = readdir(listing); entry != NULL && got == 0; entry = readdir(listing))
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
                        got = put_in_place(from, entry->d_name, to, entry->d_name, depth, err);
        (void)closedir(listing);
        return got;
}

static int merge(int from, const char *from_name, int to, const char *name, unsigned depth, struct cowherd_error *err)
{
        owned_fd int source = openat(from, from_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        owned_fd int target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (source < 0 || target < 0)
                return fail_errno(err, "cannot open folder '%s'", name);
        return merge_entries(source, target, depth + 1, err);
}

/* Moves an entry over what may lie there: a file replaces a file, a folder is merged into a folder. */
static int put_in_place(int from, const char *from_name, int to, const char *name, unsigned depth, struct cowherd_error *err)
{
        struct stat there, ours;

        if (depth > DEPTH_MAX)
                return fail(err, COWHERD_DATA, "'%s' lies in too many folders", name);
        if (fstatat(from, from_name, &ours, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(err, "cannot look at '%s'", from_name);
        bool exists = fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
        if (exists && S_ISDIR(ours.st_mode) && S_ISDIR(there.st_mode))
                return merge(from, from_name, to, name, depth, err);
        if (exists && S_ISDIR(ours.st_mode) != S_ISDIR(there.st_mode)) {
                (void)fail(err, COWHERD_EXISTS, "'%s' already exists and is %s folder", name, S_ISDIR(there.st_mode) ? "a" : "no");
                return fail_hint(err, "choose another local=, or remove what is there");
        }
        return renameat(from, from_name, to, name) == 0 ? 0 : fail_errno(err, "cannot write '%s'", name);
}

static int receive(struct copying *copying, int folder, struct cowherd_error *err)
{
        const struct engine_driver *engine = copying->live.machine.engine;
        struct cowherd_error ignored;

        copying->copy.folder = folder;
        if (engine->copy_out(&copying->live.machine.instance, &copying->copy, err) == 0)
                return 0;
        ignore_result(file_remove_tree(folder, copying->name, &ignored));
        return -1;
}

/* What lies at the destination stays until the new thing is whole. */
static int receive_beside(struct copying *copying, struct cowherd_error *err)
{
        char digits[17];
        owned_str char *staging = x_asprintf(STAGING "%s", random_hex(8, digits));
        owned_fd int folder = -1;
        struct cowherd_error ignored;

        if (file_make_folders(copying->folder, staging, 0700, err) < 0)
                return -1;
        int got = file_open_folder(copying->folder, staging, &folder, err);
        if (got == 0)
                got = receive(copying, folder, err);
        if (got == 0)
                got = put_in_place(folder, copying->name, copying->folder, copying->name, 0, err);
        ignore_result(file_remove_tree(copying->folder, staging, &ignored));
        return got;
}

static int copy_out(struct copying *copying, struct cowherd_error *err)
{
        struct stat there;

        if (copying->live.machine.engine->copy_out == NULL)
                return live_fail_unable(&copying->live, "copy out of", err);
        if (fstatat(copying->folder, copying->name, &there, AT_SYMLINK_NOFOLLOW) == 0)
                return receive_beside(copying, err);
        return receive(copying, copying->folder, err);
}

/* ---- both ---- */

static void answer_copy(struct copying *copying, bool in)
{
        struct cowherd_answer *answer = copying->call->answer;
        const char *remote = copying->copy.remote, *name = copying->live.thing.row.name;

        answer_text(answer, "local", copying->local);
        answer_text(answer, "remote", remote);
        if (copying->bytes > 0)
                answer_number(answer, "size_bytes", copying->bytes);
        answer_ms(answer, "duration_ms", clock_ms() - copying->call->started_ms);
        if (in)
                answer_done(answer, "'%s' copied to '%s' in '%s'", copying->local, remote, name);
        else
                answer_done(answer, "'%s' of '%s' copied to '%s'", remote, name, copying->local);
}

int verb_copy(struct call *call, struct cowherd_error *err)
{
        struct copying copying owned_by(copying_free) = {.call = call, .live.thing.place.fd = -1, .folder = -1};
        const char *local = request_text(call->request, KEY_LOCAL), *remote = request_text(call->request, KEY_REMOTE);
        bool in = call->request->verb->id == VERB_COPY_TO;

        if (check_remote(remote, err) < 0 || (in && open_source(&copying, local, err) < 0) ||
            (!in && open_destination(&copying, local, remote, err) < 0))
                return -1;
        if (guest_open(call, &copying.live, err) < 0)
                return -1;
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_done(call->answer, "nothing done: '%s' would be copied %s '%s'", in ? copying.local : remote, in ? "to" : "out of", copying.live.thing.row.name);
                return 0;
        }
        copying.copy = (struct engine_copy){.folder = copying.folder, .name = copying.name, .remote = remote, .report = report, .context = &copying,
                                            .pack = archive_pack_entry, .unpack = archive_unpack_entry};
        if ((in ? copy_in : copy_out)(&copying, err) < 0)
                return fail_while(err, "copying %s '%s'", in ? "to" : "from", copying.live.thing.row.name);
        answer_copy(&copying, in);
        return 0;
}
