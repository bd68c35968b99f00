/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build/bench/live: from the wish for a machine to its first command done, by waking it in a live base's memory, beside booting the
 * same guest, both by cowherd; many at once; what memory a clone adds; how long the source stands still for its base. Run as root,
 * in the same fixtures as build/bench/clone.
 *
 *     build/bench/live [--json] [--quick] [--only TEXT]
 */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)
#define TOUCHED_MIB "100"
#define READY_TIMEOUT_MS 600000
#define READY_PAUSE_US 200000
#define MOST 50 /* machines at once */

/* ---- speaking ---- */

/* Says a command and gives back its answer, the caller's; ends the bench where it fails. */
static struct cowherd_answer *ask(const char *command)
{
        struct cowherd_answer *answer = cowherd_execute(bench_herd, COWHERD_QEMU, command, NULL);

        if (!cowherd_answer_success(answer))
                measure_die("qemu %s: %s", command, cowherd_answer_text(answer));
        return answer;
}

static double number_of(const struct cowherd_answer *answer, const char *field)
{
        const char *text = cowherd_answer_get(answer, field);

        return text == NULL ? 0 : strtod(text, NULL);
}

/* ---- which guest ---- */

static const char *const cold = "tiny"; /* the base that boots */
static const char *hot = "hot";         /* the one in hand that wakes */
static unsigned warm;                           /* how many are to stand ready before each time */

static unsigned long count_ready(void)
{
        struct cowherd_answer *answer = cowherd_execute(bench_herd, COWHERD_QEMU, "status", NULL);
        const char *ready = cowherd_answer_get(answer, "ready");
        unsigned long count = ready == NULL ? 0 : strtoul(ready, NULL, 10);

        cowherd_answer_free(answer);
        return count;
}

/* Untimed: as many as are wanted, and then a moment for what made the last of them to end. */
static void await_ready(void)
{
        double until = measure_now_ms() + READY_TIMEOUT_MS;

        while (count_ready() != warm) {
                if (measure_now_ms() > until)
                        measure_die("%u machines of '%s' never stood ready", warm, hot);
                (void)usleep(READY_PAUSE_US);
        }
        (void)usleep(READY_PAUSE_US);
}

/* ---- one machine ---- */

static double until_agent(const char *base, const char *more, unsigned run)
{
        struct cowherd_answer *answer = NULL;
        char command[128];

        await_ready();
        double began = measure_now_ms();
        (void)snprintf(command, sizeof command, "clone_from_base base=%s name=a-%u %s", base, run, more);
        answer = ask(command);
        /* What comes after the agent's answer in there is the identity. */
        double ms = measure_now_ms() - began - number_of(answer, "identity_ms") - number_of(answer, "ready_ms");
        cowherd_answer_free(answer);
        (void)say(COWHERD_QEMU, "delete name=a-%u force=true", run);
        return ms;
}

static double until_agent_live(unsigned run)
{
        return until_agent(hot, "", run);
}

static double until_agent_cold(unsigned run)
{
        return until_agent(cold, "start=true wait=true", run);
}

static double first_command(const char *base, const char *more, unsigned run)
{
        await_ready();
        double ms = say(COWHERD_QEMU, "clone_from_base base=%s name=c-%u %s", base, run, more);

        ms += say(COWHERD_QEMU, "execute name=c-%u command=true", run);
        (void)say(COWHERD_QEMU, "delete name=c-%u force=true", run);
        return ms;
}

static double command_live(unsigned run)
{
        return first_command(hot, "", run);
}

static double command_cold(unsigned run)
{
        return first_command(cold, "start=true wait=true", run);
}

/* ---- many ---- */

struct commander {
        pthread_t thread;
        struct cowherd_herd *herd; /* its own */
        unsigned number;
};

static void *do_command(void *context)
{
        const struct commander *commander = context;
        char command[64];

        (void)snprintf(command, sizeof command, "execute name=m-%u command=true", commander->number);
        struct cowherd_answer *answer = cowherd_execute(commander->herd, COWHERD_QEMU, command, NULL);
        if (!cowherd_answer_success(answer))
                measure_die("qemu %s: %s", command, cowherd_answer_text(answer));
        cowherd_answer_free(answer);
        return NULL;
}

/* A command in each at once, as who has many machines does; the herds are opened before. Until the last is done. */
static double command_each(unsigned count)
{
        struct commander commanders[MOST] = {0};
        const struct cowherd_options options = {.root = bench_root};
        struct cowherd_error err;

        for (unsigned i = 0; i < count; i++) {
                commanders[i].number = i + 1;
                if (cowherd_open(&options, &commanders[i].herd, &err) < 0)
                        measure_die("%s", err.text);
        }
        double began = measure_now_ms();
        for (unsigned i = 0; i < count; i++)
                if (pthread_create(&commanders[i].thread, NULL, do_command, &commanders[i]) != 0)
                        measure_die("cannot start a thread");
        for (unsigned i = 0; i < count; i++)
                (void)pthread_join(commanders[i].thread, NULL);
        double ms = measure_now_ms() - began;
        for (unsigned i = 0; i < count; i++)
                cowherd_close(commanders[i].herd);
        return ms;
}

/* Until the last has done its command. */
static double many(const char *base, const char *more, unsigned count)
{
        await_ready();
        double ms = say(COWHERD_QEMU, "clone_from_base base=%s name=m count=%u timeout=30m %s", base, count, more);

        ms += command_each(count);
        (void)say(COWHERD_QEMU, "delete name=m-* force=true");
        return ms;
}

static double ten_live(unsigned run)
{
        (void)run;
        return many(hot, "", 10);
}

static double ten_cold(unsigned run)
{
        (void)run;
        return many(cold, "start=true wait=true", 10);
}

static double fifty_live(unsigned run)
{
        (void)run;
        return many(hot, "", 50);
}

/* Minutes: booted once, and set against each figure. --quick boots ten and says five times that. */
static double fifty_cold(unsigned run)
{
        static double ms;

        (void)run;
        if (ms <= 0)
                ms = bench_quick ? 5 * many(cold, "start=true wait=true", 10) : many(cold, "start=true wait=true", 50);
        return ms;
}

/* ---- memory ---- */

/* The sum of a process's lines that begin so, of /proc/PID/smaps_rollup, in bytes. */
static double read_rollup(const char *pid, const char *beginning)
{
        char path[64], line[256];
        double sum = 0;

        (void)snprintf(path, sizeof path, "/proc/%.20s/smaps_rollup", pid);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
                if (strncmp(line, beginning, strlen(beginning)) == 0)
                        sum += strtod(strchr(line, ':') + 1, NULL) * 1024;
        if (file != NULL)
                (void)fclose(file);
        return sum;
}

/* Whether a process has this text among its words. */
static bool has_word(const char *pid, const char *word)
{
        char path[64], text[16384];
        bool found = false;

        (void)snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
        FILE *file = fopen(path, "re");
        if (file == NULL)
                return false;
        size_t length = fread(text, 1, sizeof text - 1, file);
        (void)fclose(file);
        for (size_t i = 0; i < length && !found; i++)
                found = strncmp(text + i, word, strlen(word)) == 0;
        return found;
}

/* Of the QEMU of a machine, found by its UUID. */
static double measure_process(const char *name, const char *beginning)
{
        char command[96], uuid[64] = "";
        double bytes = -1;
        DIR *processes = opendir("/proc");

        (void)snprintf(command, sizeof command, "info name=%s", name);
        (void)say_to(bench_herd, COWHERD_QEMU, command, "uuid", uuid, sizeof uuid);
        if (processes == NULL || uuid[0] == '\0')
                measure_die("'%s' can't be measured", name);
        for (const struct dirent *entry = readdir(processes); entry != NULL && bytes < 0; entry = readdir(processes))
                if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) && has_word(entry->d_name, uuid))
                        bytes = read_rollup(entry->d_name, beginning);
        (void)closedir(processes);
        if (bytes < 0)
                measure_die("the process of '%s' is not found", name);
        return bytes / MIB;
}

static double added(const char *base, const char *more, const char *beginning, unsigned run)
{
        char name[32];

        (void)snprintf(name, sizeof name, "p-%u", run);
        (void)say(COWHERD_QEMU, "clone_from_base base=%s name=%s %s", base, name, more);
        (void)say(COWHERD_QEMU, "execute name=%s command=true", name);
        double mib = measure_process(name, beginning);
        (void)say(COWHERD_QEMU, "delete name=%s force=true", name);
        return mib;
}

/* "Private_…" would count what it reads of the base's, while nobody else has it mapped. A cold one's RAM is a memory file, in its PSS. */
static double private_live(unsigned run)
{
        return added(hot, "", "Anonymous:", run);
}

static double pss_live(unsigned run)
{
        return added(hot, "", "Pss:", run);
}

static double pss_cold(unsigned run)
{
        return added(cold, "start=true wait=true", "Pss:", run);
}

/* ---- the source ---- */

static double pause_of(unsigned run)
{
        char command[96];

        (void)snprintf(command, sizeof command, "promote name=source as=again-%u live=true guest=keep", run);
        struct cowherd_answer *answer = ask(command);
        double ms = number_of(answer, "pause_ms");
        cowherd_answer_free(answer);
        (void)say(COWHERD_QEMU, "remove_base name=again-%u", run);
        return ms;
}

/* ---- fixtures ---- */

static void set_up(void)
{
        (void)say(COWHERD_QEMU, "register_base name=tiny image=%s/tiny.qcow2 memory=256M", bench_folder);
        (void)say(COWHERD_QEMU, "clone_from_base base=tiny name=source start=true wait=true");
        (void)say(COWHERD_QEMU, "promote name=source as=hot live=true guest=keep");
}

static void touch_memory(void)
{
        (void)say(COWHERD_QEMU, "execute name=source command='head -c " TOUCHED_MIB "M /dev/urandom >/run/touched'");
}

static void keep_ready(unsigned count)
{
        (void)say(COWHERD_QEMU, "setup base=%s warm=%u", hot, count);
        warm = count;
}

/* From here on with cowherd-guest, brought by the agent, as promote does where nothing else is said. */
static void use_helper(void)
{
        if (strcmp(hot, "hot") != 0)
                return;
        if (warm > 0)
                keep_ready(0);
        (void)say(COWHERD_QEMU, "delete name=source force=true");
        (void)say(COWHERD_QEMU, "clone_from_base base=tiny name=guest-source start=true wait=true");
        (void)say(COWHERD_QEMU, "promote name=guest-source as=guest-hot live=true");
        (void)say(COWHERD_QEMU, "delete name=guest-source force=true");
        hot = "guest-hot";
}

static void keep_one(void)
{
        keep_ready(1);
}

static void keep_ten(void)
{
        keep_ready(10);
}

static void keep_fifty(void)
{
        keep_ready(50);
}

static void keep_one_helped(void)
{
        use_helper();
        keep_one();
}

static void keep_ten_helped(void)
{
        use_helper();
        keep_ten();
}

static void keep_fifty_helped(void)
{
        use_helper();
        keep_fifty();
}

/* What is measured of either guest; `with` begins the names. */
#define ONE(with)                                                                                                                       \
        {                                                                                                                               \
                {with "live clone, it answers", "wake in a live base's memory : boot", "ms", 20, until_agent_live, until_agent_cold},    \
                {                                                                                                                       \
                        with "live clone, first command done", "the same, its identity fresh, and `true` : boot, identity, `true`",     \
                                "ms", 20, command_live, command_cold                                                                    \
                }                                                                                                                       \
        }
#define MANY(with, number, runs, live, cold_)                                                                                    \
        {                                                                                                                               \
                {                                                                                                                       \
                        with number " live clones, until the last has done its command", "woken : booted, as many at once", "ms", runs, \
                                live, cold_                                                                                             \
                }                                                                                                                       \
        }
#define MEMORY(with)                                                                                                                    \
        {                                                                                                                               \
                {with "memory that a live clone adds", "its own after `true` : PSS of a booted one", "MiB", 5, private_live, pss_cold}, \
                {                                                                                                                       \
                        with "PSS of a live clone", "its share of the base's memory included : of a booted one", "MiB", 5, pss_live,    \
                                pss_cold                                                                                                \
                }                                                                                                                       \
        }

static const struct group groups[] = {
        {set_up, ONE("")},
        {NULL, MANY("", "10", 3, ten_live, ten_cold)},
        {NULL, MANY("", "50", 1, fifty_live, fifty_cold)},
        {NULL, MEMORY("")},
        {touch_memory, {{"pause of the source", "promote live=true, " TOUCHED_MIB " MiB touched of 256", "ms", 10, pause_of, NULL}}},
        {keep_one, ONE("ready ")},
        {keep_ten, MANY("ready ", "10", 3, ten_live, ten_cold)},
        {keep_fifty, MANY("ready ", "50", 1, fifty_live, fifty_cold)},
        {use_helper, ONE("cowherd-guest: ")},
        {use_helper, MANY("cowherd-guest: ", "10", 3, ten_live, ten_cold)},
        {use_helper, MANY("cowherd-guest: ", "50", 1, fifty_live, fifty_cold)},
        {use_helper, MEMORY("cowherd-guest: ")},
        {keep_one_helped, ONE("cowherd-guest: ready ")},
        {keep_ten_helped, MANY("cowherd-guest: ready ", "10", 3, ten_live, ten_cold)},
        {keep_fifty_helped, MANY("cowherd-guest: ready ", "50", 1, fifty_live, fifty_cold)},
};

int main(int argc, char **argv)
{
        static const struct bench bench = {groups, sizeof groups / sizeof groups[0], NULL};

        return bench_main(argc, argv, &bench);
}
