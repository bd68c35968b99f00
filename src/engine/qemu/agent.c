/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a guest's agent in one question or two. */
#include "engine/qemu/agent.h"

#include "base/str.h"
#include "engine/qemu/agent_exec.h"
#include "sys/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_BYTES 64

const char *qemu_agent_mount_tag(size_t index, char *buffer)
{
        (void)snprintf(buffer, QEMU_MOUNT_TAG_BYTES, "cowherd%zu", index % 1000);
        return buffer;
}

int qemu_agent_wait(const struct engine_instance *instance, uint64_t timeout_ms, struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;

        return agent_open(instance, AGENT_AWAITED, timeout_ms == 0 ? AGENT_GRACE_MS : timeout_ms, &agent, err);
}

/* ---- Addresses ---- */

/* Whether a text is an address that others can reach; 4 or 6. */
static int global_address(const char *text)
{
        struct in6_addr six;
        struct in_addr four;

        if (inet_pton(AF_INET, text, &four) == 1) {
                uint32_t bits = ntohl(four.s_addr);
                return bits >> 24 == 0 || bits >> 24 == 127 || bits >> 16 == 0xa9fe || bits >> 28 >= 0xe ? 0 : 4;
        }
        if (inet_pton(AF_INET6, text, &six) != 1)
                return 0;
        /* Site-local, long deprecated, is what QEMU's user network hands out: nobody reaches it. */
        return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_SITELOCAL(&six) || IN6_IS_ADDR_LINKLOCAL(&six) ||
                               IN6_IS_ADDR_MULTICAST(&six) || IN6_IS_ADDR_UNSPECIFIED(&six)
                       ? 0
                       : 6;
}

/* Looks through one interface; true where an IPv4 address was found, which ends the search. */
static bool find_in(const json_t *interface, char *ret)
{
        json_t *addresses = json_object_get(interface, "ip-addresses"), *address;
        size_t index;

        json_array_foreach(addresses, index, address)
        {
                const char *text = json_string_value(json_object_get(address, "ip-address"));
                int kind = text == NULL || strlen(text) >= ADDRESS_BYTES ? 0 : global_address(text);
                if (kind == 4 || (kind == 6 && ret[0] == '\0'))
                        (void)snprintf(ret, ADDRESS_BYTES, "%s", text);
                if (kind == 4)
                        return true;
        }
        return false;
}

/* The guest's address now, "" where it has none. */
static int ask_address(struct agent *agent, char *ret, struct cowherd_error *err)
{
        json_t *interfaces = NULL, *interface;
        char found[ADDRESS_BYTES] = "";
        size_t index;

        if (agent_ask(agent, "guest-network-get-interfaces", json_object(), JSON_ARRAY, AGENT_REPLY_BYTES, &interfaces,
                      err) < 0)
                return -1;
        json_array_foreach(interfaces, index, interface) if (find_in(interface, found)) break;
        json_decref(interfaces);
        (void)snprintf(ret, ADDRESS_BYTES, "%s", found);
        return 0;
}

int qemu_agent_address(const struct engine_instance *instance, uint64_t timeout_ms, char *ret,
                       struct cowherd_error *err)
{
        double until_ms = clock_ms() + (double)timeout_ms, pause_ms = 10;
        char address[ADDRESS_BYTES] = "";

        for (;;) {
                double left_ms = until_ms - clock_ms();
                owned_agent struct agent agent = AGENT_CLOSED;
                if (agent_open(instance, AGENT_AWAITED, left_ms < AGENT_GRACE_MS ? AGENT_GRACE_MS : (uint64_t)left_ms,
                               &agent, err) < 0)
                        return -1;
                do {
                        if (ask_address(&agent, address, err) < 0)
                                return -1;
                        if (address[0] != '\0') {
                                (void)snprintf(ret, ADDRESS_BYTES, "%s", address);
                                return 0;
                        }
                        if (clock_ms() >= until_ms)
                                return fail(err, COWHERD_BUSY, "'%s' has no address after %llu ms", instance->name,
                                            (unsigned long long)timeout_ms);
                        agent_pause(&pause_ms);
                } while (!agent_is_wanted(&agent));
        }
}

/* ---- Freezing, thawing, shutting down ---- */

/* One question that answers with a number. */
static int ask_number(const struct engine_instance *instance, const char *command, uint64_t *ret,
                      struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;
        json_t *answer = NULL;

        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0 ||
            agent_ask(&agent, command, json_object(), JSON_INTEGER, AGENT_REPLY_BYTES, &answer, err) < 0)
                return -1;
        json_int_t number = json_integer_value(answer);
        json_decref(answer);
        *ret = number < 0 ? 0 : (uint64_t)number;
        return 0;
}

int qemu_agent_freeze(const struct engine_instance *instance, uint64_t *ret_count, struct cowherd_error *err)
{
        struct cowherd_error ignored;

        if (ask_number(instance, "guest-fsfreeze-freeze", ret_count, err) == 0)
                return 0;
        if (err->code != COWHERD_UNAVAILABLE)
                ignore_result(qemu_agent_thaw(
                        instance, &ignored)); /* those that it froze before it failed, or answered too late */
        return -1;
}

int qemu_agent_thaw(const struct engine_instance *instance, struct cowherd_error *err)
{
        uint64_t count;

        return ask_number(instance, "guest-fsfreeze-thaw", &count, err);
}

int qemu_agent_shutdown(const struct engine_instance *instance, struct cowherd_error *err)
{
        owned_agent struct agent agent = AGENT_CLOSED;

        if (agent_open(instance, AGENT_EXPECTED, AGENT_ANSWER_MS, &agent, err) < 0)
                return -1;
        return agent_tell(&agent, "guest-shutdown", json_object(), err);
}
