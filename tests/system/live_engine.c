/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live bases by the QEMU engine's callbacks, for live_engine.bats: machines and bases are numbers in a place.
 *
 *     live_engine PLACE start N base=B [live=L] [keep=1] [key=value …]     clones/N/disk.qcow2 upon bases/B/disk.qcow2
 *     live_engine PLACE capture N L      its memory as bases/L/ram, state and facts; its disk as bases/L/disk.qcow2
 *     live_engine PLACE execute N COMMAND…      wait N     stop N     states N     release L
 *
 * What is asked of a machine comes from keys: memory= (MiB) port=HOST:GUEST network=none; the identity from its number. Results
 * are lines of key=value; a failure prints the error and its hint, and exits with its code. The layers of a disk are in clones/N/layers.
 */
#include "engine_words.h"

#include "base/str.h"
#include "engine/drivers.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYERS 16
#define FACTS_BYTES 65536
#define TEXT_BYTES 4096

static char **words;
static int place;
static struct cowherd_error err;

static const char *word(const char *key)
{
        return word_of(words, key);
}

/* ---- The machine's description ---- */

struct described {
        struct engine_layer layers[LAYERS];
        struct engine_port port;
        struct engine_live live;
        struct engine_machine machine;
        struct engine_identity identity;
        struct engine_instance instance;
};

static void describe_live(struct described *described, const char *root, const char *number)
{
        owned_str char *facts = x_asprintf("bases/%s/facts", number);
        char *text = NULL;

        if (file_read(place, facts, FACTS_BYTES, &text, NULL, &err) < 0)
                text = x_strdup("{}");
        described->live = (struct engine_live){
                .base = x_asprintf("base-%s", number),
                .runtime = x_asprintf("%s/run/base-%s", root, number),
                .ram = x_asprintf("bases/%s/ram", number),
                .state = x_asprintf("bases/%s/state", number),
                .facts = text,
        };
        described->machine.live = &described->live;
}

/* clones/N/layers has the paths, topmost first. */
static void describe_layers(struct described *described, const char *number)
{
        owned_str char *path = x_asprintf("clones/%s/layers", number);
        char *text = NULL;

        if (file_read(place, path, TEXT_BYTES, &text, NULL, &err) < 0)
                exit(err.code);
        for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
                described->layers[described->machine.layer_count++] = (struct engine_layer){line, "qcow2"};
}

static void describe(struct described *described, const char *root, const char *number)
{
        unsigned long n = strtoul(number, NULL, 10);
        const char *memory = word("memory"), *port = word("port");

        *described = (struct described){.machine = {.memory_bytes = memory == NULL ? 0 : strtoull(memory, NULL, 10) << 20,
                                                    .cpus = 1,
                                                    .acceleration = "tcg",
                                                    .network = str_equal(word("network"), "none") ? ENGINE_NETWORK_NONE : ENGINE_NETWORK_DEFAULT,
                                                    .layers = described->layers}};
        describe_layers(described, number);
        if (port != NULL) {
                described->port = (struct engine_port){.host = (uint16_t)strtoul(port, NULL, 10), .guest = (uint16_t)strtoul(strchr(port, ':') + 1, NULL, 10)};
                described->machine.ports = &described->port;
                described->machine.port_count = 1;
        }
        if (word("live") != NULL)
                describe_live(described, root, word("live"));
        described->identity = (struct engine_identity){
                .fresh = word("keep") == NULL,
                .hostname = x_asprintf("machine-%lu", n),
                .machine_id = x_asprintf("%032lx", n),
                .mac = x_asprintf("52:54:00:00:00:%02lx", n & 0xff),
                .uuid = x_asprintf("11111111-2222-4333-8444-%012lx", n),
                .generation_id = x_asprintf("66666666-7777-4888-9999-%012lx", n),
                .instance_id = x_asprintf("iid-%lu", n),
                .random_seed = x_asprintf("%064lx", n),
        };
        described->instance = (struct engine_instance){
                .id = n,
                .name = x_asprintf("vm-%lu", n),
                .folder = place,
                .path = described->layers[0].path,
                .runtime = x_asprintf("%s/run/%lu", root, n),
                .machine = &described->machine,
                .identity = &described->identity,
        };
}

/* ---- What is done with it ---- */

static int do_start(const struct described *described)
{
        struct engine_started started;
        double began = clock_ms();

        if (engine_qemu.start(&described->instance, &started, &err) < 0)
                return -1;
        (void)printf("applied=%d\npending=%s\nprivate=%" PRIu64 "\nshared=%" PRIu64 "\nstart_ms=%.1f\n", started.identity_applied, started.pending,
                     started.private_bytes >> 20, started.shared_bytes >> 20, clock_ms() - began);
        tell_phases(&started.phases);
        return 0;
}

struct moving {
        const char *from, *to, *next;
};

/* What the store does: the disk becomes the base's, its overlay the clone's. */
static int move_disk(void *context, struct cowherd_error *error)
{
        const struct moving *moving = context;

        if (word("fail") != NULL)
                return fail(error, COWHERD_IO, "as was asked for");
        if (renameat(place, moving->from, place, moving->to) < 0 || renameat(place, moving->next, place, moving->from) < 0)
                return fail_errno(error, "cannot rename '%s'", moving->from);
        return 0;
}

static int do_capture(const struct described *described, const char *root, const char *number, const char *base)
{
        owned_str char *to = x_asprintf("bases/%s/disk.qcow2", base), *next = x_asprintf("clones/%s/next.qcow2", number);
        owned_str char *ram = x_asprintf("bases/%s/ram", base), *state = x_asprintf("bases/%s/state", base);
        owned_str char *runtime = x_asprintf("%s/run/base-%s", root, base), *facts = x_asprintf("bases/%s/facts", base);
        struct moving moving = {.from = described->instance.path, .to = to, .next = next};
        const struct engine_capture how = {.ram = ram, .state = state, .runtime = word("cold") == NULL ? runtime : NULL, .next = next,
                                           .disk = move_disk, .context = &moving};
        struct engine_captured captured;

        int done = engine_qemu.capture(&described->instance, &how, &captured, &err);
        (void)printf("switched=%d\n", captured.switched);
        if (done < 0)
                return -1;
        (void)printf("pause_ms=%.1f\nram=%" PRIu64 "\nstate=%" PRIu64 "\nfresh_random=%d\n", captured.pause_ms, captured.ram_bytes >> 20,
                     captured.state_bytes, captured.fresh_random);
        tell_phases(&captured.phases);
        done = file_replace(place, facts, captured.facts, 0600, false, &err);
        engine_captured_free(&captured);
        return done;
}

static int do_execute(const struct engine_instance *instance, char **argv)
{
        const struct engine_command command = {.argv = (const char *const *)argv, .timeout_ms = 120000};
        struct engine_output output = {0};

        if (engine_qemu.execute(instance, &command, &output, &err) < 0)
                return -1;
        return tell_output(&output, &err);
}

static int do_wait(const struct engine_instance *instance)
{
        struct engine_waited waited;

        if (engine_qemu.wait(instance, ENGINE_EVENT_READY, 240000, &waited, &err) < 0)
                return -1;
        (void)printf("applied=%d\n", waited.identity_applied);
        tell_phases(&waited.phases);
        return 0;
}

static int act(const char *root, const char *verb, const char *number, char **rest)
{
        struct described described;
        enum engine_state state = ENGINE_UNKNOWN;
        bool forced;

        if (str_equal(verb, "release")) {
                owned_str char *runtime = x_asprintf("%s/run/base-%s", root, number);
                return engine_qemu.release_live(runtime, &err);
        }
        describe(&described, root, number);
        const struct engine_instance *instance = &described.instance;
        if (str_equal(verb, "start"))
                return do_start(&described);
        if (str_equal(verb, "check"))
                return engine_qemu.check(instance, &err);
        if (str_equal(verb, "capture"))
                return do_capture(&described, root, number, rest[0]);
        if (str_equal(verb, "execute"))
                return do_execute(instance, rest);
        if (str_equal(verb, "wait"))
                return do_wait(instance);
        if (str_equal(verb, "stop"))
                return engine_qemu.stop(instance, 0, true, &forced, &err);
        if (str_equal(verb, "states") && engine_qemu.states(instance, 1, &state, &err) == 0)
                return printf("%s\n", engine_state_name(state)) < 0 ? -1 : 0;
        return fail(&err, COWHERD_USAGE, "no verb '%s'", verb);
}

int main(int count, char **arguments)
{
        if (count < 4)
                return COWHERD_USAGE;
        words = arguments + 4;
        place = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (act(arguments[1], arguments[2], arguments[3], arguments + 4) == 0)
                return 0;
        return tell_error(&err);
}
