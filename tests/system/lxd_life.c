/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the lxd engine's callbacks for one instance against a real daemon ($LXD_DIR), one for each command, for
 * lxd_life.bats: `lxd-life-check COMMAND ID NAME WORDS…`. What the instance is to be comes from the environment (MEMORY,
 * CPUS, NETWORK, BRIDGE, PORT, MOUNT, MACHINE_ID, MAC …). Failures print the error and exit with its code.
 */
#include "engine/engine.h"
#include "lxd_api/client.h"
#include "sys/clock.h"
#include "sys/process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct engine_driver cowherd_engine_lxd;

static struct cowherd_error err;
static struct engine_instance instance;
static struct engine_machine machine;
static struct engine_identity identity;
static struct engine_port port;
static struct engine_mount mount_of_host;

static const char *word(const char *name)
{
        const char *value = getenv(name);

        return str_is_empty(value) ? NULL : value;
}

static uint64_t number(const char *name)
{
        return word(name) != NULL ? strtoull(word(name), NULL, 10) : 0;
}

static void fill(char **words)
{
        instance = (struct engine_instance){.id = strtoull(words[0], NULL, 10),
                                            .name = words[1],
                                            .folder = -1,
                                            .herd_uuid = getenv("HERD"),
                                            .machine = &machine,
                                            .identity = &identity};
        machine = (struct engine_machine){.memory_bytes = number("MEMORY"), .cpus = number("CPUS")};
        machine.network = (enum engine_network)number("NETWORK");
        machine.bridge = word("BRIDGE");
        port = (struct engine_port){.host = (uint16_t)number("PORT"), .guest = 80};
        machine.ports = &port;
        machine.port_count = port.host != 0;
        mount_of_host = (struct engine_mount){.host = word("MOUNT"), .guest = "/mnt/host", .read_only = number("READ_ONLY") != 0};
        machine.mounts = &mount_of_host;
        machine.mount_count = mount_of_host.host != NULL;
        identity = (struct engine_identity){.fresh = number("KEEP") == 0,
                                            .applied = number("APPLIED") != 0,
                                            .hostname = word("NAME_OF_HOST") != NULL ? word("NAME_OF_HOST") : words[1],
                                            .machine_id = word("MACHINE_ID"),
                                            .mac = word("MAC"),
                                            .instance_id = word("INSTANCE_ID"),
                                            .host_key = word("HOST_KEY"),
                                            .host_key_public = word("HOST_KEY"),
                                            .ssh_key = word("SSH_KEY"),
                                            .user_data = word("USER_DATA")};
}

static void print_phases(const struct engine_phases *phases)
{
        for (size_t i = 0; i < phases->count; i++)
                (void)fprintf(stderr, "%s_ms=%.1f\n", phases->items[i].name, phases->items[i].ms);
}

static int do_check(char **words)
{
        (void)words;
        return cowherd_engine_lxd.check(&instance, &err);
}

static int do_start(char **words)
{
        struct engine_started started;

        (void)words;
        if (cowherd_engine_lxd.start(&instance, &started, &err) < 0)
                return -1;
        (void)printf("applied=%d pending=%s note=%s\n", started.identity_applied, started.pending, started.note);
        print_phases(&started.phases);
        return 0;
}

/* stop TIMEOUT_MS FORCE */
static int do_stop(char **words)
{
        bool forced = false;

        if (cowherd_engine_lxd.stop(&instance, strtoull(words[0], NULL, 10), words[1][0] == '1', &forced, &err) < 0)
                return -1;
        (void)printf("forced=%d\n", forced);
        return 0;
}

static int do_pause(char **words)
{
        (void)words;
        return cowherd_engine_lxd.pause(&instance, &err);
}

static int do_resume(char **words)
{
        (void)words;
        return cowherd_engine_lxd.resume(&instance, &err);
}

/* wait EVENT TIMEOUT_MS */
static int do_wait(char **words)
{
        static const char *const events[] = {"running", "ready", "stopped", "address"};
        struct engine_waited waited;

        for (size_t i = 0; i < array_length(events); i++) {
                if (!str_equal(events[i], words[0]))
                        continue;
                if (cowherd_engine_lxd.wait(&instance, (enum engine_event)i, strtoull(words[1], NULL, 10), &waited, &err) < 0)
                        return -1;
                (void)printf("address=%s\n", waited.address);
                print_phases(&waited.phases);
                return 0;
        }
        return fail(&err, COWHERD_USAGE, "no such event");
}

/* Reads our own stdin to its end where it is asked for by INPUT=1. */
static size_t read_input(char *buffer, size_t bytes)
{
        size_t length = 0;

        for (ssize_t count; length < bytes && (count = read(0, buffer + length, bytes - length)) > 0;)
                length += (size_t)count;
        return length;
}

/* execute WORDS…: its stdout and stderr become ours; its exit code on fd 3 would be lost, so it is ours as well */
static int do_execute(char **words)
{
        static char input[1 << 20];
        static const char *environment[] = {NULL, NULL};
        struct engine_command command = {.argv = (const char *const *)words,
                                         .user = word("RUN_AS"),
                                         .working_dir = word("FOLDER"),
                                         .timeout_ms = number("TIMEOUT")};
        struct engine_output output = {0};

        environment[0] = word("VARIABLE");
        command.environment = environment;
        if (number("INPUT") != 0) {
                command.input = input;
                command.input_length = read_input(input, sizeof input);
        }
        if (cowherd_engine_lxd.execute(&instance, &command, &output, &err) < 0)
                return -1;
        (void)fwrite(output.out, 1, output.out_length, stdout);
        (void)fwrite(output.errors, 1, output.errors_length, stderr);
        if (number("TIMES") != 0)
                (void)fprintf(stderr, "ms=%.1f cut=%d\n", output.ms, output.cut);
        int code = output.exit_code;
        engine_output_free(&output);
        (void)fflush(NULL);
        _exit(code);
}

/* attach TERMINAL WORDS…: with our own descriptors; no words: the login shell */
static int do_attach(char **words)
{
        const struct engine_command command = {.argv = words[1] != NULL ? (const char *const *)words + 1 : NULL,
                                               .user = word("RUN_AS")};
        const struct engine_streams streams = {.input = 0, .output = 1, .errors = 2, .terminal = words[0][0] == '1'};
        int code = 0;

        if (cowherd_engine_lxd.attach(&instance, &command, &streams, &code, &err) < 0)
                return -1;
        _exit(code);
}

/* Stand-ins for the herd's pack and unpack, by the host's tar. */
static int run_tar(int folder, const char *const *argv, int descriptor, int as, struct cowherd_error *failure)
{
        pid_t child = fork();
        int status = 0;

        if (child == 0) {
                if (fchdir(folder) < 0 || dup2(descriptor, as) < 0)
                        _exit(125);
                (void)execvp("tar", (char *const *)(uintptr_t)argv);
                _exit(125);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
                return fail(failure, COWHERD_SYSTEM, "tar failed");
        return 0;
}

static int pack(int folder, const char *name, const char *as, int to, struct cowherd_error *failure)
{
        owned_str char *transform = x_asprintf("s|^%s|%s|", name, as);
        const char *const argv[] = {"tar", "-c", "--owner=0", "--group=0", "--transform", transform, "-f", "-", name, NULL};

        return run_tar(folder, argv, to, 1, failure);
}

static int unpack(int from, const char *as, int folder, const char *name, struct cowherd_error *failure)
{
        owned_str char *transform = x_asprintf("s|^%s|%s|", as, name);
        const char *const argv[] = {"tar", "-x", "-p", "--no-same-owner", "--transform", transform, "-f", "-", NULL};

        return run_tar(folder, argv, from, 0, failure);
}

/* in FOLDER NAME REMOTE | out FOLDER NAME REMOTE; WITHOUT_TAR=1 */
static int copy(char **words, bool in)
{
        owned_fd int folder = open(words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct engine_copy it = {.folder = folder, .name = words[1], .remote = words[2], .pack = pack, .unpack = unpack};
        double began = clock_ms();

        if (number("WITHOUT_TAR") != 0) {
                it.pack = NULL;
                it.unpack = NULL;
        }
        int rc = in ? cowherd_engine_lxd.copy_in(&instance, &it, &err) : cowherd_engine_lxd.copy_out(&instance, &it, &err);
        (void)fprintf(stderr, "copy_ms=%.1f\n", clock_ms() - began);
        return rc;
}

static int do_in(char **words)
{
        return copy(words, true);
}

static int do_out(char **words)
{
        return copy(words, false);
}

/* logs LINES */
static int do_logs(char **words)
{
        char *text = NULL;

        if (cowherd_engine_lxd.logs(&instance, strtoull(words[0], NULL, 10), &text, &err) < 0)
                return -1;
        (void)fputs(text, stdout);
        free(text);
        return 0;
}

static int do_tidy(char **words)
{
        (void)words;
        return cowherd_engine_lxd.tidy(&instance, &err);
}

static const struct {
        const char *name;
        int least;
        int (*run)(char **words);
} commands[] = {
        {"check", 0, do_check},   {"start", 0, do_start}, {"stop", 2, do_stop},       {"pause", 0, do_pause},
        {"resume", 0, do_resume}, {"wait", 2, do_wait},   {"execute", 1, do_execute}, {"attach", 1, do_attach},
        {"in", 3, do_in},         {"out", 3, do_out},     {"logs", 1, do_logs},       {"tidy", 0, do_tidy},
};

int main(int count, char **words)
{
        for (size_t i = 0; count > 3 && i < array_length(commands); i++) {
                if (!str_equal(commands[i].name, words[1]) || count - 4 < commands[i].least)
                        continue;
                fill(words + 2);
                if (commands[i].run(words + 4) == 0)
                        return 0;
                (void)printf("error: %s\nhint: %s\n", err.text, err.hint);
                return err.code;
        }
        (void)fprintf(stderr, "usage: HERD=UUID lxd-life-check COMMAND ID NAME WORDS…\n");
        return COWHERD_USAGE;
}
