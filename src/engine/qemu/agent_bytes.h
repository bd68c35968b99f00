/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: what conversations with an agent are made of. Times are clock_ms's. */
#pragma once

#include "engine/qemu/agent_channel.h"

int agent_send(struct agent *agent, const char *bytes, size_t count, double until_ms,
               struct cowherd_error *err) must_check;
/* Adds what has come to the buffer, sleeping until there is something; 1 when the time is over. */
int agent_receive(struct agent *agent, double until_ms, struct cowherd_error *err) must_check;
/* A line of at most limit_bytes without its end, *ret the caller's; 1 when the time is over. */
int agent_read_line(struct agent *agent, size_t limit_bytes, double until_ms, char **ret,
                    struct cowherd_error *err) must_check;
/* Removes the first bytes of the buffer. */
void agent_forget(struct agent *agent, size_t count);

/* It does not answer: 75. */
int agent_fail_silent(const struct agent *agent, struct cowherd_error *err);
/* It answers nonsense, such as `what`: 71. */
int agent_fail_nonsense(const struct agent *agent, const char *what, struct cowherd_error *err);
