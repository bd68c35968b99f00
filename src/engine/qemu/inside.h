/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a machine's inside, by cowherd-guest where it answers, by the guest agent otherwise: the one place that chooses. Errors
 * are those of whoever was asked; where nobody is there, the agent's client tells what to install.
 */
#pragma once

#include "engine/engine.h"

/* Until somebody inside answers; *ret_who (may be NULL) tells who, static. 75. */
int inside_wait(const struct engine_instance *instance, uint64_t timeout_ms, const char **ret_who, struct cowherd_error *err) must_check;

struct inside_wish {
        bool woken; /* it woke from another machine's memory: address, clock and lease are renewed. By cowherd-guest only */
        bool sync;  /* what is written is on its disk before this returns */
};
/* As qemu_agent_personalise. */
int inside_personalise(const struct engine_instance *instance, const struct inside_wish *wish, uint64_t timeout_ms,
                       char *ret_pending, size_t bytes, struct cowherd_error *err) must_check;

/*
 * Of a machine that woke, its link down, as soon as it answers (*ret_answered_ms, of clock_ms): as qemu_agent_wake. What keeps it from being
 * somebody else (its random pool, its address) is a failure.
 */
struct qemu_agent_waking;
int inside_wake(const struct engine_instance *instance, const struct qemu_agent_waking *waking, uint64_t timeout_ms, char *ret_pending,
                size_t bytes, double *ret_answered_ms, struct cowherd_error *err) must_check;

/* The driver's callbacks. */
int inside_execute(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                   struct cowherd_error *err) must_check;
int inside_attach(const struct engine_instance *instance, const struct engine_command *command,
                  const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err) must_check;
int inside_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;
int inside_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;

/* Just before the machine's memory is kept: as guest_prepare. Without cowherd-guest nothing; whatever fails, waking takes longer then. */
void inside_prepare(const struct engine_instance *instance);

/* Freezes all filesystems; they are thawed by themselves after INSIDE_FREEZE_MS of the machine's time, if nobody does. */
#define INSIDE_FREEZE_MS 30000
int inside_freeze(const struct engine_instance *instance, uint64_t *ret_count, struct cowherd_error *err) must_check;
int inside_thaw(const struct engine_instance *instance, struct cowherd_error *err) must_check;
/* The first global address, into ret[64]; 75. */
int inside_address(const struct engine_instance *instance, uint64_t timeout_ms, char *ret, struct cowherd_error *err) must_check;
int inside_shutdown(const struct engine_instance *instance, struct cowherd_error *err) must_check;
