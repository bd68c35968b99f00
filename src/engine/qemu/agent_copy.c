/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders between host and guest. What goes in is put together under a name of its own beside its place, and
 * renamed; what comes out likewise: so nothing half-copied is ever seen, and on failure nothing is left. Folders travel
 * as tar, through a file on both sides, as guest-exec takes no stream.
 */
#include "engine/qemu/agent_copy.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TEMPORARY "/var/tmp"

static const char undo[] = "rm -rf \"$1\"\n";

void agent_lines_free(struct agent_lines *lines)
{
        for (size_t i = 0; i < AGENT_LINES; i++)
                free(lines->items[i]);
}

int agent_copy_run(const struct engine_instance *instance, struct agent *agent, const char *script,
                   const char *const *words, size_t count, struct agent_lines *ret_lines, struct cowherd_error *err)
{
        struct engine_output output = {0};
        struct agent_lines lines = {{0}};
        size_t found = 0;

        if (agent_script(instance, agent, script, words, NULL, 0, &output, err) < 0)
                return -1;
        if (output.exit_code != 0) {
                int code = output.exit_code;
                bool full = output.errors != NULL && strstr(output.errors, "No space left on device") != NULL;
                bool ours = code >= COWHERD_USAGE && code <= COWHERD_CONFIG;
                (void)agent_script_failed(agent, &output,
                                          full   ? COWHERD_IO
                                          : ours ? (enum cowherd_code)code
                                                 : COWHERD_SYSTEM,
                                          err);
                if (code == COWHERD_UNAVAILABLE)
                        (void)fail_hint(err, "install tar in the guest, or copy single files");
                engine_output_free(&output);
                return -1;
        }
        for (const char *at = output.out; found < count && found < AGENT_LINES && strchr(at, '\n') != NULL; found++) {
                lines.items[found] = x_strndup(at, strcspn(at, "\n"));
                at += strcspn(at, "\n") + 1;
        }
        engine_output_free(&output);
        if (found < count) {
                agent_lines_free(&lines);
                return fail(err, COWHERD_SYSTEM, "a script in '%s' did not say what it was asked for", agent->name);
        }
        if (ret_lines != NULL)
                *ret_lines = lines;
        else
                agent_lines_free(&lines);
        return 0;
}

int agent_copy_check(const struct engine_copy *copy, struct cowherd_error *err)
{
        if (copy->remote[0] != '/' || strchr(copy->remote, '\n') != NULL)
                return fail(err, COWHERD_USAGE, "'%s' is no path in a guest (expected an absolute one, in one line)",
                            copy->remote);
        return 0;
}

int agent_copy_temporary(int *ret_fd, struct cowherd_error *err)
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

/* The conversation may be what failed: then by another one. */
void agent_copy_undo(const struct engine_instance *instance, struct agent *agent, const char *place)
{
        const char *const words[] = {place, NULL};
        struct cowherd_error ignored;

        if (agent->fd >= 0 && agent_copy_run(instance, agent, undo, words, 0, NULL, &ignored) == 0)
                return;
        agent_close(agent);
        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, agent, &ignored) == 0)
                ignore_result(agent_copy_run(instance, agent, undo, words, 0, NULL, &ignored));
}
