/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders between host and guest, each by one command in the guest that takes or gives a stream. The scripts are always the
 * same; all that differs are their arguments. What goes in is put together beside its place and renamed, and taken away by the same
 * script where it fails.
 */
#include "engine/qemu/guest.h"

#include "engine/qemu/agent_channel.h"
#include "engine/qemu/agent_copy.h"
#include "engine/qemu/copy_script.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES 1024

/* $1 where to, $2 the name, $3 a tag, $4 whether a folder, $5 the mode. */
static const char script_in[] =
        COPY_NO COPY_TARGET
        "stage=$parent/.cowherd-$3\n"
        "mkdir -m 700 \"$stage\" || exit 74\n"
        "trap 'rm -rf \"$stage\"' EXIT\n"
        "trap 'exit 75' HUP INT TERM\n"
        "if [ $4 = 1 ]; then\n"
        "  mkdir \"$stage/tree\" && tar -x -o -p -f - -C \"$stage/tree\" && mv \"$stage/tree/" COPY_TOP "\" \"$target\" || exit 74\n"
        "else\n"
        "  cat >\"$stage/file\" && { chown 0:0 \"$stage/file\" 2>/dev/null; chmod \"$5\" \"$stage/file\"; } &&\n"
        "    mv -f \"$stage/file\" \"$target\" || exit 74\n"
        "fi\n";

/* $1 what. Says "file MODE" or "folder NAME" in a line, then the bytes, or a tar of it. */
static const char script_out[] =
        COPY_NO COPY_FOUND
        "if [ -f \"$1\" ]; then\n"
        "  printf 'file %s\\n' \"$(stat -L -c %a \"$1\" 2>/dev/null || echo 644)\"\n"
        "  exec cat \"$1\"\n"
        "fi\n"
        COPY_FOLDER
        "name=${real##*/}\n"
        "cd \"${real%/*}/\" || exit 77\n"
        "printf 'folder %s\\n' \"$name\"\n"
        "exec tar -cf - \"./$name\"\n";

/* ---- One script ---- */

/* What it complained of: the last line of what it said there. */
static int fail_script(const struct guest *guest, int code, int errors, struct cowherd_error *err)
{
        char text[HEAD_BYTES + 1] = "";
        struct stat info;

        off_t from = fstat(errors, &info) == 0 && info.st_size > HEAD_BYTES ? info.st_size - HEAD_BYTES : 0;
        ssize_t got = pread(errors, text, HEAD_BYTES, from);
        while (got > 0 && text[got - 1] == '\n')
                got--;
        text[got > 0 ? got : 0] = '\0';
        const char *line = strrchr(text, '\n');
        owned_str char *quoted = agent_quote(line == NULL ? text : line + 1);
        bool full = strstr(text, "No space left on device") != NULL, ours = code >= COWHERD_USAGE && code <= COWHERD_CONFIG;
        (void)fail(err, full ? COWHERD_IO : ours ? (enum cowherd_code)code : COWHERD_SYSTEM, "copying in '%s': %s", guest->instance->name,
                   quoted[0] == '\0' ? "a script fails" : quoted);
        return code == COWHERD_UNAVAILABLE ? fail_hint(err, "install tar in the guest, or copy single files") : -1;
}

static int run(struct guest *guest, const char *script, const char *const words[5], int input, int output, struct cowherd_error *err)
{
        const char *const argv[] = {"/bin/sh", "-c", script, "cowherd", words[0], words[1], words[2], words[3], words[4], NULL};
        const struct engine_command command = {.argv = argv, .working_dir = "/"};
        int code = 0;

        owned_fd int errors = memfd_create("cowherd-errors", MFD_CLOEXEC);
        owned_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (errors < 0 || nothing < 0)
                return fail_errno(err, "cannot make room for what a guest says");
        const struct engine_streams streams = {.input = input, .output = output < 0 ? nothing : output, .errors = errors};
        if (guest_attach(guest, &command, &streams, &code, err) < 0)
                return -1;
        return code == 0 ? 0 : fail_script(guest, code, errors, err);
}

/* ---- In ---- */

static int open_source(const struct engine_copy *copy, bool *ret_folder, mode_t *ret_mode, int *ret_fd, struct cowherd_error *err)
{
        struct stat info;

        owned_fd int fd = openat(copy->folder, copy->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), tar = -1;
        if (fd < 0 || fstat(fd, &info) < 0)
                return fail_errno(err, "cannot open '%s'", copy->name);
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
                return fail(err, COWHERD_DATA, "'%s' is neither a file nor a folder", copy->name);
        *ret_folder = S_ISDIR(info.st_mode);
        *ret_mode = info.st_mode & 07777;
        if (!*ret_folder) {
                *ret_fd = take_fd(fd);
                return 0;
        }
        if (agent_copy_temporary(&tar, err) < 0 || copy->pack(copy->folder, copy->name, COPY_TOP, tar, err) < 0)
                return -1;
        if (lseek(tar, 0, SEEK_SET) < 0)
                return fail_errno(err, "cannot read the archive of '%s'", copy->name);
        *ret_fd = take_fd(tar);
        return 0;
}

static void report(const struct engine_copy *copy, uint64_t done, uint64_t total)
{
        if (copy->report != NULL)
                copy->report(copy->context, done, total);
}

int guest_copy_in(struct guest *guest, const struct engine_copy *copy, struct cowherd_error *err)
{
        char tag[AGENT_TAG_BYTES], mode[16];
        owned_fd int source = -1;
        struct stat info = {0};
        mode_t bits = 0;
        bool folder;

        if (agent_copy_check(copy, err) < 0 || open_source(copy, &folder, &bits, &source, err) < 0)
                return -1;
        (void)snprintf(mode, sizeof mode, "%o", bits);
        const char *const words[5] = {copy->remote, copy->name, random_hex((AGENT_TAG_BYTES - 1) / 2, tag), folder ? "1" : "0", mode};
        uint64_t total = fstat(source, &info) == 0 ? (uint64_t)info.st_size : 0;
        report(copy, 0, total);
        if (run(guest, script_in, words, source, -1, err) < 0)
                return -1;
        report(copy, total, total);
        return 0;
}

/* ---- Out ---- */

/* The first line of what came, without its end; the descriptor is put behind it. */
static int read_head(const struct guest *guest, int fd, char *ret, struct cowherd_error *err)
{
        ssize_t got = pread(fd, ret, HEAD_BYTES, 0);
        char *end = got > 0 ? memchr(ret, '\n', (size_t)got) : NULL;

        if (end == NULL || memchr(ret, 0, (size_t)(end - ret)) != NULL)
                return guest_fail_nonsense(guest, err);
        *end = '\0';
        if (lseek(fd, end - ret + 1, SEEK_SET) < 0)
                return fail_errno(err, "cannot read what came");
        return 0;
}

static int copy_rest(int from, int to, struct cowherd_error *err)
{
        char piece[32768];
        ssize_t got;

        while ((got = read(from, piece, sizeof piece)) != 0) {
                if (got < 0 && errno != EINTR)
                        return fail_errno(err, "cannot read what came");
                for (ssize_t done = 0; done < got;) {
                        ssize_t written = write(to, piece + done, (size_t)(got - done));
                        if (written < 0 && errno != EINTR)
                                return fail_errno(err, "cannot write what came");
                        done += written > 0 ? written : 0;
                }
        }
        return 0;
}

/* setuid and setgid of a guest mean nothing good here, where the file becomes ours. */
static int keep_file(const struct engine_copy *copy, int from, const char *beside, const char *mode, struct cowherd_error *err)
{
        owned_fd int fd = openat(copy->folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", copy->name);
        if (copy_rest(from, fd, err) < 0)
                return -1;
        if (fchmod(fd, (mode_t)strtoul(mode, NULL, 8) & 0777) < 0 || renameat(copy->folder, beside, copy->folder, copy->name) < 0)
                return fail_errno(err, "cannot make '%s'", copy->name);
        return 0;
}

static int keep(const struct guest *guest, const struct engine_copy *copy, int from, const char *head, struct cowherd_error *err)
{
        char tag[AGENT_TAG_BYTES];
        owned_str char *beside = x_asprintf(".cowherd-%s", random_hex((AGENT_TAG_BYTES - 1) / 2, tag));

        if (str_starts(head, "folder ")) {
                const char *name = head + strlen("folder ");
                if (name[0] == '\0' || str_equal(name, ".") || str_equal(name, "..") || strchr(name, '/') != NULL)
                        return guest_fail_nonsense(guest, err);
                return copy->unpack(from, name, copy->folder, copy->name, err);
        }
        if (!str_starts(head, "file "))
                return guest_fail_nonsense(guest, err);
        if (keep_file(copy, from, beside, head + strlen("file "), err) == 0)
                return 0;
        (void)unlinkat(copy->folder, beside, 0);
        return -1;
}

int guest_copy_out(struct guest *guest, const struct engine_copy *copy, struct cowherd_error *err)
{
        const char *const words[5] = {copy->remote};
        owned_fd int came = -1;
        char head[HEAD_BYTES];
        struct stat info = {0};

        if (agent_copy_check(copy, err) < 0 || agent_copy_temporary(&came, err) < 0 ||
            run(guest, script_out, words, -1, came, err) < 0 || read_head(guest, came, head, err) < 0)
                return -1;
        uint64_t total = fstat(came, &info) == 0 ? (uint64_t)info.st_size : 0;
        report(copy, total, total);
        return keep(guest, copy, came, head, err);
}
