/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for several instances, shared by the verbs that start some and by `wait` itself. */
#pragma once

#include "herd/group.h"

/*
 * Waits for an event of all that have not failed (and that `wanted`, which may be NULL, is true of), each in its own thread, until
 * deadline_ms (of clock_ms). Who has given its lock back before lets others stop and delete meanwhile. Outcomes tell.
 */
void group_wait(struct group *group, enum engine_event what, double deadline_ms, bool (*wanted)(const struct live *live));
/* When a wait that begins now ends: the request's timeout=, or the default. */
double wait_deadline(const struct request *request);
