/* SPDX-License-Identifier: Apache-2.0 */
/* A file or a folder into the guest (agent_copy.c). */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_copy.h"
#include "engine/qemu/agent_file.h"
#include "engine/qemu/copy_script.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* $1 where to, $2 the name, $3 a tag, $4 whether a folder. Says the place to put it together in, and the place to put
 * it. */
static const char begin_in[] =
        COPY_NO COPY_TARGET
        "said=$(mkdir -m 700 \"$parent/.cowherd-$3\" 2>&1) || no 74 \"${said:-mkdir fails}\"\n"
        "printf '%s\\n%s\\n' \"$parent/.cowherd-$3\" \"$target\"\n";
/* $1 the one, $2 the other, $3 the mode. */
static const char end_file[] =
        "chown 0:0 \"$1/file\" 2>/dev/null; chmod \"$3\" \"$1/file\" && mv -f \"$1/file\" \"$2\" && rmdir \"$1\"\n";
static const char end_folder[] =
        "mkdir \"$1/tree\" && tar -x -o -p -f \"$1/file\" -C \"$1/tree\" && rm -f \"$1/file\" &&\n"
        "mv \"$1/tree/" COPY_TOP "\" \"$2\" && rm -rf \"$1\"\n";

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
                if (agent_copy_temporary(&tar, err) < 0 || copy->pack(copy->folder, copy->name, COPY_TOP, tar, err) < 0)
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
               const struct source *source, const struct agent_lines *place, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, source->bytes};
        owned_str char *file = x_asprintf("%s/file", place->items[0]);
        char mode[16];

        (void)snprintf(mode, sizeof mode, "%o", source->mode);
        if (agent_send_file(instance, agent, source->fd, file, &progress, err) < 0)
                return -1;
        const char *const words[] = {place->items[0], place->items[1], mode, NULL};
        return agent_copy_run(instance, agent, source->folder ? end_folder : end_file, words, 0, NULL, err);
}

/* Windows has no script of ours: the file is written in its place, and removed on failure. */
static int put_plainly(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                       const struct source *source, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, source->bytes};

        if (source->folder)
                return fail(err, COWHERD_UNAVAILABLE, "only single files can be copied into '%s', a Windows",
                            agent->name);
        return agent_send_file(instance, agent, source->fd, copy->remote, &progress, err);
}

int qemu_agent_copy_in(const struct engine_instance *instance, const struct engine_copy *copy,
                       struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_by(agent_lines_free) struct agent_lines place = {{0}};
        struct source source = {.fd = -1};
        char tag[AGENT_TAG_BYTES];

        bool windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;
        if ((!windows && agent_copy_check(copy, err) < 0) || open_source(copy, &source, err) < 0)
                return -1;
        owned_fd int fd = source.fd;
        (void)fd;
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        if (windows)
                return put_plainly(instance, &agent, copy, &source, err);
        const char *const words[] = {copy->remote, copy->name, random_hex((AGENT_TAG_BYTES - 1) / 2, tag),
                                     source.folder ? "1" : "0", NULL};
        if (agent_copy_run(instance, &agent, begin_in, words, 2, &place, err) < 0)
                return -1;
        if (put(instance, &agent, copy, &source, &place, err) == 0)
                return 0;
        agent_copy_undo(instance, &agent, place.items[0]);
        return -1;
}
