/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the nspawn engine and the store below it, one callback for each command, for nspawn_life.bats: nspawn_engine
 * FOLDER STORE COMMAND ID [WORD…]. The base is 1; HERD is a UUID. NETWORK, BRIDGE, MEMORY, CPUS, MOUNT
 * (HOST:GUEST[:ro]) and MAC say what machine it is. Failures print the error and exit with its code.
 */
#include "engine/drivers.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *herd;
static struct cowherd_error err;
static const struct store_driver *store;
static struct store_place place;
static struct store_object base, clone;
static struct engine_instance instance;
static struct engine_machine machine;
static struct engine_identity identity;
static struct engine_mount mount_asked;

static uint64_t number(const char *text)
{
        return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static int activate(uint32_t shift, char **ret)
{
        clone.id_shift = shift;
        if (store->activate == NULL) {
                char path[STORE_PATH_BYTES];
                *ret = x_asprintf("%s/%s", place.folder, store_object_path(&clone, path));
                return 0;
        }
        return store->activate(&place, &clone, ret, &err);
}

static int deactivate(void)
{
        return store->deactivate == NULL ? 0 : store->deactivate(&place, &clone, &err);
}

static void tell_phases(const struct engine_phases *phases)
{
        for (size_t i = 0; i < phases->count; i++)
                (void)fprintf(stderr, "%s_ms=%.1f ", phases->items[i].name, phases->items[i].ms);
        (void)fputc('\n', stderr);
}

static int do_base(char **words)
{
        owned_str char *fingerprint = NULL;

        (void)words;
        if (store->prepare_base(&place, &base, &err) < 0)
                return -1;
        owned_str char *copy = x_asprintf("%s/bases/1/tree", place.folder);
        owned_fd int from = open(words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                     to = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (file_copy_tree(from, to, FILE_TREE_COPY, NULL, &err) < 0)
                return -1;
        return store->seal_base(&place, &base, &fingerprint, &err);
}

static int do_clone(char **words)
{
        (void)words;
        return store->clone(&place, &clone, &err);
}

static int do_start(char **words)
{
        struct engine_started started = {0};
        owned_str char *root = NULL;
        double began = clock_ms();

        (void)words;
        if (activate(getenv("UNSHIFTED") != NULL ? 0 : engine_nspawn.id_shift(&instance), &root) < 0)
                return -1;
        double activated = clock_ms();
        instance.root = root;
        if (engine_nspawn.start(&instance, &started, &err) < 0) {
                struct cowherd_error first = err;
                (void)!deactivate();
                err = first;
                return -1;
        }
        (void)fprintf(stderr, "activate_ms=%.1f start_ms=%.1f ", activated - began, clock_ms() - activated);
        tell_phases(&started.phases);
        if (started.note[0] != '\0')
                (void)printf("note=%s\n", started.note);
        return 0;
}

/* stop ID [TIMEOUT_MS [force]] */
static int do_stop(char **words)
{
        bool forced = false;
        double began = clock_ms();

        if (engine_nspawn.stop(&instance, words[0] == NULL ? 30000 : number(words[0]),
                               words[0] != NULL && words[1] != NULL, &forced, &err) < 0)
                return -1;
        (void)fprintf(stderr, "stop_ms=%.1f\n", clock_ms() - began);
        (void)printf("forced=%d\n", forced);
        return deactivate();
}

static int do_tidy(char **words)
{
        (void)words;
        return engine_nspawn.tidy(&instance, &err) < 0 ? -1 : deactivate();
}

static int do_state(char **words)
{
        enum engine_state state;
        double began = clock_ms();

        (void)words;
        if (engine_nspawn.states(&instance, 1, &state, &err) < 0)
                return -1;
        (void)fprintf(stderr, "state_ms=%.3f\n", clock_ms() - began);
        (void)puts(engine_state_name(state));
        return 0;
}

static int do_pause(char **words)
{
        (void)words;
        return engine_nspawn.pause(&instance, &err);
}

static int do_resume(char **words)
{
        (void)words;
        return engine_nspawn.resume(&instance, &err);
}

static int do_quiesce(char **words)
{
        bool frozen = false;

        if (engine_nspawn.quiesce(&instance, str_equal(words[0], "1"), &frozen, &err) < 0)
                return -1;
        (void)printf("frozen=%d\n", frozen);
        return 0;
}

/* wait ID EVENT TIMEOUT_MS */
static int do_wait(char **words)
{
        static const char *const names[] = {"running", "ready", "stopped", "address"};
        struct engine_waited waited = {0};

        for (size_t i = 0; i < array_length(names); i++)
                if (str_equal(words[0], names[i])) {
                        if (engine_nspawn.wait(&instance, (enum engine_event)i, number(words[1]), &waited, &err) < 0)
                                return -1;
                        tell_phases(&waited.phases);
                        (void)printf("address=%s\n", waited.address);
                        return 0;
                }
        return fail(&err, COWHERD_USAGE, "no event");
}

static struct engine_command command_of(char **words)
{
        static const char *environment[] = {NULL, NULL};
        const char *input = getenv("INPUT");

        environment[0] = getenv("COMMAND_ENV");
        return (struct engine_command){.argv = words[0] == NULL ? NULL : (const char *const *)words,
                                       .environment = environment,
                                       .working_dir = getenv("WORKING_DIR"),
                                       .user = getenv("COMMAND_USER"),
                                       .input = input,
                                       .input_length = input == NULL ? 0 : strlen(input),
                                       .timeout_ms = number(getenv("TIMEOUT_MS"))};
}

static int do_execute(char **words)
{
        struct engine_command command = command_of(words);
        struct engine_output output = {0};

        if (engine_nspawn.execute(&instance, &command, &output, &err) < 0)
                return -1;
        (void)fwrite(output.out, 1, output.out_length, stdout);
        (void)fflush(stdout);
        (void)fwrite(output.errors, 1, output.errors_length, stderr);
        if (getenv("SHOW_MS") != NULL)
                (void)fprintf(stderr, "execute_ms=%.1f cut=%d\n", output.ms, output.cut);
        int exit_code = output.exit_code;
        engine_output_free(&output);
        exit(exit_code);
}

static int do_attach(char **words)
{
        struct engine_command command = command_of(words);
        struct engine_streams streams = {.input = 0, .output = 1, .errors = 2, .terminal = isatty(0) && isatty(1)};
        int exit_code = 0;

        if (engine_nspawn.attach(&instance, &command, &streams, &exit_code, &err) < 0)
                return -1;
        exit(exit_code);
}

/* copy_in ID FOLDER NAME REMOTE, copy_out the same */
static struct engine_copy copy_of(char **words)
{
        return (struct engine_copy){
                .folder = open(words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC), .name = words[1], .remote = words[2]};
}

static int copy_either(char **words,
                       int (*copy)(const struct engine_instance *, const struct engine_copy *, struct cowherd_error *))
{
        struct engine_copy asked = copy_of(words);
        enum engine_state state;
        owned_str char *root = NULL;

        if (engine_nspawn.states(&instance, 1, &state, &err) < 0)
                return -1;
        if (state == ENGINE_STOPPED && activate(0, &root) < 0)
                return -1;
        instance.root = root;
        int result = copy(&instance, &asked, &err);
        if (state == ENGINE_STOPPED) {
                struct cowherd_error first = err;
                (void)!deactivate();
                err = first;
        }
        (void)close(asked.folder);
        return result;
}

static int do_copy_in(char **words)
{
        return copy_either(words, engine_nspawn.copy_in);
}

static int do_copy_out(char **words)
{
        return copy_either(words, engine_nspawn.copy_out);
}

static int do_logs(char **words)
{
        owned_str char *text = NULL;

        if (engine_nspawn.logs(&instance, words[0] == NULL ? 100 : number(words[0]), &text, &err) < 0)
                return -1;
        (void)fputs(text, stdout);
        return 0;
}

static int do_check(char **words)
{
        (void)words;
        return engine_nspawn.check(&instance, &err);
}

static const struct {
        const char *name;
        int (*run)(char **words);
} commands[] = {
        {"base", do_base},       {"clone", do_clone},       {"start", do_start},     {"stop", do_stop},
        {"tidy", do_tidy},       {"state", do_state},       {"pause", do_pause},     {"resume", do_resume},
        {"quiesce", do_quiesce}, {"wait", do_wait},         {"execute", do_execute}, {"attach", do_attach},
        {"copy_in", do_copy_in}, {"copy_out", do_copy_out}, {"logs", do_logs},       {"check", do_check},
};

static void read_machine(void)
{
        const char *network = getenv("NETWORK"), *asked = getenv("MOUNT");
        static char words[3][256];

        machine.memory_bytes = number(getenv("MEMORY"));
        machine.cpus = number(getenv("CPUS"));
        machine.network = network == NULL                ? ENGINE_NETWORK_DEFAULT
                          : str_equal(network, "none")   ? ENGINE_NETWORK_NONE
                          : str_equal(network, "user")   ? ENGINE_NETWORK_USER
                          : str_equal(network, "bridge") ? ENGINE_NETWORK_BRIDGE
                                                         : ENGINE_NETWORK_HOST;
        machine.bridge = getenv("BRIDGE");
        identity = (struct engine_identity){.fresh = true, .hostname = getenv("HOST"), .mac = getenv("MAC")};
        if (asked != NULL && sscanf(asked, "%255[^:]:%255[^:]:%255s", words[0], words[1], words[2]) >= 2) {
                mount_asked = (struct engine_mount){words[0], words[1], str_equal(words[2], "ro")};
                machine.mounts = &mount_asked;
                machine.mount_count = 1;
        }
}

int main(int count, char **words)
{
        static char runtime[128], path[STORE_PATH_BYTES], name[32];

        herd = getenv("HERD");
        if (count < 5 || herd == NULL)
                return COWHERD_USAGE;
        place = (struct store_place){
                .folder = words[1], .fd = open(words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), .herd_uuid = herd};
        uint64_t id = number(words[4]);
        (void)snprintf(name, sizeof name, "c-%" PRIu64, id);
        base = (struct store_object){.id = 1, .role = STORE_BASE, .kind = STORE_TREE, .name = "base"};
        clone = (struct store_object){.id = id, .role = STORE_CLONE, .kind = STORE_TREE, .name = name, .base = &base};
        (void)snprintf(runtime, sizeof runtime, "/run/cowherd-test/%.8s/%" PRIu64, herd, id);
        read_machine();
        instance = (struct engine_instance){.id = id,
                                            .name = name,
                                            .folder = place.fd,
                                            .path = store_object_path(&clone, path),
                                            .herd_uuid = herd,
                                            .runtime = runtime,
                                            .machine = &machine,
                                            .identity = &identity};
        int result = store_find(words[2], &store, &err);
        for (size_t i = 0; result == 0 && i < array_length(commands); i++)
                if (str_equal(words[3], commands[i].name)) {
                        result = commands[i].run(words + 5);
                        break;
                }
        if (result == 0)
                return 0;
        (void)fprintf(stderr, "error: %s\nhint: %s\n", err.text, err.hint);
        return err.code;
}
