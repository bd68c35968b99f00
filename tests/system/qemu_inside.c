/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a machine's inside (engine/qemu/inside.h), function by function, for qemu_inside.bats, which has started the machine.
 *
 *     qemu-inside PLACE DISK RUNTIME VERB …        PLACE a folder, DISK relative to it
 *         wait|address MS    freeze    thaw    shutdown
 *         execute|attach TIMEOUT-MS WORKING-DIR USER COMMAND…      ("" for none; its stdin is passed on; no command: a shell)
 *         personalise|wake HOSTNAME MACHINE-ID INSTANCE-ID SEED KEY-FILE SSH-KEY MAC
 *         time COUNT         how long that many executes take, one by one: "ms=1.234" each
 *         hold MS            holds a session open that says nothing
 *
 * Exits with the error's code after its sentence on stderr; execute and attach with the command's status.
 */
#include "engine_words.h"

#include "base/mem.h"
#include "base/str.h"
#include "engine/qemu/agent.h"
#include "engine/qemu/guest.h"
#include "engine/qemu/inside.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static struct engine_machine machine;
static struct engine_identity identity;
static struct engine_instance instance = {.id = 5, .name = "vm-1", .machine = &machine, .identity = &identity};

static int run(char **words, int *ret_status, struct cowherd_error *err)
{
        static const char *const environment[] = {"GREETING=it's \"fine\" $HOME", NULL};
        const struct runner inside = {&instance, inside_execute, inside_attach, environment, .terminal = isatty(STDIN_FILENO) != 0};

        return run_words(&inside, words, ret_status, err);
}

static int personalise(char **words, struct cowherd_error *err)
{
        const struct inside_wish wish = {.woken = str_equal(words[0], "wake"), .sync = str_equal(words[0], "personalise")};
        struct said_identity said owned_by(said_identity_free) = {0};
        char pending[256];

        if (read_identity(words + 1, &said, err) < 0)
                return -1;
        identity = said.identity;
        identity.mac = words[7];
        double since = clock_ms();
        if (inside_personalise(&instance, &wish, 60000, pending, sizeof pending, err) < 0)
                return -1;
        (void)printf("pending=%s\n", pending);
        (void)fprintf(stderr, "ms=%.1f\n", clock_ms() - since);
        return 0;
}

static int measure(const char *count, bool by_agent, struct cowherd_error *err)
{
        static const char *const words[] = {"/bin/true", NULL};
        const struct engine_command command = {.argv = words};

        for (unsigned long left = strtoul(count, NULL, 10); left > 0; left--) {
                struct engine_output output = {0};
                double since = clock_ms();
                if ((by_agent ? qemu_agent_execute : inside_execute)(&instance, &command, &output, err) < 0)
                        return -1;
                (void)printf("ms=%.3f\n", clock_ms() - since);
                engine_output_free(&output);
        }
        return 0;
}

static int hold(uint64_t ms, struct cowherd_error *err)
{
        owned_guest struct guest guest = GUEST_CLOSED;

        int none = guest_begin(&instance, false, 5000, &guest, err);
        if (none != 0)
                return none < 0 ? -1 : fail(err, COWHERD_UNAVAILABLE, "there is no cowherd-guest");
        (void)printf("nonce=");
        for (size_t i = 0; i < GUEST_NONCE_BYTES; i++)
                (void)printf("%02x", guest.nonce[i]);
        (void)printf("\n");
        (void)fflush(stdout);
        (void)poll(NULL, 0, (int)ms);
        return 0;
}

static int question(const char *verb, const char *value, struct cowherd_error *err)
{
        uint64_t count = 0, ms = strtoull(value, NULL, 10);
        char address[64];
        const char *who = "";

        if (str_equal(verb, "thaw"))
                return inside_thaw(&instance, err);
        if (str_equal(verb, "shutdown"))
                return inside_shutdown(&instance, err);
        if (str_equal(verb, "time") || str_equal(verb, "time-agent"))
                return measure(value, str_equal(verb, "time-agent"), err);
        if (str_equal(verb, "hold"))
                return hold(ms, err);
        if (str_equal(verb, "wait")) {
                if (inside_wait(&instance, ms, &who, err) < 0)
                        return -1;
                (void)printf("%s\n", who);
        } else if (str_equal(verb, "freeze")) {
                if (inside_freeze(&instance, &count, err) < 0)
                        return -1;
                (void)printf("frozen=%llu\n", (unsigned long long)count);
        } else if (str_equal(verb, "address")) {
                if (inside_address(&instance, ms, address, err) < 0)
                        return -1;
                (void)printf("%s\n", address);
        } else {
                return fail(err, COWHERD_USAGE, "no verb '%s'", verb);
        }
        return 0;
}

int main(int count, char **words)
{
        struct cowherd_error err = {0};
        int status = 0, result;

        if (count < 5)
                return COWHERD_USAGE;
        instance.folder = open(words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        instance.path = words[2];
        instance.runtime = words[3];
        if ((str_equal(words[4], "execute") || str_equal(words[4], "attach")) && count >= 8)
                result = run(words + 4, &status, &err);
        else if ((str_equal(words[4], "personalise") || str_equal(words[4], "wake")) && count == 12)
                result = personalise(words + 4, &err);
        else
                result = question(words[4], count > 5 ? words[5] : "30000", &err);
        if (result == 0)
                return status;
        (void)fprintf(stderr, "error %d: %s (%s)\n", err.code, err.text, err.hint);
        return err.code;
}
