/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: what copying in and copying out share. */
#pragma once

#include "engine/qemu/agent_exec.h"

#define AGENT_TAG_BYTES 17

/* What a script says, line by line. */
#define AGENT_LINES 4
struct agent_lines {
        char *items[AGENT_LINES];
};
void agent_lines_free(struct agent_lines *lines);
define_owned(struct agent_lines, agent_lines_free)

        /* Runs a script; its status is one of our codes. *ret_lines (may be NULL): at least `count` lines, which it
           must say. */
        int agent_copy_run(const struct engine_instance *instance, struct agent *agent, const char *script,
                           const char *const *words, size_t count, struct agent_lines *ret_lines,
                           struct cowherd_error *err) must_check;
/* Takes a folder of ours away in the guest, whatever has become of the conversation. */
void agent_copy_undo(const struct engine_instance *instance, struct agent *agent, const char *place);
/* Whether a path can be one of a guest: 64. */
int agent_copy_check(const struct engine_copy *copy, struct cowherd_error *err) must_check;
/* A file of ours without a name. */
int agent_copy_temporary(int *ret_fd, struct cowherd_error *err) must_check;
