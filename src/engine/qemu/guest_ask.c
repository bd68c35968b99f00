/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of cowherd-guest in one question: an identity, and the small things. */
#include "engine/qemu/guest.h"

#include "engine/qemu/agent.h"
#include "engine/qemu/agent_channel.h"
#include "sys/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_BYTES 64
#define TOLD_BYTES 4096
#define NS_PER_MS 1000000u

/* ---- The identity ---- */

struct pending {
        char *text;
        size_t used, bytes;
};

static void add_pending(struct pending *pending, const char *name, const char *problem)
{
        owned_str char *quoted_name = agent_quote(name), *quoted = agent_quote(problem);
        int added = snprintf(pending->text + pending->used, pending->bytes - pending->used, "%s%s: %s",
                             pending->used > 0 ? "; " : "", quoted_name, quoted);

        if (added > 0 && (size_t)added < pending->bytes - pending->used)
                pending->used += (size_t)added;
        else if (pending->used > 0)
                pending->text[pending->used] = '\0'; /* more than can be told */
}

static int read_steps(const struct guest *guest, const struct guest_frame *frame, struct pending *pending, struct cowherd_error *err)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};

        while (reader.left > 0 && !reader.bad) {
                owned_str char *name = guest_get_text(&reader, TOLD_BYTES), *problem = guest_get_text(&reader, TOLD_BYTES);
                if (!reader.bad && problem[0] != '\0')
                        add_pending(pending, name, problem);
        }
        return reader.bad ? guest_fail_nonsense(guest, err) : 0;
}

/* The message borrows its texts. */
static void describe(const struct engine_identity *identity, const struct guest_wish *wish, struct guest_identity *ret)
{
        *ret = (struct guest_identity){.login = (char *)(uintptr_t)identity->ssh_key, .sync = wish->sync};
        if (wish->woken)
                ret->wall_ns = clock_wall_ms() * NS_PER_MS;
        if (!identity->fresh)
                return;
        if (!identity->applied || wish->woken) {
                ret->instance_id = (char *)(uintptr_t)identity->instance_id;
                ret->hostname = (char *)(uintptr_t)identity->hostname;
                ret->machine_id = (char *)(uintptr_t)identity->machine_id;
                ret->seed = (char *)(uintptr_t)identity->random_seed;
                ret->host_key = (char *)(uintptr_t)identity->host_key;
                ret->host_key_public = (char *)(uintptr_t)identity->host_key_public;
        }
        if (wish->woken) {
                ret->mac = (char *)(uintptr_t)identity->mac;
                ret->renew = true;
        }
}

/* What cloud-init writes, it must have written before. */
static int await_cloud_init(struct guest *guest, uint64_t timeout_ms, struct cowherd_error *err)
{
        static const char *const words[] = {"cloud-init", "status", "--wait", NULL};
        struct cowherd_error failed;
        int status;

        if (guest_tool(guest, words, timeout_ms, &status, &failed) < 0 && failed.code != COWHERD_NOT_FOUND) {
                *err = failed;
                return -1;
        }
        return 0;
}

static int mount_one(struct guest *guest, size_t index, const struct engine_mount *mount, struct cowherd_error *err)
{
        char tag[QEMU_MOUNT_TAG_BYTES];
        const struct guest_mount wanted = {.tag = (char *)(uintptr_t)qemu_agent_mount_tag(index, tag),
                                           .path = (char *)(uintptr_t)mount->guest, .read_only = mount->read_only};
        owned_string struct str request = {0};
        struct guest_frame frame;

        guest_mount_put(&request, &wanted);
        return guest_ask(guest, GUEST_MOUNT, &request, GUEST_DONE, GUEST_ANSWER_MS, &frame, err);
}

/* A kernel that has 9p as a module may need to be told. */
static void mount_all(struct guest *guest, const struct engine_machine *machine, struct pending *pending)
{
        static const char *const load[] = {"modprobe", "-a", "9pnet_virtio", "9p", NULL};
        struct cowherd_error err;
        int status;

        for (size_t i = 0; i < machine->mount_count; i++) {
                const struct engine_mount *mount = &machine->mounts[i];
                struct cowherd_error ignored;
                if (mount_one(guest, i, mount, &err) == 0)
                        continue;
                if (guest_tool(guest, load, GUEST_ANSWER_MS, &status, &ignored) == 0 && mount_one(guest, i, mount, &err) == 0)
                        continue;
                owned_str char *name = x_asprintf("mount of %s", mount->guest);
                add_pending(pending, name, err.text);
        }
}

int guest_personalise(struct guest *guest, const struct guest_wish *wish, uint64_t timeout_ms, char *ret_pending, size_t bytes,
                      struct cowherd_error *err)
{
        const struct engine_identity *identity = guest->instance->identity;
        const struct engine_machine *machine = guest->instance->machine;
        struct pending pending = {.text = ret_pending, .bytes = bytes};
        owned_string struct str request = {0};
        struct guest_identity wanted;
        struct guest_frame frame;

        ret_pending[0] = '\0';
        if (identity != NULL && (identity->fresh || identity->ssh_key != NULL || wish->woken)) {
                bool first = identity->fresh && !identity->applied && !wish->woken;
                if (first && (guest->flags & GUEST_HAS_CLOUD_INIT) != 0 && await_cloud_init(guest, timeout_ms, err) < 0)
                        return -1;
                describe(identity, wish, &wanted);
                guest_identity_put(&request, &wanted);
                if (guest_ask(guest, GUEST_IDENTITY, &request, GUEST_STEPS, timeout_ms, &frame, err) < 0 ||
                    read_steps(guest, &frame, &pending, err) < 0)
                        return -1;
        }
        if (machine != NULL)
                mount_all(guest, machine, &pending);
        return 0;
}

/* ---- Small things ---- */

static int ask_number(struct guest *guest, enum guest_type type, const struct str *request, uint64_t *ret, struct cowherd_error *err)
{
        struct guest_frame frame;

        if (guest_ask(guest, type, request, GUEST_DONE, GUEST_ANSWER_MS, &frame, err) < 0)
                return -1;
        struct guest_reader reader = {.at = frame.payload, .left = frame.length};
        uint64_t number = guest_get_long(&reader);
        if (!guest_get_end(&reader))
                return guest_fail_nonsense(guest, err);
        *ret = number;
        return 0;
}

int guest_freeze(struct guest *guest, uint32_t limit_ms, uint64_t *ret_count, struct cowherd_error *err)
{
        owned_string struct str request = {0};

        guest_put_number(&request, limit_ms);
        return ask_number(guest, GUEST_FREEZE, &request, ret_count, err);
}

int guest_thaw(struct guest *guest, uint64_t *ret_count, struct cowherd_error *err)
{
        return ask_number(guest, GUEST_THAW, NULL, ret_count, err);
}

int guest_prepare(struct guest *guest, struct cowherd_error *err)
{
        uint64_t ignored;

        return ask_number(guest, GUEST_PREPARE, NULL, &ignored, err);
}

int guest_power(struct guest *guest, enum guest_power power, struct cowherd_error *err)
{
        owned_string struct str request = {0};
        uint64_t ignored;

        guest_put_number(&request, power);
        return ask_number(guest, GUEST_POWER, &request, &ignored, err);
}

static bool is_address(const char *text)
{
        uint8_t bytes[sizeof(struct in6_addr)];

        return strlen(text) < ADDRESS_BYTES && (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
}

int guest_address(struct guest *guest, uint64_t timeout_ms, char *ret, struct cowherd_error *err)
{
        owned_string struct str request = {0};
        struct cowherd_error failed;
        struct guest_frame frame;

        guest_put_number(&request, timeout_ms > 0);
        uint64_t limit_ms = timeout_ms == 0 ? GUEST_ANSWER_MS : timeout_ms;
        if (guest_ask(guest, GUEST_ADDRESS, &request, GUEST_ADDRESSES, limit_ms, &frame, &failed) < 0) {
                *err = failed;
                return failed.code != COWHERD_BUSY ? -1
                                                   : fail(err, COWHERD_BUSY, "'%s' has no address after %llu ms", guest->instance->name,
                                                          (unsigned long long)timeout_ms);
        }
        struct guest_reader reader = {.at = frame.payload, .left = frame.length};
        owned_str char *link = guest_get_text(&reader, TOLD_BYTES), *address = guest_get_text(&reader, TOLD_BYTES);
        (void)link;
        if (frame.length == 0)
                return fail(err, COWHERD_BUSY, "'%s' has no address after %llu ms", guest->instance->name,
                            (unsigned long long)timeout_ms);
        if (reader.bad || !is_address(address))
                return guest_fail_nonsense(guest, err);
        (void)snprintf(ret, ADDRESS_BYTES, "%s", address);
        return 0;
}
