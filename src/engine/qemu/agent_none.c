/* SPDX-License-Identifier: Apache-2.0 */
/* For as long as the agent's client is not merged: no guest has an agent. Goes with that merge. */
#include "engine/qemu/agent.h"
#define NO { (void)instance; return fail(err, COWHERD_UNAVAILABLE, "no agent yet"); }
int qemu_agent_wait(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err) {(void)timeout_ms; NO }
int qemu_agent_address(const struct engine_instance *instance, uint64_t timeout_ms, char *ret, struct cowherd_error *err) {(void)timeout_ms;(void)ret; NO }
int qemu_agent_personalise(const struct engine_instance *instance, uint64_t timeout_ms, char *ret_pending, size_t bytes, struct cowherd_error *err) {(void)timeout_ms;(void)ret_pending;(void)bytes; NO }
int qemu_agent_freeze(const struct engine_instance *instance, uint64_t *ret_count, struct cowherd_error *err) {(void)ret_count; NO }
int qemu_agent_thaw(const struct engine_instance *instance, struct cowherd_error *err) NO
int qemu_agent_shutdown(const struct engine_instance *instance, struct cowherd_error *err) NO
