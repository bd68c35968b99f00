/* SPDX-License-Identifier: Apache-2.0 */
/* A file or a folder out of the guest (agent_copy.c). */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_copy.h"
#include "engine/qemu/agent_file.h"
#include "engine/qemu/copy_script.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* $1 what, $2 a tag. Says `file`, its mode and its size; or `folder`, the place of its tar, its name and the tar's
 * size. */
static const char begin_out[] =
        COPY_NO COPY_FOUND
        "if [ -f \"$1\" ]; then\n"
        "  printf 'file\\n%s\\n%s\\n' \"$(stat -L -c %a \"$1\" 2>/dev/null || echo 644)\" \"$(stat -L -c %s \"$1\" "
        "2>/dev/null || echo 0)\"\n"
        "  exit 0\n"
        "fi\n"
        COPY_FOLDER
        "stage=\n"
        "for base in /tmp /var/tmp /run; do\n"
        "  case $base/ in \"$real\"/*) continue ;; esac\n"
        "  if mkdir -m 700 \"$base/.cowherd-$2\" 2>/dev/null; then stage=$base/.cowherd-$2; break; fi\n"
        "done\n"
        "[ -n \"$stage\" ] || no 74 'there is no folder for temporary files'\n"
        "name=${real##*/}\n"
        "cd \"${real%/*}/\" || exit 77\n"
        "tar -cf \"$stage/file\" \"./$name\" || { code=$?; rm -rf \"$stage\"; exit 74; }\n"
        "printf 'folder\\n%s\\n%s\\n%s\\n' \"$stage\" \"$name\" \"$(stat -c %s \"$stage/file\" 2>/dev/null || echo "
        "0)\"\n";

static int fetch_folder(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                        const struct agent_lines *said, struct cowherd_error *err)
{
        struct agent_progress progress = {copy->report, copy->context, strtoull(said->items[3], NULL, 10)};
        owned_str char *file = x_asprintf("%s/file", said->items[1]);
        const char *name = said->items[2];
        owned_fd int tar = -1;

        if (name[0] == '\0' || str_equal(name, ".") || str_equal(name, "..") || strchr(name, '/') != NULL)
                return fail(err, COWHERD_SYSTEM, "a script in '%s' did not say what it was asked for", agent->name);
        if (agent_copy_temporary(&tar, err) < 0 || agent_fetch_file(instance, agent, file, tar, &progress, err) < 0)
                return -1;
        if (lseek(tar, 0, SEEK_SET) < 0)
                return fail_errno(err, "cannot read the archive of '%s'", copy->remote);
        return copy->unpack(tar, name, copy->folder, copy->name, err);
}

static int fetch_as(const struct engine_instance *instance, struct agent *agent, const struct engine_copy *copy,
                    const char *beside, const struct agent_lines *said, struct cowherd_error *err)
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
                      const struct agent_lines *said, const char *tag, struct cowherd_error *err)
{
        owned_str char *beside = x_asprintf(".cowherd-%s", tag);

        if (fetch_as(instance, agent, copy, beside, said, err) == 0)
                return 0;
        (void)unlinkat(copy->folder, beside, 0);
        return -1;
}

int qemu_agent_copy_out(const struct engine_instance *instance, const struct engine_copy *copy,
                        struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;
        owned_by(agent_lines_free) struct agent_lines said = {{0}};
        char tag[AGENT_TAG_BYTES];

        bool windows = instance->machine != NULL && instance->machine->os == ENGINE_OS_WINDOWS;
        (void)random_hex((AGENT_TAG_BYTES - 1) / 2, tag);
        if ((!windows && agent_copy_check(copy, err) < 0) ||
            agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        if (windows) {
                said.items[1] = x_strdup("644");
                said.items[2] = x_strdup("0");
                return fetch_file(instance, &agent, copy, &said, tag, err);
        }
        const char *const words[] = {copy->remote, tag, NULL};
        if (agent_copy_run(instance, &agent, begin_out, words, 3, &said, err) < 0)
                return -1;
        if (str_equal(said.items[0], "file"))
                return fetch_file(instance, &agent, copy, &said, tag, err);
        if (said.items[3] == NULL)
                said.items[3] = x_strdup("0");
        int result = fetch_folder(instance, &agent, copy, &said, err);
        agent_copy_undo(instance, &agent, said.items[1]);
        return result;
}
