/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a guest through its agent, qemu-guest-agent or one that speaks like it (qemu-ga-ref(7)). The agent's
 * port is the Unix socket "agent.sock" in the instance's runtime folder, which QEMU listens on: a virtserialport of the
 * name org.qemu.guest_agent.0 over `-chardev socket,server=on,wait=off`. QEMU serves one client and lets others queue,
 * so calls from many processes take turns; "agent.lock" beside it tells each whether others are there.
 *
 * All that a guest says is taken as hostile: replies are bounded and typed, and nothing of them is a path or a length
 * of ours.
 *
 * Errors of all of them: 69 with what to install or change in the guest where nothing inside can do it (nobody has
 * opened the port, the command is disabled); 75 where the agent does not answer in time, or the machine does not run;
 * 71 with the agent's own words where it refuses.
 */
#pragma once

#include "engine/engine.h"

/* Of the 9p device that carries machine->mounts[index]: "cowherd0". Into buffer of 16 bytes, which is returned. */
#define QEMU_MOUNT_TAG_BYTES 16
const char *qemu_agent_mount_tag(size_t index, char *buffer);

/*
 * Waits until the agent answers: one question, asked at once, which the agent answers when it starts. 75 after
 * timeout_ms (at least one prompt answer is waited for); its hint tells whether the guest ever opened the port, and
 * what to install.
 */
int qemu_agent_wait(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err) must_check;

/*
 * The guest's first global address, IPv4 before IPv6, into ret[64]. Waits for the agent, then asks again at growing
 * intervals (10 … 50 ms: the agent tells no change of addresses). 75 after timeout_ms.
 */
int qemu_agent_address(const struct engine_instance *instance, uint64_t timeout_ms, char *ret,
                       struct cowherd_error *err) must_check;

/*
 * Gives a running Linux guest instance->identity and machine->mounts from inside, and marks it as done in there, so
 * that a second time does nothing. The agent must answer (qemu_agent_wait). What could not be applied, and why, goes
 * into ret_pending[bytes], "" where all is: that is success. -1 only where nothing could be done.
 */
int qemu_agent_personalise(const struct engine_instance *instance, uint64_t timeout_ms, char *ret_pending, size_t bytes,
                           struct cowherd_error *err) must_check;

/*
 * The same for a machine that woke in another's memory: it has to be told all of it, what its disk does not keep too, and its clock, its
 * random pool (64 bytes of ours, and made anew from them) and its cards' address (addresses and lease asked for again).
 * What keeps it from being somebody else (its pool, its address) is a failure, and not pending.
 */
struct qemu_agent_waking {
        const char *old_mac;   /* which cards get identity->mac; NULL: none */
        bool forget_addresses; /* they may be the source's on a network that both are on */
        bool reseed;           /* the kernel does not do so by itself */
        bool rehearsal;        /* nobody is asked for a lease: its link stays down */
        bool helper;           /* cowherd-guest was in that memory: it is asked first */
};
int qemu_agent_wake(const struct engine_instance *instance, const struct qemu_agent_waking *waking, uint64_t timeout_ms,
                    char *ret_pending, size_t bytes, struct cowherd_error *err) must_check;

/*
 * Freezes the guest's filesystems; *ret_count is how many. Who freezes must thaw: until then the agent refuses all
 * else. Thaw is safe to repeat (0 filesystems then). A client killed in between leaves the guest frozen: thaw before it
 * goes on.
 */
int qemu_agent_freeze(const struct engine_instance *instance, uint64_t *ret_count,
                      struct cowherd_error *err) must_check;
int qemu_agent_thaw(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* Asks the guest's init to shut down; returns when it was asked, not when it is down. */
int qemu_agent_shutdown(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* The driver's callbacks, as engine.h tells. */
int qemu_agent_execute(const struct engine_instance *instance, const struct engine_command *command,
                       struct engine_output *ret, struct cowherd_error *err) must_check;
int qemu_agent_attach(const struct engine_instance *instance, const struct engine_command *command,
                      const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err) must_check;
/* The serial console: "console.sock" in the runtime folder; what attach does on a terminal without a command. 75 where
 * another has it. */
int qemu_agent_console(const struct engine_instance *instance, const struct engine_streams *streams, int *ret_exit_code,
                       struct cowherd_error *err) must_check;
int qemu_agent_copy_in(const struct engine_instance *instance, const struct engine_copy *copy,
                       struct cowherd_error *err) must_check;
int qemu_agent_copy_out(const struct engine_instance *instance, const struct engine_copy *copy,
                        struct cowherd_error *err) must_check;
