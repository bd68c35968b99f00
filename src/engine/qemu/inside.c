/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked. Where both may come, a machine that boots, both are asked at once and who answers first is it; afterwards the helper is
 * asked if it is there, which guest_channel.c knows at no cost worth telling. Nobody is waited for whose firmware has given up.
 */
#include "engine/qemu/inside.h"

#include "base/mem.h"
#include "engine/qemu/agent.h"
#include "engine/qemu/agent_channel.h"
#include "engine/qemu/boot_watch.h"
#include "engine/qemu/guest.h"
#include "engine/qemu/runtime.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPECTED_MS 3000.0 /* how long a helper that was there is waited for alone, tens of ms where all is well */

/* 0: the helper. 1: the agent. */
static int choose(const struct engine_instance *instance, bool lasting, struct guest *ret, struct cowherd_error *err)
{
        return guest_can_be_there(instance) ? guest_begin(instance, lasting, GUEST_ANSWER_MS, ret, err) : 1;
}

/* ---- Waiting for the first ---- */

/*
 * A question to the agent that it answers when it starts. Its answer is not read: it only tells that now the agent's client need not
 * wait. The byte of the lock says that somebody queues there, as that client does.
 */
static int call_agent(const struct engine_instance *instance, int *ret_fd, int *ret_lock)
{
        static const char question[] = "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n";
        struct flock presence = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        owned_fd int runtime = -1, fd = -1;
        struct cowherd_error ignored;

        if (qemu_runtime_open(instance, &runtime, &ignored) < 0)
                return -1;
        owned_fd int lock = openat(runtime, AGENT_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0 || fcntl(lock, F_OFD_SETLK, &presence) < 0 ||
            qemu_socket_connect(runtime, QEMU_AGENT, &fd, &ignored) < 0 ||
            send(fd, question, sizeof question - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                return -1;
        *ret_fd = take_fd(fd);
        *ret_lock = take_fd(lock);
        return 0;
}

static int fail_unbootable(const struct engine_instance *instance, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_DATA, "'%s' has nothing to boot from: its firmware found no boot loader on its disk", instance->name);
        return fail_hint(err, "'logs' shows what it said; a disk made for UEFI wants firmware=uefi, one for BIOS firmware=bios");
}

/* 0: the helper has spoken. 1: the agent has, or the time is over, or the helper hung up. 65: neither ever will. */
static int await_first(const struct engine_instance *instance, int guest, int agent, double until_ms, struct cowherd_error *err)
{
        struct boot_watch watch owned_by(boot_watch_end) = BOOT_WATCH_NONE;

        boot_watch_begin(instance, &watch);
        for (;;) {
                if (boot_watch_gave_up(&watch))
                        return fail_unbootable(instance, err);
                struct pollfd ways[] = {{.fd = guest, .events = POLLIN}, {.fd = agent, .events = POLLIN}, {.fd = watch.changes, .events = POLLIN}};
                double left = until_ms - clock_ms();
                int ready = poll(ways, array_length(ways), left <= 0 ? 0 : left > 1e9 ? 1000000000 : (int)left + 1);
                if (ready < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for a guest");
                if (ready == 0 && clock_ms() >= until_ms)
                        return 1;
                if (ready > 0 && (ways[0].revents | ways[1].revents) != 0)
                        return ways[0].revents != 0 ? 0 : 1;
        }
}

/*
 * 0: the helper answered, and *ret_guest is the session with it. 1: the agent is to be waited for. Where the helper is known to be there the
 * agent is left asleep: in a machine that just woke, and without KVM, it would take the processor from the helper.
 */
static int await_helper(const struct engine_instance *instance, bool expected, double until_ms, struct guest *ret_guest, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        owned_fd int agent = -1, lock = -1;
        struct cowherd_error ignored;

        if (!guest_can_be_there(instance) || guest_connect(instance, false, until_ms, &guest, &ignored) != 0)
                return 1;
        int who = expected ? await_first(instance, guest.fd, -1, until_ms < clock_ms() + EXPECTED_MS ? until_ms : clock_ms() + EXPECTED_MS, err) : 1;
        if (who == 1) {
                (void)call_agent(instance, &agent, &lock); /* without one it is the helper's alone */
                who = await_first(instance, guest.fd, agent, until_ms, err);
        }
        if (who == 0)
                who = guest_welcome(&guest, clock_ms() + GUEST_ANSWER_MS, err);
        if (who == 0) {
                *ret_guest = guest;
                guest = GUEST_CLOSED;
        }
        return who;
}

/* inside_wait, with the session of whoever answered where that is the helper. */
static int await_inside(const struct engine_instance *instance, bool helper, uint64_t timeout_ms, const char **ret_who, struct guest *ret_guest,
                        struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)(timeout_ms == 0 ? AGENT_GRACE_MS : timeout_ms);

        int who = await_helper(instance, helper, until_ms, ret_guest, err);
        if (who < 0)
                return -1;
        if (ret_who != NULL)
                *ret_who = who == 0 ? "cowherd-guest" : "agent";
        double left_ms = until_ms - clock_ms();
        return who == 0 ? 0 : qemu_agent_wait(instance, left_ms < 1 ? 1 : (uint64_t)left_ms, err);
}

int inside_wait(const struct engine_instance *instance, uint64_t timeout_ms, const char **ret_who, struct cowherd_error *err)
{
        owned_guest struct guest ignored = GUEST_CLOSED;

        return await_inside(instance, false, timeout_ms, ret_who, &ignored, err);
}

/* ---- The rest ---- */

int inside_personalise(const struct engine_instance *instance, const struct inside_wish *wish, uint64_t timeout_ms,
                       char *ret_pending, size_t bytes, struct cowherd_error *err)
{
        const struct guest_wish wanted = {.woken = wish->woken, .sync = wish->sync};
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, false, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_personalise(instance, timeout_ms, ret_pending, bytes, err);
        return guest_personalise(&guest, &wanted, timeout_ms, ret_pending, bytes, err);
}

/* Those that its card's last user had, where others may have them: the lease that is asked for next brings others. */
static int forget_addresses(struct guest *guest, const struct engine_identity *identity, struct cowherd_error *err)
{
        const char *const script[] = {"/bin/sh", "-c",
                                      "for card in /sys/class/net/*; do read -r address <\"$card/address\" || continue; "
                                      "[ \"$address\" != \"$1\" ] || ip address flush dev \"${card##*/}\" || ifconfig \"${card##*/}\" 0.0.0.0 || exit 1; "
                                      "done 2>/dev/null; exit 0", "sh", identity->mac, NULL};
        int status = 0;

        if (guest_tool(guest, script, GUEST_ANSWER_MS, &status, err) < 0)
                return -1;
        return status == 0 ? 0 : fail(err, COWHERD_SYSTEM, "the addresses of the woken machine's card can't be taken away");
}

static int wake(struct guest *guest, const struct qemu_agent_waking *waking, uint64_t timeout_ms, char *ret_pending, size_t bytes,
                struct cowherd_error *err)
{
        const struct engine_identity *identity = guest->instance->identity;
        const struct guest_wish wanted = {.woken = true};

        if (guest_personalise(guest, &wanted, timeout_ms, ret_pending, bytes, err) < 0)
                return -1;
        if (strstr(ret_pending, "random-seed:") != NULL || strstr(ret_pending, "mac:") != NULL)
                return fail(err, COWHERD_SYSTEM, "it can't be made another than it was: %s", ret_pending);
        return identity->fresh && waking->forget_addresses ? forget_addresses(guest, identity, err) : 0;
}

int inside_wake(const struct engine_instance *instance, const struct qemu_agent_waking *waking, uint64_t timeout_ms, char *ret_pending,
                size_t bytes, double *ret_answered_ms, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        const char *who = NULL;

        if (await_inside(instance, waking->helper, timeout_ms, &who, &guest, err) < 0)
                return fail_while(err, "waiting until the woken '%s' answers", instance->name);
        *ret_answered_ms = clock_ms();
        int done = guest.fd >= 0 ? wake(&guest, waking, timeout_ms, ret_pending, bytes, err)
                                 : qemu_agent_wake(instance, waking, timeout_ms, ret_pending, bytes, err);
        return done < 0 ? fail_while(err, "giving '%s' its identity", instance->name) : 0;
}

int inside_execute(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                   struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, true, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_execute(instance, command, ret, err);
        return guest_execute(&guest, command, ret, err);
}

int inside_attach(const struct engine_instance *instance, const struct engine_command *command,
                  const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, true, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_attach(instance, command, streams, ret_exit_code, err);
        return guest_attach(&guest, command, streams, ret_exit_code, err);
}

int inside_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, true, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_copy_in(instance, copy, err);
        return guest_copy_in(&guest, copy, err);
}

int inside_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, true, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_copy_out(instance, copy, err);
        return guest_copy_out(&guest, copy, err);
}

void inside_prepare(const struct engine_instance *instance)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        struct cowherd_error ignored;

        if (choose(instance, false, &guest, &ignored) == 0)
                ignore_result(guest_prepare(&guest, &ignored));
}

int inside_freeze(const struct engine_instance *instance, uint64_t *ret_count, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, false, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_freeze(instance, ret_count, err);
        return guest_freeze(&guest, INSIDE_FREEZE_MS, ret_count, err);
}

int inside_thaw(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;
        uint64_t count;

        int who = choose(instance, false, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_thaw(instance, err);
        return guest_thaw(&guest, &count, err);
}

int inside_address(const struct engine_instance *instance, uint64_t timeout_ms, char *ret, struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms;
        owned_guest struct guest guest = GUEST_CLOSED;
        const char *name;

        if (timeout_ms > 0 && inside_wait(instance, timeout_ms, &name, err) < 0)
                return -1;
        int who = choose(instance, false, &guest, err);
        double left_ms = until_ms - clock_ms();
        uint64_t left = left_ms < 0 ? 0 : (uint64_t)left_ms;
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_address(instance, left, ret, err);
        return guest_address(&guest, left, ret, err);
}

int inside_shutdown(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int who = choose(instance, false, &guest, err);
        if (who != 0)
                return who < 0 ? -1 : qemu_agent_shutdown(instance, err);
        return guest_power(&guest, GUEST_POWER_OFF, err);
}
