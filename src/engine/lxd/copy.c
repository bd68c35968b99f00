/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What copying in and out have in common: paths of the guest, and tar streams. The herd's pack and unpack read and write a
 * descriptor to the end, so each runs in a thread of its own, with a pair of sockets to the command's streams.
 */
#include "engine/lxd/lxd.h"

#include "lxd_api/exec.h"
#include "lxd_api/sftp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 16
#define WORDS_BYTES 8192u /* of what tar says */

void lxd_place_free(struct lxd_place *place)
{
        free(place->path);
        free(place->parent);
        free(place->name);
        *place = (struct lxd_place){0};
}

char *lxd_path_in(const char *folder, const char *name)
{
        return x_asprintf("%s/%s", str_equal(folder, "/") ? "" : folder, name);
}

static int split(const char *path, struct lxd_place *ret, struct cowherd_error *err)
{
        size_t length = strlen(path);

        while (length > 1 && path[length - 1] == '/')
                length--;
        owned_str char *whole = x_strndup(path, length);
        if (whole[0] != '/' || strstr(whole, "/../") != NULL || str_ends(whole, "/..")) {
                (void)fail(err, COWHERD_USAGE, "'%s' is no path of an instance", path);
                return fail_hint(err, "expected an absolute one without '..'");
        }
        const char *slash = strrchr(whole, '/');
        ret->parent = slash == whole ? x_strdup("/") : x_strndup(whole, (size_t)(slash - whole));
        ret->name = x_strdup(slash + 1);
        ret->path = take(whole);
        return 0;
}

static const char *type_of(mode_t mode)
{
        return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symlink" : "other";
}

/* Where a symlink at a place leads to, absolute, to be freed. A relative one begins where it lies. */
static char *follow(const struct lxd_place *place, const char *target)
{
        owned_str char *whole = target[0] == '/' ? x_strdup(target) : lxd_path_in(place->parent, target);
        owned_string struct str clean = {0};

        for (const char *at = whole; *at != '\0';) {
                size_t length = strcspn(at, "/");
                if (length == 2 && strncmp(at, "..", 2) == 0) {
                        const char *slash = strrchr(str_text(&clean), '/');
                        clean.length = slash != NULL ? (size_t)(slash - clean.data) : 0;
                        if (clean.data != NULL)
                                clean.data[clean.length] = '\0';
                } else if (length > 0 && !(length == 1 && at[0] == '.')) {
                        str_add_char(&clean, '/');
                        str_add_bytes(&clean, at, length);
                }
                at += length + (at[length] == '/');
        }
        return x_strdup(clean.length > 0 ? str_text(&clean) : "/");
}

/* The last component is looked at here; the ones before it the guest's own root resolves. */
int lxd_place_find(const struct lxd_target *target, const char *path, struct lxd_place *ret, struct cowherd_error *err)
{
        owned_sftp struct lxd_sftp *sftp = NULL;
        owned_str char *at = x_strdup(path);

        for (int links = 0; links < LINKS_MAX; links++) {
                owned_guest_place struct lxd_place place = {0};
                owned_str char *link = NULL;
                mode_t mode = 0;
                if (split(at, &place, err) < 0 || (sftp == NULL && lxd_sftp_open(target->client, target->name, &sftp, err) < 0))
                        return -1;
                int rc = lxd_sftp_stat(sftp, place.path, &mode, err);
                if (rc == 0) {
                        place.type = type_of(mode);
                        place.mode = (unsigned)mode & 07777;
                }
                if (rc == 0 && S_ISLNK(mode))
                        rc = lxd_sftp_read_link(sftp, place.path, &link, err);
                if (rc < 0)
                        return -1;
                if (link == NULL) {
                        *ret = place;
                        place = (struct lxd_place){0};
                        return 0;
                }
                owned_str char *next = follow(&place, link);
                x_replace(&at, next);
        }
        return fail(err, COWHERD_DATA, "'%s' in instance '%s' is a symlink that leads nowhere", path, target->name);
}

int lxd_has_tar(const struct lxd_target *target, bool *ret, struct cowherd_error *err)
{
        static const char *const places[] = {"/bin/tar", "/usr/bin/tar"};
        const char *type;

        *ret = false;
        for (size_t i = 0; lxd_state_of(target->instance) == ENGINE_RUNNING && !*ret && i < array_length(places); i++) {
                int rc = lxd_file_stat(target->client, target->name, places[i], &type, NULL, err);
                if (rc < 0)
                        return -1;
                *ret = rc == 0;
        }
        return 0;
}

/* ---- streams ---- */

/* The herd's side of a stream. */
struct streaming {
        const struct engine_copy *copy;
        const char *as;
        int fds[2]; /* [0] the thread's, [1] the command's */
        uint64_t done;
        struct str words; /* what tar says to stderr */
        struct cowherd_error err;
        int rc;
};

static void streaming_free(struct streaming *it)
{
        close_at(&it->fds[0]);
        close_at(&it->fds[1]);
        str_free(&it->words);
}
define_owned(struct streaming, streaming_free)

static void end(int *fd)
{
        close_at(fd);
        *fd = -1;
}

/* A reader that has gone is an error of write(2), and no signal: a thread's own, and nobody else's. */
static void ignore_pipe(void)
{
        sigset_t pipe;

        (void)sigemptyset(&pipe);
        (void)sigaddset(&pipe, SIGPIPE);
        (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
}

static void *pack(void *context)
{
        struct streaming *it = context;

        ignore_pipe();
        it->rc = it->copy->pack(it->copy->folder, it->copy->name, it->as, it->fds[0], &it->err);
        end(&it->fds[0]);
        return NULL;
}

static void *unpack(void *context)
{
        struct streaming *it = context;

        it->rc = it->copy->unpack(it->fds[0], it->as, it->copy->folder, it->copy->name, &it->err);
        end(&it->fds[0]);
        return NULL;
}

static void report(struct streaming *it)
{
        if (it->copy->report != NULL)
                it->copy->report(it->copy->context, it->done, 0);
}

static void on_fed(void *context, uint64_t bytes)
{
        struct streaming *it = context;

        it->done = bytes;
        report(it);
}

static int on_wrote(void *context, int stream, const char *bytes, size_t length, struct cowherd_error *err)
{
        struct streaming *it = context;

        if (stream == 2) {
                size_t room = WORDS_BYTES - it->words.length;
                str_add_bytes(&it->words, bytes, length < room ? length : room);
                return 0;
        }
        for (size_t sent = 0; it->fds[1] >= 0 && sent < length;) {
                ssize_t count = send(it->fds[1], bytes + sent, length - sent, MSG_NOSIGNAL);
                if (count < 0 && errno != EINTR)
                        return fail_errno(err, "the copy was broken off");
                sent += count > 0 ? (size_t)count : 0;
        }
        it->done += length;
        report(it);
        return 0;
}

/* Runs a thread beside a command, and tells the first reason why either failed: the herd's before tar's, which follows. */
static int run(const struct lxd_target *target, struct streaming *it, void *(*thread)(void *), const struct lxd_exec *exec,
               struct lxd_exec_result *ret, struct cowherd_error *err)
{
        pthread_t id;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, it->fds) < 0)
                return fail_errno(err, "cannot make a pair of sockets");
        struct lxd_exec wired = *exec;
        wired.input = exec->input >= 0 ? it->fds[1] : -1;
        wired.wake = -1;
        wired.wrote = on_wrote;
        wired.context = it;
        if (pthread_create(&id, NULL, thread, it) != 0)
                return fail(err, COWHERD_SYSTEM, "cannot start a thread");
        int rc = lxd_exec_run(target->client, target->name, &wired, ret, err);
        end(&it->fds[1]);
        (void)pthread_join(id, NULL);
        if (it->rc < 0 && (rc == 0 || it->err.os_errno != EPIPE)) {
                *err = it->err;
                return -1;
        }
        return rc;
}

/* What tar has failed over: its last line, and the code that fits. */
static int explain(const struct lxd_target *target, const struct streaming *it, int status, struct cowherd_error *err)
{
        owned_str char *said = x_strdup(str_text(&it->words));
        size_t length = strlen(said);

        while (length > 0 && said[length - 1] == '\n')
                said[--length] = '\0';
        const char *line = strrchr(said, '\n');
        line = line != NULL ? line + 1 : said;
        return fail(err, lxd_error_code(400, said), "tar in instance '%s' failed with status %d: %s", target->name, status, line);
}

int lxd_tar_in(const struct lxd_target *target, const struct engine_copy *copy, const char *parent, const char *as,
               struct cowherd_error *err)
{
        owned_by(streaming_free) struct streaming it = {.copy = copy, .as = as, .fds = {-1, -1}};
        const char *const argv[] = {"tar", "-x", "-p", "-o", "-f", "-", "-C", parent, NULL};
        const struct lxd_exec exec = {.argv = argv, .fed = on_fed, .input = 0};
        struct lxd_exec_result result;

        if (run(target, &it, pack, &exec, &result, err) < 0)
                return -1;
        return result.exit_code == 0 ? 0 : explain(target, &it, result.exit_code, err);
}

/* Status 1 of GNU tar is a file that was written while it was read: what is in the archive is whole. */
static bool only_changed(const struct streaming *it)
{
        return strstr(str_text(&it->words), "as we read it") != NULL || strstr(str_text(&it->words), "before we read it") != NULL;
}

int lxd_tar_out(const struct lxd_target *target, const struct engine_copy *copy, const char *parent, const char *as,
                struct cowherd_error *err)
{
        owned_by(streaming_free) struct streaming it = {.copy = copy, .as = as, .fds = {-1, -1}};
        const char *const argv[] = {"tar", "-c", "-f", "-", "-C", parent, "--", as, NULL};
        const struct lxd_exec exec = {.argv = argv, .input = -1};
        struct lxd_exec_result result;

        if (run(target, &it, unpack, &exec, &result, err) < 0)
                return -1;
        if (result.exit_code == 0 || (result.exit_code == 1 && only_changed(&it)))
                return 0;
        return explain(target, &it, result.exit_code, err);
}
