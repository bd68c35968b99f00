/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's state can be read only by the same device, so a base remembers what it was made of: QEMU's version, the machine type,
 * the processors, and every word of the command line whose effect the guest can see. The line is taken from the running process
 * and not made again: it may have been started by another version of this program. Where something differs the clone is
 * refused with what, before a byte of the state is looked at.
 */
#include "engine/qemu/live.h"

#include "base/mem.h"
#include "sys/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define CPUINFO_BYTES (4u << 20)

void live_facts_free(struct live_facts *facts)
{
        json_decref(facts->json);
        facts->json = NULL;
}

int live_facts_read(const struct engine_live *live, struct live_facts *ret, struct cowherd_error *err)
{
        json_error_t wrong;
        json_t *json = json_loads(live->facts == NULL ? "" : live->facts, JSON_REJECT_DUPLICATES, &wrong);
        const char *form = json_string_value(json_object_get(json, "state"));

        if (!json_is_object(json) || !str_equal(form, "devices") || !json_is_array(json_object_get(json, "devices"))) {
                json_decref(json);
                return fail(err, COWHERD_DATA, "what is known of the memory of base '%s' is damaged", live->base);
        }
        *ret = (struct live_facts){
                .json = json,
                .wake = {.generation = json_is_true(json_object_get(json, "generation_id")),
                         .card = !str_equal(json_string_value(json_object_get(json, "network")), "none"),
                         .memory = -1},
                .memory_bytes = (uint64_t)json_integer_value(json_object_get(json, "memory_bytes")),
                .cpus = (uint64_t)json_integer_value(json_object_get(json, "cpus")),
                .seeded = json_is_true(json_object_get(json, "seed")),
                .agent = json_is_true(json_object_get(json, "agent")),
                .helper = json_is_true(json_object_get(json, "helper")),
                .fresh_random = json_is_true(json_object_get(json, "fresh_random")),
                .network = json_string_value(json_object_get(json, "network")),
                .mac = json_string_value(json_object_get(json, "mac")),
        };
        return 0;
}

/* ---- The line as the guest sees it ---- */

/* Whether a part "key=value" of an option is none of the guest's business, or is carried by the state. */
static bool is_hidden(const char *part)
{
        static const char *const keys[] = {"memory-backend=", "drive=", "mac=", "guid=", "chardev=", "netdev=", "fsdev=", "suppress-vmdesc="};

        for (size_t i = 0; i < array_length(keys); i++)
                if (str_starts(part, keys[i]))
                        return true;
        return false;
}

/* "virtio-net-pci,id=nic,netdev=network,mac=…" → "virtio-net-pci,id=nic" */
static void add_visible(struct str *text, const char *value)
{
        bool first = true;

        while (*value != '\0') {
                size_t length = 0;
                while (value[length] != '\0' && (value[length] != ',' || value[length + 1] == ',')) /* ",," is a comma */
                        length += value[length] == ',' ? 2 : 1;
                owned_str char *part = x_strndup(value, length);
                if (!is_hidden(part))
                        str_addf(text, "%s%s", first ? "" : ",", part);
                first = false;
                value += length + (value[length] == ',');
        }
}

json_t *live_shape(const struct strv *argv)
{
        static const char *const visible[] = {"-machine", "-accel", "-cpu", "-smp", "-m", "-rtc", "-device"};
        json_t *shape = json_array();

        for (size_t i = 0; i + 1 < argv->count; i++)
                for (size_t k = 0; k < array_length(visible); k++)
                        if (strcmp(argv->items[i], visible[k]) == 0) {
                                owned_string struct str text = {0};
                                str_addf(&text, "%s ", visible[k]);
                                add_visible(&text, argv->items[i + 1]);
                                (void)json_array_append_new(shape, json_string(str_text(&text)));
                        }
        return shape;
}

/* ---- What the host is ---- */

static uint64_t hash(const char *text, size_t length)
{
        uint64_t value = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

        for (size_t i = 0; i < length; i++)
                value = (value ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        return value;
}

/* The value of the first such line, borrowed; its length. */
static const char *find_line(const char *text, const char *key, size_t *ret_length)
{
        const char *at = strstr(text, key);

        at = at == NULL ? NULL : strchr(at, ':');
        if (at == NULL)
                return NULL;
        at += strspn(at, ": \t");
        *ret_length = strcspn(at, "\n");
        return at;
}

char *live_processor(const char *acceleration)
{
        owned_str char *text = NULL;
        struct cowherd_error ignored;
        struct utsname kernel;
        size_t model_length = 0, flags_length = 0;

        if (!str_equal(acceleration, "kvm"))
                return x_strdup(QEMU_TCG_PROCESSOR);
        if (uname(&kernel) < 0 || file_read(AT_FDCWD, "/proc/cpuinfo", CPUINFO_BYTES, &text, NULL, &ignored) < 0)
                return x_strdup("host");
        const char *model = find_line(text, "model name", &model_length), *flags = find_line(text, "\nflags", &flags_length);
        return x_asprintf("%.*s, flags %016" PRIx64 ", Linux %s", (int)model_length, model == NULL ? "" : model,
                          flags == NULL ? 0 : hash(flags, flags_length), kernel.release);
}

/* ---- Comparing ---- */

static int fail_differs(const struct engine_live *live, const char *what, const char *then, const char *now, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_UNAVAILABLE, "the memory of base '%s' was made with %s %s, and here is %s", live->base, what, then, now);
        return fail_hint(err, "rebuild it: start a clone of it with live=false, and promote that again with live=true");
}

static int compare_text(const struct live_facts *facts, const struct engine_live *live, const char *key, const char *what, const char *now,
                        struct cowherd_error *err)
{
        const char *then = json_string_value(json_object_get(facts->json, key));

        return str_equal(then, now) ? 0 : fail_differs(live, what, then == NULL ? "unknown" : then, now, err);
}

static int compare_shapes(const struct live_facts *facts, const struct engine_live *live, const struct strv *argv, struct cowherd_error *err)
{
        json_t *now = live_shape(argv), *then = json_object_get(facts->json, "devices");
        size_t i = 0;

        while (i < json_array_size(now) && json_equal(json_array_get(now, i), json_array_get(then, i)))
                i++;
        if (i == json_array_size(now) && i == json_array_size(then)) {
                json_decref(now);
                return 0;
        }
        const char *was = json_string_value(json_array_get(then, i)), *is = json_string_value(json_array_get(now, i));
        owned_str char *was_quoted = was == NULL ? x_strdup("nothing more") : x_asprintf("'%s'", was);
        owned_str char *is_quoted = is == NULL ? x_strdup("nothing more") : x_asprintf("'%s'", is);
        int result = fail_differs(live, "the devices", was_quoted, is_quoted, err);
        json_decref(now);
        return result;
}

int live_facts_compare(const struct live_facts *facts, const struct engine_instance *instance, const char *acceleration,
                       const struct strv *argv, struct cowherd_error *err)
{
        const struct engine_live *live = instance->machine->live;
        owned_str char *processor = live_processor(acceleration);

        if (compare_text(facts, live, "accel", "acceleration", acceleration, err) < 0 ||
            compare_text(facts, live, "processor", "processor", processor, err) < 0)
                return -1;
        return compare_shapes(facts, live, argv, err);
}

int live_version(struct qmp *qmp, char *version, size_t bytes, struct cowherd_error *err)
{
        json_t *value = NULL;
        int major = 0, minor = 0, micro = 0;

        if (qmp_execute(qmp, "query-version", NULL, -1, QMP_TIMEOUT_MS, &value, err) < 0)
                return -1;
        int got = json_unpack(value, "{s:{s:i, s:i, s:i}}", "qemu", "major", &major, "minor", &minor, "micro", &micro);
        json_decref(value);
        if (got < 0)
                return fail(err, COWHERD_SYSTEM, "qemu does not tell its version");
        (void)snprintf(version, bytes, "%d.%d.%d", major, minor, micro);
        return 0;
}

int live_facts_compare_version(const struct live_facts *facts, const struct engine_live *live, struct qmp *qmp, struct cowherd_error *err)
{
        char version[64];

        if (live_version(qmp, version, sizeof version, err) < 0)
                return -1;
        return compare_text(facts, live, "qemu", "QEMU", version, err);
}

static const char *network_name(enum engine_network network)
{
        return network == ENGINE_NETWORK_NONE ? "none" : network == ENGINE_NETWORK_BRIDGE ? "bridge" : "user";
}

static int refuse(const struct engine_live *live, const char *what, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_UNAVAILABLE, "a live clone of '%s' can't have another %s than its base's memory was made with", live->base, what);
        return fail_hint(err, "leave it out, or take live=false: the clone then boots");
}

int live_check(const struct engine_instance *instance, struct cowherd_error *err)
{
        const struct engine_machine *machine = instance->machine;
        const struct engine_live *live = machine->live;
        owned_live_facts struct live_facts facts = {0};

        if (live_facts_read(live, &facts, err) < 0)
                return -1;
        if (machine->memory_bytes != 0 && machine->memory_bytes != facts.memory_bytes)
                return refuse(live, "memory=", err);
        if (machine->cpus != 0 && machine->cpus != facts.cpus)
                return refuse(live, "cpus=", err);
        if (machine->mount_count > 0)
                return refuse(live, "mount=", err);
        if (machine->network != ENGINE_NETWORK_DEFAULT && machine->network != ENGINE_NETWORK_NONE &&
            !str_equal(network_name(machine->network), facts.network))
                return refuse(live, "network=", err);
        if (!facts.agent && instance->identity != NULL && instance->identity->fresh) {
                (void)fail(err, COWHERD_UNAVAILABLE,
                           "nothing in base '%s' can give its clones an identity of their own: no guest agent answered when it was made", live->base);
                return fail_hint(err, "in the guest: apt install qemu-guest-agent, and make the base anew; or take identity=keep");
        }
        return 0;
}
