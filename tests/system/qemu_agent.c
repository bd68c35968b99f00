/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's client, function by function, for qemu_guest.bats: speaks to the machine whose sockets are in a folder.
 * Without a herd, so that a failure is this client's and nobody else's.
 *
 *     qemu-agent FOLDER wait|address|freeze|thaw|shutdown [MS]
 *     qemu-agent FOLDER execute|attach TIMEOUT-MS WORKING-DIR USER COMMAND…       ("" for none; its stdin is passed on)
 *     qemu-agent FOLDER console
 *     qemu-agent FOLDER copy_in|copy_out LOCAL-FOLDER NAME REMOTE                  (folders travel by tar(1))
 *     qemu-agent FOLDER personalise HOSTNAME MACHINE-ID INSTANCE-ID SEED KEY-FILE SSH-KEY [MOUNT]
 *
 * Exits with the error's code after its sentence on stderr; execute and attach with the command's status.
 */
#include "engine_words.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/qemu/agent.h"
#include "sys/file.h"
#include "sys/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct engine_machine machine;
static struct engine_identity identity;
static struct engine_instance instance = {
        .id = 1, .name = "vm-1", .folder = -1, .machine = &machine, .identity = &identity};

static int pack(int folder, const char *name, const char *as, int to, struct cowherd_error *err)
{
        owned_process struct process process = {.keep = {to, folder}, .keep_count = 2};
        owned_str char *file = x_asprintf("/proc/self/fd/%d", to), *from = x_asprintf("/proc/self/fd/%d", folder),
                       *rule = x_asprintf("s,^%s,%s,", name, as);

        process_add(&process, "tar", "-cf", file, "-C", from, "--transform", rule, name, NULL);
        return process_check(&process, NULL, err);
}

static int unpack(int from, const char *as, int folder, const char *name, struct cowherd_error *err)
{
        owned_process struct process process = {.keep = {from, folder}, .keep_count = 2};
        owned_str char *file = x_asprintf("/proc/self/fd/%d", from), *to = x_asprintf("/proc/self/fd/%d", folder),
                       *rule = x_asprintf("s,^\\(\\./\\)\\?%s,%s,", as, name);

        process_add(&process, "tar", "-xf", file, "-C", to, "--transform", rule, NULL);
        return process_check(&process, NULL, err);
}

static int copy(const char *verb, char **words, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (file_open_folder(AT_FDCWD, words[0], &folder, err) < 0)
                return -1;
        struct engine_copy what = {
                .folder = folder, .name = words[1], .remote = words[2], .pack = pack, .unpack = unpack};
        if (str_equal(verb, "copy_in"))
                return qemu_agent_copy_in(&instance, &what, err);
        return qemu_agent_copy_out(&instance, &what, err);
}

static int run(char **words, int *ret_status, struct cowherd_error *err)
{
        static const char *const environment[] = {
                "GREETING=it's \"fine\" $HOME", "name=x", "count=9", "id=0", "IFS=-", NULL};
        const struct runner agent = {&instance, qemu_agent_execute, qemu_agent_attach, environment, .terminal = false};

        return run_words(&agent, words, ret_status, err);
}

static int personalise(char **words, struct cowherd_error *err)
{
        struct said_identity said owned_by(said_identity_free) = {0};
        struct engine_mount mount = {.host = "/", .guest = words[6]};
        char pending[256];

        if (read_identity(words, &said, err) < 0)
                return -1;
        identity = said.identity;
        machine.mounts = &mount;
        machine.mount_count = words[6] != NULL;
        if (qemu_agent_personalise(&instance, 60000, pending, sizeof pending, err) < 0)
                return -1;
        (void)printf("pending=%s\n", pending);
        return 0;
}

static int question(const char *verb, uint64_t ms, struct cowherd_error *err)
{
        uint64_t count = 0;
        char address[64];

        if (str_equal(verb, "wait"))
                return qemu_agent_wait(&instance, ms, err);
        if (str_equal(verb, "thaw"))
                return qemu_agent_thaw(&instance, err);
        if (str_equal(verb, "shutdown"))
                return qemu_agent_shutdown(&instance, err);
        if (str_equal(verb, "freeze")) {
                if (qemu_agent_freeze(&instance, &count, err) < 0)
                        return -1;
                (void)printf("frozen=%llu\n", (unsigned long long)count);
                return 0;
        }
        if (qemu_agent_address(&instance, ms, address, err) < 0)
                return -1;
        (void)printf("%s\n", address);
        return 0;
}

int main(int count, char **words)
{
        struct engine_streams streams = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, isatty(STDIN_FILENO) != 0};
        struct cowherd_error err = {0};
        int status = 0, result;

        if (count < 3)
                return COWHERD_USAGE;
        instance.runtime = words[1];
        if ((str_equal(words[2], "execute") || str_equal(words[2], "attach")) && count >= 6)
                result = run(words + 2, &status, &err);
        else if (str_starts(words[2], "copy_") && count == 6)
                result = copy(words[2], words + 3, &err);
        else if (str_equal(words[2], "personalise") && count >= 9)
                result = personalise(words + 3, &err);
        else if (str_equal(words[2], "console"))
                result = qemu_agent_console(&instance, &streams, &status, &err);
        else
                result = question(words[2], count > 3 ? strtoull(words[3], NULL, 10) : 30000, &err);
        if (result == 0)
                return status;
        (void)fprintf(stderr, "error %d: %s (%s)\n", err.code, err.text, err.hint);
        return err.code;
}
