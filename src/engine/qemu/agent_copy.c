/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders between host and guest. What goes in is put together under a name of its own beside its place, and renamed;
 * what comes out likewise: so nothing half-copied is ever seen, and on failure nothing is left. Folders travel as tar, through a
 * file on both sides, as guest-exec takes no stream.
 */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_exec.h"
#include "engine/qemu/agent_file.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP "copy" /* what the top entry of a tar is called that goes in */
#define TAG_BYTES 17
#define TEMPORARY "/var/tmp"

/* $1 where to, $2 the name, $3 a tag, $4 whether a folder. Says the place to put it together in, and the place to put it. */
static const char begin_in[] =
        "no() { code=$1; shift; printf '%s\\n' \"$*\" >&2; exit $code; }\n"
        "target=$1\n"
        "if [ -d \"$1\" ]; then target=${1%/}/$2; fi\n"
        "case $target in */) no 66 \"folder '$target' not found\" ;; esac\n"
        "parent=${target%/*}\n"
        "[ -d \"$parent/\" ] || no 66 \"folder '$parent' not found\"\n"
        "if [ -d \"$target\" ]; then no 73 \"folder '$target' already exists\"; fi\n"
        "if [ $4 = 1 ] && { [ -e \"$target\" ] || [ -L \"$target\" ]; }; then no 73 \"'$target' already exists\"; fi\n"
        "if [ $4 = 1 ]; then command -v tar >/dev/null 2>&1 || no 69 'there is no tar, which copies folders'; fi\n"
        "said=$(mkdir -m 700 \"$parent/.cowherd-$3\" 2>&1) || no 74 \"${said:-mkdir fails}\"\n"
        "printf '%s\\n%s\\n' \"$parent/.cowherd-$3\" \"$target\"\n";
/* $1 the one, $2 the other, $3 the mode. */
static const char end_file[] =
        "chown 0:0 \"$1/file\" 2>/dev/null; chmod \"$3\" \"$1/file\" && mv -f \"$1/file\" \"$2\" && rmdir \"$1\"\n";
static const char end_folder[] =
        "mkdir \"$1/tree\" && tar -x -o -p -f \"$1/file\" -C \"$1/tree\" && rm -f \"$1/file\" &&\n"
        "mv \"$1/tree/" TOP "\" \"$2\" && rm -rf \"$1\"\n";
static const char undo[] = "rm -rf \"$1\"\n";

/* $1 what, $2 a tag. Says `file`, its mode and its size; or `folder`, the place of its tar, its name and the tar's size. */
static const char begin_out[] =
        "no() { code=$1; shift; printf '%s\\n' \"$*\" >&2; exit $code; }\n"
        "[ -e \"$1\" ] || no 66 \"'$1' not found\"\n"
        "if [ -f \"$1\" ]; then\n"
        "  printf 'file\\n%s\\n%s\\n' \"$(stat -L -c %a \"$1\" 2>/dev/null || echo 644)\" \"$(stat -L -c %s \"$1\" 2>/dev/null || echo 0)\"\n"
        "  exit 0\n"
        "fi\n"
        "[ -d \"$1\" ] || no 65 \"'$1' is neither a file nor a folder\"\n"
        "command -v tar >/dev/null 2>&1 || no 69 'there is no tar, which copies folders'\n"
        "cd -P \"$1\" || exit 77\n"
        "real=$PWD\n"
        "[ \"$real\" != / ] || no 64 'the root folder as a whole is not copied'\n"
        "stage=\n"
        "for base in /tmp /var/tmp /run; do\n"
        "  case $base/ in \"$real\"/*) continue ;; esac\n"
        "  if mkdir -m 700 \"$base/.cowherd-$2\" 2>/dev/null; then stage=$base/.cowherd-$2; break; fi\n"
        "done\n"
        "[ -n \"$stage\" ] || no 74 'there is no folder for temporary files'\n"
        "name=${real##*/}\n"
        "cd \"${real%/*}/\" || exit 77\n"
        "tar -cf \"$stage/file\" \"./$name\" || { code=$?; rm -rf \"$stage\"; exit 74; }\n"
        "printf 'folder\\n%s\\n%s\\n%s\\n' \"$stage\" \"$name\" \"$(stat -c %s \"$stage/file\" 2>/dev/null || echo 0)\"\n";

#define LINES 4
struct lines {
        char *items[LINES];
};
static void lines_free(struct lines *lines)
{
        for (size_t i = 0; i < LINES; i++)
                free(lines->items[i]);
}
define_owned(struct lines, lines_free)

/* Runs a script; its status is one of our codes. *ret_lines (may be NULL): the `count` lines that it must say. */
static int run(const struct engine_instance *instance, struct agent *agent, const char *script, const char *const *words,
               size_t count, struct lines *ret_lines, struct cowherd_error *err)
{
        struct engine_output output = {0};
        struct lines lines = {{0}};
        size_t found = 0;

        if (agent_script(instance, agent, script, words, NULL, 0, &output, err) < 0)
                return -1;
        if (output.exit_code != 0) {
                int code = output.exit_code;
                bool full = output.errors != NULL && strstr(output.errors, "No space left on device") != NULL;
                bool ours = code >= COWHERD_USAGE && code <= COWHERD_CONFIG;
                (void)agent_script_failed(agent, &output, full ? COWHERD_IO : ours ? (enum cowherd_code)code : COWHERD_SYSTEM, err);
                if (code == COWHERD_UNAVAILABLE)
                        (void)fail_hint(err, "install tar in the guest, or copy single files");
                engine_output_free(&output);
                return -1;
        }
        for (const char *at = output.out; found < count && found < LINES && strchr(at, '\n') != NULL; found++) {
                lines.items[found] = x_strndup(at, strcspn(at, "\n"));
                at += strcspn(at, "\n") + 1;
        }
        engine_output_free(&output);
        if (found < count) {
                lines_free(&lines);
                return fail(err, COWHERD_SYSTEM, "a script in '%s' did not say what it was asked for", agent->name);
        }
        if (ret_lines != NULL)
                *ret_lines = lines;
        else
                lines_free(&lines);
        return 0;
}

static int check_remote(const struct engine_copy *copy, struct cowherd_error *err)
{
        if (copy->remote[0] != '/' || strchr(copy->remote, '\n') != NULL)
                return fail(err, COWHERD_USAGE, "'%s' is no path in a guest (expected an absolute one, in one line)", copy->remote);
        return 0;
}

/* A file of ours without a name. */
static int open_temporary(int *ret_fd, struct cowherd_error *err)
{
        char path[] = TEMPORARY "/cowherd-XXXXXX";

        int fd = open(TEMPORARY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
                fd = mkostemp(path, O_CLOEXEC);
                if (fd >= 0)
                        (void)unlink(path);
        }
        if (fd < 0)
                return fail_errno(err, "cannot make a temporary file in '%s'", TEMPORARY);
        *ret_fd = fd;
        return 0;
}

/* ---- In ---- */

struct source {
        int fd; /* the file, or a tar of the folder */
        bool folder;
        mode_t mode;
        uint64_t bytes;
};

static int open_source(const struct engine_copy *copy, struct source *ret, struct cowherd_error *err)
{
        struct stat info;

        owned_fd int fd = openat(copy->folder, copy->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &info) < 0)
                return fail_errno(err, "cannot open '%s'", copy->name);
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
                return fail(err, COWHERD_DATA, "'%s' is neither a file nor a folder", copy->name);
        *ret = (struct source){.fd = -1, .folder = S_ISDIR(info.st_mode), .mode = info.st_mode & 07777};
        if (ret->folder) {
                owned_fd int tar = -1;
                if (open_temporary(&tar, err) < 0 || copy->pack(copy->folder, copy->name, TOP, tar, err) < 0)
                        return -1;
                if (fstat(tar, &info) < 0 || lseek(tar, 0, SEEK_SET) < 0)
                        return fail_errno(err, "cannot read the archive of '%s'", copy->name);
                ret->fd = take_fd(tar);
        } else {
                ret->fd = take_fd(fd);
        }
        ret->bytes = (uint64_t)info.st_size;
        return 0;
}

static int put(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
               const struct source *source, const struct lines *place, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, source->bytes};
        owned_str char *file = x_asprintf("%s/file", place->items[0]);
        char mode[16];

        (void)snprintf(mode, sizeof mode, "%o", source->mode);
        if (agent_send_file(instance, agent, source->fd, file, &progress, err) < 0)
                return -1;
        const char *const words[] = {place->items[0], place->items[1], mode, NULL};
        return run(instance, agent, source->folder ? end_folder : end_file, words, 0, NULL, err);
}

/* Takes away what was put together. The conversation may be what failed: then by another one. */
static void take_away(const struct engine_instance *instance, struct agent *agent, const char *place)
{
        const char *const words[] = {place, NULL};
        struct cowherd_error ignored;

        if (agent->fd >= 0 && run(instance, agent, undo, words, 0, NULL, &ignored) == 0)
                return;
        agent_close(agent);
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, agent, &ignored) == 0)
                ignore_result(run(instance, agent, undo, words, 0, NULL, &ignored));
}

/* Windows has no script of ours: the file is written in its place, and removed on failure. */
static int put_plainly(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                       const struct source *source, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, source->bytes};

        if (source->folder)
                return fail(err, COWHERD_UNAVAILABLE, "only single files can be copied into '%s', a Windows", agent->name);
        return agent_send_file(instance, agent, source->fd, copy->remote, &progress, err);
}

int qemu_agent_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_by(lines_free) struct lines place = {{0}};
        struct source source = {.fd = -1};
        char tag[TAG_BYTES];

        bool windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;
        if ((!windows && check_remote(copy, err) < 0) || open_source(copy, &source, err) < 0)
                return -1;
        owned_fd int fd = source.fd;
        (void)fd;
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        if (windows)
                return put_plainly(instance, &agent, copy, &source, err);
        const char *const words[] = {copy->remote, copy->name, random_hex((TAG_BYTES - 1) / 2, tag), source.folder ? "1" : "0", NULL};
        if (run(instance, &agent, begin_in, words, 2, &place, err) < 0)
                return -1;
        if (put(instance, &agent, copy, &source, &place, err) == 0)
                return 0;
        take_away(instance, &agent, place.items[0]);
        return -1;
}

/* ---- Out ---- */

static int fetch_folder(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                        const struct lines *said, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, strtoull(said->items[3], NULL, 10)};
        owned_str char *file = x_asprintf("%s/file", said->items[1]);
        const char *name = said->items[2];
        owned_fd int tar = -1;

        if (name[0] == '\0' || str_equal(name, ".") || str_equal(name, "..") || strchr(name, '/') != NULL)
                return fail(err, COWHERD_SYSTEM, "a script in '%s' did not say what it was asked for", agent->name);
        if (open_temporary(&tar, err) < 0 || agent_fetch_file(instance, agent, file, tar, &progress, err) < 0)
                return -1;
        if (lseek(tar, 0, SEEK_SET) < 0)
                return fail_errno(err, "cannot read the archive of '%s'", copy->remote);
        return copy->unpack(tar, name, copy->folder, copy->name, err);
}

static int fetch_as(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                    const char *beside, const struct lines *said, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, strtoull(said->items[2], NULL, 10)};
        /* setuid and setgid of a guest mean nothing good here, where the file becomes ours. */
        mode_t mode = (mode_t)strtoul(said->items[1], NULL, 8) & 0777;

        owned_fd int fd = openat(copy->folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", copy->name);
        if (agent_fetch_file(instance, agent, copy->remote, fd, &progress, err) < 0)
                return -1;
        if (fchmod(fd, mode) < 0)
                return fail_errno(err, "cannot set the mode of '%s'", copy->name);
        if (renameat(copy->folder, beside, copy->folder, copy->name) < 0)
                return fail_errno(err, "cannot make '%s'", copy->name);
        return 0;
}

static int fetch_file(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                      const struct lines *said, const char *tag, struct cowherd_error *err)
{
        owned_str char *beside = x_asprintf(".cowherd-%s", tag);

        if (fetch_as(instance, agent, copy, beside, said, err) == 0)
                return 0;
        (void)unlinkat(copy->folder, beside, 0);
        return -1;
}

int qemu_agent_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_by(lines_free) struct lines said = {{0}};
        char tag[TAG_BYTES];

        bool windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;
        (void)random_hex((TAG_BYTES - 1) / 2, tag);
        if ((!windows && check_remote(copy, err) < 0) || agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        if (windows) {
                said.items[1] = x_strdup("644");
                said.items[2] = x_strdup("0");
                return fetch_file(instance, &agent, copy, &said, tag, err);
        }
        const char *const words[] = {copy->remote, tag, NULL};
        if (run(instance, &agent, begin_out, words, 3, &said, err) < 0)
                return -1;
        if (str_equal(said.items[0], "file"))
                return fetch_file(instance, &agent, copy, &said, tag, err);
        if (said.items[3] == NULL)
                said.items[3] = x_strdup("0");
        int result = fetch_folder(instance, &agent, copy, &said, err);
        take_away(instance, &agent, said.items[1]);
        return result;
}
