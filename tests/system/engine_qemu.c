/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the QEMU engine's callbacks on a machine that is described in words, for qemu_life.bats:
 *
 *     engine_qemu VERB key=value …     check start stop pause resume wait states logs quiesce resume switch flatten
 * tidy
 *
 * Keys: root= (a folder) path= layers=PATH:FORMAT,… runtime= name= id= herd= memory= (MiB) cpus= os= firmware= accel=
 * network= port=HOST:GUEST mount=HOST:GUEST[:ro] fresh=1 applied=1, and of the verb: timeout= (ms) force=1 for= lines=
 * next= frozen=1. Results are lines of key=value; a failure prints the error and its hint, and exits with its code.
 */
#include "engine_words.h"

#include "base/number.h"
#include "base/str.h"
#include "engine/drivers.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAYERS 8

static char **arguments;
static struct cowherd_error err;

static const char *word(const char *key)
{
        return word_of(arguments, key);
}

static uint64_t number(const char *key, uint64_t otherwise)
{
        const char *text = word(key);

        return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void read_network(struct engine_machine *machine, struct engine_port *port, struct engine_mount *mount)
{
        const char *network = word("network"), *ports = word("port"), *mounts = word("mount");

        if (network != NULL && str_starts(network, "bridge:")) {
                machine->network = ENGINE_NETWORK_BRIDGE;
                machine->bridge = network + strlen("bridge:");
        } else if (network != NULL) {
                machine->network = str_equal(network, "none")   ? ENGINE_NETWORK_NONE
                                   : str_equal(network, "host") ? ENGINE_NETWORK_HOST
                                                                : ENGINE_NETWORK_USER;
        }
        if (ports != NULL) {
                port->host = (uint16_t)strtoul(ports, NULL, 10);
                port->guest = (uint16_t)strtoul(strchr(ports, ':') + 1, NULL, 10);
                port->address = word("address");
                machine->ports = port;
                machine->port_count = 1;
        }
        if (mounts != NULL) {
                char *copy = x_strdup(mounts);
                mount->read_only = str_ends(copy, ":ro");
                char *colon = strchr(copy, ':');
                *colon = '\0';
                mount->host = copy;
                mount->guest = colon + 1;
                machine->mounts = mount;
                machine->mount_count = 1;
        }
}

static size_t read_layers(struct engine_layer *layers)
{
        const char *text = word("layers");
        size_t count = 0;

        if (text == NULL) {
                layers[0] = (struct engine_layer){word("path"), "qcow2"};
                return 1;
        }
        for (char *at = x_strdup(text); at != NULL && count < LAYERS;) {
                char *comma = strchr(at, ',');
                if (comma != NULL)
                        *comma = '\0';
                char *colon = strrchr(at, ':');
                *colon = '\0';
                layers[count++] = (struct engine_layer){at, colon + 1};
                at = comma == NULL ? NULL : comma + 1;
        }
        return count;
}

static void on_progress(void *context, uint64_t done, uint64_t total)
{
        (void)context;
        (void)fprintf(stderr, "progress %" PRIu64 "/%" PRIu64 "\n", done, total);
}

static int do_start(const struct engine_instance *instance)
{
        struct engine_started started;

        if (engine_qemu.start(instance, &started, &err) < 0)
                return -1;
        (void)printf("applied=%d\npending=%s\nnote=%s\n", started.identity_applied, started.pending, started.note);
        tell_phases(&started.phases);
        return 0;
}

static int do_stop(const struct engine_instance *instance)
{
        bool forced = false;

        if (engine_qemu.stop(instance, number("timeout", 10000), number("force", 0) != 0, &forced, &err) < 0)
                return -1;
        (void)printf("forced=%d\n", forced);
        return 0;
}

static int do_wait(const struct engine_instance *instance)
{
        static const char *const names[] = {"running", "ready", "stopped", "address"};
        struct engine_waited waited;

        for (size_t i = 0; i < array_length(names); i++)
                if (str_equal(word("for"), names[i])) {
                        if (engine_qemu.wait(instance, (enum engine_event)i, number("timeout", 30000), &waited, &err) <
                            0)
                                return -1;
                        (void)printf("address=%s\napplied=%d\n", waited.address, waited.identity_applied);
                        tell_phases(&waited.phases);
                        return 0;
                }
        return fail(&err, COWHERD_USAGE, "for=%s", word("for"));
}

static int do_states(const struct engine_instance *instance)
{
        enum engine_state state;

        if (engine_qemu.states(instance, 1, &state, &err) < 0)
                return -1;
        (void)printf("state=%s\n", engine_state_name(state));
        return 0;
}

static int do_logs(const struct engine_instance *instance)
{
        owned_str char *text = NULL;

        if (engine_qemu.logs(instance, number("lines", 20), &text, &err) < 0)
                return -1;
        (void)printf("%s", text);
        return 0;
}

static int do_quiesce(const struct engine_instance *instance)
{
        bool frozen = number("frozen", 0) != 0;

        if (engine_qemu.quiesce(instance, number("quiet", 1) != 0, &frozen, &err) < 0)
                return -1;
        (void)printf("frozen=%d\n", frozen);
        return 0;
}

static int do_execute(const struct engine_instance *instance)
{
        const char *const shell[] = {"/bin/sh", "-c", word("command"), NULL};
        const struct engine_command command = {.argv = shell, .timeout_ms = number("timeout", 20000)};
        struct engine_output output = {0};

        if (engine_qemu.execute(instance, &command, &output, &err) < 0)
                return -1;
        return tell_output(&output, &err);
}

static int execute(const char *verb, const struct engine_instance *instance)
{
        if (str_equal(verb, "check"))
                return engine_qemu.check(instance, &err);
        if (str_equal(verb, "start"))
                return do_start(instance);
        if (str_equal(verb, "stop"))
                return do_stop(instance);
        if (str_equal(verb, "pause"))
                return engine_qemu.pause(instance, &err);
        if (str_equal(verb, "resume"))
                return engine_qemu.resume(instance, &err);
        if (str_equal(verb, "wait"))
                return do_wait(instance);
        if (str_equal(verb, "states"))
                return do_states(instance);
        if (str_equal(verb, "logs"))
                return do_logs(instance);
        if (str_equal(verb, "execute"))
                return do_execute(instance);
        if (str_equal(verb, "quiesce"))
                return do_quiesce(instance);
        if (str_equal(verb, "switch"))
                return engine_qemu.switch_disk(instance, word("next"), &err);
        if (str_equal(verb, "flatten"))
                return engine_qemu.flatten(instance, on_progress, NULL, &err);
        if (str_equal(verb, "tidy"))
                return engine_qemu.tidy(instance, &err);
        return fail(&err, COWHERD_USAGE, "no verb '%s'", verb);
}

int main(int count, char **words)
{
        struct engine_layer layers[LAYERS];
        struct engine_port port = {0};
        struct engine_mount mount = {0};

        if (count < 2)
                return COWHERD_USAGE;
        arguments = words + 2;
        const char *os = word("os"), *firmware = word("firmware");
        struct engine_machine machine = {
                .memory_bytes = number("memory", 0) << 20,
                .cpus = number("cpus", 0),
                .os = str_equal(os, "windows") ? ENGINE_OS_WINDOWS
                      : str_equal(os, "other") ? ENGINE_OS_OTHER
                                               : ENGINE_OS_LINUX,
                .firmware = str_equal(firmware, "uefi") ? ENGINE_FIRMWARE_UEFI : ENGINE_FIRMWARE_DEFAULT,
                .acceleration = word("accel"),
                .layers = layers,
                .layer_count = read_layers(layers),
        };
        read_network(&machine, &port, &mount);
        struct engine_identity identity = {
                .fresh = number("fresh", 0) != 0,
                .applied = number("applied", 0) != 0,
                .hostname = "machine-1",
                .machine_id = "0123456789abcdef0123456789abcdef",
                .mac = "52:54:00:12:34:99",
                .uuid = "11111111-2222-4333-8444-555555555555",
                .generation_id = "66666666-7777-4888-9999-aaaaaaaaaaaa",
                .instance_id = "iid-test",
                .random_seed = "00112233445566778899aabbccddeeff",
        };
        const struct engine_instance instance = {
                .id = number("id", 5),
                .name = word("name") == NULL ? "vm-1" : word("name"),
                .folder = open(word("root"), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                .path = layers[0].path,
                .herd_uuid = word("herd"),
                .runtime = word("runtime"),
                .machine = &machine,
                .identity = &identity,
        };
        if (execute(words[1], &instance) == 0)
                return 0;
        return tell_error(&err);
}
