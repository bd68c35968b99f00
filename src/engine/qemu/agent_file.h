/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: bytes of files by guest-file-open, -read and -write. */
#pragma once

#include "engine/qemu/agent_channel.h"

/* Tells of bytes; `report` may be NULL. */
struct agent_progress {
        void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
        void *context;
        uint64_t total_bytes;
};

/* A file in the guest; `mode` is fopen's. *ret_handle is given back by agent_file_close. 66, 74, 77 */
int agent_file_open(struct agent *agent, const char *path, const char *mode, int64_t *ret_handle,
                    struct cowherd_error *err) must_check;
int agent_file_close(struct agent *agent, int64_t handle, struct cowherd_error *err) must_check;
int agent_file_write(struct agent *agent, int64_t handle, const void *bytes, size_t count,
                     struct cowherd_error *err) must_check;
/* The next bytes, the caller's; *ret_end where there are no more for now. */
int agent_file_read(struct agent *agent, int64_t handle, char **ret_bytes, size_t *ret_count, bool *ret_end,
                    struct cowherd_error *err) must_check;

/* All of an open file of ours into a new one there, and the other way round; `progress` may be NULL. Others get their turn in between. */
int agent_send_file(const struct engine_instance *instance, struct agent *agent, int from, const char *path,
                    const struct agent_progress *progress, struct cowherd_error *err) must_check;
int agent_fetch_file(const struct engine_instance *instance, struct agent *agent, const char *path, int to,
                     const struct agent_progress *progress, struct cowherd_error *err) must_check;
