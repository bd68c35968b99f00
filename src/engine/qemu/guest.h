/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a guest through cowherd-guest(8), on a session that was opened (guest_channel.h). Errors: 75 where it does not answer
 * in time or its filesystems are frozen, 69 where this helper knows less than we ask, 71 where the guest's system refuses.
 */
#pragma once

#include "engine/qemu/guest_channel.h"

/* What is wanted besides what instance->identity says. */
struct guest_wish {
        bool woken; /* it woke from another machine's memory: its link's address and clock are set, its DHCP client asks again */
        bool sync;  /* what is written is on its disk before it is answered */
};
/* As qemu_agent_personalise. */
int guest_personalise(struct guest *guest, const struct guest_wish *wish, uint64_t timeout_ms, char *ret_pending, size_t bytes,
                      struct cowherd_error *err) must_check;
/* As engine.h tells of execute, attach and the copies. */
int guest_execute(struct guest *guest, const struct engine_command *command, struct engine_output *ret,
                  struct cowherd_error *err) must_check;
int guest_attach(struct guest *guest, const struct engine_command *command, const struct engine_streams *streams,
                 int *ret_exit_code, struct cowherd_error *err) must_check;
int guest_copy_in(struct guest *guest, const struct engine_copy *copy, struct cowherd_error *err) must_check;
int guest_copy_out(struct guest *guest, const struct engine_copy *copy, struct cowherd_error *err) must_check;
/* Runs one of our own programs in the guest: its status, and what it said, at most 64 KiB. */
int guest_tool(struct guest *guest, const char *const *argv, uint64_t timeout_ms, int *ret_status, struct cowherd_error *err) must_check;
/* How many filesystems were frozen, for limit_ms at most; thawed. */
int guest_freeze(struct guest *guest, uint32_t limit_ms, uint64_t *ret_count, struct cowherd_error *err) must_check;
/* Has it look now for what those who wake in its memory at once will need. An older helper knows nothing of it: 69. */
int guest_prepare(struct guest *guest, struct cowherd_error *err) must_check;
int guest_thaw(struct guest *guest, uint64_t *ret_count, struct cowherd_error *err) must_check;
/* The first global address, into ret[64]; waits for it, for timeout_ms: 75. */
int guest_address(struct guest *guest, uint64_t timeout_ms, char *ret, struct cowherd_error *err) must_check;
int guest_power(struct guest *guest, enum guest_power power, struct cowherd_error *err) must_check;
